"""Reverb: the Freeverb network of SoX, as one linear filter for each clip."""

from __future__ import annotations

import math
from collections.abc import Mapping
from functools import lru_cache, partial

import torch
from torch import Tensor

from rankaudio._autocast import full_precision
from rankaudio._checks import check_integer, check_number
from rankaudio._silence import silence
from rankaudio.effects._base import RandomEffect, check_and_mask
from rankaudio.effects._chunks import in_chunks
from rankaudio.effects._convolve import add_convolved, block_size
from rankaudio.effects._fft import fast_size
from rankaudio.effects._parameters import Range, can_read, check_parameters, largest
from rankaudio.effects._room import Rooms, impulse_response, longest_tail, rooms_of
from rankaudio.lengths import zero_beyond

LIMITS = {
    **dict.fromkeys(("reverberance", "damping", "room_scale", "stereo_depth"), (0.0, 100.0)),
    "pre_delay": (0.0, 500.0),
    "wet_gain": (-200.0, 200.0),
}

# The parameters that lengthen the impulse response.
_LENGTHENING = ("reverberance", "room_scale", "stereo_depth", "pre_delay")


def reverb(
    waveform: Tensor,
    lengths: Tensor | None = None,
    *,
    reverberance: Tensor | float = 50.0,
    damping: Tensor | float = 50.0,
    room_scale: Tensor | float = 100.0,
    stereo_depth: Tensor | float = 0.0,
    pre_delay: Tensor | float = 0.0,
    wet_gain: Tensor | float = 0.0,
    sample_rate: int = 44100,
    tail: float | None = None,
) -> tuple[Tensor, Tensor | None]:
    r"""Add the reverberation of a room, that of ``sox reverb``, with separate parameters for each clip.

    The network has eight parallel low-pass feedback combs, then four all-passes in series (Freeverb). All of
    them are linear, so a room is one transfer function, with :math:`z = e^{-i\omega}`

    .. math::

        H(z) = 1 + 0.015\, g\, z^n \sum_{j=1}^{8} \frac{z^{d_j}}{1 - f L(z)\, z^{d_j}}
               \prod_{j=9}^{12} \Bigl(\frac{z^{d_j}}{1 - z^{d_j} / 2} - 1\Bigr), \qquad
        L(z) = \frac{1 - h}{1 - h z}

    Its impulse response is computed on a grid as long as the tail, and convolved with the clip. Stereo depth
    detunes a second channel, with delays that are alternately longer and shorter. The result is the mean of
    the two channels.

    Args:
        waveform: ``(B, T)`` floating point.
        lengths: ``(B,)`` integers, in samples; None: every clip is T long.
        reverberance: 0 to 100 %, how long the room rings: the feedback :math:`f` is 0.3 to 0.98. This and the
            next five parameters are one number for all clips, or a tensor ``(B,)``.
        damping: 0 to 100 %, how fast high frequencies decay: :math:`h` is 0.2 to 0.5.
        room_scale: 0 to 100 %, size of the room: scales the delays of the combs by 0.1 to 1.
        stereo_depth: 0 to 100 %, how far the second channel is detuned.
        pre_delay: 0 to 500 ms before the first reflection.
        wet_gain: gain of the reverberation in dB; the clip itself is added unchanged.
        sample_rate: in Hz; delays are proportional to it.
        tail: seconds of impulse response to compute; None: to -120 dB for the given parameters. Tensors are
            read for this on the CPU only. On other devices, or compiled, the longest possible tail is used.

    Returns:
        New waveform ``(B, T)``, zero after each length, and the same ``lengths``. The tail is cut at the end
        of its clip, as in SoX. Loud clips can exceed 1: nothing is clipped.

    Raises:
        TypeError: if the waveform is not floating point, lengths are not integers, or a parameter is not a
            number.
        ValueError: if shapes or devices disagree, or a value is out of range.

    Reference:
        Jezar at Dreampoint, Freeverb (2000), as in SoX 14.4.2.

    >>> wet, _ = reverb(torch.eye(1, 8000), room_scale=50.0, sample_rate=8000)
    >>> (wet[0].abs() > 1e-3).nonzero()[:3, 0]
    tensor([  0, 111, 119])
    """
    clips, real = check_and_mask(waveform, lengths)
    check_integer("sample_rate", sample_rate)
    settings = {
        "reverberance": reverberance,
        "damping": damping,
        "room_scale": room_scale,
        "stereo_depth": stereo_depth,
        "pre_delay": pre_delay,
        "wet_gain": wet_gain,
    }
    room = check_parameters(settings, LIMITS, clips)
    seconds = check_number("tail", tail, 0, 3600) if tail is not None else _longest_of(settings)
    stereo = isinstance(stereo_depth, Tensor) or stereo_depth > 0
    wet = reverberate(
        clips, real, room, sample_rate=sample_rate, tail=seconds, same_tail=tail is not None, stereo=stereo
    )
    return wet.to(waveform.dtype), lengths


