"""Label and score tables as CSV files in the layout of Kaggle."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Iterable, Sequence
from pathlib import Path

import torch

from rankaudio._checks import check_values, describe
from rankaudio._files import write_text
from rankaudio.data._tables import (
    LabelTable,
    ScoreTable,
    check_names,
    check_path,
    read_csv,
)

__all__ = ["read_classes", "read_labels", "read_scores", "write_labels", "write_scores"]

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


def write_labels(path: str | Path, table: LabelTable) -> None:
    """Write labels as a CSV file with the columns ``fname`` and ``labels``.

    :func:`read_labels` reads it again. Several labels of a clip are separated by commas, in the order of the
    classes. The file is whole or not there.

    Args:
        path: the file to write; one that exists is replaced.
        table: the labels.

    Raises:
        TypeError: if it is not a :class:`LabelTable`.
        ValueError: if a label cannot be read again: it has a comma, or space at an end.
        OSError: if the file cannot be written.

    >>> import pathlib, tempfile
    >>> table = LabelTable(("a.wav", "b.wav"), ("Bark", "Meow"), torch.tensor([[True, False], [True, True]]))
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     write_labels(f"{folder}/train.csv", table)
    ...     print(pathlib.Path(folder, "train.csv").read_text())
    fname,labels
    a.wav,Bark
    b.wav,"Bark,Meow"
    """
    if not isinstance(table, LabelTable):
        raise TypeError(f"table: wanted a LabelTable, got {describe(table)}")
    for name in table.classes:
        if "," in name or name != name.strip():
            raise ValueError(f"classes: wanted names without commas or space at their ends, got {name!r}")
    rows = [[table.classes[c] for c in row.nonzero().flatten().tolist()] for row in table.target.cpu()]
    _write_csv(path, [(_NAME, _LABELS), *((n, ",".join(r)) for n, r in zip(table.names, rows, strict=True))])


def write_scores(path: str | Path, table: ScoreTable) -> None:
    """Write scores as a CSV file with the column ``fname`` and one column per class.

    Numbers have nine significant digits, so :func:`read_scores` gives the same float32 numbers. The file is
    whole or not there.

    Args:
        path: the file to write; one that exists is replaced.
        table: the scores, on any device.

    Raises:
        TypeError: if it is not a :class:`ScoreTable`.
        ValueError: if a score is not finite.
        OSError: if the file cannot be written.

    >>> import pathlib, tempfile
    >>> table = ScoreTable(("a.wav",), ("Bark", "Meow"), torch.tensor([[1.5, -2.0]]))
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     write_scores(f"{folder}/scores.csv", table)
    ...     print(pathlib.Path(folder, "scores.csv").read_text())
    fname,Bark,Meow
    a.wav,1.5,-2
    """
    if not isinstance(table, ScoreTable):
        raise TypeError(f"table: wanted a ScoreTable, got {describe(table)}")
    values = table.scores.detach().float().cpu()
    check_values("scores", values, values.isfinite(), "finite numbers")
    cells = (
        [name, *(f"{score:.9g}" for score in row)]
        for name, row in zip(table.names, values.tolist(), strict=True)
    )
    _write_csv(path, [(_NAME, *table.classes), *cells])


def _write_csv(path: str | Path, rows: Iterable[Sequence[str]]) -> None:
    text = io.StringIO(newline="")
    csv.writer(text, lineterminator="\n").writerows(rows)
    write_text(check_path("path", path), text.getvalue())


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
