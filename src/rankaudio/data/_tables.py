"""Tables of labels and of scores, with the names of clips and classes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from torch import Tensor

from rankaudio._checks import check_all_known, check_floating, check_mask, check_names, check_shape
from rankaudio.data._csv import FILE_NAME
from rankaudio.data._frames import labels_from_frame

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

    @classmethod
    def from_frame(
        cls,
        frame: object,
        *,
        name_column: str = FILE_NAME,
        label_column: str | None = "labels",
        classes: Sequence[str] | None = None,
        strict: bool = True,
        separator: str = ",",
    ) -> LabelTable:
        """Make a table from a data frame of pandas, Polars or any library whose frames work like theirs.

        Args:
            frame: an object with ``columns`` and ``frame["column"]``. It has one row per clip.
            name_column: the column of names.
            label_column: the column of labels: texts as in :func:`read_labels`, or lists of texts. None: each
                class has a column of 0 and 1, or of bools.
            classes: the class of each column of the target, in this order. By default the labels of the
                frame, sorted; without a label column all columns but that of the names, in their order.
            strict: refuse empty labels and labels that are not among ``classes``; else they are left out.
            separator: what is between the labels in a text.

        Raises:
            TypeError: if ``frame`` is not a data frame, or a cell or a setting has another type.
            ValueError: if a column is missing or there twice, a name comes twice, or labels are refused as in
                :func:`read_labels`. Also if a cell of a class is neither 0 nor 1.

        >>> class Frame(dict):  # of pandas, for example
        ...     columns = ("fname", "Bark", "Meow")
        >>> frame = Frame(fname=["a.wav", "b.wav"], Bark=[1, 0], Meow=[1, 1])
        >>> LabelTable.from_frame(frame, label_column=None).target
        tensor([[ True,  True],
                [False,  True]])
        """
        return cls(
            *labels_from_frame(
                frame,
                name_column=name_column,
                label_column=label_column,
                classes=classes,
                strict=strict,
                separator=separator,
            )
        )

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
