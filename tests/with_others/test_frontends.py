"""With transformers: our networks take the features of its extractors."""

import math

import pytest
import torch

from rankaudio import CNN2d, log_mel, lsep_loss

try:
    from transformers import WhisperFeatureExtractor
except Exception as error:  # noqa: BLE001  (its extractors fail to import if torchaudio does)
    pytest.skip(f"transformers has no audio features here: {error!r}", allow_module_level=True)


@pytest.fixture(scope="module")
def extractor():
    return WhisperFeatureExtractor()  # made from its settings, so nothing is downloaded


def clips():
    generator = torch.Generator().manual_seed(0)
    return [0.1 * torch.randn(n, generator=generator) for n in (32_000, 20_000, 9_000)]


def features(extractor, waves):
    """``(B, 80, N)`` and the frames of each clip."""
    found = extractor(
        [wave.numpy() for wave in waves],
        sampling_rate=16_000,
        padding="longest",
        truncation=False,
        return_attention_mask=True,
        return_tensors="pt",
    )
    return found["input_features"], found["attention_mask"].sum(-1)


def test_its_features_equal_ours_after_its_scaling_of_the_logarithm(extractor):
    (theirs, _), wave = features(extractor, clips()[:1]), clips()[0]
    settings = {"sample_rate": 16_000, "n_fft": 400, "hop_length": 160, "n_mels": 80, "f_min": 0.0}
    ours = log_mel(wave[None].double(), **settings, power=2.0, eps=1e-10) / math.log(10)
    ours = ours[..., :-1]  # it drops the last frame
    ours = (torch.maximum(ours, ours.max() - 8) + 4) / 4
    torch.testing.assert_close(theirs.double(), ours, rtol=0, atol=1e-4)


def test_its_features_train_and_run_our_network(extractor):
    torch.manual_seed(0)
    spectrogram, lengths = features(extractor, clips())
    assert lengths.tolist() == [200, 125, 57]
    network = CNN2d(3, n_blocks=2, base_depth=4)
    lsep_loss(network(spectrogram, lengths), torch.eye(3)).backward()
    assert all(p.grad.isfinite().all() for p in network.parameters())
    network.eval()
    scores = network(spectrogram, lengths)
    spoiled = spectrogram.clone()
    for row, length in enumerate(lengths.tolist()):
        spoiled[row, :, length:] = torch.nan
    assert torch.equal(network(spoiled, lengths), scores)
    # A clip alone differs in its last frames: it is mirrored there, but followed by zeros in a batch.
    for row, wave in enumerate(clips()):
        alone, frames = features(extractor, [wave])
        torch.testing.assert_close(
            network(alone, frames.clamp(max=alone.shape[-1])), scores[[row]], rtol=0, atol=1e-3
        )
    assert not torch.equal(network(spectrogram), scores)
