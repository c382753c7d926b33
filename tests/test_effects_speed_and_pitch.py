"""Speed, tempo and pitch shift of tones and clicks."""

import math
from functools import partial

import numpy as np
import pytest
import soxr
import torch
from scipy.special import erfc

from rankaudio.effects import _pitch_shift, _resample, _speed, pitch_shift, speed, tempo

RATE = 44100
SAMPLES = 40000


def tone(hz: float, samples: int = SAMPLES) -> torch.Tensor:
    return 0.5 * torch.sin(2 * math.pi * hz / RATE * torch.arange(samples, dtype=torch.float64) + 0.3)


def decibels(part: torch.Tensor) -> float:
    """Return the level of the largest sample, relative to the tone."""
    return 20 * math.log10(float(part.abs().max()) / 0.5 + 1e-12)


def frequency_and_level(samples: torch.Tensor) -> tuple[float, float]:
    """Return the frequency in Hz of the highest peak of the spectrum, and the amplitude of a tone there."""
    inner = samples.double().numpy()[6000:-6000]
    window = np.exp(-0.5 * (np.linspace(-5, 5, len(inner))) ** 2)
    size = 1 << 18
    spectrum = np.abs(np.fft.rfft(inner * window, size))
    k = int(spectrum.argmax())
    # The window is a Gaussian, whose logarithm is a parabola. So three points give the exact peak.
    a, b, c = np.log(spectrum[k - 1 : k + 2])
    return (k + 0.5 * (a - c) / (a - 2 * b + c)) * RATE / size, 2 * spectrum[k] / window.sum()


@pytest.mark.parametrize("factor", [0.5, 0.9, 0.95, 1.0, 1.037, 1.1, 2.0])
def test_speed_keeps_tones_without_aliasing(factor):
    highest = 15000 if factor <= 1.1 else 9000
    kept = torch.stack([tone(hz) for hz in (60, 1000, 5000, highest)]).float()
    played, lengths = speed(kept, factor=factor)
    position = torch.arange(played.shape[1], dtype=torch.float64) * factor
    for row, hz in zip(played, (60, 1000, 5000, highest), strict=True):
        wanted = 0.5 * torch.sin(2 * math.pi * hz / RATE * position + 0.3)
        assert decibels((row - wanted)[1000:-1000]) < -110
    assert lengths.tolist() == [math.floor(SAMPLES / factor + 0.5)] * 4
    # Tones whose new frequency is at least half the sample rate are removed.
    nyquist = RATE / 2 / factor
    gone = [hz for hz in (nyquist, nyquist + 300, 21900) if nyquist <= hz < RATE / 2]
    for hz in gone:
        assert decibels(speed(tone(hz)[None], factor=factor)[0][0, 1000:-1000]) < -110


