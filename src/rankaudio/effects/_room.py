"""The impulse response of a room: the Freeverb network, in closed form on a grid of frequencies."""

from __future__ import annotations

import math
from collections.abc import Mapping

import torch
from torch import Tensor

from rankaudio.effects._fft import irfft_rows

# Delays in samples at 44.1 kHz.
_COMBS = (1116, 1188, 1277, 1356, 1422, 1491, 1557, 1617)
_ALLPASSES = (225, 341, 441, 556)
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


def impulse_response(
    room: Mapping[str, Tensor], *, size: int, rate: int, stereo: bool, dtype: torch.dtype
) -> Tensor:
    """Compute the impulse response of the reverberation, without the clip itself, ``(B, size)``."""
    depth = room["stereo_depth"] / 100
    feedback = 1 - torch.exp((room["reverberance"] - _B) / (_A * _B))
    h = (0.2 + 0.3 * room["damping"] / 100).to(dtype)[:, None, None]
    # f L(z) = f (1 - h) / (1 - h z), the same for all combs of a room.
    cosine, sine = _phasor(torch.ones_like(depth), size, dtype)
    scale = feedback.to(dtype)[:, None, None] * (1 - h) / (1 - 2 * h * cosine + h * h)
    loop = (scale * (1 - h * cosine), -scale * h * sine)
    channels = [_delays(room["room_scale"], amount, rate) for amount in ((0 * depth, depth)[: 1 + stereo])]
    total = _network(channels[0], size, loop)
    if stereo:
        total = total + _network(channels[1], size, loop)
    gain = 0.015 / len(channels) * 10 ** (room["wet_gain"] / 20)
    cosine, sine = _phasor(torch.floor(room["pre_delay"] / 1000 * rate + 0.5), size, dtype)
    total = (total * torch.complex(cosine, -sine)).flatten(1)[:, : size // 2 + 1]
    return irfft_rows(total * gain.to(dtype)[:, None], size)


def _delays(room_scale: Tensor, depth: Tensor, rate: int) -> Tensor:
    """Compute the delays ``(12, B)`` of one channel in samples, detuned by ``depth``."""
    combs = torch.tensor(_COMBS, dtype=depth.dtype, device=depth.device)[:, None]
    allpasses = torch.tensor(_ALLPASSES, dtype=depth.dtype, device=depth.device)[:, None]
    scale = room_scale / 100 * 0.9 + 0.1
    signs = torch.ones_like(combs)
    signs[1::2] = -1
    detuned = _STEREO * depth * signs
    exact = [
        scale * (rate * (1 / 44100)) * (combs + detuned),
        rate * (1 / 44100) * (allpasses + detuned[:4]),
    ]
    return torch.floor(torch.cat(exact) + 0.5).clamp(min=1)


def _phasor(delays: Tensor, size: int, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
    """Compute cosine and sine of ``delay x bin / size`` turns, ``(*, lines, _LINE)``.

    A line's first bin and the place in the line have separate phasors. Their products take a tenth of the
    time of a sine and a cosine for each bin.
    """
    start, place = _two_phasors(delays, size, dtype)
    cosine, sine = start[0] * place[0], start[1] * place[0]
    return cosine.addcmul_(start[1], place[1], value=-1), sine.addcmul_(start[0], place[1])


def _two_phasors(
    delays: Tensor, size: int, dtype: torch.dtype
) -> tuple[tuple[Tensor, Tensor], tuple[Tensor, Tensor]]:
    """Return cosine and sine of the first bin of each line, ``(*, lines, 1)``, and of a line's places."""
    lines = size // 2 // _LINE + 1
    starts = torch.arange(0, lines * _LINE, _LINE, dtype=delays.dtype, device=delays.device)[:, None]
    places = torch.arange(_LINE, dtype=delays.dtype, device=delays.device)
    both = []
    for bins in (starts, places):
        # Whole turns are removed before the conversion to ``dtype``, so no precision is lost.
        angle = delays[..., None, None] * (bins / size)
        angle = (angle - angle.round()).to(dtype) * (2 * math.pi)
        both.append((angle.cos(), angle.sin()))
    return both[0], both[1]


def _network(delays: Tensor, size: int, loop: tuple[Tensor, Tensor]) -> Tensor:
    r"""Compute combs and all-passes of one channel on the grid, ``(B, lines, _LINE)`` complex.

    With :math:`u = z^{-d}`, whose magnitude is 1: a comb is :math:`1 / (u - f L)`, an all-pass
    :math:`(1.5 - u) / (u - 0.5) = (2 \cos - 1.75 - i \sin) / (1.25 - \cos)`.
    """
    cosine, sine = _phasor(delays[: len(_COMBS)], size, loop[0].dtype)
    cosine, sine = cosine.sub_(loop[0]), sine.sub_(loop[1])
    squared = (cosine * cosine).addcmul_(sine, sine)
    total = torch.complex(cosine.div_(squared).sum(0), sine.div_(squared).sum(0).neg_())
    cosine, sine = _phasor(delays[len(_COMBS) :], size, loop[0].dtype)
    denominator = 1.25 - cosine
    factors = torch.complex((2 * cosine - 1.75).div_(denominator), sine.div_(denominator).neg_())
    for factor in factors:
        total = total * factor
    return total
