"""Ranking losses for multi-label scores, exact and without a table of class pairs."""

from __future__ import annotations

from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from rankaudio._checks import (
    check_choice,
    check_floating,
    check_scores_and_target,
    check_shape,
    check_tensor,
    check_values,
    describe,
)

Reduction = Literal["none", "mean", "sum"]
_REDUCTIONS: tuple[Reduction, ...] = ("none", "mean", "sum")


def lsep_loss(
    scores: Tensor,
    target: Tensor,
    *,
    graded: bool = False,
    mask: Tensor | None = None,
    class_weight: Tensor | None = None,
    sample_weight: Tensor | None = None,
    reduction: Reduction = "mean",
) -> Tensor:
    r"""Log-sum-exp pairwise loss: every label present should outscore every label absent.

    .. math:: \ell = \log\Bigl(1 + \sum_{u,v \,:\, t_u < t_v} w_u w_v \, e^{s_u - s_v}\Bigr)

    With 0/1 targets the double sum is a product of two sums, so the cost is linear in the number
    of classes; with graded targets a sort and a running sum make it :math:`C \log C`. Both are
    exact, and neither overflows, whatever the margins.

    Args:
        scores: ``(*, C)`` floating point, raw scores. Adding a constant to a row changes nothing.
        target: ``(*, C)`` bool or 0/1; with ``graded`` any finite real numbers.
        graded: compare the target's values, so that ``u`` and ``v`` are a pair when
            :math:`t_u < t_v`. Otherwise the target must be 0/1 (checked where tensors are on the CPU;
            on an accelerator, where looking would stall it, every non-zero value counts as present).
        mask: ``(*, C)`` bool, true where the label is known. Unknown labels are in no pair.
        class_weight: ``(C,)`` non-negative weights :math:`w`; a pair weighs the product of its two.
        sample_weight: ``(*)`` non-negative weights of the rows.
        reduction: over the leading axes: ``"none"``, ``"sum"``, or ``"mean"``, which with
            ``sample_weight`` is the weighted mean.

    Returns:
        ``()``, or ``(*)`` for ``"none"``; float64 for float64 scores, else float32. A row without a
        pair (every label, no label, nothing known) costs 0 and its gradient is 0. The mean of no
        rows, or of rows that all weigh nothing, is 0, and it is still part of the graph.

    Raises:
        TypeError: if scores are not floating point, or a mask is not bool.
        ValueError: if shapes or devices disagree, or, on the CPU, a target is not 0/1 (graded: not
            finite) or a weight is negative.

    Reference:
        Li, Song and Luo, Improving Pairwise Ranking for Multi-label Image Classification,
        CVPR 2017, https://arxiv.org/abs/1704.03135

    >>> lsep_loss(torch.tensor([[2.0, 0.0]]), torch.tensor([[1, 0]]))
    tensor(0.1269)
    >>> lsep_loss(torch.tensor([[2.0, 0.0, 1.0]]), torch.tensor([[1.0, 0.5, 0.0]]), graded=True)
    tensor(1.4402)
    """
    scores, target = check_scores_and_target(scores, target, graded=graded)
    check_choice("reduction", reduction, _REDUCTIONS)
    if mask is not None:
        check_shape("mask", mask, scores.shape, like=scores)
        if mask.dtype != torch.bool:
            raise TypeError(f"mask: wanted a bool tensor, got {describe(mask)}")
    if class_weight is not None:
        _check_weight("class_weight", class_weight, scores.shape[-1:], scores)
    if sample_weight is not None:
        _check_weight("sample_weight", sample_weight, scores.shape[:-1], scores)

    if scores.dtype != torch.float64:
        scores = scores.float()
    log_weight = None if class_weight is None else class_weight.to(scores.dtype).log()
    log_pairs = _graded_log_pairs if graded else _binary_log_pairs
    # softplus switches to the identity at its threshold; at the default, 20, that is wrong by 2e-9.
    losses = F.softplus(log_pairs(scores, target, mask, log_weight), threshold=40)
    return _reduce(losses.to(scores.dtype), sample_weight, reduction)


class LSEPLoss(nn.Module):
    """Module form of :func:`lsep_loss`, which holds the definition and the shapes.

    Args:
        graded: as in the function.
        class_weight: as in the function; moves with the Module, and is not part of its state dict.
        reduction: as in the function.

    >>> LSEPLoss()(torch.tensor([[2.0, 0.0]]), torch.tensor([[1, 0]]))
    tensor(0.1269)
    """

    class_weight: Tensor | None

    def __init__(
        self, *, graded: bool = False, class_weight: Tensor | None = None, reduction: Reduction = "mean"
    ) -> None:
        super().__init__()
        self.graded = graded
        self.reduction: Reduction = check_choice("reduction", reduction, _REDUCTIONS)
        if class_weight is not None:
            check_tensor("class_weight", class_weight)
        self.register_buffer("class_weight", class_weight, persistent=False)

    def forward(
        self,
        scores: Tensor,
        target: Tensor,
        *,
        mask: Tensor | None = None,
        sample_weight: Tensor | None = None,
    ) -> Tensor:
        """Return the loss of a batch of scores."""
        return lsep_loss(
            scores,
            target,
            graded=self.graded,
            mask=mask,
            class_weight=self.class_weight,
            sample_weight=sample_weight,
            reduction=self.reduction,
        )

    def extra_repr(self) -> str:
        """Show the settings."""
        weighted = "" if self.class_weight is None else f", class_weight=({len(self.class_weight)},)"
        return f"graded={self.graded}{weighted}, reduction={self.reduction!r}"


