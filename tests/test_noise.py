"""Noise at a ratio to the clip: the ratio, the spectrum, the places, and what stays as it is."""

import math
from itertools import pairwise

import numpy as np
import pytest
import torch

from rankaudio.chain import Chain
from rankaudio.data import ClipDataset
from rankaudio.effects import AddNoise, add_noise
from rankaudio.effects._noise import _coloured_noise
from rankaudio.mixing import ORMixup
from wav_bytes import STEPS, STEPS_AS_FLOAT, fmt, riff


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def waves(*shape):
    return torch.randn(shape, generator=seeded(), dtype=torch.float64)


def by_definition(clip, noise, snr):
    """Add noise to one clip without padding, sample by sample."""
    added = [noise[t % len(noise)] for t in range(len(clip))]
    signal, power = (sum(v * v for v in values) / len(clip) for values in (clip, added))
    factor = math.sqrt(signal / power / 10 ** (snr / 10)) if power else 0
    return [x + factor * n for x, n in zip(clip, added, strict=True)]


@pytest.mark.parametrize("size", [1, 7, 40, 60])
def test_function_by_its_definition(size):
    clips, noise, lengths = waves(3, 40), waves(3, size) + 2, torch.tensor([40, 12, 1])
    snr = torch.tensor([0.0, 12.5, -7.0])
    ours, _ = add_noise(clips, lengths, noise=noise, snr=snr)
    for row, length in enumerate(lengths.tolist()):
        expected = by_definition(clips[row, :length].tolist(), noise[row].tolist(), float(snr[row]))
        np.testing.assert_allclose(ours[row, :length].numpy(), expected, rtol=1e-12)
        assert not ours[row, length:].any()
    one = add_noise(clips, lengths, noise=noise[0], snr=3.0)[0]
    assert torch.equal(one, add_noise(clips, lengths, noise=noise[:1].expand(3, -1), snr=3.0)[0])


@pytest.mark.parametrize("noise", ["white", "pink", [torch.randn(90), torch.randn(700)]])
def test_each_clip_has_the_ratio_that_was_drawn(noise):
    clips, lengths = (
        waves(4, 600) * torch.tensor([[1.0], [1e-3], [5.0], [0.1]]),
        torch.tensor([600, 599, 80, 2]),
    )
    effect = AddNoise(p=1.0, snr=(-5, 40), noise=noise).double()
    draw = effect.draw(clips, generator=seeded())
    noisy, _ = effect.replay(clips, draw, lengths)
    for row, length in enumerate(lengths.tolist()):
        clean, added = clips[row, :length], noisy[row, :length] - clips[row, :length]
        ratio = 10 * math.log10(float(clean.square().sum() / added.square().sum()))
        assert ratio == pytest.approx(float(draw["snr"][row]), abs=1e-6)


def test_silence_stays_silent_and_silent_noise_changes_nothing():
    clips = torch.zeros(2, 50)
    clips[1] = 1
    noisy, _ = AddNoise(p=1.0)(clips, generator=seeded())
    assert not noisy[0].any()
    assert noisy[1].std() > 0
    quiet = clips.clone().requires_grad_()
    result, _ = add_noise(quiet, noise=torch.zeros(7), snr=-100.0)
    assert torch.equal(result, clips)
    result.sum().backward()
    assert torch.equal(quiet.grad, torch.ones(2, 50))


@pytest.mark.parametrize(("colour", "slope"), [("white", 0.0), ("pink", -10.0)])
def test_slope_of_the_spectrum_in_decibels_per_decade(colour, slope):
    power = torch.fft.rfft(_coloured_noise(colour).double()).abs().square().numpy()
    edges = np.geomspace(1 / 2048, 1 / 2, 21)
    frequency = np.arange(len(power)) / (2 * (len(power) - 1))
    bands = [power[(low <= frequency) & (frequency < high)].mean() for low, high in pairwise(edges)]
    fit = np.polyfit(np.log10(np.sqrt(edges[1:] * edges[:-1])), 10 * np.log10(bands), 1)
    assert fit[0] == pytest.approx(slope, abs=0.1)
    below = power[1 : int(len(power) / 1024)].mean()
    assert 10 * np.log10(below / bands[0]) == pytest.approx(0 if colour == "white" else 1, abs=0.5)


