"""Two clips and their OR-mixture; and how loud both are over time, for each way of mixing."""

from collections.abc import Callable
from functools import partial

import torch
from _parts import RATE, calls, claps, envelope
from matplotlib.figure import Figure
from torch import Tensor

from rankaudio import pad_collate, sigmoid_concat_mixup, weighted_mixup
from rankaudio.mixing import ORMixupDraw, apply_or_mixup

HEIGHT = 4.2
LABELS = torch.eye(2)


def of_first(offset: float) -> ORMixupDraw:
    """The draw that puts the second clip into the first one, so many seconds from its start."""
    start = torch.tensor([round(offset * RATE), 0])
    return ORMixupDraw(partner=torch.tensor([1, 1]), gain=torch.tensor([0.55, 1.0]), offset=start)


def factors(mix: Callable[[Tensor], tuple[Tensor, ...]]) -> tuple[Tensor, Tensor]:
    """Over a second, what the first clip of a mixture is multiplied by, and the second."""
    first = torch.tensor([[1.0], [0.0]]).expand(2, RATE)
    return mix(first)[0][0], mix(1 - first)[0][0]


def draw(figure: Figure) -> None:
    above, below = figure.subfigures(2, 1)
    batch = pad_collate([calls(1.6), 2 * claps(0.8, 0.3)])
    mixed = apply_or_mixup(batch.waveform, LABELS, of_first(0.5), batch.lengths)[0][0]
    titles = ("bird", "claps", "OR-mixup: bird, claps")
    axes = above.subplots(1, 3, sharex=True, sharey=True)
    for axis, wave, title in zip(axes, [*batch.waveform, mixed], titles, strict=True):
        envelope(axis, wave)
        axis.set(title=title, xlabel="seconds", xlim=(0, 1.6))

    lengths = torch.tensor([RATE, RATE // 2])
    fade = partial(sigmoid_concat_mixup, target=LABELS, p=1.0)
    ways = [
        ("OR-mixup, shorter partner", lambda clips: apply_or_mixup(clips, LABELS, of_first(0.25), lengths)),
        ("weighted, α = 0.3", partial(weighted_mixup, target=LABELS, p=1.0, alpha=0.3)),
        ("sigmoid concat, r = 3", partial(fade, radius=(3.0, 3.0))),
        ("sigmoid concat, r = 12", partial(fade, radius=(12.0, 12.0))),
    ]
    axes = below.subplots(1, 4, sharex=True, sharey=True)
    for axis, (title, mix) in zip(axes, ways, strict=True):
        for factor, label in zip(factors(mix), ("the clip", "its partner"), strict=True):
            axis.plot(torch.arange(len(factor))[::100] / RATE, factor[::100], label=label)
        axis.set(title=title, xlabel="seconds", ylim=(-0.05, 1.05))
        axis.label_outer()
    axes[0].set_ylabel("factor")
    axes[0].legend(loc="upper left")
