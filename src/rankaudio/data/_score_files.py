"""Score tables as CSV files in the layout of Kaggle: a column of file names, then one column per class."""

from __future__ import annotations

import re
from pathlib import Path

import torch

from rankaudio._checks import check_instance, check_path, check_values
from rankaudio.data._csv import (
    FILE_NAME,
    check_class_columns,
    check_file_names,
    read_csv,
    without_index,
    write_csv,
)
from rankaudio.data._tables import ScoreTable

__all__ = ["read_classes", "read_scores", "write_scores"]

# Halfway between the largest float32 number and 2^128. Numbers from here on are rounded to infinity.
_TOO_LARGE = 2.0**128 * (1 - 2.0**-25)
# Python's float takes more: 1_000, digits of other scripts, infinity.
_NUMBER = re.compile(r"\s*[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?\s*", flags=re.ASCII)


def read_classes(path: str | Path) -> tuple[str, ...]:
    r"""Read the class names from the header of a score file, such as ``sample_submission.csv``.

    Args:
        path: CSV file whose columns are ``fname`` and one per class.

    Returns:
        The names, in the order of the columns.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: if the first column is not ``fname``, there are no other columns, or the file is not
            UTF-8.

    >>> import pathlib, tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = pathlib.Path(folder, "sample_submission.csv")
    ...     _ = path.write_text("fname,Bark,Meow\na.wav,0,0\n")
    ...     read_classes(path)
    ('Bark', 'Meow')
    """
    path = check_path("path", path)
    return check_class_columns(path, without_index(*read_csv(path))[0])


def read_scores(path: str | Path) -> ScoreTable:
    r"""Read a CSV file with the column ``fname`` and one column per class.

    Args:
        path: the file, UTF-8 with or without a byte order mark. The row numbers that pandas writes first are
            left out.

    Returns:
        A :class:`ScoreTable` with float32 scores, its clips in the order of the file.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: with the path and the line, if the first column is not ``fname`` or a name comes twice.
            Also if a score is not a finite float32 number, a row has too few or too many fields, there are no
            rows, or the file is not UTF-8.

    >>> import pathlib, tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = pathlib.Path(folder, "scores.csv")
    ...     _ = path.write_text("fname,Bark,Meow\na.wav,1.5,-2\n")
    ...     read_scores(path).scores
    tensor([[ 1.5000, -2.0000]])
    """
    path = check_path("path", path)
    header, rows = without_index(*read_csv(path))
    classes = check_class_columns(path, header)
    names = check_file_names(path, [(line, row[0]) for line, row in rows])
    scores = [[_parse_score(path, line, cell) for cell in row[1:]] for line, row in rows]
    return ScoreTable(names, classes, torch.tensor(scores, dtype=torch.float32))


def write_scores(path: str | Path, table: ScoreTable) -> None:
    """Write scores as a CSV file with the column ``fname`` and one column per class.

    Numbers have nine significant digits, so :func:`read_scores` gives the same float32 numbers. The file is
    written atomically.

    Args:
        path: the file to write; an existing file is replaced.
        table: the scores, on any device.

    Raises:
        TypeError: if ``table`` is not a :class:`ScoreTable`.
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
    values = check_instance("table", table, ScoreTable).scores.detach().float().cpu()
    check_values("scores", values, values.isfinite(), "finite numbers")
    cells = (
        [name, *(f"{score:.9g}" for score in row)]
        for name, row in zip(table.names, values.tolist(), strict=True)
    )
    write_csv(path, [(FILE_NAME, *table.classes), *cells])


def _parse_score(path: Path, line: int, cell: str) -> float:
    if not _NUMBER.fullmatch(cell) or abs(float(cell)) >= _TOO_LARGE:
        raise ValueError(f"{path}, line {line}: wanted a finite float32 number, got {cell!r}")
    return float(cell)