def _binary_log_pairs(
    scores: Tensor, target: Tensor, mask: Tensor | None, log_weight: Tensor | None
) -> Tensor:
    """Log of the sum over pairs, which factorises: (sum of e^s, absent) x (sum of e^-s, present)."""
    present = target.bool()
    absent = ~present
    if mask is not None:
        present, absent = present & mask, absent & mask
    highest_absent, absent_rest = _masked_lse(scores, absent, log_weight)
    highest_present, present_rest = _masked_lse(-scores, present, log_weight)
    # The two maxima first: they may be huge and nearly cancel, the rests are at most log C.
    return (highest_absent + highest_present) + (absent_rest + present_rest)


def _masked_lse(x: Tensor, keep: Tensor, log_weight: Tensor | None) -> tuple[Tensor, Tensor]:
    """Logsumexp over the entries to keep, in two parts, maximum and rest, that add up to it.

    Apart, the parts keep the softmax in the gradient exact to rounding: a sum of 10,000 and log 2
    has lost four digits of log 2 in float32.
    """
    if log_weight is not None:
        x = x + log_weight
    # Finite on purpose: -inf gives NaN second derivatives on rows without a pair. A quarter of the
    # range, so that two of them still add up to a finite number.
    hidden = torch.finfo(x.dtype).min / 4
    x = x.masked_fill(~keep, hidden).clamp(min=hidden)
    highest = x.detach().amax(-1)
    return highest, (x - highest[..., None]).logsumexp(-1)


def _graded_log_pairs(
    scores: Tensor, target: Tensor, mask: Tensor | None, log_weight: Tensor | None
) -> Tensor:
    """Log of the sum over pairs: sort by target, and let each v meet the running sum below its ties."""
    # The gradient of logcumsumexp subtracts numbers as large as the margins, hence the doubles.
    if scores.device.type != "mps":
        scores = scores.double()
    hidden = torch.finfo(scores.dtype).min / 4
    check_values("target", target, target.isfinite(), "finite numbers")
    level, order = (target.byte() if target.dtype == torch.bool else target).sort(dim=-1)
    ranked = scores.gather(-1, order)
    # Scores matter by their differences only; relative to their maximum they cannot overflow.
    ranked = ranked - ranked.detach().amax(-1, keepdim=True)
    weight = _log_weight_in_order(log_weight, mask, order, hidden)

    running = (ranked if weight is None else ranked + weight).logcumsumexp(-1)
    ties_start = torch.searchsorted(level, level)
    pairs = running.gather(-1, (ties_start - 1).clamp(min=0)) - ranked
    if weight is not None:
        pairs = pairs + weight
    pairs = pairs.masked_fill(ties_start == 0, hidden).clamp(min=hidden)
    return pairs.logsumexp(-1)


def _log_weight_in_order(
    log_weight: Tensor | None, mask: Tensor | None, order: Tensor, hidden: float
) -> Tensor | None:
    """Log-weights of the sorted classes, those not known hidden; None if all weigh 1."""
    if log_weight is None and mask is None:
        return None
    weight = torch.zeros((), device=order.device) if log_weight is None else log_weight
    weight = weight.double().expand_as(order) if order.device.type != "mps" else weight.expand_as(order)
    if mask is not None:
        weight = weight.masked_fill(~mask, hidden)
    return weight.clamp(min=hidden).gather(-1, order)


def _check_weight(name: str, weight: object, shape: torch.Size, scores: Tensor) -> None:
    tensor = check_floating(name, weight)
    check_shape(name, tensor, shape, like=scores)
    check_values(name, tensor, tensor >= 0, "non-negative numbers")


def _reduce(losses: Tensor, sample_weight: Tensor | None, reduction: Reduction) -> Tensor:
    """Weigh and reduce; the mean of nothing is 0 and keeps its graph."""
    dtype = losses.dtype
    if sample_weight is not None:
        losses = losses * sample_weight
    if reduction == "mean":
        if sample_weight is None:
            losses = losses.sum() / max(losses.numel(), 1)
        else:
            total = sample_weight.sum()
            losses = losses.sum() / torch.where(total > 0, total, 1)
    elif reduction == "sum":
        losses = losses.sum()
    return losses.to(dtype)
