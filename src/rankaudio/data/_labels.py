"""Label and score tables: CSV files in the layout of Kaggle, joined by file name and never by row."""

from __future__ import annotations

import csv
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from rankaudio._checks import check_floating, check_shape, check_tensor, check_values, describe
from rankaudio.data._files import check_path, check_unique, read_csv, replace_when_done

__all__ = ["LabelTable", "ScoreTable", "read_classes", "read_labels", "read_scores", "write_scores"]

_NAME, _LABELS = "fname", "labels"
# From here on, halfway beyond the largest float32 number, rounding gives infinity.
_TOO_LARGE = 2.0**128 * (1 - 2.0**-25)


@dataclass(frozen=True, eq=False)
class LabelTable:
    """Which labels each clip has.

    Attributes:
        names: file name of each clip, all different.
        classes: name of each class, all different.
        target: ``(N, C)`` bool, true where clip ``n`` has label ``c``.

    Raises:
        TypeError: if names or classes are not strings, or the target is not bool.
        ValueError: if a name comes twice or is empty, or the target has another shape.

    >>> table = LabelTable(("a.wav", "b.wav"), ("Bark", "Meow"), torch.tensor([[True, False], [True, True]]))
    >>> table.select(["b.wav"]).target
    tensor([[True, True]])
    """

    names: tuple[str, ...]
    classes: tuple[str, ...]
    target: Tensor

    def __post_init__(self) -> None:
        _check_table(self, "target", self.target)
        if self.target.dtype != torch.bool:
            raise TypeError(f"target: wanted a bool tensor, got {describe(self.target)}")

    def __len__(self) -> int:
        return len(self.names)

    def select(self, names: Sequence[str]) -> LabelTable:
        """Return the rows of these clips, in this order.

        Raises:
            ValueError: if the table does not have one of them.
        """
        return LabelTable(tuple(names), self.classes, self.target[_find(names, self.names)])


@dataclass(frozen=True, eq=False)
class ScoreTable:
    """The scores of each clip.

    Attributes:
        names: file name of each clip, all different.
        classes: name of each class, all different.
        scores: ``(N, C)`` floating point, raw scores.

    Raises:
        TypeError: if names or classes are not strings, or the scores not floating point.
        ValueError: if a name comes twice or is empty, or the scores have another shape.

    >>> table = ScoreTable(("a.wav", "b.wav"), ("Bark", "Meow"), torch.tensor([[1.0, -1.0], [0.5, 2.0]]))
    >>> table.select(["b.wav", "a.wav"]).scores
    tensor([[ 0.5000,  2.0000],
            [ 1.0000, -1.0000]])
    """

    names: tuple[str, ...]
    classes: tuple[str, ...]
    scores: Tensor

    def __post_init__(self) -> None:
        _check_table(self, "scores", check_floating("scores", self.scores))

    def __len__(self) -> int:
        return len(self.names)

    def select(self, names: Sequence[str]) -> ScoreTable:
        """Return the rows of these clips, in this order.

        Raises:
            ValueError: if the table does not have one of them.
        """
        return ScoreTable(tuple(names), self.classes, self.scores[_find(names, self.names)])


def read_labels(path: str | Path, *, classes: Sequence[str] | None = None) -> LabelTable:
    r"""Read a CSV file with the columns ``fname`` and ``labels``, several labels separated by commas.

    Args:
        path: the file, UTF-8 with or without a byte order mark. Other columns are ignored; so is space
            around a label.
        classes: the class of each column of the target, in this order. By default the labels of the file,
            sorted.

    Returns:
        A :class:`LabelTable`, its clips in the order of the file.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: with the path and the line, if a column is missing, a name comes twice, a label is empty
            or is not one of ``classes``, a row has too few or too many fields, there are no rows, or the
            file is not UTF-8.

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
    labels = [[label.strip() for label in row[header.index(_LABELS)].split(",")] for _, row in rows]
    if classes is None:
        classes = sorted({label for row in labels for label in row} - {""})
    known = {name: column for column, name in enumerate(_check_names("classes", classes))}
    target = torch.zeros(len(rows), len(known), dtype=torch.bool)
    for index, (line, _) in enumerate(rows):
        for label in labels[index]:
            if not label:
                raise ValueError(
                    f"{path}, line {line}: wanted labels, got an empty label for {names[index]!r}"
                )
            if label not in known:
                raise ValueError(
                    f"{path}, line {line}: wanted one of the {len(known)} classes, got {label!r}"
                )
            target[index, known[label]] = True
    return LabelTable(names, tuple(known), target)


def read_classes(path: str | Path) -> tuple[str, ...]:
    """Read the class names from the header of a score file, such as ``sample_submission.csv``.

    Args:
        path: CSV file whose columns are ``fname`` and one per class.

    Returns:
        The names, in the order of the columns.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: if the first column is another, there are no more, or the file is not UTF-8.
    """
    path = check_path("path", path)
    return _score_classes(path, read_csv(path)[0])


def read_scores(path: str | Path) -> ScoreTable:
    """Read a CSV file with the column ``fname`` and one column per class.

    Args:
        path: the file, UTF-8 with or without a byte order mark.

    Returns:
        A :class:`ScoreTable` with float32 scores, its clips in the order of the file.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: with the path and the line, if the first column is another, a name comes twice, a score
            is not a finite float32 number, a row has too few or too many fields, there are no rows, or the
            file is not UTF-8.
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


def _check_table(table: LabelTable | ScoreTable, name: str, values: Tensor) -> None:
    names, classes = _check_names("names", table.names), _check_names("classes", table.classes)
    check_shape(name, check_tensor(name, values), (len(names), len(classes)))
    # Lists are welcome, but what is frozen should hold tuples.
    object.__setattr__(table, "names", names)
    object.__setattr__(table, "classes", classes)


def _check_names(name: str, values: Sequence[str]) -> tuple[str, ...]:
    if isinstance(values, str) or not all(isinstance(value, str) for value in values):
        raise TypeError(f"{name}: wanted a list of strings, got {describe(values)}")
    check_unique(name, values)
    return tuple(values)


def _find(wanted: Sequence[str], names: tuple[str, ...]) -> list[int]:
    rows = {name: row for row, name in enumerate(names)}
    missing = [name for name in wanted if name not in rows]
    if missing:
        listed = ", ".join(map(repr, missing[:5])) + (", ..." if len(missing) > 5 else "")
        raise ValueError(
            f"names: wanted names of the table's {len(names)} clips, {len(missing)} are not: {listed}"
        )
    return [rows[name] for name in wanted]


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
