"""The impulse response of a room: the Freeverb network, in closed form on a grid of frequencies."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import NamedTuple

import torch
from torch import Tensor

from rankaudio.effects._fft import irfft_rows
from rankaudio.effects._parameters import can_read

# Delays in samples at 44.1 kHz.
_COMBS = (1116, 1188, 1277, 1356, 1422, 1491, 1557, 1617)
_ALLPASSES = (225, 341, 441, 556)
_FILTERS = len(_COMBS) + len(_ALLPASSES)
_STEREO = 12
# The feedback is 0.3 at reverberance 0 and 0.98 at 100. Its exponent is linear in the reverberance.
_A = -1 / math.log(0.7)
_B = 100 / (1 + _A * math.log(0.02))
# The impulse response ends where no repetition is above this share of the first one.
_END = 1e-6
# The bins of a grid are computed in lines of this many, which fill whole vector registers. So a bin is
# computed in the same way in every row. A following pitch shift can enlarge a difference in the last bit a
# thousand times.
_LINE = 256


def longest_tail(
    *, reverberance: float, room_scale: float, stereo_depth: float, pre_delay: float = 0.0
) -> float:
    """Return the seconds until the slowest comb has lost 120 dB, without damping."""
    feedback = 1 - math.exp((reverberance - _B) / (_A * _B))
    longest = _COMBS[-1] * (0.1 + 0.9 * room_scale / 100) + _STEREO * stereo_depth / 100
    rounds = math.log(_END) / math.log(feedback) + 1
    # The longest all-pass loses half of its energy every 556 samples.
    return (rounds * longest + 20 * _ALLPASSES[-1]) / 44100 + pre_delay / 1000


class Rooms(NamedTuple):
    """The numbers that define the rooms of a batch."""

    delays: Tensor
    """Samples: 8 combs and 4 all-passes for each channel ``(B, channels, 12)``."""
    pre_delay: Tensor
    """Samples ``(B,)``."""
    feedback: Tensor
    """Of the combs, ``(B,)``."""
    damping: Tensor
    """The pole h of the combs' low-pass, ``(B,)``."""
    gain: Tensor
    """Of the reverberation, ``(B,)``."""

    def row(self, index: int) -> Rooms:
        """Return one room."""
        return Rooms(*(values[index : index + 1] for values in self))


def rooms_of(parameters: Mapping[str, Tensor], *, rate: int, stereo: bool) -> Rooms:
    """Compute the rooms from the parameters of the effect, each ``(B,)``."""
    depth = parameters["stereo_depth"] / 100
    amounts = torch.stack([0 * depth, depth] if stereo else [0 * depth])
    return Rooms(
        _delays(parameters["room_scale"], amounts, rate).movedim(-1, 0),
        torch.floor(parameters["pre_delay"] / 1000 * rate + 0.5),
        1 - torch.exp((parameters["reverberance"] - _B) / (_A * _B)),
        0.2 + 0.3 * parameters["damping"] / 100,
        0.015 / len(amounts) * 10 ** (parameters["wet_gain"] / 20),
    )


def _delays(room_scale: Tensor, depth: Tensor, rate: int) -> Tensor:
    """Compute the delays ``(channels, 12, B)``, where a channel is detuned by ``depth`` ``(channels, B)``."""
    combs = torch.tensor(_COMBS, dtype=depth.dtype, device=depth.device)[:, None]
    allpasses = torch.tensor(_ALLPASSES, dtype=depth.dtype, device=depth.device)[:, None]
    scale = room_scale / 100 * 0.9 + 0.1
    signs = torch.ones_like(combs)
    signs[1::2] = -1
    detuned = _STEREO * depth[:, None] * signs
    exact = [
        scale * (rate * (1 / 44100)) * (combs + detuned),
        rate * (1 / 44100) * (allpasses + detuned[:, :4]),
    ]
    return torch.floor(torch.cat(exact, 1) + 0.5).clamp(min=1)


