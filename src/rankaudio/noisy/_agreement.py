"""How well given labels agree with scores, and the selection of the clips that agree best."""

from __future__ import annotations

import torch
from torch import Tensor

from rankaudio._checks import (
    check_flag,
    check_floating,
    check_integer,
    check_no_nan,
    check_scores_and_target,
    check_zeros_and_ones,
)
from rankaudio.metrics._label_precisions import row_precisions, sum_dtype

__all__ = ["label_agreement", "label_margin", "select_agreeing"]

# Agreements are compared in steps of 2**-40, because equal sums of fractions may differ in their last bits.
# With a power of two, no agreement is halfway between two steps: its denominator would have to be a multiple
# of 2**41.
_STEPS = 2.0**40


def label_agreement(scores: Tensor, target: Tensor) -> Tensor:
    r"""Measure how well the labels of each clip agree with the scores: label-ranking average precision.

    .. math:: a_i = \frac{1}{|P_i|} \sum_{c \in P_i}
        \frac{\#\{k \in P_i : s_{ik} \ge s_{ic}\}}{\#\{k : s_{ik} \ge s_{ic}\}}

    over the set :math:`P_i` of the clip's labels. It is 1 if every label has a higher score than every other
    class. Ties count against the label, so the order of the classes never matters. A model with equal scores
    for all classes agrees with nothing.

    Args:
        scores: ``(*, C)`` floating point, raw scores. Infinities are compared like other scores. No gradient
            passes.
        target: ``(*, C)`` bool or 0/1; the true entries are the given labels.

    Returns:
        ``(*)`` float64 (float32 on mps), from 0 to 1. A clip without labels has nothing to agree with: 0. A
        clip with every label has no order that could be wrong: 1.

    Raises:
        TypeError: if the scores are not floating point.
        ValueError: if shapes or devices disagree, a score is NaN, or, on the CPU, a target is not 0/1.

    Reference:
        The ``label_ranking_average_precision_score`` of scikit-learn for single rows, where a row without
        labels counts as 1. The third-place system of Freesound Audio Tagging 2019 selects clips by it.

    >>> scores = torch.tensor([[3.0, 2.0, 1.0], [3.0, 2.0, 1.0], [3.0, 2.0, 1.0]])
    >>> label_agreement(scores, torch.tensor([[1, 1, 0], [1, 0, 1], [0, 0, 0]]))
    tensor([1.0000, 0.8333, 0.0000], dtype=torch.float64)
    """
    rows, present = _check_rows(scores, target)
    return row_precisions(rows, present).reshape(scores.shape[:-1])


def label_margin(scores: Tensor, target: Tensor) -> Tensor:
    r"""Measure how far the lowest-scored label of each clip is above the highest-scored other class.

    .. math:: m_i = \min_{c \in P_i} s_{ic} - \max_{k \notin P_i} s_{ik}

    It is positive if :func:`label_agreement` is 1, and distinguishes such clips. It is a difference, so it
    does not depend on the offset that ranking losses leave free in every clip.

    Args:
        scores: ``(*, C)`` floating point, raw scores. No gradient passes.
        target: ``(*, C)`` bool or 0/1; the true entries are the given labels.

    Returns:
        ``(*)`` float64 (float32 on mps). Equal scores have the margin 0, also if they are infinite. A clip
        without labels: ``-inf``. A clip with every label: ``inf``.

    Raises:
        TypeError: if the scores are not floating point.
        ValueError: if shapes or devices disagree, a score is NaN, or, on the CPU, a target is not 0/1.

    >>> label_margin(
    ...     torch.tensor([[3.0, 2.0, 0.5], [3.0, 2.0, 0.5]]),
    ...     torch.tensor([[1, 1, 0], [0, 1, 0]]),
    ... )
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

    Clips are ranked by :func:`label_agreement`. Many clips agree perfectly, so clips of equal agreement (to
    1e-12) are ranked by :func:`label_margin`. Clips of equal margin are taken in the order of their rows.
    Nothing is random.

    Args:
        scores: ``(N, C)`` floating point, raw scores.
        target: ``(N, C)`` bool or 0/1; the true entries are the given labels.
        k: number of clips to select, 0 or more.
        balanced: let the classes take turns. The next turn goes to the class with the fewest selected clips
            (the first of equals). The class takes the best-ranked remaining clip with its label. A clip
            counts for all of its labels, so clips with one label each are taken in plain rotation. A class
            without remaining clips has no more turns.

    Returns:
        ``(n,)`` int64 rows, in the order of selection, on the device of the scores. There are ``k``, or fewer
        if fewer clips have labels. A clip without labels is never selected. A smaller ``k`` gives the first
        rows of a larger ``k``.

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
    check_flag("balanced", balanced)
    check_floating("scores", scores, ndim=(2,))
    _, present = _check_rows(scores, target)
    order = _rank_clips(label_agreement(scores, target), label_margin(scores, target))
    order = order[present.any(-1)[order]]
    if balanced:
        order = order[_round_robin(present[order], k)]
    return order[:k]


def _check_rows(scores: object, target: object) -> tuple[Tensor, Tensor]:
    """Return the scores as ``(R, C)`` and the labels as bool ``(R, C)``."""
    s, t = check_scores_and_target(scores, target)
    check_zeros_and_ones("target", t)
    check_no_nan("scores", s)
    rows = s.detach().reshape(-1, s.shape[-1])
    return rows, t.detach().reshape(rows.shape).bool()


def _rank_clips(agreement: Tensor, margin: Tensor) -> Tensor:
    """Rows by descending agreement, then margin, then row. Stable sorts start with the last key."""
    by_margin = margin.argsort(descending=True, stable=True)
    steps = (agreement[by_margin] * _STEPS).round()
    return by_margin[steps.argsort(descending=True, stable=True)]


def _round_robin(present: Tensor, k: int) -> Tensor:
    """Places of the clips that are selected by turns, from ranked clips ``(n, C)``."""
    labels: list[list[int]] = [[] for _ in present]
    clips_of: list[list[int]] = [[] for _ in range(present.shape[1])]
    for place, label in present.nonzero().tolist():
        labels[place].append(label)
        clips_of[label].append(place)
    queues = {label: iter(places) for label, places in enumerate(clips_of)}
    count, selected = [0] * len(clips_of), dict[int, None]()
    while len(selected) < k and queues:
        turn = min(queues, key=count.__getitem__)  # the first of equals
        place = next((place for place in queues[turn] if place not in selected), -1)
        if place < 0:
            del queues[turn]
            continue
        selected[place] = None
        for label in labels[place]:
            count[label] += 1
    return torch.tensor(list(selected), dtype=torch.int64, device=present.device)
