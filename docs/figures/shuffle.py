"""A clip of four and a half chunks, before and after the shuffle."""

import torch
from _parts import RATE, calls, claps, envelope
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from torch import Tensor

from rankaudio import ShuffleChunks

HEIGHT = 2.5
CHUNK = RATE // 2


def show_chunks(axis: Axes, clip: Tensor, order: list[int]) -> None:
    """Show a clip, with the original number and colour of each chunk."""
    start = 0
    for chunk in order:
        size = min(CHUNK, len(clip) - CHUNK * chunk)
        envelope(axis, clip[start : start + size], start=start / RATE, color=f"C{chunk % 4}")
        axis.text((start + size / 2) / RATE, 1.02, str(chunk), ha="center")
        axis.axvline(start / RATE, color=axis.spines["left"].get_edgecolor(), linewidth=0.5)
        start += size


def draw(figure: Figure) -> None:
    axes = figure.subplots(2, 1, sharex=True, sharey=True)
    clip = torch.cat([calls(1.2), 2 * claps(1.05, 0.2)])
    shuffle = ShuffleChunks(chunk_length=CHUNK, p=1.0)
    drawn = shuffle.draw(clip[None], generator=torch.Generator().manual_seed(6))
    order = drawn["order"][0].tolist()
    show_chunks(axes[0], clip, sorted(order))
    show_chunks(axes[1], shuffle.replay(clip[None], drawn)[0][0], order)
    axes[0].set(ylabel="before", ylim=(-1, 1.25), xlim=(0, len(clip) / RATE))
    axes[1].set(ylabel="after", xlabel="seconds")
