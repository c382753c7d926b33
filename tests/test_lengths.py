"""Masks and frame counts against counting in plain Python."""

import pytest
import torch

from rankaudio import frame_lengths, length_mask
from rankaudio.lengths import zero_beyond


def test_mask_equals_counting():
    lengths = [0, 1, 4, 5, 9]
    mask = length_mask(torch.tensor(lengths), 5)
    assert mask.tolist() == [[t < length for t in range(5)] for length in lengths]


def test_frames_equal_those_of_torch_stft():
    for samples in [1, 31, 32, 33, 64, 100]:
        frames = torch.stft(
            torch.zeros(samples + 64), 64, 32, window=torch.ones(64), center=False, return_complex=True
        )
        assert frame_lengths(torch.tensor([samples]), hop_length=32).item() == frames.shape[-1]


def test_no_clips():
    assert length_mask(torch.zeros(0, dtype=torch.long), 3).shape == (0, 3)
    assert frame_lengths(torch.zeros(0, dtype=torch.long), hop_length=2).shape == (0,)


def test_padding_with_nan_becomes_zero():
    values = torch.tensor([[[1.0, torch.nan], [2.0, torch.inf]]])
    assert zero_beyond(values, torch.tensor([1])).tolist() == [[[1.0, 0.0], [2.0, 0.0]]]
    assert zero_beyond(values, None) is values


@pytest.mark.parametrize(
    ("lengths", "error", "message"),
    [
        ([1, 2], TypeError, r"lengths: wanted a torch.Tensor, got \[1, 2\]"),
        (torch.tensor([1.0]), TypeError, "lengths: wanted integers, got a float32"),
        (torch.tensor([True]), TypeError, "lengths: wanted integers, got a bool"),
        (torch.tensor(3), ValueError, r"lengths: wanted shape \(B,\)"),
    ],
)
def test_bad_lengths_are_named(lengths, error, message):
    with pytest.raises(error, match=message):
        length_mask(lengths, 3)
    with pytest.raises(error, match=message):
        frame_lengths(lengths, hop_length=2)


def test_lengths_and_hops_of_zero_are_refused():
    with pytest.raises(ValueError, match="lengths: wanted values from 1, got 0"):
        frame_lengths(torch.tensor([4, 0]), hop_length=2)
    with pytest.raises(ValueError, match="hop_length: wanted an integer >= 1, got 0"):
        frame_lengths(torch.tensor([4]), hop_length=0)
