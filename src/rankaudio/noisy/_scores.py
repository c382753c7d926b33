"""What a model's scores say of clips and their labels: which agree, and where to cut."""

from __future__ import annotations

import torch
from torch import Tensor

from rankaudio._checks import (
    check_floating,
    check_integer,
    check_number,
    check_scores_and_target,
    check_values,
    describe,
)
from rankaudio._rank_sums import row_precisions, sum_dtype

__all__ = ["calibrate_scores", "label_agreement", "label_margin", "label_threshold", "select_agreeing"]

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


def calibrate_scores(scores: Tensor) -> Tensor:
    r"""Make scores comparable from clip to clip: take away the free offset of each.

    .. math:: z_{ic} = s_{ic} - \log \sum_k e^{s_{ik}}

    Ranking losses such as :func:`lsep_loss` see differences within a clip only: a constant added to all of
    its scores changes nothing, so it means nothing. For a clip with one label the LSEP loss is
    :math:`\log(1 + \sum_{k \ne c} e^{s_k - s_c}) = -z_c`, the cross-entropy of a softmax. So what that loss
    trains is :math:`z`, the logarithm of a share: it compares the class with those that rival it, where
    the mean of the row would compare it with the many that are out of the question.

    Args:
        scores: ``(*, C)`` floating point, raw scores. No gradient passes.

    Returns:
        ``(*, C)``, at most 0; float64 for float64, else float32. Infinities are taken as limits: where a
        clip has scores of ``inf``, these share it equally and all others get ``-inf``; scores of
        ``-inf`` stay as they are, but a clip that has nothing else is shared equally by all classes.

    Raises:
        TypeError: if the scores are not floating point.
        ValueError: if there is no class, or a score is NaN.

    >>> calibrate_scores(torch.tensor([[2.0, 0.0], [102.0, 100.0]]))
    tensor([[-0.1269, -2.1269],
            [-0.1269, -2.1269]])
    """
    wide = _check_scores(scores)
    top = wide.amax(-1, keepdim=True)
    # Taken off beforehand, and 0 where that is inf - inf: equal infinities.
    return (wide - top).nan_to_num_(nan=0.0, neginf=-torch.inf).log_softmax(-1)


def label_threshold(scores: Tensor, *, mean_labels: float, calibrate: bool = True) -> Tensor:
    """Find the one cut that gives clips a wanted mean number of labels: every class scored above it is one.

    The cut is itself a score, the highest that gives no label, found by partition and not by a search; the
    labels are ``calibrate_scores(scores) > cut``. Their number is the whole number nearest to
    ``mean_labels`` times the number of clips, exactly, unless equal scores lie across the cut. These get the
    label all or none, whichever comes nearer to the wanted number; if both are as near, none.

    Args:
        scores: ``(*, C)`` floating point, raw scores.
        mean_labels: wanted labels per clip, from 0 to C.
        calibrate: take :func:`calibrate_scores` of the scores first. Otherwise they are compared as they
            are, and the labels are ``scores > cut``: for scores that mean the same in all clips, such as
            those of a model trained with binary cross-entropy, or calibrated already.

    Returns:
        ``()``, float64 for float64, else float32. ``-inf`` if every score gives a label, or if there are no
        clips. A score of ``-inf`` never gives a label.

    Raises:
        TypeError: if the scores are not floating point, or ``mean_labels`` is not a number.
        ValueError: if there is no class, a score is NaN, or ``mean_labels`` is not from 0 to C.

    >>> scores = torch.tensor([[4.0, 1.0, 0.0], [13.0, 12.0, 9.0]])
    >>> cut = label_threshold(scores, mean_labels=1.5)
    >>> cut, (calibrate_scores(scores) > cut).int()
    (tensor(-3.0659), tensor([[1, 0, 0],
            [1, 1, 0]], dtype=torch.int32))
    """
    compared = calibrate_scores(scores) if calibrate else _check_scores(scores)
    check_number("mean_labels", mean_labels, 0, compared.shape[-1])
    values = compared.flatten()
    wanted = round(mean_labels * (len(values) // compared.shape[-1]))
    if wanted >= len(values):
        return values.new_tensor(-torch.inf)
    cut = _one_after(values, wanted)
    too_few = wanted - int((values > cut).count_nonzero())
    if too_few and int((values >= cut).count_nonzero()) - wanted < too_few:
        return torch.where(values < cut, values, -torch.inf).amax()
    return cut


def _one_after(values: Tensor, count: int) -> Tensor:
    """The highest value but ``count``. Not by ``kthvalue``: it takes seconds where values are in order."""
    if values.device.type != "cpu":
        return values.topk(count + 1, sorted=False).values.amin()
    import numpy as np

    place = len(values) - 1 - count
    return values.new_tensor(np.partition(values.numpy(), place)[place])


def _check_scores(scores: object) -> Tensor:
    """The scores in float32 or better, without gradients."""
    tensor = check_floating("scores", scores)
    if tensor.ndim == 0 or tensor.shape[-1] == 0:
        raise ValueError(f"scores: wanted shape (*, C) with C >= 1 classes, got {describe(tensor)}")
    refuse_nan(tensor)
    return tensor.detach().to(torch.promote_types(tensor.dtype, torch.float32))
