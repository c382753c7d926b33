"""Scores with the labels of the same clips, and figures of them as text."""

from __future__ import annotations

from pathlib import Path

from torch import Tensor

from rankaudio.data import LabelTable, ScoreTable
from rankaudio.data._file_names import NameIndex
from rankaudio.metrics import Interval, bootstrap, lwlrap


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
    """Return a table of lwlrap for each class, best first; below it mAP and lwlrap with intervals."""
    per_class = lwlrap(scores, target, average=None)
    order = per_class.lwlrap.nan_to_num(-1).argsort(descending=True, stable=True).tolist()
    width = name_width(classes)
    lines = [f"{'class':{width}}  clips  lwlrap  [95 %]"]
    for c in order:
        support, value = int(per_class.support[c]), float(per_class.lwlrap[c])
        shown = f"{value:6.4f}" if support else "-"
        lines.append(f"{classes[c]:{width}}  {support:5d}  {shown:>6}")
    for name, figure in zip(("mAP", "all labels"), _figures(scores, target), strict=True):
        lines.append(f"{name:{width}}  {int(target.sum()):5d}  {figure}")
    return "\n".join(lines)


def short_report(scores: Tensor, target: Tensor) -> str:
    """Return mAP and lwlrap with intervals, and what they are of."""
    counts = f"{int(target.sum())} labels of {len(target)} clips, with intervals of 95 %:"
    found = zip(("mAP", "lwlrap"), _figures(scores, target), strict=True)
    return "\n".join([counts, *(f"{name:6}  {figure}" for name, figure in found)])


def _figures(scores: Tensor, target: Tensor) -> tuple[str, str]:
    """Return mAP and lwlrap with their intervals."""
    return (
        with_interval(bootstrap(scores, target, metric="average_precision")),
        with_interval(bootstrap(scores, target)),
    )


def with_interval(found: Interval) -> str:
    """Return a figure and its interval as text."""
    return f"{found.value:6.4f}  [{found.low:.4f}, {found.high:.4f}]"


def name_width(classes: tuple[str, ...]) -> int:
    """Return the width of the column of names."""
    return max(len("all labels"), *(len(name) for name in classes))
