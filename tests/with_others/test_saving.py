"""With safetensors and huggingface_hub: taggers in their files, without network access."""

import json

import pytest
import torch
from huggingface_hub import PyTorchModelHubMixin
from safetensors import safe_open
from safetensors.torch import load_model, save_model

from rankaudio import CNN2d, LogMel, Tagger

CLASSES = ["Bark", "Meow", "Purr"]
MEL = {"n_fft": 256, "hop_length": 128, "n_mels": 16}


class HubTagger(Tagger, PyTorchModelHubMixin):
    """A tagger with plain settings, which the mixin writes next to the weights."""

    def __init__(self, *, frontend: dict, backbone: dict, classes: list):
        super().__init__(LogMel(**frontend), CNN2d(**backbone), classes=classes)


def settings(pooling="max"):
    network = CNN2d(3, n_blocks=2, base_depth=4, pooling=pooling, rnn_units=4)
    return {"frontend": LogMel(**MEL).settings(), "backbone": network.settings(), "classes": CLASSES}


@pytest.fixture(params=["max", "rnn"])
def tagger(request):
    """Make a tagger with running statistics that differ from the initial ones."""
    torch.manual_seed(0)
    tagger = HubTagger(**settings(request.param))
    tagger(torch.randn(4, 4000))
    return tagger.eval()


def test_safetensors(tagger, tmp_path):
    path, wave = tmp_path / "model.safetensors", torch.randn(2, 3000)
    save_model(tagger, path, metadata={"classes": json.dumps(tagger.classes)})
    with safe_open(path, framework="pt") as file:
        assert json.loads(file.metadata()["classes"]) == CLASSES
    again = Tagger(LogMel(**MEL), CNN2d(**tagger.backbone.settings()), classes=CLASSES)
    assert load_model(again, path) == (set(), [])
    assert torch.equal(again.eval()(wave), tagger(wave))


def test_hub_mixin_in_a_folder(tagger, tmp_path):
    wave, lengths = torch.randn(2, 3000), torch.tensor([3000, 700])
    tagger.save_pretrained(tmp_path / "tagger")
    assert {"config.json", "model.safetensors"} <= {path.name for path in (tmp_path / "tagger").iterdir()}
    again = HubTagger.from_pretrained(tmp_path / "tagger")
    assert not again.training
    assert again.classes == tagger.classes
    assert torch.equal(again(wave, lengths), tagger(wave, lengths))
    # The same weights can be saved in our format.
    again.save(tmp_path / "model.pt")
    assert torch.equal(Tagger.load(tmp_path / "model.pt")(wave, lengths), tagger(wave, lengths))
