"""A picture of clips and their augmented versions, as spectrograms."""

from __future__ import annotations

import textwrap
from pathlib import Path
from typing import Any, NamedTuple

from torch import Tensor

from rankaudio import LogMel

MAX_ROWS, MAX_COLUMNS = 8, 5


class Panel(NamedTuple):
    """A clip with a title above it and a description below it."""

    title: str
    waveform: Tensor
    description: str


def save_picture(path: Path, rows: list[list[Panel]], *, sample_rate: int) -> str:
    """Save spectrograms with a row for each clip; return which clips and versions the picture has."""
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot as plt

    shown = [row[:MAX_COLUMNS] for row in rows[:MAX_ROWS]]
    frontend = LogMel(sample_rate=sample_rate)
    size = (3.6 * len(shown[0]), 3.0 * len(shown))
    figure, axes = plt.subplots(len(shown), len(shown[0]), figsize=size, layout="constrained", squeeze=False)
    for line, row in zip(axes, shown, strict=True):
        _draw_row(line, row, frontend, sample_rate=sample_rate)
    figure.suptitle("Clips and their versions in training (over seconds)", fontsize=10)
    figure.savefig(path, dpi=110)
    plt.close(figure)
    if len(shown) == len(rows) and len(shown[0]) == len(rows[0]):
        return "all clips and versions"
    return f"{len(shown)} clips and {len(shown[0]) - 1} versions of each"


def _draw_row(line: Any, row: list[Panel], frontend: LogMel, *, sample_rate: int) -> None:
    """Draw a clip and its versions with the same scales of time and level, so that they can be compared."""
    images = [frontend(panel.waveform[None])[0].numpy() for panel in row]
    levels = {"vmin": min(image.min() for image in images), "vmax": max(image.max() for image in images)}
    longest = max(len(panel.waveform) for panel in row) / sample_rate
    for axis, panel, image in zip(line, row, images, strict=True):
        extent = (0, len(panel.waveform) / sample_rate, 0, image.shape[0])
        axis.imshow(image, origin="lower", aspect="auto", cmap="magma", extent=extent, **levels)
        axis.set_xlim(0, longest)
        axis.set_title(panel.title, fontsize=9, loc="left")
        text = "\n".join(textwrap.fill(part, 62) for part in panel.description.splitlines())
        axis.set_xlabel(text, fontsize=7, loc="left")
        axis.tick_params(labelsize=7)
    line[0].set_ylabel("mel band", fontsize=7)
