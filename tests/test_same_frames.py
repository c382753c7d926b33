"""Frames by the rule SAME: the original's numbers, the definition, padding, saving and export."""

import math
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn
from torch.export import Dim

from rankaudio import LogMel, Tagger, frame_lengths, log_stft
from rankaudio.spectral import DecibelMel, decibel_mel

GOLDEN = np.load(Path(__file__).parent / "golden" / "second_mel.npz")
SIGNAL = torch.from_numpy(np.load(Path(__file__).parent / "golden" / "features_mel.npz")["signal"])
SECOND = {"n_fft": 1024, "hop_length": 512, "n_mels": 64, "f_min": 0.0, "ref": "max", "pad_mode": "same"}
SMALL = {"sample_rate": 8000, "n_fft": 64, "hop_length": 32, "n_mels": 12, "f_min": 50.0, "pad_mode": "same"}


def placed(offset):
    """The signal in 5 s of zeros, after this many of them."""
    clip = torch.zeros(1, 220_500)
    clip[0, offset : offset + len(SIGNAL)] = SIGNAL
    return clip


def test_decibels_equal_those_of_the_original():
    frames = torch.from_numpy(GOLDEN["frames"]).long()
    clip = placed(0)
    db = decibel_mel(clip.double(), **SECOND)[0]
    assert db.shape == (64, 431)
    # The original's own float64 numbers, rounded to 1e-7.
    theirs = torch.from_numpy(GOLDEN["mel_db_offset0_1e7"]).double() * 1e-7
    torch.testing.assert_close(db[:, frames], theirs, rtol=0, atol=1e-6)
    # In float32 both programs round: 1e-5 of 80 dB.
    torch.testing.assert_close(DecibelMel(**SECOND)(clip)[0], db.float(), rtol=0, atol=1e-3)


@pytest.mark.parametrize("place", [1, 2])
def test_decibels_of_a_clip_behind_zeros_equal_those_of_the_original(place):
    offset = int(GOLDEN["offsets"][place])
    db = DecibelMel(**SECOND)(placed(offset))[0]
    frames = torch.from_numpy(GOLDEN["frames"]).long()[::2]
    theirs = torch.from_numpy(GOLDEN[f"mel_db_offset{place}"])
    torch.testing.assert_close(db[:, frames], theirs, rtol=0, atol=1e-3)


def test_the_first_frame_of_five_seconds_begins_342_samples_early():
    clip = torch.zeros(1, 220_500)
    clip[0, 1024 - 342] = 1.0  # the first sample that the first frame does not have
    magnitudes = log_stft(clip, n_fft=1024, hop_length=512, eps=None, pad_mode="same")[0]
    assert magnitudes.shape[-1] == 431
    assert (magnitudes[:, 0] < 1e-10).all()
    assert (magnitudes[:, 1] > 0.1).all()


