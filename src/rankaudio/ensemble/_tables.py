"""Blends of score tables, which may have different clips in different orders."""

from __future__ import annotations

from collections.abc import Sequence
from functools import reduce
from typing import NamedTuple

import torch
from torch import Tensor

from rankaudio._checks import check_all_known, check_instance, check_names, describe
from rankaudio.data import ScoreTable
from rankaudio.ensemble._members import EntryNames, Method, check_members, check_weights

__all__ = ["StackedTables", "blend_tables", "stack_tables"]


class StackedTables(NamedTuple):
    """The result of :func:`stack_tables`: the scores of several tables in one tensor.

    >>> stack_tables([ScoreTable(("a.wav",), ("Bark",), torch.tensor([[2.0]]))]).present
    tensor([[True]])
    """

    names: tuple[str, ...]
    """File name of each clip."""
    classes: tuple[str, ...]
    """Name of each class."""
    scores: Tensor
    """``(M, N, C)``, NaN where a member does not have a clip."""
    present: Tensor
    """``(M, N)`` bool, true where a member has a clip."""


def stack_tables(
    tables: Sequence[ScoreTable],
    *,
    names: Sequence[str] | None = None,
    classes: Sequence[str] | None = None,
) -> StackedTables:
    """Stack score tables. Clips are joined by file name, and classes by their name.

    Args:
        tables: one per member. Each may have other clips in any order, for example if members were validated
            on different folds. All have the same classes, in any order.
        names: the wanted clips, in this order; each is in at least one table. By default all clips, in the
            order of the first table, then of the second, and so on.
        classes: the order of the classes, by default that of the first table.

    Returns:
        A :class:`StackedTables` for :func:`blend` and :func:`fit_blend_weights`. Pass its ``present`` too if
        a member lacks a clip.

    Raises:
        TypeError: if an item is not a :class:`ScoreTable`.
        ValueError: if there are no tables, a table has other classes, or a score is NaN (the message names
            clip and class). Also if a name is in no table or comes twice.

    >>> one = ScoreTable(
    ...     ("a.wav", "b.wav"), ("Bark", "Meow"), torch.tensor([[1.0, 2.0], [3.0, 4.0]])
    ... )
    >>> two = ScoreTable(("b.wav",), ("Meow", "Bark"), torch.tensor([[5.0, 6.0]]))
    >>> stack = stack_tables([one, two])
    >>> stack.names, stack.scores[1], stack.present[1]
    (('a.wav', 'b.wav'), tensor([[nan, nan], [6., 5.]]), tensor([False,  True]))
    """
    tables = _check_tables(tables)
    if names is None:
        names = tuple(dict.fromkeys(name for table in tables for name in table.names))
    classes = check_names("classes", tables[0].classes if classes is None else classes)
    names = check_names("names", names)
    dtype = reduce(torch.promote_types, (table.scores.dtype for table in tables))
    shape = (len(tables), len(names), len(classes))
    scores = torch.full(shape, torch.nan, dtype=dtype, device=tables[0].scores.device)
    present = torch.zeros(shape[:2], dtype=torch.bool, device=scores.device)
    wanted = ScoreTable(names, classes, scores[0])
    for member, table in enumerate(tables):
        _check_classes(f"tables[{member}]", table.classes, wanted.classes)
        _check_no_nan(f"tables[{member}]", table)
        rows = {name: row for row, name in enumerate(table.names)}
        here = [place for place, name in enumerate(wanted.names) if name in rows]
        columns = [table.classes.index(name) for name in wanted.classes]
        chosen = table.scores[[rows[wanted.names[place]] for place in here]][:, columns]
        scores[member, here] = chosen.to(scores.device, dtype)
        present[member, here] = True
    every_name = {name for table in tables for name in table.names}
    check_all_known("names: wanted clips of the tables", wanted.names, every_name, "unknown")
    return StackedTables(wanted.names, wanted.classes, scores, present)


def blend_tables(
    tables: Sequence[ScoreTable],
    *,
    weights: Sequence[float] | Tensor | None = None,
    method: Method = "mean",
    names: Sequence[str] | None = None,
    classes: Sequence[str] | None = None,
) -> ScoreTable:
    """Blend score tables, each clip from the members that have it.

    The blend is that of :func:`blend`. Weights are divided by their sum over the members that have the clip.

    Args:
        tables: one per member, with any clips in any order, as in :func:`stack_tables`.
        weights: one per member, as in :func:`blend`.
        method: as in :func:`blend`. If members differ in scale and have different clips, ``"rank"`` keeps the
            clips comparable. The order of labels within one clip does not need this.
        names: the wanted clips, as in :func:`stack_tables`.
        classes: the order of the classes, as in :func:`stack_tables`.

    Returns:
        A :class:`ScoreTable` with scores ``(N, C)``.

    Raises:
        TypeError: as in the two functions.
        ValueError: as in the two functions; messages name a bad score by clip and class.

    >>> one = ScoreTable(
    ...     ("a.wav", "b.wav"), ("Bark", "Meow"), torch.tensor([[1.0, 2.0], [3.0, 4.0]])
    ... )
    >>> two = ScoreTable(("b.wav",), ("Meow", "Bark"), torch.tensor([[5.0, 6.0]]))
    >>> blend_tables([one, two], weights=[2, 1]).scores
    tensor([[1.0000, 2.0000],
            [4.0000, 4.3333]])
    """
    stack = stack_tables(tables, names=names, classes=classes)
    entry_names = EntryNames("tables", stack.names, stack.classes)
    members = check_members(stack.scores, method=method, present=stack.present, entry_names=entry_names)
    return ScoreTable(stack.names, stack.classes, members.blend(check_weights(weights, len(members.scores))))


def _check_tables(tables: object) -> tuple[ScoreTable, ...]:
    if isinstance(tables, str) or not isinstance(tables, Sequence):
        raise TypeError(f"tables: wanted a list of ScoreTable, got {describe(tables)}")
    if not tables:
        raise ValueError("tables: wanted at least one, got none")
    return tuple(check_instance(f"tables[{i}]", table, ScoreTable) for i, table in enumerate(tables))


def _check_classes(name: str, classes: tuple[str, ...], wanted: tuple[str, ...]) -> None:
    message = f"{name}: wanted the {len(wanted)} classes of the blend"
    check_all_known(message, wanted, classes, "missing")
    check_all_known(message, classes, wanted, "unknown")


def _check_no_nan(name: str, table: ScoreTable) -> None:
    bad = table.scores.isnan()
    if bad.any():
        entry = EntryNames(name, table.names, table.classes).of_entry(bad.nonzero()[0].tolist())
        raise ValueError(f"{name}: wanted numbers, got nan {entry}")
