"""A threshold for each class: the best of all cuts between two scores."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import torch
from torch import Tensor

from rankaudio._checks import check_number
from rankaudio.decisions._inputs import Clips, check_clips, check_fold_numbers
from rankaudio.metrics import ClassF1, f1

if TYPE_CHECKING:
    from rankaudio.metrics._inputs import Array

__all__ = ["ThresholdFit", "fit_thresholds"]

# Scores that are sorted at a time: about 100 MB.
_BUDGET = 2**21


class ThresholdFit(NamedTuple):
    """The result of :func:`fit_thresholds`, all on the CPU.

    >>> fit = fit_thresholds(
    ...     torch.tensor([[3.0], [1.0], [0.0]]), torch.tensor([[1], [1], [0]])
    ... )
    >>> fit.fitted.f1, fit.nested
    (tensor([1.], dtype=torch.float64), None)
    """

    thresholds: Tensor
    """``(C,)``, float64 for float64 scores, otherwise float32; ``inf`` for a class that is never present."""
    fitted: ClassF1
    """Precision, recall and F1 of each class on the clips of the fit. They are too high to report."""
    nested: ClassF1 | None
    """The same for clips with thresholds fitted on the other folds. Report these. None without folds."""
    fold_thresholds: Tensor | None
    """``(K, C)``, the thresholds of ``nested``. They show how much thresholds depend on the clips."""


def fit_thresholds(
    scores: Array,
    target: Array,
    *,
    precision: float | None = None,
    recall: float | None = None,
    mask: Array | None = None,
    folds: Tensor | None = None,
) -> ThresholdFit:
    r"""Find the threshold of each class with the best F1, or with a wanted precision or recall.

    A class is present in a clip if :math:`s \ge \theta_c`. All cuts between two different scores of a class
    are tried, so the result is exact. A threshold is the middle between the two scores. Where all clips are
    claimed, it is the lowest score.

    .. math:: \theta_c = \arg\max_\theta F_c(\theta), \qquad
        F_c(\theta) = \frac{2 \, \#\{i : t_{ic} = 1,\ s_{ic} \ge \theta\}}
        {\#\{i : t_{ic} = 1\} + \#\{i : s_{ic} \ge \theta\}}

    With ``precision``, it is the threshold with the highest recall of all that have this precision. With
    ``recall``, it is the one with the highest precision of all that have this recall. Among equally good
    thresholds the highest is taken, which decides for the fewest clips.

    Thresholds depend on the clips of the fit. Use clips that the model was not trained on. The figures of
    :attr:`ThresholdFit.fitted` are too high even then, because the thresholds have seen these labels. With
    ``folds``, the fit is repeated without each fold in turn, and :attr:`ThresholdFit.nested` has the figures
    of all clips with the thresholds of the other folds.

    Args:
        scores: ``(N, C)`` floating point, raw scores or probabilities: what will be compared with the
            thresholds later. Like target and mask, a tensor or a numpy array.
        target: ``(N, C)`` bool or 0/1.
        precision: the wanted precision, above 0 and at most 1.
        recall: the wanted recall, above 0 and at most 1.
        mask: ``(N, C)`` bool, true where the label is known. Unknown labels are not counted.
        folds: ``(N,)`` integers, the fold of each clip. Best are the folds of the training.

    Returns:
        A :class:`ThresholdFit`. The threshold is ``inf`` for a class without labels, because no cut is
        better than another, and for a class that cannot have the wanted precision. No clip gets that class.

    Raises:
        TypeError: if scores are not floating point, folds are not integers, or a mask is not bool.
        ValueError: if a known score is NaN, the target is not 0/1, shapes differ, there are fewer than two
            folds, or both a precision and a recall are wanted.

    >>> scores = torch.tensor([[3.0], [2.0], [1.0], [0.0]])
    >>> target = torch.tensor([[1], [0], [1], [0]])
    >>> fit_thresholds(
    ...     scores, target
    ... ).thresholds  # F1 is 2/3, 1/2, 4/5 and 2/3 from the highest cut down
    tensor([0.5000])
    >>> fit_thresholds(scores, target, precision=0.9).thresholds
    tensor([2.5000])
    """
    goal = _check_goal(precision, recall)
    clips = check_clips(scores, target, mask)
    fold_of = check_fold_numbers(folds, len(clips.scores))
    thresholds = _fit(clips, *goal)
    fitted = _figures(clips, thresholds)
    if fold_of is None:
        return ThresholdFit(thresholds, fitted, None, None)
    of_folds, decided = [], torch.empty_like(clips.scores)
    for number in sorted(set(fold_of.tolist())):
        held_out = fold_of == number
        of_folds.append(_fit(clips.rows(~held_out), *goal))
        # Scores minus thresholds would be rounded. Decisions are scores with a threshold of 1.
        decided[held_out] = (clips.scores[held_out] >= of_folds[-1]).to(decided.dtype)
    nested = _figures(clips._replace(scores=decided), torch.ones_like(thresholds))
    return ThresholdFit(thresholds, fitted, nested, torch.stack(of_folds))


def _check_goal(precision: float | None, recall: float | None) -> tuple[float | None, float | None]:
    for name, value in (("precision", precision), ("recall", recall)):
        if value is not None and check_number(name, value, 0, 1) == 0:
            raise ValueError(f"{name}: wanted a number above 0, got {value}")
    if precision is not None and recall is not None:
        raise ValueError(f"recall: wanted None, because precision is {precision}, got {recall}")
    return precision, recall


def _figures(clips: Clips, thresholds: Tensor) -> ClassF1:
    return f1(clips.scores, clips.present, thresholds=thresholds, average=None, mask=clips.known)


def _fit(clips: Clips, precision: float | None, recall: float | None) -> Tensor:
    parts = [_fit_classes(part, precision, recall) for part in clips.classes(_BUDGET)]
    return torch.cat(parts)


def _fit_classes(clips: Clips, precision: float | None, recall: float | None) -> Tensor:
    """Sort each class once, and look at the counts above each cut."""
    if len(clips.scores) == 0:
        return clips.scores.new_full(clips.scores.shape[1:], torch.inf)
    # Unknown labels come last and count nothing, so a cut among them is as good as the one before.
    ranked, order = clips.scores.masked_fill(~clips.known, -torch.inf).sort(dim=0, descending=True)
    hits = clips.present.gather(0, order).cumsum(0)
    claims = clips.known.gather(0, order).cumsum(0)
    below = torch.cat([ranked[1:], torch.full_like(ranked[:1], -torch.inf)])
    is_cut = ranked > below
    is_cut[-1] = True
    value = _value(hits, claims, hits[-1], precision, recall).masked_fill(~is_cut, -torch.inf)
    best = value.max(dim=0, keepdim=True)
    upper, lower = ranked.gather(0, best.indices)[0], below.gather(0, best.indices)[0]
    middle = upper / 2 + lower / 2
    # Between neighbouring numbers, or above -inf, there is no middle.
    middle = torch.where((middle > lower) & (middle <= upper), middle, upper)
    return torch.where((best.values[0] > 0) & (hits[-1] > 0), middle, torch.inf)


def _value(
    hits: Tensor, claims: Tensor, labels: Tensor, precision: float | None, recall: float | None
) -> Tensor:
    """Return what a cut is worth, ``(N, C)``: above 0 if it may be taken."""
    exact = hits.double()
    if precision is not None:
        return torch.where(exact / claims >= precision, exact, 0.0)
    if recall is not None:
        return torch.where(exact / labels >= recall, exact / claims, 0.0)
    return 2 * exact / (claims + labels)
