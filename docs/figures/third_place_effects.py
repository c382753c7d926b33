"""Three draws of the third-place effects on one clip."""

import torch
from _parts import calls, decibels, show
from matplotlib.figure import Figure

from rankaudio import Chain, ThirdPlaceEffects

HEIGHT = 4.4


def draw(figure: Figure) -> None:
    axes = figure.subplots(2, 2, sharex=True, sharey=True)
    clip = calls()
    loudest = float(decibels(clip).max())
    show(axes[0, 0], clip, "the clip", loudest=loudest)
    chain = Chain({"effects": ThirdPlaceEffects(p=1.0)})
    batch, generator = clip.repeat(3, 1), torch.Generator().manual_seed(4)
    changed, _, lengths, record = chain.record(batch, torch.zeros(3, 1), generator=generator)
    for row, axis in enumerate(axes.flat[1:]):
        drawn = {name: float(values[row]) for name, values in record["effects"].items()}
        title = (
            f"reverb {drawn['reverberance']:.0f} %, room {drawn['room_scale']:.0f} %, "
            f"{drawn['cents']:+.0f} cents,\n{drawn['decibels']:.0f} dB, speed {drawn['factor']:.2f}"
        )
        show(axis, changed[row, : int(lengths[row])], title, loudest=loudest)
    for axis in axes.flat:
        axis.label_outer()
    axes[0, 0].set_xlim(0, max(float(lengths.max()), len(clip)) / 44_100)
