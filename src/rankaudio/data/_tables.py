"""Tables of labels and of scores, with the names of clips and classes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from torch import Tensor

from rankaudio._checks import check_all_known, check_floating, check_mask, check_names, check_shape

__all__ = ["LabelTable", "ScoreTable"]


@dataclass(frozen=True, eq=False)
class LabelTable:
    """The labels of each clip.

    Attributes:
        names: file name of each clip, all different.
        classes: name of each class, all different.
        target: ``(N, C)`` bool, true where clip ``n`` has label ``c``.

    Raises:
        TypeError: if names or classes are not strings in an order, or the target is not bool. A set is
            refused because it has no order, and a single string because its letters are no names.
        ValueError: if a name comes twice or is empty, or the target has another shape.

    >>> table = LabelTable(
    ...     ("a.wav", "b.wav"),
    ...     ("Bark", "Meow"),
    ...     torch.tensor([[True, False], [True, True]]),
    ... )
    >>> table.select(["b.wav"]).target
    tensor([[True, True]])
    """

    names: tuple[str, ...]
    classes: tuple[str, ...]
    target: Tensor

    def __post_init__(self) -> None:
        check_mask("target", self.target, _check_names(self), like=self.target)

    def __len__(self) -> int:
        return len(self.names)

    def select(self, names: Sequence[str]) -> LabelTable:
        """Return the rows of these clips, in this order.

        Raises:
            TypeError: if the names are not strings in an order.
            ValueError: if a name is not in the table, or comes twice.
        """
        names = check_names("names", names)
        return LabelTable(names, self.classes, self.target[_find_rows(names, self.names)])


@dataclass(frozen=True, eq=False)
class ScoreTable:
    """The scores of each clip.

    Attributes:
        names: file name of each clip, all different.
        classes: name of each class, all different.
        scores: ``(N, C)`` floating point, raw scores.

    Raises:
        TypeError: if names or classes are not strings in an order, or the scores are not floating point. A
            set is refused because it has no order, and a single string because its letters are no names.
        ValueError: if a name comes twice or is empty, or the scores have another shape.

    >>> table = ScoreTable(
    ...     ("a.wav", "b.wav"), ("Bark", "Meow"), torch.tensor([[1.0, -1.0], [0.5, 2.0]])
    ... )
    >>> table.select(["b.wav", "a.wav"]).scores
    tensor([[ 0.5000,  2.0000],
            [ 1.0000, -1.0000]])
    """

    names: tuple[str, ...]
    classes: tuple[str, ...]
    scores: Tensor

    def __post_init__(self) -> None:
        check_shape("scores", check_floating("scores", self.scores), _check_names(self))

    def __len__(self) -> int:
        return len(self.names)

    def select(self, names: Sequence[str]) -> ScoreTable:
        """Return the rows of these clips, in this order.

        Raises:
            TypeError: if the names are not strings in an order.
            ValueError: if a name is not in the table, or comes twice.
        """
        names = check_names("names", names)
        return ScoreTable(names, self.classes, self.scores[_find_rows(names, self.names)])


def _check_names(table: LabelTable | ScoreTable) -> tuple[int, int]:
    """Check names and classes, make them tuples, and return the shape that the values must have."""
    names, classes = check_names("names", table.names), check_names("classes", table.classes)
    # Callers may pass lists, but a frozen table must not change later.
    object.__setattr__(table, "names", names)
    object.__setattr__(table, "classes", classes)
    return len(names), len(classes)


def _find_rows(wanted: Sequence[str], names: tuple[str, ...]) -> list[int]:
    rows = {name: row for row, name in enumerate(names)}
    check_all_known(f"names: wanted names of the table's {len(names)} clips", wanted, rows, "unknown")
    return [rows[name] for name in wanted]
