"""Scale and shift of each class with the least negative log-likelihood."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import softplus

from rankaudio._checks import check_choice, check_values
from rankaudio.decisions._calibration import Calibration
from rankaudio.decisions._inputs import Clips, check_clips, check_fold_numbers
from rankaudio.decisions._newton import Problem, minimise

if TYPE_CHECKING:
    from rankaudio.metrics._inputs import Array

__all__ = ["CalibrationFit", "fit_calibration"]

CalibrationMethod = Literal["platt", "temperature"]
# Scores that are fitted at a time: about 100 MB.
_BUDGET = 2**20


class CalibrationFit(NamedTuple):
    """The result of :func:`fit_calibration`, on the CPU. Log-losses are means over the known labels.

    >>> fit = fit_calibration(
    ...     torch.tensor([[3.0], [2.0], [1.0], [0.0]]), torch.tensor([[1], [0], [1], [0]])
    ... )
    >>> fit.log_loss < fit.constant < fit.uncalibrated
    True
    """

    calibration: Calibration
    """The Module from scores to probabilities, in float64."""
    log_loss: float
    """Log-loss of the probabilities on the clips of the fit. It is too low to report."""
    nested: float | None
    """Log-loss of clips with a calibration fitted on the other folds. Report this. None without folds."""
    uncalibrated: float
    """Log-loss of the sigmoid of the scores as they are."""
    constant: float
    """Log-loss of one probability for every clip, the share of clips with the class."""


def fit_calibration(
    scores: Array,
    target: Array,
    *,
    method: CalibrationMethod = "platt",
    mask: Array | None = None,
    folds: Tensor | None = None,
) -> CalibrationFit:
    r"""Find the :class:`Calibration` that makes the labels most likely.

    .. math:: \min_{a, b} \sum_{ic} \big[ \log(1 + e^{z_{ic}}) - t_{ic} z_{ic} \big], \qquad
        z_{ic} = a_c s_{ic} + b_c

    ``"platt"`` fits scale and shift of each class. Scores of a ranking loss need both, because their zero has
    no meaning. ``"temperature"`` fits one scale for all classes, and the shifts are 0. It suits a network
    that was trained with cross-entropy, and few clips.

    The minimum is exact: the loss is convex, and Newton's method runs in float64 until rounding ends it. A
    scale below 0 says that the class is ranked worse than by chance.

    If the scores of a class separate its labels, the best scale is infinite. Then the targets are those of
    Platt, :math:`(n_1 + 1) / (n_1 + 2)` and :math:`1 / (n_0 + 2)` for :math:`n_1` clips with and
    :math:`n_0` clips without the class, in place of 1 and 0. A class without labels is such a class. It has
    scale 0 and the probability :math:`1 / (n_0 + 2)`. For ``"temperature"``, all classes count as one.

    Args:
        scores: ``(N, C)`` floating point, raw scores of clips that the model was not trained on. Like target
            and mask, a tensor or a numpy array.
        target: ``(N, C)`` bool or 0/1.
        method: ``"platt"`` or ``"temperature"``, as above.
        mask: ``(N, C)`` bool, true where the label is known. Unknown labels are not counted.
        folds: ``(N,)`` integers, the fold of each clip, for :attr:`CalibrationFit.nested`.

    Returns:
        A :class:`CalibrationFit`. Without known labels, log-losses are NaN.

    Raises:
        TypeError: if scores are not floating point, folds are not integers, or a mask is not bool.
        ValueError: if a known score is not finite, the target is not 0/1, shapes differ, or there are fewer
            than two folds.

    Reference:
        Platt, *Probabilistic outputs for support vector machines*, 1999. Guo et al., *On calibration of
        modern neural networks*, https://arxiv.org/abs/1706.04599.

    >>> scores = torch.tensor([[3.0], [2.0], [1.0], [0.0]])
    >>> fit = fit_calibration(scores, torch.tensor([[1], [0], [1], [0]]))
    >>> fit.calibration(scores).flatten()
    tensor([0.7961, 0.6116, 0.3884, 0.2039])
    """
    check_choice("method", method, ("platt", "temperature"))
    clips = check_clips(scores, target, mask)
    check_values(
        "scores",
        clips.scores,
        clips.scores.isfinite() | ~clips.known,
        "finite numbers, where labels are known",
    )
    fold_of = check_fold_numbers(folds, len(clips.scores))
    clips = clips._replace(scores=clips.scores.double().masked_fill(~clips.known, 0))
    calibration = _fit(clips, method)
    nested = None
    if fold_of is not None:
        logits = torch.empty_like(clips.scores)
        for number in sorted(set(fold_of.tolist())):
            fitted = _fit(clips.rows(fold_of != number), method)
            logits[fold_of == number] = _logits(fitted, clips.scores[fold_of == number])
        nested = _log_loss(logits, clips)
    return CalibrationFit(
        calibration,
        _log_loss(_logits(calibration, clips.scores), clips),
        nested,
        _log_loss(clips.scores, clips),
        _constant(clips),
    )


def _fit(clips: Clips, method: CalibrationMethod) -> Calibration:
    if method == "platt":
        fits = [minimise(_problem(part), with_shift=True) for part in clips.classes(_BUDGET)]
        return Calibration(*(torch.cat(parts) for parts in zip(*fits, strict=True)))
    as_one = Clips(*(part.reshape(-1, 1) for part in clips))
    scale, shift = minimise(_problem(as_one, around_zero=True), with_shift=False)
    classes = clips.scores.shape[1:]
    return Calibration(scale.expand(classes), shift.expand(classes))


def _problem(clips: Clips, *, around_zero: bool = False) -> Problem:
    """Return the scores with their targets, which are Platt's in separable classes."""
    scores, present, absent = clips.scores, clips.present, clips.known & ~clips.present
    ones, zeros = present.sum(0).double(), absent.sum(0).double()
    if around_zero:
        wrong = [((scores * sign < 0) & present | (scores * sign > 0) & absent).any(0) for sign in (1, -1)]
        separable = ~wrong[0] | ~wrong[1]
    else:
        (least, most), (least_absent, most_absent) = _range(scores, present), _range(scores, absent)
        separable = (most_absent <= least) | (most <= least_absent)
    one = torch.where(separable, (ones + 1) / (ones + 2), 1.0)
    zero = torch.where(separable, 1 / (zeros + 2), 0.0)
    target = torch.where(present, one, zero)
    return Problem(scores, target, clips.known.double())


def _range(scores: Tensor, chosen: Tensor) -> tuple[Tensor, Tensor]:
    """Return the least and the highest of the chosen scores of each column; of none, inf and -inf."""
    infinite = torch.full_like(scores[:1].sum(0, keepdim=True), torch.inf)
    least = torch.cat([scores.masked_fill(~chosen, torch.inf), infinite]).amin(0)
    return least, torch.cat([scores.masked_fill(~chosen, -torch.inf), -infinite]).amax(0)


def _logits(calibration: Calibration, scores: Tensor) -> Tensor:
    return calibration.scale * scores + calibration.shift


def _log_loss(logits: Tensor, clips: Clips) -> float:
    losses = softplus(logits, threshold=40) - clips.present * logits
    return float(losses[clips.known].mean())


def _constant(clips: Clips) -> float:
    """Return the log-loss of each class's share of clips."""
    known, present = clips.known.sum(0).double(), clips.present.sum(0).double()
    share = present / known
    entropy = -torch.special.xlogy(share, share) - torch.special.xlogy(1 - share, 1 - share)
    return float((entropy * known).nansum() / known.sum())
