"""Two clips and their OR-mixture; and the factors of both clips over time, for each mixer."""

from collections.abc import Callable
from functools import partial

import torch
from _parts import RATE, calls, claps, envelope
from matplotlib.figure import Figure
from torch import Tensor

from rankaudio import ORMixup, pad_collate, sigmoid_concat_mixup, weighted_mixup

HEIGHT = 4.2
LABELS = torch.eye(2)


def add_second(clips: Tensor, lengths: Tensor, seconds: float) -> tuple[Tensor, ...]:
    """Add the second clip to the first one, some seconds after its start."""
    offset = torch.tensor([round(seconds * RATE), 0])
    draw = {"partner": torch.tensor([1, 1]), "gain": torch.tensor([0.55, 1.0]), "offset": offset}
    return ORMixup().replay(clips, LABELS, draw, lengths)


def factors(mix: Callable[[Tensor], tuple[Tensor, ...]]) -> tuple[Tensor, Tensor]:
    """Compute the factors of the first and second clip of a mixture, over one second."""
    first = torch.tensor([[1.0], [0.0]]).expand(2, RATE)
    return mix(first)[0][0], mix(1 - first)[0][0]


def draw(figure: Figure) -> None:
    above, below = figure.subfigures(2, 1)
    batch = pad_collate([calls(1.6), 2 * claps(0.8, 0.3)])
    mixed = add_second(batch.waveform, batch.lengths, 0.5)[0][0]
    titles = ("bird", "claps", "OR-mixup: bird, claps")
    axes = above.subplots(1, 3, sharex=True, sharey=True)
    for axis, wave, title in zip(axes, [*batch.waveform, mixed], titles, strict=True):
        envelope(axis, wave)
        axis.set(title=title, xlabel="seconds", xlim=(0, 1.6))

    lengths = torch.tensor([RATE, RATE // 2])
    fade = partial(sigmoid_concat_mixup, target=LABELS, p=1.0)
    ways = [
        ("OR-mixup, shorter partner", partial(add_second, lengths=lengths, seconds=0.25)),
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
