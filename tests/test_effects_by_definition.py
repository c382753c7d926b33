"""Reverb, overdrive and gain against slow code that follows their definitions."""

import math

import numpy as np
import pytest
import torch
from scipy.signal import lfilter

from rankaudio.effects import gain, overdrive, reverb
from rankaudio.effects._chunks import take_frames
from rankaudio.effects._convolve import add_convolved
from rankaudio.effects._fft import fast_size
from rankaudio.effects._phasors import phasors, phasors_of_angle
from rankaudio.effects._room import longest_tail

COMBS = (1116, 1188, 1277, 1356, 1422, 1491, 1557, 1617)
ALLPASSES = (225, 341, 441, 556)


def comb(x: np.ndarray, delay: int, feedback: float, damping: float) -> np.ndarray:
    line, store, y = [0.0] * delay, 0.0, np.zeros_like(x)
    for t, value in enumerate(x):
        y[t] = line[t % delay]
        store = y[t] + (store - y[t]) * damping
        line[t % delay] = value + store * feedback
    return y


def allpass(x: np.ndarray, delay: int) -> np.ndarray:
    line, y = [0.0] * delay, np.zeros_like(x)
    for t, value in enumerate(x):
        held = line[t % delay]
        line[t % delay] = value + held * 0.5
        y[t] = held - value
    return y


def freeverb(x, *, reverberance, damping, room_scale, stereo_depth, pre_delay, wet_gain, rate) -> np.ndarray:
    """Compute both channels with delay lines, sample by sample."""
    a = -1 / math.log(0.7)
    b = 100 / (1 + a * math.log(0.02))
    feedback, damp = 1 - math.exp((reverberance - b) / (a * b)), 0.2 + 0.3 * damping / 100
    delayed = np.concatenate([np.zeros(int(pre_delay / 1000 * rate + 0.5)), x])[: len(x)]
    channels = []
    for depth in (0, stereo_depth / 100):
        offsets = [12 * depth * (-1) ** i for i in range(8)]
        scale = (0.1 + 0.9 * room_scale / 100) * rate / 44100
        wet = sum(
            comb(delayed, int(scale * (d + o) + 0.5), feedback, damp)
            for d, o in zip(COMBS, offsets, strict=True)
        )
        for d, o in zip(ALLPASSES, offsets[:4], strict=True):
            wet = allpass(wet, int(rate / 44100 * (d + o) + 0.5))
        channels.append(x + 0.015 * 10 ** (wet_gain / 20) * wet)
    return (channels[0] + channels[1]) / 2


