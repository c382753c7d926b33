"""Noise at a ratio to the signal: white, pink, or recorded."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, get_args

import torch
from torch import Tensor
from torch.utils.data import Dataset

from rankaudio._checks import check_choice, check_floating, check_same_device, check_values, describe
from rankaudio.effects._base import RandomEffect, check_and_mask
from rankaudio.effects._chunks import in_chunks
from rankaudio.effects._parameters import Range, check_parameters
from rankaudio.lengths import zero_beyond

NoiseColour = Literal["white", "pink"]
NoiseClips = Sequence[Tensor] | Dataset[Tensor] | Dataset[Tensor | tuple[Tensor, Tensor]]

LIMITS = {"snr": (-100.0, 200.0)}
_FRACTIONS: dict[str, Range] = {"clip": (0.0, 1.0), "place": (0.0, 1.0)}
_COLOURS: tuple[NoiseColour, ...] = get_args(NoiseColour)
# Samples of white and pink noise, 24 s at 44.1 kHz, and the seed that they are made from.
_SAMPLES, _SEED = 1 << 20, 20190401
# Pink noise is flat below this share of the sample rate: 21.5 Hz at 44.1 kHz.
_LOWEST = 1 / 2048


def add_noise(
    waveform: Tensor, lengths: Tensor | None = None, *, noise: Tensor, snr: Tensor | float
) -> tuple[Tensor, Tensor | None]:
    r"""Add noise to each clip, at a ratio of the clip's power to that of the noise.

    .. math:: y_b[t] = x_b[t] + a_b\, n_b[t \bmod N], \qquad
        a_b = 10^{-r_b / 20} \sqrt{\frac{\sum_{t < \ell_b} x_b[t]^2}{\sum_{t < \ell_b} n_b[t \bmod N]^2}}

    Both powers are means over the clip's length :math:`\ell_b`, so padding has no influence. A silent clip
    stays silent, because no noise has a ratio to it. Silent noise changes nothing.

    Args:
        waveform: ``(B, T)`` floating point.
        lengths: ``(B,)`` integers, in samples; None: every clip is T long.
        noise: :math:`n`, ``(B, N)`` with a noise for each clip, or ``(N,)`` with one for all. It is repeated
            if it is shorter than a clip.
        snr: the signal-to-noise ratio :math:`r`, -100 to 200 dB, one number for all clips or a tensor
            ``(B,)``.

    Returns:
        New waveform ``(B, T)``, zero after each length, and the same ``lengths``. Nothing is clipped.

    Raises:
        TypeError: if waveform or noise are not floating point, lengths are not integers, or ``snr`` is not a
            number.
        ValueError: if shapes or devices disagree, or a value is out of range.

    >>> tone = torch.tensor([[1.0, -1.0, 1.0, -1.0]])
    >>> add_noise(tone, noise=torch.tensor([5.0, 5.0, -5.0, -5.0]), snr=20.0)[0]
    tensor([[ 1.1000, -0.9000,  0.9000, -1.1000]])
    """
    clips, real = check_and_mask(waveform, lengths)
    parameters = check_parameters({"snr": snr}, LIMITS, clips)
    check_floating("noise", noise, ndim=(1, 2))
    check_same_device("noise", noise, "waveform", waveform)
    if noise.shape[-1] == 0 or (noise.ndim == 2 and len(noise) != len(clips)):
        raise ValueError(f"noise: wanted shape (N,) or ({len(clips)}, N), N >= 1, got {describe(noise)}")
    check_values("noise", noise, noise.isfinite(), "finite numbers")
    place = torch.arange(clips.shape[1], device=clips.device) % noise.shape[-1]
    added = noise.to(clips.dtype)[..., place].expand(clips.shape)
    return _mix(clips, real, added, **parameters).to(waveform.dtype), lengths


class AddNoise(RandomEffect):
    r"""Add white, pink or recorded noise to each clip, as :func:`add_noise` does; nothing in eval mode.

    White noise has the same power at every frequency. The power of pink noise falls by 10 dB per decade from
    1/2048 of the sample rate, and is constant below. Both come from 1,048,576 samples (24 s at 44.1 kHz) that
    are always the same and have no seam. Each clip gets a part from a random place. With clips of noise, each
    clip gets one of them, from a random place. A noise is repeated where it is too short.

    :meth:`draw` returns ``chosen``, ``snr``, and two fractions in [0, 1): ``clip`` chooses the noise, and
    ``place`` its first sample. So a record is small, and the same draw gives the same noise on every device.

    Args:
        p: probability that a clip gets noise.
        snr: lowest and highest signal-to-noise ratio in dB, drawn for each clip, uniform in decibels.
        noise: ``"white"``, ``"pink"``, or clips: a list of waveforms ``(N,)``, or a data set of them such as
            a :class:`~rankaudio.ClipDataset`. All clips are kept in memory.

    Shapes:
        The waveform is ``(B, T)`` floating point, and lengths ``(B,)`` are integers, in samples.

    Raises:
        TypeError: if a clip of noise is not a floating-point tensor, or a setting is not a number.
        ValueError: if there is no noise, a clip of noise is not ``(N,)``, empty, or not finite, or a setting
            is out of range.

    >>> noisy, _ = AddNoise(p=1.0, snr=(20.0, 20.0), noise="pink")(torch.ones(2, 40_000))
    >>> power = (noisy - 1).square().mean(1)
    >>> (-10 * power.log10()).round()
    tensor([20., 20.])
    """

    def __init__(
        self, *, p: float = 0.5, snr: Range = (3.0, 30.0), noise: NoiseColour | NoiseClips = "white"
    ) -> None:
        super().__init__({"snr": snr, **_FRACTIONS}, LIMITS | _FRACTIONS, p=p)
        clips = [_coloured_noise(noise)] if isinstance(noise, str) else _check_clips(noise)
        self.noise: str = noise if isinstance(noise, str) else f"{len(clips)} clips"
        sizes = torch.tensor([len(clip) for clip in clips])
        self._samples: Tensor
        self._sizes: Tensor
        self._starts: Tensor
        self.register_buffer("_samples", torch.cat(clips), persistent=False)
        self.register_buffer("_sizes", sizes, persistent=False)
        self.register_buffer("_starts", sizes.cumsum(0) - sizes, persistent=False)

    def _change(
        self, clips: Tensor, lengths: Tensor | None, parameters: dict[str, Tensor]
    ) -> tuple[Tensor, Tensor | None]:
        clip = _scale(parameters["clip"], torch.full_like(parameters["clip"], len(self._sizes)))
        start, size = self._starts[clip], self._sizes[clip]
        place = _scale(parameters["place"], size)
        noise = in_chunks(self._take, clips, start, size, place)
        return _mix(clips, lengths, noise, snr=parameters["snr"]), lengths

    def _take(self, clips: Tensor, start: Tensor, size: Tensor, place: Tensor) -> Tensor:
        """Return a part of the noise for each clip."""
        step = torch.arange(clips.shape[1], device=clips.device)
        return self._samples[start[:, None] + (place[:, None] + step) % size[:, None]].to(clips.dtype)

    def extra_repr(self) -> str:
        """Show the settings."""
        return f"p={self.p}, snr={self.ranges['snr']}, noise={self.noise!r}"


def _mix(clips: Tensor, lengths: Tensor | None, noise: Tensor, *, snr: Tensor) -> Tensor:
    """Add noise ``(B, T)`` to clips that are checked and masked."""
    noise = zero_beyond(noise, lengths)
    level = _root(noise.square().sum(1))
    silent = level == 0
    ratio = (_root(clips.square().sum(1)) / level.masked_fill(silent, 1)).masked_fill(silent, 0)
    factor: Tensor = ratio * 10 ** (-snr / 20)
    return clips + factor.to(clips.dtype)[:, None] * noise


def _root(power: Tensor) -> Tensor:
    """Return the square root, with a gradient of 0 at 0."""
    silent = power == 0
    return power.masked_fill(silent, 1).sqrt().masked_fill(silent, 0)


def _scale(fraction: Tensor, count: Tensor) -> Tensor:
    """Turn a fraction in [0, 1] into an index below ``count``."""
    return torch.minimum((fraction * count).long(), count.long() - 1)


def _coloured_noise(colour: str) -> Tensor:
    """Make noise that can be repeated without a seam, because its spectrum has these frequencies only."""
    check_choice("noise", colour, _COLOURS)
    white = torch.randn(_SAMPLES, generator=torch.Generator().manual_seed(_SEED))
    if colour == "white":
        return white
    spectrum = torch.fft.rfft(white)
    frequency = torch.fft.rfftfreq(_SAMPLES).clamp(min=_LOWEST)
    spectrum[0] = 0
    pink: Tensor = torch.fft.irfft(spectrum * (_LOWEST / frequency).sqrt(), n=_SAMPLES)
    return pink


def _check_clips(noise: object) -> list[Tensor]:
    """Return the waveforms of a list or a data set, whose items may have targets too."""
    if isinstance(noise, Tensor) or not (hasattr(noise, "__len__") and hasattr(noise, "__getitem__")):
        raise TypeError(f"noise: wanted 'white', 'pink', or a list of waveforms, got {describe(noise)}")
    items = [noise[index] for index in range(len(noise))]
    if not items:
        raise ValueError("noise: wanted at least one clip of noise, got none")
    clips = []
    for index, item in enumerate(items):
        clip = check_floating(f"noise[{index}]", item[0] if isinstance(item, tuple) else item, ndim=(1,))
        if len(clip) == 0:
            raise ValueError(f"noise[{index}]: wanted at least one sample, got {describe(clip)}")
        check_values(f"noise[{index}]", clip, clip.isfinite(), "finite numbers")
        clips.append(clip.detach())
    return clips