class Reverb(RandomEffect):
    """Module form of :func:`reverb`, which holds the definition; in eval mode it does nothing.

    On a CPU, the impulse response of a clip is as long as its own room needs. Elsewhere it is as long as the
    ends of the ranges need, so no step waits for the device.

    Args:
        p: probability that a clip gets the effect.
        reverberance: lowest and highest, in %. This and the next five parameters are drawn for each clip.
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
            "reverberance": reverberance,
            "damping": damping,
            "room_scale": room_scale,
            "stereo_depth": stereo_depth,
            "pre_delay": pre_delay,
            "wet_gain": wet_gain,
        }
        super().__init__(ranges, LIMITS, p=p)
        self.sample_rate: int = check_integer("sample_rate", sample_rate)

    def _change(
        self, clips: Tensor, lengths: Tensor | None, parameters: dict[str, Tensor]
    ) -> tuple[Tensor, Tensor | None]:
        tail = longest_tail(**{name: self.ranges[name][1] for name in _LENGTHENING})
        stereo = self.ranges["stereo_depth"][1] > 0
        rate = self.sample_rate
        return reverberate(clips, lengths, parameters, sample_rate=rate, tail=tail, stereo=stereo), lengths

    def extra_repr(self) -> str:
        """Show the settings."""
        return f"{super().extra_repr()}, sample_rate={self.sample_rate}"


def _longest_of(settings: Mapping[str, Tensor | float]) -> float:
    return longest_tail(**{name: largest(settings[name], LIMITS[name][1]) for name in _LENGTHENING})


def reverberate(
    clips: Tensor,
    lengths: Tensor | None,
    room: Mapping[str, Tensor],
    *,
    sample_rate: int,
    tail: float,
    same_tail: bool = False,
    stereo: bool = True,
) -> Tensor:
    """Apply the effect to clips that are checked and masked; ``room`` has the parameters of LIMITS.

    ``tail`` is the longest impulse response, in seconds. If values can be read and ``same_tail`` is False, a
    room's own response may be shorter.
    """
    size = fast_size(math.ceil(tail * sample_rate) + 1)
    rooms = rooms_of(room, rate=sample_rate, stereo=stereo)
    if can_read(clips) and len(clips):
        sizes = [size] * clips.shape[0] if same_tail else _own_sizes(room, size, sample_rate)
        ends = [clips.shape[1]] * clips.shape[0] if lengths is None else lengths.tolist()
        return _room_by_room(clips, ends, rooms, sizes)
    with torch.no_grad():
        response = in_chunks(
            lambda *some: impulse_response(Rooms(*some), size=size, dtype=clips.dtype), *rooms, samples=size
        )
    return zero_beyond(in_chunks(partial(add_convolved, block=size), clips, response), lengths)


# A compiler cannot look into a store, and does not come here.
_stored_fast_size = lru_cache(maxsize=1 << 12)(fast_size)


def _own_sizes(room: Mapping[str, Tensor], most: int, rate: int) -> list[int]:
    """Return the samples of each room's response, at most ``most``."""
    rows = zip(*(room[name].tolist() for name in _LENGTHENING), strict=True)
    tails = [longest_tail(**dict(zip(_LENGTHENING, row, strict=True))) for row in rows]
    return [min(most, _stored_fast_size(math.ceil(tail * rate) + 1)) for tail in tails]


def _room_by_room(clips: Tensor, ends: list[int], rooms: Rooms, sizes: list[int]) -> Tensor:
    """Compute one clip at a time, as long as it is, with a response as long as its room needs."""
    wet = []
    with full_precision(clips.device):
        for row, (end, size) in enumerate(zip(ends, sizes, strict=True)):
            with torch.no_grad():
                response = impulse_response(rooms.row(row), size=size, dtype=clips.dtype)
            clip, block = clips[row : row + 1, :end], block_size(end)
            wet.append(add_convolved(clip, response[:, :end], block=block))
    if ends == [clips.shape[1]]:
        return wet[0]
    result = silence(clips, *clips.shape)
    for row, (end, one) in enumerate(zip(ends, wet, strict=True)):
        result[row, :end] = one[0]
    return result
