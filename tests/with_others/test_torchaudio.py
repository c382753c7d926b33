"""With a torchaudio that imports: an oracle, and its transforms as frontends (a leg of .ci/matrix)."""

import pytest
import torch
from torch import nn

from rankaudio import CNN1d, CNN2d, LogMel, LogSTFT, Tagger, frame_lengths, mel_filterbank, pad_collate

try:
    import torchaudio
except Exception as error:  # noqa: BLE001  (a mismatched build raises OSError, RuntimeError and others)
    pytest.skip(f"torchaudio does not import: {error!r}", allow_module_level=True)


class Log(nn.Module):
    def forward(self, magnitude):
        return (magnitude + 1e-4).log()


def mel():
    settings = {"n_fft": 2048, "hop_length": 1024, "n_mels": 128, "f_min": 5.0, "f_max": 22050.0}
    transform = torchaudio.transforms.MelSpectrogram(
        44100, power=1.0, norm="slaney", mel_scale="slaney", **settings
    )
    return nn.Sequential(transform, Log())


def stft():
    return nn.Sequential(torchaudio.transforms.Spectrogram(n_fft=256, hop_length=128, power=1.0), Log())


def mel_with_our_bands():
    """Replace its bands, which it computes in float32, by ours, which equal librosa's in float64."""
    frontend = mel()
    frontend[0].mel_scale.fb.copy_(mel_filterbank().T)
    return frontend


@pytest.mark.parametrize(("theirs", "ours"), [(mel_with_our_bands, LogMel), (stft, LogSTFT)])
def test_spectrograms_agree(theirs, ours):
    waveform = 0.1 * torch.randn(3, 50_000, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(ours()(waveform), theirs()(waveform), rtol=0, atol=2e-6)


def test_bands_equal_theirs_to_the_precision_of_float32():
    bands, theirs = mel_filterbank(), mel()[0].mel_scale.fb.T
    assert ((bands - theirs).abs().amax(1) / bands.amax(1)).max() < 2e-5


@pytest.mark.parametrize(("frontend", "backbone"), [(mel, CNN2d), (stft, CNN1d)])
def test_its_transforms_are_frontends_of_our_networks(frontend, backbone, tmp_path):
    waveform = torch.randn(2, 50_000)
    tagger = Tagger(frontend(), backbone(3, base_depth=4)).eval()
    tagger.save(tmp_path / "model.pt")
    again = Tagger.load(tmp_path / "model.pt", frontend=frontend())
    assert torch.equal(again(waveform), tagger(waveform))
    own = Tagger({mel: LogMel, stft: LogSTFT}[frontend](), tagger.backbone).eval()
    torch.testing.assert_close(own(waveform), tagger(waveform), rtol=0, atol=1e-3)


class MelOfAnyLength(nn.Module):
    """Its spectrogram with a count of frames. After the end of a clip there are zeros, also in a batch."""

    def __init__(self):
        super().__init__()
        self.mel = torchaudio.transforms.MelSpectrogram(
            44100, n_fft=2048, hop_length=1024, n_mels=128, pad_mode="constant"
        )

    def forward(self, waveform, lengths=None):
        return (self.mel(waveform) + 1e-4).log()

    def frame_lengths(self, lengths):
        return frame_lengths(lengths, hop_length=1024)


@pytest.mark.parametrize("pooling", ["max", "rnn"])
def test_a_clip_scores_the_same_alone_and_in_a_batch(pooling):
    clips = [torch.randn(n) for n in (50_000, 20_480, 1_000)]
    tagger = Tagger(MelOfAnyLength(), CNN2d(3, n_blocks=2, base_depth=4, pooling=pooling)).eval()
    waveform, _, lengths = pad_collate(clips)
    scores = tagger(waveform, lengths)
    for row, clip in enumerate(clips):
        torch.testing.assert_close(tagger(clip[None]), scores[[row]], rtol=0, atol=1e-5)
    assert not torch.allclose(tagger(waveform)[2], scores[2], rtol=0, atol=1e-3)
