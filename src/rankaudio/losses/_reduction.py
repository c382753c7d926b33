"""Weighted sums and means of losses, one loss a row or one loss an entry."""

from __future__ import annotations

import torch
from torch import Tensor

from rankaudio.losses._options import Reduction


def reduce_rows(losses: Tensor, sample_weight: Tensor | None, reduction: Reduction) -> Tensor:
    """Apply weights and reduce. The mean of nothing is 0 and keeps its graph."""
    dtype = losses.dtype
    if sample_weight is not None:
        if reduction == "mean":
            sample_weight = _without_denormals(sample_weight)
        losses = losses * sample_weight
    if reduction == "mean":
        if sample_weight is None:
            losses = losses.mean() if losses.numel() else losses.sum()
        else:
            total = sample_weight.sum()
            losses = losses.sum() / torch.where(total > 0, total, 1)
    elif reduction == "sum":
        losses = losses.sum()
    return losses if losses.dtype == dtype else losses.to(dtype)


def reduce_entries(
    losses: Tensor,
    reduction: Reduction,
    *,
    mask: Tensor | None = None,
    sample_weight: Tensor | None = None,
    class_weight: Tensor | None = None,
) -> Tensor:
    """Apply mask and weights to losses ``(*, C)``, and reduce.

    The mean of nothing is 0 and keeps its graph.
    """
    if mask is not None:
        losses = losses.masked_fill(~mask, 0)
    weight = _weight_of_entries(losses, sample_weight, class_weight, reduction)
    if weight is not None:
        losses = losses * weight
    if reduction == "none":
        return losses
    total = losses.sum()
    if reduction == "sum":
        return total
    if mask is None and weight is None:
        return total / max(losses.numel(), 1)
    known = losses.new_ones(losses.shape) if mask is None else mask.to(losses.dtype)
    count = known.sum() if weight is None else (known * weight).sum()
    return total / torch.where(count > 0, count, 1)


def _weight_of_entries(
    losses: Tensor, sample_weight: Tensor | None, class_weight: Tensor | None, reduction: Reduction
) -> Tensor | None:
    """Weights that broadcast to ``(*, C)``; None if all are 1."""
    rows = None if sample_weight is None else sample_weight.to(losses.dtype)[..., None]
    classes = None if class_weight is None else class_weight.to(losses.dtype)
    factors = [factor for factor in (rows, classes) if factor is not None]
    if reduction == "mean":
        factors = [_without_denormals(factor) for factor in factors]
    if len(factors) == 2:
        return factors[0] * factors[1]
    return factors[0] if factors else None


def _without_denormals(weight: Tensor) -> Tensor:
    """Multiply weights by 2^100 if their sum is so small that products lose digits and its inverse overflows.

    A common factor does not change the weighted mean.
    """
    if weight.dtype == torch.float16:  # float32 has the inverse of each number of float16
        return weight
    small = weight.sum() < torch.finfo(weight.dtype).tiny * 2**30
    return weight * torch.where(small, 2.0**100, 1.0)
