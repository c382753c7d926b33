"""Tables of labels and of scores, and the files that they are read from and written to."""

from __future__ import annotations

import csv
import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from rankaudio._checks import check_floating, check_shape, check_tensor, describe

__all__ = ["LabelTable", "ScoreTable"]


def check_path(name: str, value: object) -> Path:
    """Refuse whatever is neither a string nor a path."""
    if not isinstance(value, str | os.PathLike):
        raise TypeError(f"{name}: wanted a path (str or pathlib.Path), got {describe(value)}")
    return Path(value)


def check_paths(name: str, value: object) -> tuple[Path, ...]:
    """Refuse whatever is not a list of at least one path."""
    if isinstance(value, str | os.PathLike) or not isinstance(value, Iterable):
        raise TypeError(f"{name}: wanted a list of paths, got {describe(value)}")
    paths = tuple(check_path(f"{name}[{i}]", path) for i, path in enumerate(value))
    if not paths:
        raise ValueError(f"{name}: wanted at least one path, got none")
    return paths


def read_csv(path: Path) -> tuple[list[str], list[tuple[int, list[str]]]]:
    """The header, and every further row with the number of the line it ends on. Blank lines are skipped."""
    try:
        # utf-8-sig: spreadsheets like to begin a file with a byte order mark.
        with path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.reader(file, strict=True)
            try:
                rows = [(reader.line_num, row) for row in reader if row]
            except csv.Error as error:
                raise ValueError(f"{path}, line {reader.line_num}: not CSV: {error}") from error
    except UnicodeDecodeError as error:
        got = f"byte {error.object[error.start]:#04x}"
        raise ValueError(f"{path}: wanted text in UTF-8, got {got} at position {error.start}") from error
    if not rows:
        raise ValueError(f"{path}: wanted a header line, got an empty file")
    header = [column.strip() for column in rows[0][1]]
    check_unique(f"{path}: columns", header)
    for line, row in rows[1:]:
        if len(row) != len(header):
            wanted = f"{len(header)} fields as in the header"
            raise ValueError(f"{path}, line {line}: wanted {wanted}, got {len(row)}")
    return header, rows[1:]


def check_unique(name: str, values: Iterable[str]) -> None:
    """Refuse an empty name, and a name that comes twice."""
    seen: set[str] = set()
    for value in values:
        if not value or value in seen:
            what = "twice" if value else "an empty name"
            raise ValueError(
                f"{name}: wanted different names, got {repr(value) + ' ' if value else ''}{what}"
            )
        seen.add(value)


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


def check_names(name: str, values: Sequence[str]) -> tuple[str, ...]:
    """Refuse whatever is not a list of different strings."""
    if isinstance(values, str) or not all(isinstance(value, str) for value in values):
        raise TypeError(f"{name}: wanted a list of strings, got {describe(values)}")
    check_unique(name, values)
    return tuple(values)


def _check_table(table: LabelTable | ScoreTable, name: str, values: Tensor) -> None:
    names, classes = check_names("names", table.names), check_names("classes", table.classes)
    check_shape(name, check_tensor(name, values), (len(names), len(classes)))
    # Lists are welcome, but what is frozen should hold tuples.
    object.__setattr__(table, "names", names)
    object.__setattr__(table, "classes", classes)


def _find(wanted: Sequence[str], names: tuple[str, ...]) -> list[int]:
    rows = {name: row for row, name in enumerate(names)}
    missing = [name for name in wanted if name not in rows]
    if missing:
        listed = ", ".join(map(repr, missing[:5])) + (", ..." if len(missing) > 5 else "")
        raise ValueError(
            f"names: wanted names of the table's {len(names)} clips, {len(missing)} are not: {listed}"
        )
    return [rows[name] for name in wanted]
