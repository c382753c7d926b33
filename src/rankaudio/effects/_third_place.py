"""The effects of the third-place system."""

from __future__ import annotations

from torch import Tensor

from rankaudio._checks import check_integer
from rankaudio.effects import _overdrive, _pitch_shift, _reverb, _speed
from rankaudio.effects._base import RandomEffect
from rankaudio.effects._parameters import Range, check_parameters
from rankaudio.effects._room import longest_tail
from rankaudio.effects._vocoder import check_n_fft

_LIMITS = {**_reverb.LIMITS, **_pitch_shift.LIMITS, **_overdrive.LIMITS, **_speed.LIMITS}
_INTEGERS: dict[str, Range] = {
    "reverberance": (0, 49),
    "room_scale": (0, 49),
    "stereo_depth": (0, 49),
    "cents": (-300, 299),
    "decibels": (2, 9),
}
_RANGES = {**_INTEGERS, "factor": (0.9, 1.1)}
_FIXED = {"damping": 50.0, "pre_delay": 0.0, "wet_gain": 0.0, "colour": 20.0}
_TAIL = longest_tail(reverberance=49, room_scale=49, stereo_depth=49)


class ThirdPlaceEffects(RandomEffect):
    """The effects of the third-place system of Freesound Audio Tagging 2019, all of them or none.

    A chosen clip gets four effects, in this order. :func:`reverb` has reverberance, room scale and stereo
    depth from U{0, ..., 49} %, drawn separately. :func:`pitch_shift` is by U{-300, ..., 299} cents.
    :func:`overdrive` has U{2, ..., 9} dB and colour 20. :func:`speed` has a factor from U(0.9, 1.1). In eval
    mode nothing is changed.

    Args:
        p: probability that a clip gets the effects.
        sample_rate: in Hz.
        n_fft: samples of a frame of the pitch shift.

    Shapes:
        The waveform is ``(B, T)`` floating point, and lengths ``(B,)`` are integers, in samples. The size of
        the result is what the slowest factor needs.

    Raises:
        TypeError: if ``p`` is not a number, or a setting is not an integer.
        ValueError: if a setting is out of range.

    >>> waveform, lengths = ThirdPlaceEffects()(
    ...     torch.randn(2, 9000), torch.tensor([9000, 4500])
    ... )
    >>> waveform.shape
    torch.Size([2, 10000])
    """

    def __init__(self, *, p: float = 0.75, sample_rate: int = 44100, n_fft: int = 1536) -> None:
        super().__init__(_RANGES, _LIMITS, p=p, integers=tuple(_INTEGERS))
        self.sample_rate: int = check_integer("sample_rate", sample_rate)
        self.n_fft: int = check_n_fft(n_fft)

    def _change(
        self, clips: Tensor, lengths: Tensor | None, parameters: dict[str, Tensor]
    ) -> tuple[Tensor, Tensor | None]:
        drawn = {**parameters, **check_parameters(_FIXED, _LIMITS, clips)}
        room = {name: drawn[name] for name in _reverb.LIMITS}
        curve = {name: drawn[name] for name in _overdrive.LIMITS}
        clips = _reverb.reverberate(clips, lengths, room, sample_rate=self.sample_rate, tail=_TAIL)
        clips = _pitch_shift.shift_pitch(
            clips, lengths, cents=drawn["cents"], limits=self.ranges["cents"], n_fft=self.n_fft
        )
        clips = _overdrive.distort(clips, lengths, **curve)
        size, fastest = self._samples_after(clips.shape[1]), self.ranges["factor"][1]
        return _speed.change_speed(clips, lengths, factor=drawn["factor"], fastest=fastest, size=size)

    def _samples_after(self, samples: int) -> int:
        return _speed.largest_size(samples, slowest=self.ranges["factor"][0], p=self.p)

    def extra_repr(self) -> str:
        """Show the settings."""
        return f"p={self.p}, sample_rate={self.sample_rate}, n_fft={self.n_fft}"
