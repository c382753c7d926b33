"""How well a clip's given labels fit a model's ranking of the classes, and the clips where they fit best."""

from __future__ import annotations

import torch
from torch import Tensor

from rankaudio._checks import (
    check_floating,
    check_integer,
    check_scores_and_target,
    check_values,
    describe,
)
from rankaudio._rank_sums import row_precisions, sum_dtype

__all__ = ["label_agreement", "label_margin", "select_agreeing"]

# Agreements are compared in steps of 2**-40, because sums that are equal in fractions may differ in their
# last bits. A power of two, so that no agreement lies halfway between two steps: its denominator would have
# to be a multiple of 2**41.
_STEPS = 2.0**40


def label_agreement(scores: Tensor, target: Tensor) -> Tensor:
    r"""How well the labels of each clip agree with the scores: its label-ranking average precision.

    .. math:: a_i = \frac{1}{|P_i|} \sum_{c \in P_i}
        \frac{\#\{k \in P_i : s_{ik} \ge s_{ic}\}}{\#\{k : s_{ik} \ge s_{ic}\}}

    over the set :math:`P_i` of the clip's labels. It is 1 where every label outscores every other class. Ties
    count against the label, so the order of the classes never matters, and a model that scores all classes
    alike agrees with nothing.

    Args:
        scores: ``(*, C)`` floating point, raw scores. Infinities are scores like others. No gradient passes.
        target: ``(*, C)`` bool or 0/1; the true entries are the labels given.

    Returns:
        ``(*)`` float64 (float32 on mps), from 0 to 1. A clip without labels has nothing that the scores could
        agree with: 0. A clip with every label has no order that could be wrong: 1.

    Raises:
        TypeError: if the scores are not floating point.
        ValueError: if shapes or devices disagree, a score is NaN, or, on the CPU, a target is not 0/1.

    Reference:
        Row by row the ``label_ranking_average_precision_score`` of scikit-learn, where a row without labels
        counts as 1. As the third-place system of Freesound Audio Tagging 2019 used it.

    >>> scores = torch.tensor([[3.0, 2.0, 1.0], [3.0, 2.0, 1.0], [3.0, 2.0, 1.0]])
    >>> label_agreement(scores, torch.tensor([[1, 1, 0], [1, 0, 1], [0, 0, 0]]))
    tensor([1.0000, 0.8333, 0.0000], dtype=torch.float64)
    """
    rows, present = _check_rows(scores, target)
    return row_precisions(rows, present).reshape(scores.shape[:-1])


def label_margin(scores: Tensor, target: Tensor) -> Tensor:
    r"""How far the lowest-scored label of each clip stays above the highest-scored other class.

    .. math:: m_i = \min_{c \in P_i} s_{ic} - \max_{k \notin P_i} s_{ik}

    It is positive where :func:`label_agreement` is 1, and tells such clips apart. As a difference it does not
    depend on the offset that ranking losses leave free in every clip.

    Args:
        scores: ``(*, C)`` floating point, raw scores. No gradient passes.
        target: ``(*, C)`` bool or 0/1; the true entries are the labels given.

    Returns:
        ``(*)`` float64 (float32 on mps). Equal scores have the margin 0, infinite ones too. A clip without
        labels: ``-inf``. A clip with every label: ``inf``.

    Raises:
        TypeError: if the scores are not floating point.
        ValueError: if shapes or devices disagree, a score is NaN, or, on the CPU, a target is not 0/1.

    >>> label_margin(torch.tensor([[3.0, 2.0, 0.5], [3.0, 2.0, 0.5]]), torch.tensor([[1, 1, 0], [0, 1, 0]]))
    tensor([ 1.5000, -1.0000], dtype=torch.float64)
    """
    rows, present = _check_rows(scores, target)
    inf = torch.inf
    lowest = rows.masked_fill(~present, inf).amin(-1).to(sum_dtype(rows.device))
    highest = rows.masked_fill(present, -inf).amax(-1).to(lowest.dtype)
    margin = torch.where(lowest == highest, 0.0, lowest - highest)  # inf - inf would be NaN
    margin = margin.masked_fill(present.all(-1), inf).masked_fill(~present.any(-1), -inf)
    return margin.reshape(scores.shape[:-1])


