"""Tables joined by the names of clips and classes, never by their order."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor

from rankaudio._checks import check_all_known, check_instance, check_no_nan
from rankaudio.data import LabelTable, ScoreTable


def join_scores(given: LabelTable, scores: ScoreTable) -> Tensor:
    """Return the scores of the given clips and classes, in their order, on the device of the labels."""
    check_instance("given", given, LabelTable)
    check_instance("scores", scores, ScoreTable)
    check_all_known("scores: wanted a row for each clip of given", given.names, scores.names, "missing")
    columns = join_classes("scores", scores.classes, "given", given.classes)
    values = scores.select(given.names).scores.detach()[:, columns].to(given.target.device)
    check_no_nan("scores", values)
    return values


def join_classes(name: str, classes: Sequence[str], other: str, wanted: Sequence[str]) -> list[int]:
    """Return the column of each wanted class. Both lists must have the same classes, in any order."""
    check_all_known(f"{name}: wanted every class of {other}", wanted, classes, "missing")
    check_all_known(f"{name}: wanted only classes of {other}", classes, wanted, "unknown")
    columns = {label: column for column, label in enumerate(classes)}
    return [columns[label] for label in wanted]
