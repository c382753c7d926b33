"""Scores with the labels of the same clips, and figures of them as text."""

from __future__ import annotations

from pathlib import Path

from torch import Tensor

from rankaudio.data import LabelTable, ScoreTable
from rankaudio.data._file_names import NameIndex
from rankaudio.metrics import lwlrap


def in_order_of_labels(
    scores: ScoreTable, labels: LabelTable, scores_path: Path, labels_path: Path
) -> tuple[ScoreTable, LabelTable]:
    """Return scores and labels of the same clips, in the order of the labels.

    Names of the labels may lack the suffix or the sub-folder of the scored file.

    Raises:
        ValueError: if a clip with labels has no scores.
    """
    try:
        return scores.select(NameIndex(scores.names).find_all(labels.names)), labels
    except ValueError as error:
        raise ValueError(
            f"{scores_path} does not have a row for every clip of {labels_path}: {error}"
        ) from error


def class_report(scores: Tensor, target: Tensor, classes: tuple[str, ...]) -> str:
    """Return a table of lwlrap for each class, best first, and for all labels below it."""
    per_class = lwlrap(scores, target, average=None)
    order = per_class.lwlrap.nan_to_num(-1).argsort(descending=True, stable=True).tolist()
    width = name_width(classes)
    lines = [f"{'class':{width}}  clips  lwlrap"]
    for c in order:
        support, value = int(per_class.support[c]), float(per_class.lwlrap[c])
        shown = f"{value:6.4f}" if support else "-"
        lines.append(f"{classes[c]:{width}}  {support:5d}  {shown:>6}")
    lines.append(f"{'all labels':{width}}  {int(target.sum()):5d}  {float(lwlrap(scores, target)):6.4f}")
    return "\n".join(lines)


def name_width(classes: tuple[str, ...]) -> int:
    """Return the width of the column of names."""
    return max(len("all labels"), *(len(name) for name in classes))
