"""CSV tables with other columns than labels or scores, and scores with the labels of the same clips."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Sequence
from pathlib import Path

from freesound.plans.base import KAGGLE, Table
from rankaudio._program.scored_labels import in_order_of_labels
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


def read_labels_of(
    path: Path, table: Table, *, classes: Sequence[str] | None
) -> tuple[LabelTable, list[str]]:
    """Read a table of labels by its columns; return it, and the names that ``skip_unlabelled`` leaves out.

    Raises:
        ValueError: as :func:`rankaudio.data.read_labels`, with the options of the programs as the cure.
    """
    columns = [name.strip() for name in table.label_column.split(",")]
    try:
        labels = read_labels(
            path,
            classes=classes,
            strict=not table.skip_unlabelled,
            separator=table.separator,
            name_column=table.name_column,
            label_column=columns,
        )
    except ValueError as error:
        raise ValueError(in_words_of_programs(str(error))) from error
    if not table.skip_unlabelled:
        return labels, []
    has_label = labels.target.any(1).tolist()
    skipped = [name for name, has in zip(labels.names, has_label, strict=True) if not has]
    kept = [name for name, has in zip(labels.names, has_label, strict=True) if has]
    if not kept:
        raise ValueError(f"{path}: wanted at least one clip with a label that is a class, got none")
    return labels.select(kept), skipped


def in_words_of_programs(message: str) -> str:
    """Return a message of the library with options in place of arguments, which a user cannot give."""
    options = {
        "left out with strict=False": "left out with --skip-unlabelled of train and evaluate",
        "read the table with separator=": "read the table with --separator ",
        "or give classes= if this is one label": "or name it in sample_submission.csv if it is one label",
    }
    for argument, option in options.items():
        message = message.replace(argument, option)
    return message


def read_values(path: Path, name_column: str, column: str) -> dict[str, str]:
    """Return the value of a column for each clip."""
    rows = read_columns(path, [name_column, column])
    return {name.strip(): value.strip() for _, (name, value) in rows}


def in_order(values: Iterable[str]) -> list[str]:
    """Return the different values: numbers in their order, then other texts in the order of the alphabet."""
    return sorted(
        set(values), key=lambda value: (not value.isdecimal(), value.isdecimal() * len(value), value)
    )


def read_scored(scores_path: Path, labels_path: Path, table: Table = KAGGLE) -> tuple[ScoreTable, LabelTable]:
    """Return scores and labels of the same clips, in the order of the labels.

    Names of the labels may lack the suffix or the sub-folder of the scored file.

    Raises:
        ValueError: if a clip with labels has no scores, or a file has another form.
    """
    scores = read_scores(scores_path)
    labels, _ = read_labels_of(labels_path, table, classes=scores.classes)
    return in_order_of_labels(scores, labels, scores_path, labels_path)
