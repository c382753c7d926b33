"""Label and score tables as CSV files in the layout of Kaggle."""

from __future__ import annotations

import csv
import math
from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor

from rankaudio._checks import check_values
from rankaudio.data._tables import (
    LabelTable,
    ScoreTable,
    check_names,
    check_path,
    read_csv,
    replace_when_done,
)

__all__ = ["read_classes", "read_labels", "read_scores", "write_scores"]

_NAME, _LABELS = "fname", "labels"
# From here on, halfway beyond the largest float32 number, rounding gives infinity.
_TOO_LARGE = 2.0**128 * (1 - 2.0**-25)


def read_labels(path: str | Path, *, classes: Sequence[str] | None = None, strict: bool = True) -> LabelTable:
    r"""Read a CSV file with the columns ``fname`` and ``labels``, several labels separated by commas.

    Args:
        path: the file, UTF-8 with or without a byte order mark. Other columns are ignored; so is space
            around a label.
        classes: the class of each column of the target, in this order. By default the labels of the file,
            sorted.
        strict: refuse labels that are not among ``classes``, and empty ones. Otherwise they are left out,
            and a clip may be without any label, as in a noisy set that holds sounds of no class.

    Returns:
        A :class:`LabelTable`, its clips in the order of the file.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: with the path and the line, if a column is missing, a name comes twice, a label is empty
            or is not one of ``classes`` (see ``strict``), a row has too few or too many fields, there are no
            rows, or the file is not UTF-8.

    >>> import pathlib, tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = pathlib.Path(folder, "train.csv")
    ...     _ = path.write_text('fname,labels\na.wav,Meow\nb.wav,"Meow,Bark"\n')
    ...     table = read_labels(path)
    >>> table.classes, table.target.int().tolist()
    (('Bark', 'Meow'), [[0, 1], [1, 1]])
    """
    path = check_path("path", path)
    header, rows = read_csv(path)
    for column in (_NAME, _LABELS):
        if column not in header:
            raise ValueError(f"{path}: wanted a column {column!r}, got the columns {', '.join(header)}")
    names = _read_names(path, [(line, row[header.index(_NAME)]) for line, row in rows])
    cells = [(line, _split_labels(row[header.index(_LABELS)])) for line, row in rows]
    if classes is None:
        classes = sorted({label for _, labels in cells for label in labels} - {""})
    known = {name: column for column, name in enumerate(check_names("classes", classes))}
    target = torch.zeros(len(rows), len(known), dtype=torch.bool)
    for index, (line, labels) in enumerate(cells):
        if strict:
            _check_labels(f"{path}, line {line}", labels, known)
        target[index, [known[label] for label in labels if label in known]] = True
    return LabelTable(names, tuple(known), target)


def read_classes(path: str | Path) -> tuple[str, ...]:
    r"""Read the class names from the header of a score file, such as ``sample_submission.csv``.

    Args:
        path: CSV file whose columns are ``fname`` and one per class.

    Returns:
        The names, in the order of the columns.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: if the first column is another, there are no more, or the file is not UTF-8.

    >>> import pathlib, tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = pathlib.Path(folder, "sample_submission.csv")
    ...     _ = path.write_text("fname,Bark,Meow\na.wav,0,0\n")
    ...     read_classes(path)
    ('Bark', 'Meow')
    """
    path = check_path("path", path)
    return _score_classes(path, read_csv(path)[0])


def read_scores(path: str | Path) -> ScoreTable:
    r"""Read a CSV file with the column ``fname`` and one column per class.

    Args:
        path: the file, UTF-8 with or without a byte order mark.

    Returns:
        A :class:`ScoreTable` with float32 scores, its clips in the order of the file.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: with the path and the line, if the first column is another, a name comes twice, a score
            is not a finite float32 number, a row has too few or too many fields, there are no rows, or the
            file is not UTF-8.

    >>> import pathlib, tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = pathlib.Path(folder, "scores.csv")
    ...     _ = path.write_text("fname,Bark,Meow\na.wav,1.5,-2\n")
    ...     read_scores(path).scores
    tensor([[ 1.5000, -2.0000]])
    """
    path = check_path("path", path)
    header, rows = read_csv(path)
    classes = _score_classes(path, header)
    names = _read_names(path, [(line, row[0]) for line, row in rows])
    scores = [[_number(path, line, cell) for cell in row[1:]] for line, row in rows]
    return ScoreTable(names, classes, torch.tensor(scores, dtype=torch.float32))


def write_scores(path: str | Path, *, names: Sequence[str], classes: Sequence[str], scores: Tensor) -> None:
    """Write scores as a CSV file with the column ``fname`` and one column per class.

    Nine significant digits, so :func:`read_scores` gives the same float32 numbers. The file is written
    beside ``path`` and then takes its place, so that no one ever finds half of it.

    Args:
        path: the file to write; one that exists is replaced.
        names: file name of each clip.
        classes: name of each class.
        scores: ``(N, C)`` floating point, raw scores, on any device.

    Raises:
        TypeError: if names or classes are not strings, or the scores not floating point.
        ValueError: if a name comes twice or is empty, or the scores have another shape or are not finite.

    >>> import pathlib, tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = pathlib.Path(folder, "scores.csv")
    ...     write_scores(path, names=["a.wav"], classes=["Bark", "Meow"], scores=torch.tensor([[1.5, -2.0]]))
    ...     print(path.read_text())
    fname,Bark,Meow
    a.wav,1.5,-2
    """
    path = check_path("path", path)
    table = ScoreTable(tuple(names), tuple(classes), scores)
    values = scores.detach().float().cpu()
    check_values("scores", values, values.isfinite(), "finite numbers")
    with replace_when_done(path) as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow([_NAME, *table.classes])
        for name, row in zip(table.names, values.tolist(), strict=True):
            writer.writerow([name, *(f"{score:.9g}" for score in row)])


def _split_labels(cell: str) -> list[str]:
    return [label.strip() for label in cell.split(",")]


def _check_labels(place: str, labels: list[str], known: dict[str, int]) -> None:
    for label in labels:
        if not label:
            raise ValueError(f"{place}: wanted a label, got an empty one (left out with strict=False)")
        if label not in known:
            got = f"{label!r} (left out with strict=False)"
            raise ValueError(f"{place}: wanted one of the {len(known)} classes, got {got}")


def _read_names(path: Path, cells: list[tuple[int, str]]) -> tuple[str, ...]:
    first_line: dict[str, int] = {}
    for line, name in cells:
        if not name:
            raise ValueError(f"{path}, line {line}: wanted a file name, got an empty field")
        if name in first_line:
            raise ValueError(f"{path}, line {line}: {name!r} is already on line {first_line[name]}")
        first_line[name] = line
    if not first_line:
        raise ValueError(f"{path}: wanted at least one row below the header, got none")
    return tuple(first_line)


def _score_classes(path: Path, header: list[str]) -> tuple[str, ...]:
    if header[0] != _NAME or len(header) < 2:
        got = ", ".join(header[:5]) + (", ..." if len(header) > 5 else "")
        raise ValueError(f"{path}: wanted the columns {_NAME!r} and then one per class, got {got}")
    return tuple(header[1:])


def _number(path: Path, line: int, cell: str) -> float:
    try:
        value = float(cell)
    except ValueError:
        value = math.nan
    # Written so that a NaN is refused too.
    if not abs(value) < _TOO_LARGE:
        raise ValueError(f"{path}, line {line}: wanted a finite float32 number, got {cell!r}")
    return value
