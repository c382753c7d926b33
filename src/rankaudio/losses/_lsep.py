"""LSEP, the log-sum-exp pairwise loss: exact, and without a table of class pairs."""

from __future__ import annotations

import math
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from rankaudio._checks import (
    check_choice,
    check_flag,
    check_floating,
    check_mask,
    check_scores_and_target,
    check_shape,
    check_values,
    check_zeros_and_ones,
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

    With 0/1 targets the double sum is a product of two sums, so the cost is linear in the number of
    classes. With graded targets a sort and a running sum make the cost :math:`C \log C`. Both ways are exact,
    and neither overflows at any margin.

    Args:
        scores: ``(*, C)`` floating point, raw scores. Adding a constant to a row changes nothing.
        target: ``(*, C)`` bool or 0/1; with ``graded`` any finite real numbers.
        graded: compare the target's values: ``u`` and ``v`` are a pair when :math:`t_u < t_v`. Otherwise the
            target must be 0/1. That is checked on the CPU. On an accelerator the check would have to wait,
            so every non-zero value counts as present.
        mask: ``(*, C)`` bool, true where the label is known. Unknown labels are in no pair.
        class_weight: ``(C,)`` non-negative weights :math:`w`. The weight of a pair is the product of its two.
        sample_weight: ``(*)`` non-negative weights of the rows.
        reduction: ``"none"``, ``"sum"`` or ``"mean"`` over the leading axes. With ``sample_weight`` the mean
            is the weighted mean.

    Returns:
        ``()``, or ``(*)`` for ``"none"``; float64 for float64 scores, else float32. A row has no pair if it
        has every label, no label, or no known label. Its loss and gradient are 0. The mean of no rows,
        or of rows with no weight, is 0 and still part of the graph.

    Raises:
        TypeError: if scores or weights are not floating point, or a mask or ``graded`` is not bool.
        ValueError: if shapes or devices disagree, a target is not 0/1 (graded: not finite), or a weight is
            negative. Values are checked on the CPU only.

    Reference:
        Li, Song and Luo, Improving Pairwise Ranking for Multi-label Image Classification,
        CVPR 2017, https://arxiv.org/abs/1704.03135

    >>> lsep_loss(torch.tensor([[2.0, 0.0]]), torch.tensor([[1, 0]]))
    tensor(0.1269)
    >>> lsep_loss(
    ...     torch.tensor([[2.0, 0.0, 1.0]]), torch.tensor([[1.0, 0.5, 0.0]]), graded=True
    ... )
    tensor(1.4402)
    """
    scores, target = check_scores_and_target(scores, target)
    if not check_flag("graded", graded):
        check_zeros_and_ones("target", target, " (graded targets need graded=True)")
    check_choice("reduction", reduction, _REDUCTIONS)
    if mask is not None:
        check_mask("mask", mask, scores.shape, like=scores)
    if class_weight is not None:
        _check_weight("class_weight", class_weight, scores.shape[-1:], scores)
    if sample_weight is not None:
        _check_weight("sample_weight", sample_weight, scores.shape[:-1], scores)

    if scores.dtype != torch.float64:
        scores = scores.float()
    log_weight = None if class_weight is None else class_weight.to(scores.dtype).log()
    log_pairs = _graded_log_pairs if graded else _binary_log_pairs
    # softplus is the identity above its threshold. At the default of 20 that is wrong by 2e-9.
    losses = F.softplus(log_pairs(scores, target, mask, log_weight), threshold=40)
    return _reduce(losses.to(scores.dtype), sample_weight, reduction)


class LSEPLoss(nn.Module):
    """Module form of :func:`lsep_loss`, which holds the definition and the shapes.

    Args:
        graded: as in the function.
        class_weight: as in the function. It moves with the Module and is not part of its state dict.
        reduction: as in the function.

    >>> LSEPLoss()(torch.tensor([[2.0, 0.0]]), torch.tensor([[1, 0]]))
    tensor(0.1269)
    """

    class_weight: Tensor | None

    def __init__(
        self, *, graded: bool = False, class_weight: Tensor | None = None, reduction: Reduction = "mean"
    ) -> None:
        super().__init__()
        self.graded: bool = check_flag("graded", graded)
        self.reduction: Reduction = check_choice("reduction", reduction, _REDUCTIONS)
        if class_weight is not None:
            check_floating("class_weight", class_weight)
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
    """Log of the sum over pairs, a product: (sum of e^s over absent) x (sum of e^-s over present)."""
    present = target.bool()
    absent = ~present
    if mask is not None:
        present, absent = present & mask, absent & mask
    highest_absent, absent_rest = _masked_lse(scores, absent, log_weight)
    highest_present, present_rest = _masked_lse(-scores, present, log_weight)
    # Add the two maxima first: they may be huge and nearly cancel. The remainders are at most log C.
    return (highest_absent + highest_present) + (absent_rest + present_rest)


def _masked_lse(x: Tensor, keep: Tensor, log_weight: Tensor | None) -> tuple[Tensor, Tensor]:
    """Logsumexp over the entries to keep, as two terms: the maximum and the remainder.

    Separate terms keep the softmax in the gradient exact to rounding. In float32 the sum of 10,000 and log 2
    has lost four digits of log 2.
    """
    if log_weight is not None:
        x = x + log_weight
    # A finite number, because -inf gives NaN second derivatives on rows without a pair. It is a quarter of
    # the range, so that the sum of two is still finite.
    hidden = torch.finfo(x.dtype).min / 4
    x = x.masked_fill(~keep, hidden).clamp(min=hidden)
    highest = x.detach().amax(-1)
    return highest, (x - highest[..., None]).logsumexp(-1)


def _graded_log_pairs(
    scores: Tensor, target: Tensor, mask: Tensor | None, log_weight: Tensor | None
) -> Tensor:
    """Log of the sum over pairs: sort by target, and pair each v with the running sum below its ties."""
    # The gradient of logcumsumexp subtracts numbers as large as the margins, so it needs float64.
    if scores.device.type != "mps":
        scores = scores.double()
    hidden = torch.finfo(scores.dtype).min / 4
    check_values("target", target, target.isfinite(), "finite numbers")
    level, order = (target.byte() if target.dtype == torch.bool else target).sort(dim=-1)
    ranked = scores.gather(-1, order)
    # Only differences of scores matter. Relative to their maximum, scores cannot overflow.
    ranked = ranked - ranked.detach().amax(-1, keepdim=True)
    weight = _log_weight_in_order(log_weight, mask, order, hidden)

    running = (ranked if weight is None else ranked + weight).logcumsumexp(-1)
    ties_start = torch.searchsorted(level, level)
    pairs = running.gather(-1, (ties_start - 1).clamp(min=0)) - ranked
    if weight is not None:
        pairs = pairs + weight
    pairs = pairs.masked_fill(ties_start == 0, hidden).clamp(min=hidden)
    return _hide_negligible(pairs, hidden).logsumexp(-1)


def _hide_negligible(pairs: Tensor, hidden: float) -> Tensor:
    """Hide pairs whose gradient would be 0 in the computation, such as those of a class with weight 0.

    PyTorch takes the logarithm of the gradient of logcumsumexp, so a zero gives NaN second derivatives.
    """
    top = pairs.detach().amax(-1, keepdim=True)
    log_gradient = pairs.detach() + (top.clamp(max=0) - top)
    return pairs.masked_fill(log_gradient < math.log(torch.finfo(pairs.dtype).tiny) + 8, hidden)


def _log_weight_in_order(
    log_weight: Tensor | None, mask: Tensor | None, order: Tensor, hidden: float
) -> Tensor | None:
    """Log-weights of the sorted classes, hidden where unknown; None if all weights are 1."""
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


def _without_denormals(weight: Tensor) -> Tensor:
    """Multiply weights by 2^100 if their sum is so small that products lose digits and its inverse overflows.

    A common factor does not change the weighted mean.
    """
    if weight.dtype == torch.float16:  # float32 has the inverse of each number of float16
        return weight
    small = weight.sum() < torch.finfo(weight.dtype).tiny * 2**30
    return weight * torch.where(small, 2.0**100, 1.0)


def _reduce(losses: Tensor, sample_weight: Tensor | None, reduction: Reduction) -> Tensor:
    """Apply weights and reduce. The mean of nothing is 0 and keeps its graph."""
    dtype = losses.dtype
    if sample_weight is not None:
        if reduction == "mean":
            sample_weight = _without_denormals(sample_weight)
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