def test_every_clip_of_noise_and_every_place_is_drawn():
    noise = [torch.tensor([1.0, 2.0, 3.0]), torch.tensor([10.0, 11.0])]
    effect = AddNoise(p=1.0, snr=(0, 0), noise=noise)
    noisy, _ = effect(torch.ones(400, 6), generator=seeded())
    added = noisy - 1
    kinds = (added / added[:, :1]).mul(1000).round().unique(dim=0)
    expected = [
        torch.tensor([clip[(start + t) % len(clip)] for t in range(6)])
        for clip in noise
        for start in range(len(clip))
    ]
    expected = torch.stack([(row / row[0]).mul(1000).round() for row in expected]).unique(dim=0)
    assert torch.equal(kinds, expected)


def test_noise_from_a_data_set_with_or_without_labels():
    sound = riff(fmt(), (b"data", STEPS))
    for dataset in (
        ClipDataset([sound, sound], sample_rate=8000),
        ClipDataset([sound, sound], torch.eye(2), sample_rate=8000),
    ):
        effect = AddNoise(noise=dataset)
        assert effect._samples.tolist() == STEPS_AS_FLOAT * 2
        assert "2 clips" in repr(effect)


def test_in_a_chain_labels_stay_and_the_record_is_small():
    chain = Chain({"noise": AddNoise(p=0.5, noise="pink"), "mixup": ORMixup(p=0.0)})
    clips, target = waves(6, 500).float(), torch.eye(6)
    noisy, labels, _, record = chain.record(clips, target, generator=seeded(1))
    assert labels is target
    assert sum(field.numel() for field in record["noise"].values()) == 6 * 4
    again, *_ = chain.replay(clips, target, record)
    assert torch.equal(noisy, again)
    assert not record["noise"]["chosen"].all()
    for row, chosen in enumerate(record["noise"]["chosen"].tolist()):
        assert torch.equal(noisy[row], clips[row]) != chosen


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: AddNoise(noise="brown"), ValueError, "noise: wanted one of 'white', 'pink', got 'brown'"),
        (lambda: AddNoise(noise=[]), ValueError, "noise: wanted at least one clip of noise, got none"),
        (lambda: AddNoise(noise=torch.ones(2, 9)), TypeError, "noise: wanted 'white', 'pink', or a list"),
        (lambda: AddNoise(noise=[torch.ones(1, 9)]), ValueError, r"noise\[0\]: wanted 1 axes"),
        (lambda: AddNoise(noise=[torch.ones(9).long()]), TypeError, r"noise\[0\]: wanted a floating-point"),
        (lambda: AddNoise(noise=[torch.ones(0)]), ValueError, r"noise\[0\]: wanted at least one sample"),
        (
            lambda: AddNoise(noise=[torch.full((3,), torch.nan)]),
            ValueError,
            r"noise\[0\]: wanted finite numbers",
        ),
        (lambda: AddNoise(snr=(9, 3)), ValueError, r"snr: wanted \(low, high\) in ascending order"),
        (
            lambda: add_noise(torch.ones(2, 9), noise=torch.ones(3, 9), snr=0.0),
            ValueError,
            "noise: wanted shape",
        ),
        (
            lambda: add_noise(torch.ones(2, 9), noise=torch.ones(0), snr=0.0),
            ValueError,
            "noise: wanted shape",
        ),
        (
            lambda: add_noise(torch.ones(2, 9), noise=torch.ones(9), snr=201),
            ValueError,
            "snr: wanted a finite",
        ),
    ],
)
def test_bad_input_is_named(call, error, message):
    with pytest.raises(error, match=message):
        call()


def test_pink_noise_has_no_constant_part():
    assert abs(_coloured_noise("pink").double().mean().item()) < 2e-8
