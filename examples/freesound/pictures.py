"""Pictures of clips: their spectrograms, their labels and a model's scores. They need matplotlib."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from rankaudio import LogMel, Tagger

PANELS = 12


def _pyplot() -> Any:
    """Return matplotlib's plotting module, set to draw into files."""
    try:
        import matplotlib as mpl
    except ImportError as error:
        raise ImportError("pictures: wanted matplotlib to be installed (pip install matplotlib)") from error
    mpl.use("Agg")
    from matplotlib import pyplot as plt

    return plt


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
