"""Area under the ROC curve, and d-prime, of each class."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple, overload

import torch
from torch import Tensor

from rankaudio._checks import check_choice
from rankaudio.metrics._inputs import CLASS_AVERAGES, ClassAverage, check_rows
from rankaudio.metrics._ranked import Ranked, as_one_class, of_classes

if TYPE_CHECKING:
    from rankaudio.metrics._inputs import Array

__all__ = ["ClassRoc", "d_prime", "roc_auc"]


class ClassRoc(NamedTuple):
    """The result of ``average=None``: three tensors ``(C,)``.

    >>> roc_auc(
    ...     torch.tensor([[2.0], [1.0]]), torch.tensor([[1], [0]]), average=None
    ... ).d_prime
    tensor([inf], dtype=torch.float64)
    """

    roc_auc: Tensor
    """The area of each class; NaN for a class without labels, or with labels only."""
    d_prime: Tensor
    """d-prime of each class; infinite for a perfect class."""
    support: Tensor
    """The number of labels of each class, or the sum of the weights of their rows."""


@overload
def roc_auc(
    scores: Array,
    target: Array,
    *,
    average: ClassAverage = ...,
    mask: Array | None = ...,
    sample_weight: Array | None = ...,
) -> Tensor: ...


@overload
def roc_auc(
    scores: Array,
    target: Array,
    *,
    average: None,
    mask: Array | None = ...,
    sample_weight: Array | None = ...,
) -> ClassRoc: ...


def roc_auc(
    scores: Array,
    target: Array,
    *,
    average: ClassAverage | None = "macro",
    mask: Array | None = None,
    sample_weight: Array | None = None,
) -> Tensor | ClassRoc:
    r"""Area under the ROC curve: how often a clip with the class is scored above a clip without it.

    .. math:: \mathrm{AUC}_c = \frac{\sum_{i, k} w_i w_k \, t_{ic} (1 - t_{kc})
        \big( [s_{ic} > s_{kc}] + \tfrac12 [s_{ic} = s_{kc}] \big)}
        {\sum_{i, k} w_i w_k \, t_{ic} (1 - t_{kc})}

    Args:
        scores: ``(*, C)`` floating point, raw scores. Like the other arguments, a tensor or a numpy array.
        target: ``(*, C)`` bool or 0/1.
        average: ``"macro"``, the mean over classes. ``"micro"``, the value of all entries as clips of one
            class. ``None``, the value of each class.
        mask: ``(*, C)`` bool, true where the label is known. Unknown labels are not counted.
        sample_weight: ``(*)`` non-negative floating-point weights :math:`w` of the rows.

    Returns:
        ``()``, or :class:`ClassRoc` for ``None``; float64 (float32 on mps). A class needs clips with and
        without it. Otherwise its value is NaN, and ``"macro"`` leaves it out.

    Raises:
        TypeError: if scores or weights are not floating point, or a mask is not bool.
        ValueError: if a known score is NaN, or shapes or devices disagree. On the CPU also if a target is not
            0/1, or a weight is negative or infinite.

    Reference:
        It equals scikit-learn's ``roc_auc_score``, which refuses classes without both kinds of clips.

    >>> scores = torch.tensor([[3.0], [2.0], [1.0], [1.0]])
    >>> roc_auc(scores, torch.tensor([[1], [0], [1], [0]]))  # 2 pairs right and a tie, of 4
    tensor(0.6250, dtype=torch.float64)
    """
    check_choice("average", average, CLASS_AVERAGES)
    rows = check_rows(scores, target, mask, sample_weight)
    per_class, support = of_classes(as_one_class(rows) if average == "micro" else rows, _area)
    if average is not None:
        return per_class.nanmean()
    return ClassRoc(per_class, _d_prime(per_class), support)


def d_prime(
    scores: Array,
    target: Array,
    *,
    average: ClassAverage = "macro",
    mask: Array | None = None,
    sample_weight: Array | None = None,
) -> Tensor:
    r"""d-prime: the distance between two normal distributions with the same area under the ROC curve.

    .. math:: d' = \sqrt{2} \; \Phi^{-1}(\mathrm{AUC})

    It is d-prime of :func:`roc_auc`: of the mean area for ``"macro"``, as it is reported for AudioSet. The
    mean of d-prime over classes would be infinite as soon as one class is perfect.
    ``roc_auc(average=None).d_prime`` has the value of each class.

    Args:
        scores: ``(*, C)`` floating point, raw scores.
        target: ``(*, C)`` bool or 0/1.
        average: ``"macro"`` or ``"micro"``, as in :func:`roc_auc`.
        mask: ``(*, C)`` bool, true where the label is known.
        sample_weight: ``(*)`` non-negative floating-point weights of the rows.

    Returns:
        ``()`` float64 (float32 on mps). 0 is chance, and a perfect ranking gives ``inf``. It is NaN where the
        area is.

    Raises:
        TypeError: as :func:`roc_auc`.
        ValueError: as :func:`roc_auc`.

    >>> scores = torch.tensor([[3.0], [2.0], [1.0], [1.0]])
    >>> d_prime(scores, torch.tensor([[1], [0], [1], [0]]))
    tensor(0.4506, dtype=torch.float64)
    """
    check_choice("average", average, CLASS_AVERAGES[:2])
    return _d_prime(roc_auc(scores, target, average=average, mask=mask, sample_weight=sample_weight))


def _area(ranked: Ranked) -> Tensor:
    """Count the clips with the class above each clip without it, and half of those that are tied."""
    at_least = ranked.all_at_least - ranked.positives_at_least
    tied = at_least - (ranked.all_above - ranked.positives_above)
    right = (ranked.positive * (ranked.negatives - at_least + tied / 2)).sum(1)
    return right / (ranked.positive.sum(1) * ranked.negatives[:, 0])


def _d_prime(area: Tensor) -> Tensor:
    normal: Tensor = torch.special.ndtri(area)
    return math.sqrt(2) * normal
