"""Pictures of clips: their spectrograms, their labels and a model's scores. They need matplotlib."""

from __future__ import annotations

import textwrap
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor

from rankaudio import LogMel, Tagger

PANELS = 12
MOST_ROWS, MOST_COLUMNS = 8, 5


def _pyplot() -> Any:
    """Return matplotlib's plotting module, set to draw into files."""
    try:
        import matplotlib as mpl
    except ImportError as error:
        raise ImportError("pictures: wanted matplotlib to be installed (pip install matplotlib)") from error
    mpl.use("Agg")
    from matplotlib import pyplot as plt

    return plt


class Panel(NamedTuple):
    """A clip to draw, its title, and the words below it."""

    title: str
    waveform: Tensor
    words: str


def varied(target: Tensor) -> list[int]:
    """Choose clips to draw: those with most labels first, each with a class that no earlier one has."""
    chosen, shown = [], torch.zeros(target.shape[1], dtype=torch.bool)
    for index in target.sum(1).argsort(descending=True, stable=True).tolist():
        labels = target[index].bool()
        if len(chosen) < PANELS and bool((labels & ~shown).any()):
            chosen.append(index)
            shown |= labels
    return sorted(chosen)


def picture_of_clips(
    path: Path, tagger: Tagger, *, clips: list[Tensor], names: list[str], scores: Tensor, target: Tensor
) -> None:
    """Save spectrograms with the three classes of the highest scores; right ones have a tick."""
    plt = _pyplot()
    frontend = LogMel(sample_rate=tagger.sample_rate or 44_100)
    figure, axes = plt.subplots(3, PANELS // 3, figsize=(14, 8.5), layout="constrained")
    for axis in axes.flat[len(clips) :]:
        axis.set_axis_off()
    for axis, clip, name, row, labels in zip(axes.flat, clips, names, scores, target, strict=False):
        image = frontend(clip[None])[0].numpy()
        seconds = len(clip) / (tagger.sample_rate or 44_100)
        axis.imshow(
            image, origin="lower", aspect="auto", cmap="magma", extent=(0, seconds, 0, image.shape[0])
        )
        top = torch.topk(row, min(3, len(row))).indices.tolist()
        best = [("✓ " if labels[c] else "   ") + tagger.classes[c] for c in top]
        truth = ", ".join(tagger.classes[c] for c in labels.nonzero().flatten().tolist())
        axis.set_title(f"{name}: {truth}", fontsize=8, loc="left")
        axis.text(0.02, 0.97, "\n".join(best), transform=axis.transAxes, va="top", color="white", fontsize=8)
        axis.set_xlabel("seconds", fontsize=7)
        axis.tick_params(labelsize=7)
    axes[0, 0].set_ylabel("mel band")
    figure.suptitle("Clips of the test part, and the three classes of the highest scores (✓: a label)")
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=110)
    plt.close(figure)


def picture_of_versions(path: Path, rows: list[list[Panel]], *, sample_rate: int) -> str:
    """Save spectrograms, a row for each clip; return in words what the picture has room for."""
    plt = _pyplot()
    shown = [row[:MOST_COLUMNS] for row in rows[:MOST_ROWS]]
    frontend = LogMel(sample_rate=sample_rate)
    size = (3.6 * len(shown[0]), 3.0 * len(shown))
    figure, axes = plt.subplots(len(shown), len(shown[0]), figsize=size, layout="constrained", squeeze=False)
    for line, row in zip(axes, shown, strict=True):
        images = [frontend(panel.waveform[None])[0].numpy() for panel in row]
        # A clip and its versions have one scale of time and one of level, so that they can be compared.
        softest = min(image.min() for image in images)
        longest = max(len(panel.waveform) for panel in row) / sample_rate
        loudest = max(image.max() for image in images)
        for axis, panel, image in zip(line, row, images, strict=True):
            seconds = len(panel.waveform) / sample_rate
            axis.imshow(
                image,
                origin="lower",
                aspect="auto",
                cmap="magma",
                extent=(0, seconds, 0, image.shape[0]),
                vmin=softest,
                vmax=loudest,
            )
            axis.set_xlim(0, longest)
            axis.set_title(panel.title, fontsize=9, loc="left")
            words = "\n".join(textwrap.fill(words, 62) for words in panel.words.splitlines())
            axis.set_xlabel(words, fontsize=7, loc="left")
            axis.tick_params(labelsize=7)
        line[0].set_ylabel("mel band", fontsize=7)
    figure.suptitle("Clips, and versions of them as training hears them (over seconds)", fontsize=10)
    figure.savefig(path, dpi=110)
    plt.close(figure)
    whole = len(shown) == len(rows) and len(shown[0]) == len(rows[0])
    return (
        "all clips and versions" if whole else f"{len(shown)} clips and {len(shown[0]) - 1} versions of each"
    )
