"""Blends: one score from the scores of several members, as tensors or as tables of clips of their own."""

from __future__ import annotations

from collections.abc import Sequence
from functools import reduce
from typing import NamedTuple, cast

import torch
from torch import Tensor

from rankaudio._checks import describe
from rankaudio.data import ScoreTable
from rankaudio.ensemble._members import Method, Words, check_weights, prepare

__all__ = ["StackedTables", "blend", "blend_tables", "stack_tables"]


def blend(
    scores: Tensor | Sequence[Tensor],
    *,
    weights: Sequence[float] | Tensor | None = None,
    method: Method = "mean",
    present: Tensor | None = None,
) -> Tensor:
    r"""Blend the scores of the members of an ensemble.

    With weights :math:`w_m \ge 0` that are divided by their sum over the members that have a clip,

    .. math:: \sum_m w_m s_m \;\text{(mean)}, \qquad
        \prod_m s_m^{w_m} \;\text{(geometric)}, \qquad
        \sum_m w_m r(s_m) \;\text{(rank)}.

    ``"mean"`` takes raw scores as they are, so a member with a wider spread has more say. ``"rank"``
    replaces each score by its rank among the scores of its member for the same clip, 0 for the lowest to
    1 for the highest, ties at their middle rank: lwlrap compares the labels of one clip with each other,
    and what else is in the set then makes no difference. ``"geometric"`` is for numbers that are not
    negative, such as probabilities. It never makes probabilities out of scores, for there is more than one
    way: ``blend(logsigmoid(scores))`` is the logarithm of the geometric mean of sigmoid probabilities, and
    ranks like it; with ``log_softmax`` the labels of a clip are ranked as by the plain mean.

    Args:
        scores: ``(M, *, C)`` floating point, or a list of :math:`M` tensors ``(*, C)``, one a member.
        weights: one a member, not negative, of any positive sum. By default all are equal.
        method: ``"mean"``, ``"geometric"`` or ``"rank"``, as above.
        present: ``(M, *)`` bool, true where a member has a clip; what it scores elsewhere, NaN included, is
            not looked at. :func:`stack_tables` makes such a mask from file names. By default every member
            has every clip.

    Returns:
        ``(*, C)``, float64 if one of the members is, else float32 (computed in float64). A clip that only
        members of weight 0 have gets their unweighted blend. With a single class all ranks are 0. Gradients
        flow to the scores, but for ``"rank"``.

    Raises:
        TypeError: if scores are not floating point, weights not numbers or ``present`` not bool.
        ValueError: if a score is NaN or, for ``"geometric"``, negative; if members differ in shape or device;
            if a clip and class is scored inf by one member and -inf by another (``"geometric"``: 0), which
            only ``"rank"`` can blend; if weights are negative, of another number or all 0; or if a clip has
            no member. Values are looked at on every device.

    >>> scores = torch.tensor([[[2.0, 0.0, -1.0]], [[0.0, 30.0, 10.0]]])  # two members, one clip
    >>> blend(scores, weights=[3, 1])
    tensor([[1.5000, 7.5000, 1.7500]])
    >>> blend(scores, weights=[3, 1], method="rank")
    tensor([[0.7500, 0.6250, 0.1250]])
    >>> blend(scores.sigmoid(), method="geometric")
    tensor([[0.6636, 0.7071, 0.5186]])
    """
    members = prepare(scores, method=method, present=present)
    return members.blend(check_weights(weights, len(members)))