def noise(*shape: int) -> torch.Tensor:
    return torch.randn(shape, dtype=torch.float64, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("stereo_depth", [0, 49])
@pytest.mark.parametrize("reverberance", [0, 49, 100])
def test_reverb_by_definition(reverberance, stereo_depth):
    settings = {"damping": 30, "room_scale": 60, "pre_delay": 7.7, "wet_gain": -3}
    settings |= {"reverberance": reverberance, "stereo_depth": stereo_depth}
    x = noise(1, 2000)
    ours, _ = reverb(x, **settings, sample_rate=4000, tail=40.0)
    wanted = freeverb(x[0].numpy(), **settings, rate=4000)
    np.testing.assert_allclose(ours[0].numpy(), wanted, rtol=0, atol=1e-11)


@pytest.mark.parametrize("samples", [1, 5, 8, 9, 16, 50])
@pytest.mark.parametrize("response", [1, 5, 8, 9, 24])
def test_convolution_in_blocks_is_the_plain_sum(samples, response):
    """A response longer than its clip comes cut to the clip, as the reverb does it."""
    x, h = noise(2, samples), noise(2, 99)[:, : min(response, samples)]
    wanted = [row + np.convolve(row, one)[:samples] for row, one in zip(x.numpy(), h.numpy(), strict=True)]
    np.testing.assert_allclose(add_convolved(x, h, block=8).numpy(), np.stack(wanted), rtol=0, atol=1e-12)


def test_frames_are_slices_of_the_rows():
    x = noise(3, 40)
    start = torch.tensor([[0, 7], [0, 29], [1, 32]])
    rows = [torch.stack([row[k : k + 8] for k in own]) for row, own in zip(x, start.tolist(), strict=True)]
    wanted = torch.stack(rows)
    torch.testing.assert_close(take_frames(x, start, 8), wanted, rtol=0, atol=0)
    torch.testing.assert_close(take_frames(x.requires_grad_(), start, 8), wanted, rtol=0, atol=0)


def test_phasors_of_large_angles():
    """numpy computes them for float32, and angles of a long clip are large."""
    angle = (3e4 * noise(5, 700)).float()
    exact = np.exp(1j * angle.double().numpy())
    np.testing.assert_allclose(phasors_of_angle(angle).numpy(), exact, rtol=0, atol=5e-7)
    assert phasors_of_angle(angle.double()).dtype == torch.complex128


def test_phasors_of_many_turns():
    """Turns of a long clip lose nothing by their conversion to float32."""
    turns = 1e7 * noise(5, 700)
    exact = np.exp(2j * np.pi * np.remainder(turns.numpy(), 1))
    np.testing.assert_allclose(phasors(turns, torch.float32).numpy(), exact, rtol=0, atol=5e-7)


def test_fast_sizes_are_the_smallest_even_products_of_2_3_and_5():
    even = [n for n in range(2, 2100, 2) if 30**11 % n == 0]
    for least in range(1, 2000):
        assert fast_size(least) == next(n for n in even if n >= least)


def test_a_short_room_costs_no_accuracy_in_a_batch_with_a_long_one():
    """Each clip has a response as long as its room needs."""
    x, rooms = noise(2, 9000).float(), torch.tensor([0.0, 60.0])
    together, _ = reverb(x, reverberance=rooms, sample_rate=8000)
    for row in range(2):
        alone, _ = reverb(x[row : row + 1], reverberance=float(rooms[row]), sample_rate=8000, tail=9.0)
        torch.testing.assert_close(together[row], alone[0], rtol=0, atol=2e-6)


@pytest.mark.parametrize("stereo_depth", [0.5, 1.0, 4.19, 12.3])
def test_delays_of_reverb_are_rounded_to_whole_samples(stereo_depth):
    """At 44.1 kHz and a depth of 4.19 an all-pass has 225.503 samples. At 10.5 kHz, 0.5 moves two delays."""
    settings = {"damping": 30, "room_scale": 0, "pre_delay": 0, "wet_gain": 0, "reverberance": 20}
    x = noise(1, 900)
    for rate in (44100, 10500):
        ours, _ = reverb(x, **settings, stereo_depth=stereo_depth, sample_rate=rate, tail=2.0)
        wanted = freeverb(x[0].numpy(), **settings, stereo_depth=stereo_depth, rate=rate)
        np.testing.assert_allclose(ours[0].numpy(), wanted, rtol=0, atol=1e-9)


def test_reverb_is_linear_and_can_exceed_one():
    x = noise(2, 3000)
    one, two = (reverb(y, sample_rate=4000)[0] for y in (x, 2 * x))
    torch.testing.assert_close(two, 2 * one)
    constant, _ = reverb(torch.ones(1, 20000), reverberance=100, damping=0, room_scale=0, sample_rate=4000)
    assert constant.max() > 1


def test_a_longer_tail_than_needed_changes_nothing():
    x = noise(1, 5000).float()
    ours, longer = (reverb(x, sample_rate=4000, tail=tail)[0] for tail in (None, 20.0))
    torch.testing.assert_close(ours, longer, rtol=0, atol=1e-6)


@pytest.mark.parametrize("samples", [1, 2, 64, 65, 5000, 64**3 + 70_000])
def test_overdrive_by_definition(samples):
    x, factor = noise(1, samples) / 3, 10 ** (12 / 20)
    bent = (factor * x[0].numpy() + 35 / 200).clip(-1, 1)
    bent = bent - bent**3 / 3
    wanted = 0.5 * x[0].numpy() + 0.75 * lfilter([1, -1], [1, -0.995], bent)
    ours, _ = overdrive(x, decibels=12, colour=35)
    np.testing.assert_allclose(ours[0].numpy(), wanted.clip(-1, 1), rtol=0, atol=1e-12)


def test_overdrive_clips_at_one():
    square = torch.tensor([1.0, -1.0]).repeat_interleave(50).repeat(1, 20)
    driven, _ = overdrive(square, decibels=60)
    assert driven.abs().max() == 1


def test_gain_is_a_factor_per_clip():
    x = noise(3, 50)
    ours, lengths = gain(x, torch.tensor([50, 20, 1]), decibels=torch.tensor([0.0, 20.0, -20.0]))
    wanted = x * torch.tensor([[1.0], [10.0], [0.1]], dtype=torch.float64)
    wanted[1, 20:], wanted[2, 1:] = 0, 0
    torch.testing.assert_close(ours, wanted)
    assert lengths.tolist() == [50, 20, 1]


@pytest.mark.parametrize("reverberance", [0.0, 50.0, 90.0])
@pytest.mark.parametrize(("room_scale", "stereo_depth", "pre_delay"), [(0.0, 0.0, 0.0), (70.0, 40.0, 30.0)])
def test_the_tail_lasts_until_the_slowest_comb_has_lost_120_db(
    reverberance, room_scale, stereo_depth, pre_delay
):
    a = -1 / math.log(0.7)
    b = 100 / (1 + a * math.log(0.02))
    feedback = 1 - math.exp((reverberance - b) / (a * b))
    delay = 1617 * (0.1 + 0.9 * room_scale / 100) + 12 * stereo_depth / 100
    samples, level = delay, 1.0
    while level > 1e-6:
        samples, level = samples + delay, level * feedback
    tail = longest_tail(
        reverberance=reverberance, room_scale=room_scale, stereo_depth=stereo_depth, pre_delay=pre_delay
    )
    comb = (tail - pre_delay / 1000) * 44100 - 20 * 556
    assert samples - delay <= comb <= samples
