"""Pictures of clips: their spectrograms, their labels and a model's scores. They need matplotlib."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from rankaudio import LogMel, Tagger

PANELS = 12
# Colours of the paper and the ink, by what follows the name of the file.
THEMES = {"": ("white", "#3b4048"), "_dark": ("#131416", "#c9ced6")}


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
    """Save spectrograms with the three classes of the highest scores; right ones have a tick.

    ``path`` gets the picture on white. A second file, with ``_dark`` after its name, is for dark pages.
    """
    plt = _pyplot()
    path.parent.mkdir(parents=True, exist_ok=True)
    for suffix, (paper, ink) in THEMES.items():
        inks = dict.fromkeys(("axes.edgecolor", "axes.labelcolor", "text.color", "xtick.color"), ink)
        with plt.rc_context({**inks, "font.size": 8.5, "figure.facecolor": paper}):
            figure, axes = plt.subplots(PANELS // 3, 3, figsize=(7.5, 7.6), layout="constrained")
            for axis in axes.flat[len(clips) :]:
                axis.set_axis_off()
            for axis, clip, name, row, labels in zip(axes.flat, clips, names, scores, target, strict=False):
                _draw_clip(axis, tagger, clip, scores=row, labels=labels)
                truth = ", ".join(tagger.classes[c] for c in labels.nonzero().flatten().tolist())
                axis.set_title(f"{name}\n{truth}", loc="left", fontsize=8.5)
            figure.suptitle("Clips of the test part with their labels, and the highest scores (✓: a label)")
            figure.savefig(path.with_name(f"{path.stem}{suffix}{path.suffix}"), dpi=150)
            plt.close(figure)


def _draw_clip(axis: Any, tagger: Tagger, clip: Tensor, *, scores: Tensor, labels: Tensor) -> None:
    """Draw a clip's spectrogram with the classes of the highest scores."""
    rate = tagger.sample_rate or 44_100
    image = LogMel(sample_rate=rate)(clip[None])[0].numpy()
    extent = (0, len(clip) / rate, 0, image.shape[0])
    axis.imshow(image, origin="lower", aspect="auto", cmap="magma", extent=extent)
    top = torch.topk(scores, min(3, len(scores))).indices.tolist()
    best = "\n".join(("✓ " if labels[c] else "   ") + tagger.classes[c] for c in top)
    outline = {"facecolor": "black", "alpha": 0.5, "linewidth": 0, "pad": 2}
    axis.text(0.03, 0.95, best, transform=axis.transAxes, va="top", color="white", bbox=outline)
    axis.set(xlabel="seconds", yticks=[])