class StackedTables(NamedTuple):
    """What :func:`stack_tables` gives: the scores of several tables in one tensor.

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
    """``(M, N)`` bool, true where it has."""


def stack_tables(
    tables: Sequence[ScoreTable],
    *,
    names: Sequence[str] | None = None,
    classes: Sequence[str] | None = None,
) -> StackedTables:
    """Put score tables on top of each other, clips joined by file name and classes by their name.

    Args:
        tables: one a member. Each may have other clips, as where members were validated on different folds,
            in any order; all have the same classes, in any order.
        names: the clips wanted, in this order; each in at least one table. By default all there are, in the
            order of the first table, then of the second, and so on.
        classes: the order of the classes, by default that of the first table.

    Returns:
        A :class:`StackedTables`, ready for :func:`blend` and :func:`fit_blend_weights`, which want its
        ``present`` wherever a member lacks a clip.

    Raises:
        TypeError: if one of the tables is not a :class:`ScoreTable`.
        ValueError: if there are none, the classes of one are others, a score is NaN (by clip and class), or a
            name is in no table or comes twice.

    >>> one = ScoreTable(("a.wav", "b.wav"), ("Bark", "Meow"), torch.tensor([[1.0, 2.0], [3.0, 4.0]]))
    >>> two = ScoreTable(("b.wav",), ("Meow", "Bark"), torch.tensor([[5.0, 6.0]]))
    >>> stack = stack_tables([one, two])
    >>> stack.names, stack.scores[1], stack.present[1]
    (('a.wav', 'b.wav'), tensor([[nan, nan], [6., 5.]]), tensor([False,  True]))
    """
    tables = _check_tables(tables)
    if names is None:
        names = tuple(dict.fromkeys(name for table in tables for name in table.names))
    if classes is None:
        classes = tables[0].classes
    dtype = reduce(torch.promote_types, (table.scores.dtype for table in tables))
    shape = (len(tables), len(names), len(classes))
    scores = torch.full(shape, torch.nan, dtype=dtype, device=tables[0].scores.device)
    present = torch.zeros(shape[:2], dtype=torch.bool, device=scores.device)
    # A table checks both lists, and makes them tuples.
    wanted = ScoreTable(cast("tuple[str, ...]", names), cast("tuple[str, ...]", classes), scores[0])
    for member, table in enumerate(tables):
        _check_classes(f"tables[{member}]", table.classes, wanted.classes)
        _check_no_nan(f"tables[{member}]", table)
        rows = {name: row for row, name in enumerate(table.names)}
        here = [place for place, name in enumerate(wanted.names) if name in rows]
        columns = [table.classes.index(name) for name in wanted.classes]
        chosen = table.scores[[rows[wanted.names[place]] for place in here]][:, columns]
        scores[member, here] = chosen.to(scores.device, dtype)
        present[member, here] = True
    _check_all_found(wanted.names, present)
    return StackedTables(wanted.names, wanted.classes, scores, present)


def blend_tables(
    tables: Sequence[ScoreTable],
    *,
    weights: Sequence[float] | Tensor | None = None,
    method: Method = "mean",
    names: Sequence[str] | None = None,
    classes: Sequence[str] | None = None,
) -> ScoreTable:
    """Blend tables of scores, each clip from the members that have it.

    The blend is that of :func:`blend`, its weights divided by their sum over the members that have the clip.

    Args:
        tables: one a member, with any clips in any order, as in :func:`stack_tables`.
        weights: one a member, as in :func:`blend`.
        method: as in :func:`blend`. Where members differ in scale and have different clips, ``"rank"``
            keeps the clips comparable; the order of the labels of one clip needs no such care.
        names: the clips wanted, as in :func:`stack_tables`.
        classes: the order of the classes, as in :func:`stack_tables`.

    Returns:
        A :class:`ScoreTable` with scores ``(N, C)``.

    Raises:
        TypeError: as the two functions do.
        ValueError: as the two functions do; a bad score is named by clip and class.

    >>> one = ScoreTable(("a.wav", "b.wav"), ("Bark", "Meow"), torch.tensor([[1.0, 2.0], [3.0, 4.0]]))
    >>> two = ScoreTable(("b.wav",), ("Meow", "Bark"), torch.tensor([[5.0, 6.0]]))
    >>> blend_tables([one, two], weights=[2, 1]).scores
    tensor([[1.0000, 2.0000],
            [4.0000, 4.3333]])
    """
    stack = stack_tables(tables, names=names, classes=classes)
    words = Words("tables", stack.names, stack.classes)
    members = prepare(stack.scores, method=method, present=stack.present, words=words)
    return ScoreTable(stack.names, stack.classes, members.blend(check_weights(weights, len(members))))


def _check_tables(tables: object) -> tuple[ScoreTable, ...]:
    if isinstance(tables, str) or not isinstance(tables, Sequence):
        raise TypeError(f"tables: wanted a list of ScoreTable, got {describe(tables)}")
    for index, table in enumerate(tables):
        if not isinstance(table, ScoreTable):
            raise TypeError(f"tables[{index}]: wanted a ScoreTable, got {describe(table)}")
    if not tables:
        raise ValueError("tables: wanted at least one, got none")
    return tuple(tables)


def _check_classes(name: str, classes: tuple[str, ...], wanted: tuple[str, ...]) -> None:
    for problem, found in (
        ("lacks", [each for each in wanted if each not in classes]),
        ("has besides", [each for each in classes if each not in wanted]),
    ):
        if found:
            listed = ", ".join(map(repr, found[:5])) + (", ..." if len(found) > 5 else "")
            raise ValueError(
                f"{name}: wanted the {len(wanted)} classes of the blend, but it {problem} {listed}"
            )


def _check_no_nan(name: str, table: ScoreTable) -> None:
    bad = table.scores.isnan()
    if bad.any():
        place = Words(name, table.names, table.classes).place(bad.nonzero()[0].tolist())
        raise ValueError(f"{name}: wanted numbers, got nan {place}")


def _check_all_found(names: tuple[str, ...], present: Tensor) -> None:
    lost = [name for name, found in zip(names, present.any(0).tolist(), strict=True) if not found]
    if lost:
        listed = ", ".join(map(repr, lost[:5])) + (", ..." if len(lost) > 5 else "")
        raise ValueError(f"names: wanted clips of the tables, {len(lost)} are in none: {listed}")
