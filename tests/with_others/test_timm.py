"""With timm: our frontend and its image models in a Tagger (the leg `torchaudio` of .ci/matrix)."""

import pytest
import torch
from torch import nn

from rankaudio import FrequencyEncoding, LogMel, Tagger, lsep_loss, predict

try:
    import timm
except Exception as error:  # noqa: BLE001  (its torchvision raises RuntimeError with a torch it was not built for)
    pytest.skip(f"timm does not import: {error!r}", allow_module_level=True)

# timm and torchvision warn about themselves.
pytestmark = pytest.mark.filterwarnings("ignore")
MODELS = ["resnet10t", "mobilenetv3_small_050", "test_vit", "test_efficientnet"]


class ImageModel(nn.Module):
    """An image model for spectrograms, with two channels: level and frequency."""

    def __init__(self, name, n_classes, **settings):
        super().__init__()
        self.encoding = FrequencyEncoding()
        self.model = timm.create_model(name, in_chans=2, num_classes=n_classes, **settings)

    def forward(self, spectrogram, lengths=None):
        return self.model(self.encoding(spectrogram))


def build(name):
    torch.manual_seed(0)
    settings = {"img_size": (64, 160)} if "vit" in name else {}  # it takes images of one size
    frontend = LogMel(sample_rate=16_000, n_fft=512, hop_length=200, n_mels=64, f_min=20.0)
    return Tagger(frontend, ImageModel(name, 3, **settings), classes=["Bark", "Meow", "Purr"])


@pytest.mark.parametrize("name", MODELS)
def test_trains_saves_and_predicts(name, tmp_path):
    tagger, wave = build(name), torch.randn(3, 159 * 200)
    lengths = torch.tensor([159 * 200, 20_000, 16_000])
    scores = tagger(wave, lengths)
    assert scores.shape == (3, 3)
    lsep_loss(scores, torch.eye(3)).backward()
    gradients = [p.grad for p in tagger.parameters()]
    assert all(g.isfinite().all() for g in gradients)
    assert any((g != 0).any() for g in gradients)
    tagger.eval().save(tmp_path / "model.pt")
    with pytest.raises(ValueError, match="backbone: wanted one of .*CNN2d.*, got 'ImageModel'"):
        Tagger.load(tmp_path / "model.pt")
    again = Tagger.load(tmp_path / "model.pt", backbone=build(name).backbone)
    assert again.classes == tagger.classes
    torch.testing.assert_close(predict(again, list(wave)), tagger(wave), rtol=0, atol=1e-5)


def test_only_the_amount_of_padding_matters():
    """An image model sees padding. Scores depend on its length, but not on its values."""
    tagger, wave, lengths = build("resnet10t").eval(), torch.randn(1, 32_000), torch.tensor([20_000])
    spoiled = wave.clone()
    spoiled[:, 20_000:] = torch.nan
    assert torch.equal(tagger(spoiled, lengths), tagger(wave, lengths))
    assert not torch.equal(tagger(wave[:, :20_000]), tagger(wave, lengths))