def select_agreeing(scores: Tensor, target: Tensor, *, k: int, balanced: bool = False) -> Tensor:
    """Select the clips whose labels agree best with the scores.

    Clips are ranked by :func:`label_agreement`; among equals (to 1e-12: many clips agree perfectly) by
    :func:`label_margin`; among these by their row, the first one first. Nothing is random.

    Args:
        scores: ``(N, C)`` floating point, raw scores.
        target: ``(N, C)`` bool or 0/1; the true entries are the labels given.
        k: how many clips to take, 0 or more.
        balanced: let the classes take turns. The turn goes to the class with the fewest clips taken so far
            (the first of equals), and it takes the best-ranked clip left that has its label. A clip
            counts for all of its labels, so clips with one label each are taken in plain rotation. A class
            without clips left has no more turns.

    Returns:
        ``(n,)`` int64 rows, in the order in which they are taken, on the device of the scores: ``k`` of them,
        or as many as there are with labels. A clip without labels is never taken. The first of them
        are what a smaller ``k`` gives.

    Raises:
        TypeError: if the scores are not floating point, or ``k`` is not an integer.
        ValueError: if there are not two axes, shapes or devices disagree, a score is NaN, ``k`` is negative,
            or, on the CPU, a target is not 0/1.

    >>> scores = torch.tensor([[3.0, 1.0], [5.0, 1.0], [1.0, 2.0], [0.0, 9.0]])
    >>> target = torch.tensor([[1, 0], [1, 0], [0, 1], [0, 0]])
    >>> select_agreeing(scores, target, k=2)
    tensor([1, 0])
    >>> select_agreeing(scores, target, k=2, balanced=True)
    tensor([1, 2])
    """
    check_integer("k", k, 0)
    check_floating("scores", scores, ndim=(2,))
    _, present = _check_rows(scores, target)
    order = _rank(label_agreement(scores, target), label_margin(scores, target))
    order = order[present.any(-1)[order]]
    if balanced:
        order = order[_take_turns(present[order], k)]
    return order[:k]


def refuse_nan(scores: Tensor) -> None:
    """Refuse NaN on any device: nothing here is part of a training step, so it may wait."""
    if scores.numel() and bool(scores.amax().isnan()):  # a maximum passes NaN on, and needs no mask
        count = int(scores.isnan().count_nonzero())
        raise ValueError(f"scores: wanted numbers, got {count} NaN in {describe(scores)}")


def _check_rows(scores: object, target: object) -> tuple[Tensor, Tensor]:
    """The scores as ``(R, C)`` and the labels as bool ``(R, C)``."""
    # "graded" only leaves the values to the line below, which has another word for them.
    s, t = check_scores_and_target(scores, target, graded=True)
    if t.dtype != torch.bool:
        check_values("target", t, (t == 0) | (t == 1), "only 0 and 1")
    refuse_nan(s)
    rows = s.detach().reshape(-1, s.shape[-1])
    return rows, t.detach().reshape(rows.shape).bool()


def _rank(agreement: Tensor, margin: Tensor) -> Tensor:
    """Rows by descending agreement, then margin, then row: stable sorts, the last key first."""
    by_margin = margin.argsort(descending=True, stable=True)
    steps = (agreement[by_margin] * _STEPS).round()
    return by_margin[steps.argsort(descending=True, stable=True)]


def _take_turns(present: Tensor, k: int) -> Tensor:
    """Places of the clips taken, of ranked clips ``(n, C)``."""
    labels: list[list[int]] = [[] for _ in present]
    queues: list[list[int]] = [[] for _ in range(present.shape[1])]
    for place, label in present.nonzero().tolist():
        labels[place].append(label)
        queues[label].append(place)
    waiting = {label: iter(queue) for label, queue in enumerate(queues)}
    count, taken = [0] * len(queues), dict[int, None]()
    while len(taken) < k and waiting:
        turn = min(waiting, key=count.__getitem__)  # the first of equals
        place = next((place for place in waiting[turn] if place not in taken), -1)
        if place < 0:
            del waiting[turn]
            continue
        taken[place] = None
        for label in labels[place]:
            count[label] += 1
    return torch.tensor(list(taken), dtype=torch.int64, device=present.device)