def impulse_response(rooms: Rooms, *, size: int, dtype: torch.dtype) -> Tensor:
    """Compute the impulse response of the reverberation, without the clip itself, ``(B, size)``."""
    ones = torch.ones_like(rooms.gain)
    turns = torch.cat([ones[None], rooms.pre_delay[None], rooms.delays.flatten(1).T])
    starts, places = _two_phasors(turns, size, dtype)
    # f L(z) = f (1 - h) / (1 - h z), the same for all combs of a room.
    h = rooms.damping.to(dtype)[:, None, None]
    cosine, sine = _phasor(starts[:, 0], places[:, 0])
    scale = rooms.feedback.to(dtype)[:, None, None] * (1 - h) / (1 + h * h - 2 * h * cosine)
    loop = (scale * (1 - h * cosine), scale * (-h * sine))
    networks = []
    for first in range(2, len(turns), _FILTERS):
        one = slice(first, first + _FILTERS)
        networks.append(_network(starts[:, one], places[:, one], loop))
    total = networks[0].add_(networks[1]) if len(networks) > 1 else networks[0]
    if not (can_read(rooms.pre_delay) and not rooms.pre_delay.any()):
        cosine, sine = _phasor(starts[:, 1], places[:, 1])
        total = total * torch.complex(cosine, -sine)
    response = irfft_rows(total.flatten(1)[:, : size // 2 + 1], size)
    return response.mul_(rooms.gain.to(dtype)[:, None])


def _two_phasors(delays: Tensor, size: int, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
    """Compute cosine and sine of ``delay x bin / size`` turns of a line's first bin, and of its places.

    Their shapes are ``(2, *, lines, 1)`` and ``(2, *, 1, _LINE)``. The products of the two take a tenth of
    the time of a sine and a cosine for each bin.
    """
    lines = size // 2 // _LINE + 1
    bins = torch.arange(lines * _LINE, dtype=delays.dtype, device=delays.device) / size
    # Whole turns are removed before the conversion to ``dtype``, so no precision is lost.
    turns = delays[..., None] * torch.cat([bins[::_LINE], bins[:_LINE]])
    angle = (turns - turns.round()).to(dtype) * (2 * math.pi)
    both = torch.stack([angle.cos(), angle.sin()])
    return both[..., :lines, None], both[..., None, lines:]


def _phasor(starts: Tensor, places: Tensor) -> tuple[Tensor, Tensor]:
    """Multiply the phasors of lines and places: cosine and sine of each bin, ``(*, lines, _LINE)``."""
    (c, s), (cosine, sine) = starts, places
    return (c * cosine).addcmul_(s, sine, value=-1), (s * cosine).addcmul_(c, sine)


def _network(starts: Tensor, places: Tensor, loop: tuple[Tensor, Tensor]) -> Tensor:
    r"""Compute combs and all-passes of one channel on the grid, ``(B, lines, _LINE)`` complex.

    With :math:`u = z^{-d}`, whose magnitude is 1: a comb is :math:`1 / (u - f L)`, an all-pass
    :math:`(1.5 - u) / (u - 0.5) = (2 \cos - 1.75 - i \sin) / (1.25 - \cos)`.
    """
    combs = len(_COMBS)
    cosine, sine = _phasor(starts[:, :combs], places[:, :combs])
    cosine, sine = cosine.sub_(loop[0]), sine.sub_(loop[1])
    squared = (cosine * cosine).addcmul_(sine, sine)
    total = torch.complex(cosine.div_(squared).sum(0), sine.div_(squared).sum(0).neg_())
    cosine, sine = _phasor(starts[:, combs:], places[:, combs:])
    denominator = 1.25 - cosine
    factors = torch.complex(cosine.mul_(2).sub_(1.75).div_(denominator), sine.div_(denominator).neg_())
    for factor in factors:
        total = total * factor
    return total
