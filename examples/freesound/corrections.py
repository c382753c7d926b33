"""Tables about single clips: corrected labels of curated clips, and noisy clips to trust or to drop."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from freesound.tables import read_rows
from rankaudio.data import LabelTable

DECISIONS = ("keep", "drop")


@dataclass(frozen=True)
class Entry:
    """One row: the line of the file, the row of the clip in the label table, its labels, and a decision."""

    line: int
    row: int
    labels: tuple[str, ...]
    decision: str


def with_corrections(labels: LabelTable, path: Path) -> tuple[LabelTable, Tensor]:
    """Return labels after corrections by hand, and the rows that are left.

    Args:
        labels: the labels of all clips.
        path: a table with the columns ``fname`` and ``labels``. A clip without labels is removed.

    Raises:
        ValueError: with path and line, if a clip or a label is unknown, or a clip comes twice.
    """
    target, kept = labels.target.clone(), torch.ones(len(labels), dtype=torch.bool)
    for entry in read_entries(path, labels, wanted=("labels",)):
        target[entry.row] = _target_of(entry, labels, path)
        kept[entry.row] = bool(entry.labels)
    rows = kept.nonzero()[:, 0]
    if not len(rows):
        raise ValueError(f"{path}: wanted at least one clip to be left, got corrections that remove all")
    names = tuple(labels.names[row] for row in rows.tolist())
    return LabelTable(names, labels.classes, target[rows]), rows


def read_decisions(path: Path, noisy: LabelTable) -> tuple[LabelTable, tuple[str, ...]]:
    """Return the noisy clips to trust with their labels, and the names of the clips to drop.

    Args:
        path: a table with the column ``fname``. A column ``labels`` has other labels than the given ones. A
            column ``decision`` says ``keep`` or ``drop``; without it, all clips are kept.
        noisy: the given labels of all noisy clips.

    Raises:
        ValueError: with path and line, if a clip, a label or a decision is unknown, a clip comes twice, or a
            clip to keep has no label. Also if no clip is kept.
    """
    entries = read_entries(path, noisy)
    kept = [entry for entry in entries if entry.decision == "keep"]
    if not kept:
        raise ValueError(f"{path}: wanted at least one clip to keep, got none")
    targets = []
    for entry in kept:
        target = _target_of(entry, noisy, path) if entry.labels else noisy.target[entry.row]
        if not target.any():
            raise ValueError(f"{path}, line {entry.line}: wanted a clip with a label, got none")
        targets.append(target)
    names = tuple(noisy.names[entry.row] for entry in kept)
    dropped = tuple(noisy.names[entry.row] for entry in entries if entry.decision == "drop")
    return LabelTable(names, noisy.classes, torch.stack(targets)), dropped


def read_entries(path: Path, labels: LabelTable, *, wanted: Sequence[str] = ()) -> list[Entry]:
    """Read a table about clips of ``labels``; columns that it lacks are empty.

    Raises:
        ValueError: with path and line, if a clip is unknown or comes twice, or a decision is no decision.
    """
    (_, header), *rows = read_rows(path)
    columns = [column.strip() for column in header]
    for column in ("fname", *wanted):
        if column not in columns:
            raise ValueError(f"{path}: wanted a column {column!r}, got the columns {', '.join(columns)}")
    row_of, seen, entries = {name: row for row, name in enumerate(labels.names)}, set(), []
    for line, cells in rows:
        if len(cells) != len(columns):
            raise ValueError(f"{path}, line {line}: wanted {len(columns)} fields, got {len(cells)}")
        values = dict(zip(columns, (cell.strip() for cell in cells), strict=True))
        name, decision = values["fname"], values.get("decision", "keep").lower()
        if name not in row_of:
            raise ValueError(f"{path}, line {line}: wanted the name of a clip in the data, got {name!r}")
        if name in seen:
            raise ValueError(f"{path}, line {line}: wanted each clip once, got {name!r} again")
        if decision not in DECISIONS:
            raise ValueError(f"{path}, line {line}: wanted keep or drop as decision, got {decision!r}")
        seen.add(name)
        given = tuple(label.strip() for label in values.get("labels", "").split(",") if label.strip())
        entries.append(Entry(line, row_of[name], given, decision))
    return entries


def _target_of(entry: Entry, labels: LabelTable, path: Path) -> Tensor:
    """Return the row of the target that the labels of an entry stand for."""
    unknown = [label for label in entry.labels if label not in labels.classes]
    if unknown:
        raise ValueError(f"{path}, line {entry.line}: wanted labels that are classes, got {unknown[0]!r}")
    target = torch.zeros(len(labels.classes), dtype=torch.bool)
    target[[labels.classes.index(label) for label in entry.labels]] = True
    return target
