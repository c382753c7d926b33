"""CSV tables with other columns than labels or scores, and scores with the labels of the same clips."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from pathlib import Path

from freesound.names import NameIndex
from rankaudio.data import LabelTable, ScoreTable, read_labels, read_scores


def read_rows(path: Path) -> list[tuple[int, list[str]]]:
    """Return all rows that are not blank, each with the line that it ends on.

    Raises:
        ValueError: if the file is not CSV in UTF-8, or is empty.
    """
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.reader(file)
            rows = [(reader.line_num, row) for row in reader if row]
    except (csv.Error, UnicodeDecodeError) as error:
        raise ValueError(f"{path}: wanted CSV in UTF-8: {error}") from error
    if not rows:
        raise ValueError(f"{path}: wanted rows, got an empty file")
    return rows


def read_header(path: Path) -> list[str]:
    """Return the names of the columns."""
    return [column.strip() for column in read_rows(path)[0][1]]


def read_columns(path: Path, columns: Sequence[str]) -> list[tuple[int, tuple[str, ...]]]:
    """Return some columns of every row, each row with the line that it ends on.

    Raises:
        ValueError: if a column is missing, or a row has an empty cell in one of them.
    """
    header, rows = read_header(path), read_rows(path)[1:]
    missing = [column for column in columns if column not in header]
    if missing:
        raise ValueError(f"{path}: wanted a column {missing[0]!r}, got the columns {', '.join(header)}")
    places = [header.index(column) for column in columns]
    found = []
    for line, row in rows:
        values = tuple(row[place] if place < len(row) else "" for place in places)
        if not all(value.strip() for value in values):
            raise ValueError(f"{path}, line {line}: wanted {', '.join(columns)}, got {row}")
        found.append((line, values))
    return found


def read_scored(scores_path: Path, labels_path: Path) -> tuple[ScoreTable, LabelTable]:
    """Return scores and labels of the same clips, in the order of the labels.

    Names of the labels may lack the suffix or the sub-folder of the scored file.

    Raises:
        ValueError: if a clip with labels has no scores, or a file has another form.
    """
    scores = read_scores(scores_path)
    labels = read_labels(labels_path, classes=scores.classes)
    try:
        return scores.select(NameIndex(scores.names).find_all(labels.names)), labels
    except ValueError as error:
        raise ValueError(
            f"{scores_path} does not have a row for every clip of {labels_path}: {error}"
        ) from error