def test_speed_is_resampling():
    """In the passband of both filters, soxr gives the same signal."""
    noise = torch.randn(SAMPLES, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    spectrum = torch.fft.rfft(noise)
    spectrum[int(15000 / RATE * SAMPLES) :] = 0
    clip = 0.1 * torch.fft.irfft(spectrum)
    ours, _ = speed(clip[None], factor=1.05)
    theirs = soxr.resample(clip.numpy(), 1.05, 1.0, quality="VHQ")
    inner = slice(1000, -1000)
    error = ours[0].numpy()[: len(theirs)][inner] - theirs[: ours.shape[1]][inner]
    assert np.sqrt((error**2).mean()) < 1e-3 * np.sqrt((theirs**2).mean())


@pytest.mark.parametrize("cents", [-300, -50, 0, 7, 299])
def test_pitch_shift_moves_tones_and_keeps_length_and_level(cents):
    tones = (100, 440, 3000, 8000)
    shifted, lengths = pitch_shift(torch.stack([tone(hz) for hz in tones]).float(), cents=cents)
    assert shifted.shape == (4, SAMPLES)
    assert lengths is None
    for row, hz in zip(shifted, tones, strict=True):
        found, level = frequency_and_level(row)
        assert abs(1200 * math.log2(found / hz) - cents) < 3
        assert abs(20 * math.log10(level / 0.5)) < 1


@pytest.mark.parametrize("factor", [0.8, 0.93, 1.0, 1.1, 1.25])
def test_tempo_keeps_pitch_and_level(factor):
    tones = (100, 440, 8000)
    played, lengths = tempo(torch.stack([tone(hz) for hz in tones]).float(), factor=factor)
    assert lengths.tolist() == [math.floor(SAMPLES / factor + 0.5)] * 3
    for row, hz in zip(played, tones, strict=True):
        found, level = frequency_and_level(row)
        assert abs(1200 * math.log2(found / hz)) < 3
        assert abs(20 * math.log10(level / 0.5)) < 1


@pytest.mark.parametrize("factor", [0.8, 0.93, 1.0, 1.1, 1.25])
@pytest.mark.parametrize("period", [5000, 11025])
def test_tempo_keeps_clicks(factor, period):
    clip = torch.zeros(1, 80000)
    clip[0, 3000::period] = 0.9
    played, _ = tempo(clip, factor=factor)
    loud = (played[0] > 0.3).nonzero()[:, 0]
    wanted = torch.arange(3000, 80000, period) / factor
    # Each click is one sample or two neighbours, at its place to 5 ms. Everything else is quiet.
    groups = loud[torch.cat([torch.tensor([True]), loud.diff() > 50])]
    assert len(groups) == len(wanted)
    assert (groups - wanted).abs().max() < 220
    quiet = played[0].clone()
    for place in groups.tolist():
        quiet[place - 2 : place + 3] = 0
    assert quiet.abs().max() < 0.3


def test_tempo_one_and_pitch_zero_are_the_input():
    clip = torch.randn(2, 9000, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    torch.testing.assert_close(tempo(clip, factor=1.0)[0], clip)
    spectrum = torch.fft.rfft(clip)
    spectrum[:, 3800:] = 0
    band = torch.fft.irfft(spectrum)
    torch.testing.assert_close(
        pitch_shift(band, cents=0.0)[0][:, 500:-500], band[:, 500:-500], rtol=0, atol=2e-3
    )


@pytest.mark.parametrize("effect", [speed, tempo])
def test_size_cuts_and_fills(effect):
    clip = torch.randn(1, 4000, generator=torch.Generator().manual_seed(2))
    whole, _ = effect(clip, factor=1.25)
    short, cut = effect(clip, factor=1.25, size=1000)
    long, lengths = effect(clip, factor=1.25, size=5000)
    assert (whole.shape[1], cut.item(), lengths.item()) == (3200, 1000, 3200)
    torch.testing.assert_close(short, whole[:, :1000])
    torch.testing.assert_close(long[:, :3200], whole)
    assert not long[:, 3200:].any()


def test_size_follows_the_slowest_of_a_batch():
    played, lengths = speed(torch.randn(3, 1000), factor=torch.tensor([0.8, 1.0, 2.0]))
    assert played.shape == (3, 1250)
    assert lengths.tolist() == [1250, 1000, 500]


@pytest.mark.parametrize("effect", [speed, tempo])
def test_a_batch_of_no_clips_has_rows_of_one_sample(effect):
    """There is no slowest factor, and its number must not depend on values."""
    changed, lengths = effect(torch.ones(0, 90), factor=torch.ones(0))
    assert changed.shape == (0, 1)
    assert lengths.shape == (0,)


def test_new_lengths_have_the_dtype_of_the_old():
    _, lengths = speed(torch.randn(2, 10), torch.tensor([10, 1], dtype=torch.int32), factor=4.0)
    assert lengths.dtype == torch.int32
    assert lengths.tolist() == [3, 1]


@pytest.mark.parametrize(("dtype", "error"), [(torch.float64, 1e-6), (torch.float32, 3e-6)])
@pytest.mark.parametrize("factor", [0.1, 0.37, 0.9, 1.0, 1.1, 2.03, 10.0])
def test_speed_is_a_sum_over_the_spectrum(factor, dtype, error):
    """The literal sum, over the spectrum of the clip between two silences."""
    clip = torch.randn(5000, dtype=torch.float64, generator=torch.Generator().manual_seed(3)).numpy()
    spectrum = np.fft.rfft(np.pad(clip, 1000))
    frequency = np.arange(len(spectrum)) / 7000
    edge = 0.5 / max(factor, 1) - 5 * 0.0031
    spectrum *= erfc((frequency - edge) / (0.0031 * np.sqrt(2))) / 2 / 3500
    spectrum[0] /= 2
    position = np.arange(int(5000 / factor + 0.5)) * factor + 1000
    wanted = np.concatenate(
        [np.exp(2j * np.pi * part[:, None] * frequency) @ spectrum for part in np.array_split(position, 50)]
    ).real
    played, _ = speed(torch.from_numpy(clip)[None].to(dtype), factor=factor)
    np.testing.assert_allclose(played[0].numpy(), wanted, rtol=0, atol=error * np.abs(wanted).max())


@pytest.mark.parametrize(
    "effect", [lambda x: tempo(x, factor=1.2)[0], lambda x: pitch_shift(x, cents=200.0)[0]]
)
@pytest.mark.parametrize("peak", [1e8, 1e15, 1e18, 1e30])
def test_a_very_loud_clip_is_a_quiet_one_made_louder(effect, peak):
    """Squares of float32 end at 1e38. The row of a quiet clip in the same batch does not change."""
    quiet = torch.stack([tone(440, 4000), tone(700, 4000)]).float()
    loud = (quiet * torch.tensor([[peak], [1.0]])).requires_grad_()
    result = effect(loud)
    torch.testing.assert_close(result[0] / peak, effect(quiet)[0], rtol=1e-3, atol=1e-3)
    torch.testing.assert_close(result[1], effect(quiet)[1], rtol=0, atol=1e-6)
    (slope,) = torch.autograd.grad(result[0].sum() / peak, loud)
    assert slope.isfinite().all()


@pytest.mark.parametrize("change", [partial(speed, factor=0.93), partial(pitch_shift, cents=70.0, n_fft=48)])
def test_padding_is_not_computed(change, monkeypatch):
    """A function computes clips of similar length together, as its Module does."""
    sizes = []
    monkeypatch.setattr(_pitch_shift, "resample", spied(_resample.resample, sizes))
    monkeypatch.setattr(_speed, "resample", spied(_resample.resample, sizes))
    waveform, lengths = torch.randn(4, 3000), torch.tensor([3000, 200, 190, 1200])
    changed, ends = change(waveform, lengths)
    assert sum(sizes) < 1.2 * int(lengths.sum())
    for row, (length, end) in enumerate(zip(lengths.tolist(), ends.tolist(), strict=True)):
        alone, _ = change(waveform[row : row + 1, :length])
        torch.testing.assert_close(changed[row, :end], alone[0, :end], rtol=0, atol=1e-5)
        assert not changed[row, end:].any()


def spied(function, sizes):
    def run(clips, *arguments, **settings):
        sizes.append(clips.numel())
        return function(clips, *arguments, **settings)

    return run
