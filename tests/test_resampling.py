"""Resampling against its definition, against soxr, and by tones."""

import math

import numpy as np
import pytest
import scipy.signal
import soxr
import torch
from hypothesis import given
from hypothesis import strategies as st

from rankaudio import Resample, resample
from rankaudio.resampling import _blocks, _half_width, _response, resampled_length

RATES = (8000, 11_025, 16_000, 22_050, 24_000, 32_000, 48_000, 88_200, 96_000, 192_000)
NEW_RATES = (16_000, 32_000, 44_100, 48_000)
PAIRS = [(old, new) for old in RATES for new in NEW_RATES if old != new]


def tone(frequency: float, rate: int, seconds: float = 1.0) -> torch.Tensor:
    time = np.arange(int(rate * seconds)) / rate
    return torch.from_numpy(0.9 * np.sin(2 * np.pi * frequency * time)).float()[None]


def middle(waveform: torch.Tensor) -> np.ndarray:
    """The three middle fifths, where the start and the end of a tone are not heard."""
    samples = waveform[0].double().numpy()
    return samples[len(samples) // 5 : -(len(samples) // 5)]


def level_and_noise(waveform: torch.Tensor, frequency: float, rate: int) -> tuple[float, float]:
    """Return the gain of a tone in dB, and the level of all else relative to it in dB."""
    samples = middle(waveform)
    time = np.arange(len(samples)) / rate
    waves = np.stack([np.sin(2 * np.pi * frequency * time), np.cos(2 * np.pi * frequency * time)], axis=1)
    parts, *_ = np.linalg.lstsq(waves, samples, rcond=None)
    rest = samples - waves @ parts
    noise = 10 * math.log10(np.mean(rest**2) / np.mean(samples**2))
    return 20 * math.log10(np.hypot(*parts) / 0.9), noise


@pytest.mark.parametrize(("old", "new"), PAIRS)
def test_tones_of_the_passband_are_kept(old, new):
    lowest = min(old, new) / 2
    for share in (0.01, 0.5, 20_000 / 22_050):
        result, _ = resample(tone(share * lowest, old), old_rate=old, new_rate=new)
        gain, noise = level_and_noise(result, share * lowest, new)
        assert abs(gain) < 0.001
        assert noise < -130


@pytest.mark.parametrize(("old", "new"), [(old, new) for old, new in PAIRS if old > new])
def test_tones_above_the_new_nyquist_frequency_do_not_fold_back(old, new):
    for frequency in (1.001 * new / 2, 1.1 * new / 2, 0.99 * old / 2):
        if new / 2 < frequency < old / 2:
            result, _ = resample(tone(frequency, old), old_rate=old, new_rate=new)
            assert 10 * math.log10(np.mean(middle(result) ** 2) / (0.9**2 / 2)) < -125


@pytest.mark.parametrize(
    ("old", "new"), [(48_000, 44_100), (16_000, 44_100), (44_100, 32_000), (7, 5), (5, 7)]
)
def test_equals_the_sum_that_defines_it(old, new):
    """Add up the filter's taps around each new sample, in float64."""
    generator = torch.Generator().manual_seed(0)
    waveform = torch.randn(1, 300, dtype=torch.float64, generator=generator)
    half, low = _half_width(old, new), min(old, new)
    cutoff = (1 + 20_000 / 22_050) / 2 * low / old
    beta = 0.1102 * (135 - 8.7)

    def taps(offset: np.ndarray) -> np.ndarray:
        window = np.i0(beta * np.sqrt(np.clip(1 - (offset / half) ** 2, 0, None))) / np.i0(beta)
        return cutoff * np.sinc(cutoff * offset) * window * (np.abs(offset) <= half)

    unit = taps(np.arange(-half, half + 1)).sum()
    old_time = np.arange(300)
    expected = [
        (waveform[0].numpy() * taps(n * old / new - old_time)).sum() / unit
        for n in range(resampled_length(300, old, new))
    ]
    result, _ = resample(waveform, old_rate=old, new_rate=new)
    np.testing.assert_allclose(result[0].numpy(), expected, atol=2e-7)


@pytest.mark.parametrize(("old", "new"), [(48_000, 44_100), (22_050, 44_100), (96_000, 16_000)])
def test_agrees_with_the_exact_result_and_with_soxr(old, new):
    """One second of noise without high bands repeats exactly, so an FFT of all of it resamples it exactly."""
    rng = np.random.default_rng(0)
    spectrum = np.fft.rfft(rng.standard_normal(old))
    spectrum[int(0.9 * min(old, new) / 2) :] = 0
    noise = np.fft.irfft(spectrum)
    noise = noise / np.abs(noise).max()
    ours = middle(resample(torch.from_numpy(noise.astype(np.float32))[None], old_rate=old, new_rate=new)[0])
    exact = middle(torch.from_numpy(scipy.signal.resample(noise, new))[None])
    theirs = middle(torch.from_numpy(soxr.resample(noise, old, new, quality="VHQ"))[None])
    np.testing.assert_allclose(ours, exact, atol=1e-6)
    # soxr itself is this far from the exact result.
    np.testing.assert_allclose(ours, theirs, atol=2e-4)


@given(st.integers(1, 50), st.integers(1, 50), st.integers(1, 400))
def test_lengths_round_up_and_padding_is_not_heard(old, new, samples):
    generator = torch.Generator().manual_seed(old)
    clip = torch.randn(1, samples, generator=generator)
    alone, none = resample(clip, old_rate=old, new_rate=new)
    assert none is None
    assert alone.shape == (1, math.ceil(samples * new / old))
    padded = torch.full((2, samples + 77), torch.nan)
    padded[0, :samples] = clip[0]
    padded[1] = 1.0
    together, lengths = resample(padded, torch.tensor([samples, samples + 77]), old_rate=old, new_rate=new)
    assert lengths.tolist() == [alone.shape[1], math.ceil((samples + 77) * new / old)]
    torch.testing.assert_close(together[:1, : alone.shape[1]], alone, atol=2e-6, rtol=0)
    if old != new:
        assert not together[0, alone.shape[1] :].any()


def test_a_long_clip_is_the_same_in_pieces():
    clip = torch.randn(1, 700_000, generator=torch.Generator().manual_seed(0))
    whole, _ = resample(clip, old_rate=48_000, new_rate=44_100)
    start, _ = resample(clip[:, :480_000], old_rate=48_000, new_rate=44_100)
    torch.testing.assert_close(whole[:, :440_000], start[:, :440_000], atol=1e-6, rtol=0)


def test_gradients_are_those_of_a_linear_map():
    clip = torch.randn(2, 40, dtype=torch.float64, requires_grad=True)
    lengths = torch.tensor([40, 13])
    assert torch.autograd.gradcheck(
        lambda x: resample(x, lengths, old_rate=3, new_rate=2)[0], clip, fast_mode=True
    )


def test_equal_rates_return_the_input_itself():
    clip, lengths = torch.randn(1, 10), torch.tensor([7])
    assert resample(clip, lengths, old_rate=5, new_rate=5)[0] is clip
    assert Resample(old_rate=5, new_rate=5)(clip, lengths)[1] is lengths


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_is_computed_in_float32(dtype):
    clip = tone(440, 48_000, 0.2)
    exact, _ = resample(clip.to(dtype).float(), old_rate=48_000, new_rate=16_000)
    result, _ = Resample(old_rate=48_000, new_rate=16_000).to(dtype)(clip.to(dtype))
    assert torch.equal(result, exact.to(dtype))


def test_the_filter_is_made_once_for_a_pair_of_rates():
    rates = (48_000, 44_100, torch.device("cpu"), torch.float32)
    assert _response(*rates) is _response(*rates)


@pytest.mark.parametrize(
    ("settings", "error", "message"),
    [
        ({"old_rate": 0, "new_rate": 1}, ValueError, "old_rate: wanted an integer >= 1, got 0"),
        ({"old_rate": 1, "new_rate": 44.1}, TypeError, "new_rate: wanted an integer, got 44.1"),
    ],
)
def test_bad_rates_are_named(settings, error, message):
    with pytest.raises(error, match=message):
        resample(torch.zeros(1, 2), **settings)
    with pytest.raises(error, match=message):
        Resample(**settings)


@pytest.mark.slow
def test_rates_without_a_common_divisor_need_little_memory():
    assert _blocks(999_983, 44_100).size <= 8 * 999_983
    assert _blocks(44_100, 999_983).new_size <= 8 * 999_983
    result, _ = resample(torch.ones(1, 4000), old_rate=999_983, new_rate=44_100)
    assert result.shape == (1, math.ceil(4000 * 44_100 / 999_983))
