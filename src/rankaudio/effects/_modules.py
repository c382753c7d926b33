"""The Modules: each draws parameters per clip and calls the function that holds the definition."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from rankaudio._checks import check_integer
from rankaudio.effects._draw import RandomEffect, Range
from rankaudio.effects._drive import gain, overdrive
from rankaudio.effects._reverb import longest_tail, reverb
from rankaudio.effects._time import FASTEST, MOST_CENTS, SLOWEST, check_n_fft, pitch_shift, speed, tempo

__all__ = ["Gain", "Overdrive", "PitchShift", "Reverb", "Speed", "Tempo", "ThirdPlaceEffects"]

_PERCENT = (0.0, 100.0)
Result = tuple[Tensor, Tensor | None]


class Gain(RandomEffect):
    """Module form of :func:`gain`, which holds the definition; in eval mode it does nothing.

    Args:
        p: probability that a clip gets the effect.
        decibels: lowest and highest gain; drawn per clip, uniform in decibels.

    >>> Gain(decibels=(-6.0, -6.0), p=1.0)(torch.ones(1, 3))[0]
    tensor([[0.5012, 0.5012, 0.5012]])
    """

    def __init__(self, *, p: float = 0.5, decibels: Range = (-6.0, 6.0)) -> None:
        super().__init__(p=p, ranges={"decibels": (decibels, (-200.0, 200.0))})

    def _change(self, waveform: Tensor, lengths: Tensor | None, parameters: dict[str, Tensor]) -> Result:
        """Apply :func:`gain` to every clip."""
        return gain(waveform, lengths, decibels=parameters["decibels"])


class Overdrive(RandomEffect):
    """Module form of :func:`overdrive`, which holds the definition; in eval mode it does nothing.

    Args:
        p: probability that a clip gets the effect.
        decibels: lowest and highest gain before the distortion; this and the next are drawn per clip.
        colour: lowest and highest amount of even harmonics.

    >>> Overdrive(p=1.0)(torch.zeros(1, 3))[0].abs().max() < 0.08
    tensor(True)
    """

    def __init__(self, *, p: float = 0.5, decibels: Range = (2.0, 9.0), colour: Range = (20.0, 20.0)) -> None:
        super().__init__(p=p, ranges={"decibels": (decibels, (-100.0, 100.0)), "colour": (colour, _PERCENT)})

    def _change(self, waveform: Tensor, lengths: Tensor | None, parameters: dict[str, Tensor]) -> Result:
        """Apply :func:`overdrive` to every clip."""
        return overdrive(waveform, lengths, decibels=parameters["decibels"], colour=parameters["colour"])


class Reverb(RandomEffect):
    """Module form of :func:`reverb`, which holds the definition; in eval mode it does nothing.

    The impulse response is as long as the ends of the ranges need, whatever is drawn.

    Args:
        p: probability that a clip gets the effect.
        reverberance: lowest and highest, in %; this and the next five are drawn per clip.
        damping: lowest and highest, in %.
        room_scale: lowest and highest, in %.
        stereo_depth: lowest and highest, in %.
        pre_delay: shortest and longest, in ms.
        wet_gain: lowest and highest, in dB.
        sample_rate: in Hz.

    >>> Reverb(p=1.0, sample_rate=8000)(torch.eye(2, 4000))[0].shape
    torch.Size([2, 4000])
    """

    def __init__(
        self,
        *,
        p: float = 0.5,
        reverberance: Range = (0.0, 50.0),
        damping: Range = (50.0, 50.0),
        room_scale: Range = (0.0, 50.0),
        stereo_depth: Range = (0.0, 50.0),
        pre_delay: Range = (0.0, 0.0),
        wet_gain: Range = (0.0, 0.0),
        sample_rate: int = 44100,
    ) -> None:
        ranges = {
            "reverberance": (reverberance, _PERCENT),
            "damping": (damping, _PERCENT),
            "room_scale": (room_scale, _PERCENT),
            "stereo_depth": (stereo_depth, _PERCENT),
            "pre_delay": (pre_delay, (0.0, 500.0)),
            "wet_gain": (wet_gain, (-200.0, 200.0)),
        }
        super().__init__(p=p, ranges=ranges)
        self.sample_rate: int = check_integer("sample_rate", sample_rate)

    def _change(self, waveform: Tensor, lengths: Tensor | None, parameters: dict[str, Tensor]) -> Result:
        """Apply :func:`reverb` to every clip."""
        most = {name: high for name, (_, high) in self.ranges.items() if name not in ("damping", "wet_gain")}
        depth: Tensor | float = parameters["stereo_depth"] if most["stereo_depth"] > 0 else 0.0
        return reverb(
            waveform,
            lengths,
            reverberance=parameters["reverberance"],
            damping=parameters["damping"],
            room_scale=parameters["room_scale"],
            stereo_depth=depth,
            pre_delay=parameters["pre_delay"],
            wet_gain=parameters["wet_gain"],
            sample_rate=self.sample_rate,
            tail=longest_tail(**most),
        )

    def extra_repr(self) -> str:
        """Show the settings."""
        return f"{super().extra_repr()}, sample_rate={self.sample_rate}"


class PitchShift(RandomEffect):
    """Module form of :func:`pitch_shift`, which holds the definition; in eval mode it does nothing.

    Args:
        p: probability that a clip gets the effect.
        cents: lowest and highest, drawn per clip.
        n_fft: samples of a frame.

    >>> PitchShift(p=1.0)(torch.randn(2, 4000))[0].shape
    torch.Size([2, 4000])
    """

    def __init__(self, *, p: float = 0.5, cents: Range = (-300.0, 300.0), n_fft: int = 1536) -> None:
        super().__init__(p=p, ranges={"cents": (cents, (-MOST_CENTS, MOST_CENTS))})
        self.n_fft: int = check_n_fft(n_fft)

    def _change(self, waveform: Tensor, lengths: Tensor | None, parameters: dict[str, Tensor]) -> Result:
        """Apply :func:`pitch_shift` to every clip."""
        return pitch_shift(waveform, lengths, cents=parameters["cents"], n_fft=self.n_fft)

    def extra_repr(self) -> str:
        """Show the settings."""
        return f"{super().extra_repr()}, n_fft={self.n_fft}"


class Speed(RandomEffect):
    """Module form of :func:`speed`, which holds the definition; in eval mode it does nothing.

    The batch becomes as long as the slowest factor of the range makes its longest clip, whatever is
    drawn: so no step waits for the device. The new lengths say what of it is real.

    Args:
        p: probability that a clip gets the effect.
        factor: lowest and highest, drawn per clip.

    >>> Speed(p=1.0, factor=(0.8, 1.0))(torch.randn(2, 4000))[0].shape
    torch.Size([2, 5000])
    """

    def __init__(self, *, p: float = 0.5, factor: Range = (0.9, 1.1)) -> None:
        super().__init__(p=p, ranges={"factor": (factor, (SLOWEST, FASTEST))})

    def _change(self, waveform: Tensor, lengths: Tensor | None, parameters: dict[str, Tensor]) -> Result:
        """Apply :func:`speed` to every clip."""
        size = self._size_after(waveform.shape[1])
        return speed(waveform, lengths, factor=parameters["factor"], size=size)

    def _size_after(self, samples: int) -> int:
        """As many as the slowest factor of the range makes of them."""
        return _slowed(samples, self.ranges["factor"][0], self.p)


class Tempo(RandomEffect):
    """Module form of :func:`tempo`, which holds the definition; in eval mode it does nothing.

    The batch becomes as long as with :class:`Speed`.

    Args:
        p: probability that a clip gets the effect.
        factor: lowest and highest, drawn per clip.
        n_fft: samples of a frame.

    >>> Tempo(p=1.0, factor=(0.8, 1.0))(torch.randn(2, 4000))[0].shape
    torch.Size([2, 5000])
    """

    def __init__(self, *, p: float = 0.5, factor: Range = (0.9, 1.1), n_fft: int = 1536) -> None:
        super().__init__(p=p, ranges={"factor": (factor, (SLOWEST, FASTEST))})
        self.n_fft: int = check_n_fft(n_fft)

    def _change(self, waveform: Tensor, lengths: Tensor | None, parameters: dict[str, Tensor]) -> Result:
        """Apply :func:`tempo` to every clip."""
        size = self._size_after(waveform.shape[1])
        return tempo(waveform, lengths, factor=parameters["factor"], n_fft=self.n_fft, size=size)

    def _size_after(self, samples: int) -> int:
        """As many as the slowest factor of the range makes of them."""
        return _slowed(samples, self.ranges["factor"][0], self.p)

    def extra_repr(self) -> str:
        """Show the settings."""
        return f"{super().extra_repr()}, n_fft={self.n_fft}"


class ThirdPlaceEffects(RandomEffect):
    """The effects of the third-place system of Freesound Audio Tagging 2019, all of them or none.

    Per clip: :func:`reverb` with reverberance, room scale and stereo depth each from U{0, ..., 49} %,
    :func:`pitch_shift` by U{-300, ..., 299} cents, :func:`overdrive` with U{2, ..., 9} dB and colour 20, then
    :func:`speed` with a factor from U(0.9, 1.1). In eval mode it does nothing.

    Args:
        p: probability that a clip gets the effects.
        sample_rate: in Hz.
        n_fft: samples of a frame of the pitch shift.

    Shapes:
        waveform ``(B, T)`` floating point, lengths ``(B,)`` integers in samples; the result is as long as
        the slowest factor can make it.

    Raises:
        TypeError: if ``p`` is not a number, or a setting not an integer.
        ValueError: if a setting is out of range.

    >>> waveform, lengths = ThirdPlaceEffects()(torch.randn(2, 9000), torch.tensor([9000, 4500]))
    >>> waveform.shape
    torch.Size([2, 10000])
    """

    def __init__(self, *, p: float = 0.75, sample_rate: int = 44100, n_fft: int = 1536) -> None:
        whole: dict[str, tuple[Range, Range]] = {
            "reverberance": ((0, 49), _PERCENT),
            "room_scale": ((0, 49), _PERCENT),
            "stereo_depth": ((0, 49), _PERCENT),
            "cents": ((-300, 299), (-MOST_CENTS, MOST_CENTS)),
            "decibels": ((2, 9), (-100.0, 100.0)),
        }
        ranges = {**whole, "factor": ((0.9, 1.1), (SLOWEST, FASTEST))}
        super().__init__(p=p, ranges=ranges, integers=tuple(whole))
        self.sample_rate: int = check_integer("sample_rate", sample_rate)
        self.n_fft: int = check_n_fft(n_fft)

    def _change(self, waveform: Tensor, lengths: Tensor | None, parameters: dict[str, Tensor]) -> Result:
        """Apply the four effects to every clip."""
        room = {name: parameters[name] for name in ("reverberance", "room_scale", "stereo_depth")}
        tail = longest_tail(reverberance=49, room_scale=49, stereo_depth=49)
        # Half precision would be rounded between the effects as well.
        x = waveform if waveform.dtype == torch.float64 else waveform.float()
        x, _ = reverb(x, lengths, **room, sample_rate=self.sample_rate, tail=tail)
        x, _ = pitch_shift(x, lengths, cents=parameters["cents"], n_fft=self.n_fft)
        x, _ = overdrive(x, lengths, decibels=parameters["decibels"])
        size = self._size_after(waveform.shape[1])
        x, lengths = speed(x, lengths, factor=parameters["factor"], size=size)
        return x.to(waveform.dtype), lengths

    def _size_after(self, samples: int) -> int:
        """As many as the slowest factor of the range makes of them."""
        return _slowed(samples, self.ranges["factor"][0], self.p)

    def extra_repr(self) -> str:
        """Show the settings."""
        return f"p={self.p}, sample_rate={self.sample_rate}, n_fft={self.n_fft}"


def _slowed(samples: int, slowest: float, p: float) -> int:
    """Samples of a batch in which every clip may be played that slowly; without p = 1, or not at all."""
    size = max(1, math.floor(samples / slowest + 0.5))
    return size if p == 1 else max(size, samples)
