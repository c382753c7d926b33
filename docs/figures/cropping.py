"""A long and a short clip, cut and padded."""

import torch
from _parts import RATE, calls, envelope, glide
from matplotlib.figure import Figure

from rankaudio import pad_collate, pad_or_crop, random_crop

HEIGHT = 2.8


def draw(figure: Figure) -> None:
    axes = figure.subplots(2, 4, sharex=True, sharey=True)
    batch = pad_collate([glide(2.0) * torch.linspace(0.1, 1, 2 * RATE), 0.9 * calls(0.5, 0.25)])
    generator = torch.Generator().manual_seed(5)
    clips, lengths = batch.waveform, batch.lengths
    ways = [
        ("the clips", (clips, lengths)),
        ("random_crop, 1 s", random_crop(clips, lengths, size=RATE, generator=generator)),
        ("pad_or_crop, 1 s", pad_or_crop(clips, lengths, size=RATE, generator=generator)),
        ("the same, wrap=1", pad_or_crop(clips, lengths, size=RATE, wrap=1.0, generator=generator)),
    ]
    for column, (title, (changed, new)) in enumerate(ways):
        for row in (0, 1):
            axis = axes[row, column]
            envelope(axis, changed[row, : int(new[row])], color=f"C{row}")
            axis.axvline(int(new[row]) / RATE, color=axis.spines["left"].get_edgecolor(), linewidth=0.7)
            axis.label_outer()
        axes[0, column].set_title(title)
        axes[1, column].set_xlabel("seconds")
    axes[0, 0].set(xlim=(0, 2.05), ylim=(-1.3, 1.3), ylabel="long")
    axes[1, 0].set_ylabel("short")
