"""Decibels and derivatives of spectrograms, against golden numbers and librosa."""

import math
from pathlib import Path

import librosa
import numpy as np
import pytest
import torch

from rankaudio.spectral import Deltas, deltas, log_mel, power_to_db

MEL = np.load(Path(__file__).parent / "golden" / "features_mel.npz")
SIGNAL = torch.from_numpy(MEL["signal"])[None]


def noise(*shape, seed=0):
    return torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def largest_difference(ours, expected):
    return (ours.double() - torch.as_tensor(expected).double()).abs().max().item()


def test_decibels_and_deltas_equal_the_first_place_input():
    power = log_mel(SIGNAL, n_fft=2560, hop_length=690, f_min=20, power=2, eps=None, pad_mode="constant")
    decibels = power_to_db(power)
    assert largest_difference(decibels[0, :, ::4], MEL["argus_db"]) < 2e-4
    image = deltas(decibels)[..., :128] / 100
    assert largest_difference(image[0, :, ::4, ::4], MEL["argus_image3"]) < 2e-6


@pytest.mark.parametrize("top_db", [80.0, 20.0, None])
@pytest.mark.parametrize("ref", [1.0, 5.0])
def test_decibels_equal_librosa_clip_by_clip(top_db, ref):
    x = noise(3, 4, 7).square() * torch.tensor([1e-9, 1.0, 1e6]).double()[:, None, None]
    x[1, 2] = 0
    ours = power_to_db(x, ref=ref, top_db=top_db)
    for row, clip in zip(ours, x.numpy(), strict=True):
        assert largest_difference(row, librosa.power_to_db(clip, ref=ref, top_db=top_db)) < 1e-12


def test_decibels_beyond_a_clip_are_its_lowest():
    x = noise(2, 4, 9).square()
    x[0, :, 5:] = math.nan
    lengths = torch.tensor([5, 9])
    ours = power_to_db(x, lengths, top_db=30)
    assert torch.equal(ours[0, :, :5], power_to_db(x[:1, :, :5], top_db=30)[0])
    assert torch.equal(ours[0, :, 5:], (ours[0].max() - 30).expand(4, 4))
    assert torch.equal(ours[1], power_to_db(x[1:], top_db=30)[0])
    assert power_to_db(x.half(), lengths).dtype == torch.float32


@pytest.mark.parametrize("top_db", [30.0, None])
def test_decibels_have_gradients(top_db):
    x = (noise(2, 3, 4).square() + 0.1).requires_grad_()
    lengths = torch.tensor([2, 4])
    assert torch.autograd.gradcheck(lambda s: power_to_db(s, lengths, top_db=top_db), x)
    silent = torch.zeros(1, 2, 3, requires_grad=True)
    (gradient,) = torch.autograd.grad(power_to_db(silent, top_db=top_db).sum(), silent)
    assert torch.equal(gradient, torch.zeros(1, 2, 3))


@pytest.mark.parametrize("width", [3, 5, 9])
def test_deltas_equal_librosa_clip_by_clip(width):
    x, lengths = noise(3, 4, 20), torch.tensor([20, 9, 13])
    x[1, :, 9:] = math.nan
    ours = deltas(x, lengths, width=width)
    for row, clip, frames in zip(ours, x, lengths.tolist(), strict=True):
        alone = clip[:, :frames].numpy()
        expected = [alone] + [librosa.feature.delta(alone, width=width, order=order) for order in (1, 2)]
        assert largest_difference(row[..., :frames], np.stack(expected)) < 1e-12
        assert torch.equal(row[..., frames:], torch.zeros_like(row[..., frames:]))


@pytest.mark.parametrize("frames", [1, 2, 8])
def test_deltas_of_a_short_clip_continue_its_last_frame(frames):
    x = noise(1, 3, frames)
    continued = torch.cat([x, x[..., -1:].expand(-1, -1, 9 - frames)], dim=-1)
    assert largest_difference(deltas(x), deltas(continued)[..., :frames]) == 0
    padded = torch.cat([x, noise(1, 3, 40)], dim=-1)
    assert largest_difference(deltas(padded, torch.tensor([frames]))[..., :frames], deltas(x)) < 1e-15


def test_deltas_module_precision_and_gradient():
    x = noise(2, 3, 12)
    assert torch.equal(Deltas(width=5)(x), deltas(x, width=5))
    assert repr(Deltas()) == "Deltas(width=9)"
    with torch.autocast("cpu", dtype=torch.bfloat16):
        out = deltas(x.half())
    assert torch.equal(out, deltas(x.half().float()))
    lengths = torch.tensor([4, 12])
    assert torch.autograd.gradcheck(lambda s: deltas(s, lengths), x.requires_grad_())


def test_shapes_are_known_without_data():
    assert deltas(torch.zeros(2, 4, 5, device="meta")).shape == (2, 3, 4, 5)
    assert power_to_db(torch.zeros(2, 4, 5, device="meta")).shape == (2, 4, 5)


def test_bad_spectrograms():
    for function in (power_to_db, deltas):
        with pytest.raises(ValueError, match="spectrogram: wanted 3 axes"):
            function(torch.zeros(4, 5))
        with pytest.raises(ValueError, match="spectrogram: wanted at least one bin and one frame"):
            function(torch.zeros(1, 4, 0))
        with pytest.raises(TypeError, match="spectrogram: wanted a floating-point tensor"):
            function(torch.zeros(1, 4, 5, dtype=torch.long))
        with pytest.raises(ValueError, match="lengths: wanted values from 1 to"):
            function(torch.zeros(1, 4, 5), torch.tensor([6]))
    for bad in ({"amin": 0.0}, {"ref": -1.0}, {"top_db": -1.0}):
        with pytest.raises(ValueError, match=f"{next(iter(bad))}: wanted a finite number >= "):
            power_to_db(torch.zeros(1, 4, 5), **bad)
    for make in (Deltas, lambda width: deltas(torch.zeros(1, 4, 5), width=width)):
        with pytest.raises(ValueError, match="width: wanted an odd integer, got 4"):
            make(width=4)
        with pytest.raises(ValueError, match="width: wanted an integer >= 3, got 1"):
            make(width=1)