def frames_by_hand(clip, n_fft, hop):
    """Split a clip by the rule of TensorFlow, in plain Python."""
    count = math.ceil(len(clip) / hop)
    missing = max((count - 1) * hop + n_fft - len(clip), 0)
    padded = [0.0] * (missing // 2) + clip + [0.0] * (missing - missing // 2)
    return torch.tensor([padded[j * hop : j * hop + n_fft] for j in range(count)], dtype=torch.float64)


@given(st.lists(st.integers(1, 70), min_size=1, max_size=3), st.sampled_from([(8, 4), (8, 3), (4, 9)]))
def test_each_clip_of_a_batch_has_the_frames_of_the_rule(lengths, setting):
    n_fft, hop = setting
    window = torch.hann_window(n_fft, dtype=torch.float64)
    clips = [torch.randn(length, dtype=torch.float64) for length in lengths]
    batch = torch.full((len(lengths), max(lengths)), torch.nan, dtype=torch.float64)
    for row, clip in enumerate(clips):
        batch[row, : len(clip)] = clip
    settings = {"n_fft": n_fft, "hop_length": hop, "eps": None, "pad_mode": "same"}
    together = log_stft(batch, torch.tensor(lengths), **settings)
    counts = frame_lengths(torch.tensor(lengths), hop_length=hop, pad_mode="same")
    for row, clip in enumerate(clips):
        frames = frames_by_hand(clip.tolist(), n_fft, hop)
        expected = torch.fft.rfft(frames * window).abs().mT
        assert expected.shape[-1] == counts[row]
        torch.testing.assert_close(together[row, :, : counts[row]], expected, rtol=0, atol=1e-9)
        assert (together[row, :, counts[row] :] == 0).all()
        torch.testing.assert_close(log_stft(clip[None], **settings)[0], expected, rtol=0, atol=1e-9)


@pytest.mark.parametrize("frontend", [LogMel(**SMALL), DecibelMel(**SMALL, ref="max")])
def test_padding_has_no_influence_on_values_or_gradients(frontend):
    waveform, lengths = torch.randn(2, 300).double(), torch.tensor([300, 161])
    alone = waveform[1:, :161].clone().requires_grad_()
    expected = frontend(alone)
    expected.sum().backward()
    waveform[1, 161:] = torch.nan
    waveform.requires_grad_()
    together = frontend(waveform, lengths)[1:, :, : expected.shape[-1]]
    torch.testing.assert_close(together, expected)
    together.sum().backward()
    torch.testing.assert_close(waveform.grad[1:, :161], alone.grad)
    assert (waveform.grad[1, 161:] == 0).all()


def test_a_saved_tagger_has_the_same_frames(tmp_path):
    tagger = Tagger(DecibelMel(**SMALL, ref="max"), nn.Identity()).eval()
    tagger.save(tmp_path / "model.pt")
    again = Tagger.load(tmp_path / "model.pt", backbone=nn.Identity())
    assert again.frontend.settings() == tagger.frontend.settings()
    waveform, lengths = torch.randn(2, 300), torch.tensor([300, 32])
    spectrogram, frames = again.spectrogram(waveform, lengths)
    assert torch.equal(spectrogram, tagger.spectrogram(waveform, lengths)[0])
    assert frames.tolist() == [10, 1]


@pytest.mark.skipif(
    torch.__version__.startswith("2.7."), reason="torch 2.7 cannot export this with dynamic sizes"
)
@pytest.mark.slow
def test_an_exported_frontend_takes_other_sizes():
    """The contracts export a frontend without lengths."""
    frontend, batch = DecibelMel(**SMALL, ref="max"), Dim("batch")
    shapes = ({0: batch, 1: Dim("time", min=33)}, {0: batch})
    example = torch.randn(3, 300), torch.tensor([300, 20, 1])
    program = torch.export.export(frontend, example, dynamic_shapes=shapes)
    other = torch.randn(2, 777), torch.tensor([64, 777])
    torch.testing.assert_close(program.module()(*other), frontend(*other))


def test_silence_relative_to_its_maximum_is_at_the_floor():
    waveform = torch.zeros(2, 300)
    waveform[1, :200] = torch.randn(200)
    db = decibel_mel(waveform, torch.tensor([300, 300]), **SMALL, ref="max", scale=0.01)
    torch.testing.assert_close(db[0], torch.full_like(db[0], -0.8), rtol=0, atol=1e-7)
    assert db[1].max() == 0
    deep = decibel_mel(waveform[:1], **SMALL, ref="max", top_db=None, amin=1e-6)
    torch.testing.assert_close(deep, torch.full_like(deep, -60.0))
    # NaN is no silence, and power just above the smallest one is none either.
    assert decibel_mel(torch.full((1, 300), torch.nan), **SMALL, ref="max").isnan().all()
    assert decibel_mel(waveform[1:] * 1e-3, **SMALL, ref="max").max() == 0


def test_the_count_of_frames_is_by_the_chosen_rule():
    lengths = torch.tensor([1, 31, 32, 33, 64])
    assert frame_lengths(lengths, hop_length=32, pad_mode="same").tolist() == [1, 1, 1, 2, 2]
    assert frame_lengths(lengths, hop_length=32, pad_mode="constant").tolist() == [1, 1, 2, 2, 3]
    with pytest.raises(ValueError, match="pad_mode: wanted one of 'reflect', 'constant', 'same'"):
        frame_lengths(lengths, hop_length=32, pad_mode="valid")
