"""The impulse response of a room: the Freeverb network, in closed form on a grid of frequencies."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import NamedTuple

import torch
from torch import Tensor

from rankaudio.effects._cached import cached
from rankaudio.effects._fft import irfft_rows
from rankaudio.effects._parameters import can_read
from rankaudio.effects._phasors import phasors

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
# Lines that are computed together on a CPU. Fewer lines need more calls, and more lines need more memory.
_LINES = 128


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
    nominal, signs, scaled = _constants(depth.device, depth.dtype)
    scale = torch.where(scaled, room_scale / 100 * 0.9 + 0.1, 1.0) * (rate * (1 / 44100))
    exact = scale * (nominal + _STEREO * depth[:, None] * signs)
    return exact.add_(0.5).floor_().clamp_(min=1)


@cached
def _constants(device: torch.device, dtype: torch.dtype) -> tuple[Tensor, Tensor, Tensor]:
    """Return the delay of each filter, the sign of its detuning, and if the room scales it, ``(12, 1)``."""
    nominal = torch.tensor([*_COMBS, *_ALLPASSES], dtype=dtype, device=device)[:, None]
    signs = torch.ones_like(nominal)
    signs[1::2] = -1
    return nominal, signs, (torch.arange(_FILTERS, device=device) < len(_COMBS))[:, None]


def impulse_response(rooms: Rooms, *, size: int, dtype: torch.dtype) -> Tensor:
    """Compute the impulse response of the reverberation, without the clip itself, ``(B, size)``."""
    ones = torch.ones_like(rooms.gain)
    delays = torch.cat([-ones[None], -rooms.pre_delay[None], rooms.delays.flatten(1).T])
    starts, places = _phasors(delays, size, dtype)
    lines = starts.shape[2]
    step = _LINES if can_read(rooms.gain) else lines
    pieces = [_spectrum(starts[:, :, k : k + step], places, rooms) for k in range(0, lines, step)]
    spectrum = pieces[0] if len(pieces) == 1 else torch.cat(pieces, 1)
    response = irfft_rows(spectrum.flatten(1)[:, : size // 2 + 1], size)
    return response.mul_(rooms.gain.to(dtype)[:, None])


def _phasors(delays: Tensor, size: int, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
    r"""Compute :math:`e^{i \omega d}` of a line's first bin and of its places.

    Their shapes are ``(*, lines, 1)`` and ``(*, 1, _LINE)``. The products of the two take a tenth of the time
    of a sine and a cosine for each bin.
    """
    lines = size // 2 // _LINE + 1
    bins = torch.arange(lines * _LINE, dtype=delays.dtype, device=delays.device) / size
    both = phasors(delays[..., None] * torch.cat([bins[::_LINE], bins[:_LINE]]), dtype)
    return both[..., :lines, None], both[..., None, lines:]


def _spectrum(starts: Tensor, places: Tensor, rooms: Rooms) -> Tensor:
    r"""Compute the spectrum of the rooms on some lines of the grid, ``(B, lines, _LINE)``.

    With :math:`u = z^{-d}`, a comb is :math:`1 / (u - f L)`, and an all-pass :math:`1 / (u - 0.5) - 1`.
    """
    h = rooms.damping.to(places.dtype)[:, None, None]
    f = rooms.feedback.to(places.dtype)[:, None, None]
    # -f L(z) = f (1 - h) / (h z - 1), the same for all combs of a room.
    loop = (starts[0] * (h * places[0])).sub_(1).reciprocal_().mul_(f * (1 - h))
    combs = len(_COMBS)
    first, rest = (part[2:].view(-1, _FILTERS, *part.shape[1:]) for part in (starts, places))
    total = torch.addcmul(loop, first[:, :combs], rest[:, :combs]).reciprocal_().sum(1)
    for factor in (first[:, combs:] * rest[:, combs:]).sub_(0.5).reciprocal_().sub_(1).unbind(1):
        total *= factor
    if can_read(rooms.pre_delay) and not rooms.pre_delay.any():
        return total.sum(0)
    return total.sum(0).mul_(starts[1] * places[1])
