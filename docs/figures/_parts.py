"""Sounds for the figures, and spectrograms of them."""

import math

import torch
from matplotlib.axes import Axes
from torch import Tensor

from rankaudio import log_stft

RATE = 44_100


def times(seconds: float) -> Tensor:
    return torch.arange(round(seconds * RATE), dtype=torch.float64) / RATE


def noise(seconds: float, seed: int = 0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(round(seconds * RATE), dtype=torch.float64, generator=generator)


def tone(frequency: Tensor) -> Tensor:
    """Make a tone with harmonics, with one frequency for each sample."""
    phase = 2 * math.pi * frequency.cumsum(0) / RATE
    return sum((phase * k).sin() / k for k in (1, 2, 3)) / 2


def claps(seconds: float = 1.6, every: float = 0.4) -> Tensor:
    return noise(seconds) * (-(times(seconds) % every) / 0.012).exp() / 4


def calls(seconds: float = 1.6, every: float = 0.4) -> Tensor:
    """Make short falling calls, like those of a bird."""
    call = (-(times(seconds) % every) / 0.07).exp()
    return 0.6 * tone(1600 + 2400 * call) * call + 1e-4 * noise(seconds)


def glide(seconds: float = 2.0, low: float = 500.0, high: float = 2500.0) -> Tensor:
    """Make a rising tone with a click every half second."""
    t = times(seconds)
    return 0.5 * tone(low + (high - low) * t / seconds) + 2 * claps(seconds, 0.5).roll(RATE // 8)


def decibels(clip: Tensor) -> Tensor:
    """Compute a spectrogram ``(F, N)`` in dB, from frames of 1024 samples, 256 apart."""
    return log_stft(clip[None], n_fft=1024, hop_length=256, eps=1e-5)[0] * (20 / math.log(10))


def show(axis: Axes, clip: Tensor, title: str, *, loudest: float | None = None, top: float = 8.0) -> None:
    """Show the spectrogram of one clip up to ``top`` kHz, with a range of 70 dB."""
    image = decibels(clip)[: round(top * 1000 * 1024 / RATE) + 1]
    loudest = float(image.max()) if loudest is None else loudest
    axis.imshow(
        image.numpy(),
        origin="lower",
        aspect="auto",
        cmap="magma",
        interpolation="none",
        extent=(0, len(clip) / RATE, 0, len(image) * RATE / 1024 / 1000),
        vmin=loudest - 70,
        vmax=loudest,
    )
    axis.set(title=title, xlabel="seconds", ylabel="kHz", ylim=(0, top))


def envelope(axis: Axes, wave: Tensor, *, start: float = 0.0, **style: str) -> None:
    """Show a waveform as the area between its extremes in each 300th of a second."""
    block = wave.unfold(0, RATE // 300, RATE // 300)
    place = start + torch.arange(len(block)) / 300
    axis.fill_between(place, block.amin(1), block.amax(1), linewidth=0, **style)
