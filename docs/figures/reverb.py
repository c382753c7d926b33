"""Claps in a room, its decay, and its first echoes."""

from functools import cache

import torch
from _parts import RATE, claps, decibels, show
from matplotlib.figure import Figure
from torch import Tensor

from rankaudio import reverb

HEIGHT = 4.4


@cache
def room(seconds: float, **parameters: float) -> Tensor:
    """Compute the impulse response of a room, without the impulse itself."""
    impulse = torch.zeros(1, round(seconds * RATE), dtype=torch.float64)
    impulse[0, 0] = 1
    return (reverb(impulse, **parameters)[0] - impulse)[0]


def draw(figure: Figure) -> None:
    dry_axis, wet_axis, decay, early = figure.subplots(2, 2).flat
    dry, loudest = claps(), float(decibels(claps()).max())
    show(dry_axis, dry, "claps", loudest=loudest)
    wet = reverb(dry[None], reverberance=50.0, room_scale=50.0)[0][0]
    show(wet_axis, wet, "reverberance 50 %, room 50 %", loudest=loudest)

    for reverberance in (0.0, 25.0, 50.0, 75.0):
        # The energy that is still to come, at each moment (Schroeder).
        left = room(2.0, reverberance=reverberance).square().flip(0).cumsum(0).flip(0)
        level = 10 * (left / left[0]).log10()[:: RATE // 200]
        decay.plot(torch.arange(len(level)) / 200, level, label=f"{reverberance:.0f} %")
    decay.set(title="reverberance: how long it rings", xlabel="seconds", ylabel="dB to come")
    decay.set(xlim=(0, 1.5), ylim=(-60, 0))
    decay.legend(loc="upper right", ncols=2)

    for row, scale in enumerate((100.0, 50.0, 0.0)):
        answer = room(0.1, room_scale=scale, reverberance=0.0)
        echoes = (answer.abs() > 0.2 * answer.abs().max()).nonzero()[:, 0]
        early.vlines(
            1000 * echoes / RATE, row, row + 0.85 * answer[echoes].abs() / answer.abs().max(), f"C{row}"
        )
    early.set(title="room scale: when the echoes come", xlabel="milliseconds", xlim=(0, 60))
    early.set_yticks([0, 1, 2], ["100 %", "50 %", "0 %"])
