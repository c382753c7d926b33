"""Tables of labels and of scores, joined by file name and never by row."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from rankaudio._checks import check_floating, check_shape, check_tensor, describe
from rankaudio.data._files import check_unique

__all__ = ["LabelTable", "ScoreTable"]


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
