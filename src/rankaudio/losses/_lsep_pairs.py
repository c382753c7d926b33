"""The log of the sum over the pairs of LSEP, in operations that PyTorch can differentiate many times."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from rankaudio._checks import check_values
from rankaudio.losses._masked_lse import masked_lse, present_and_absent


def binary_log_pairs(
    scores: Tensor, target: Tensor, mask: Tensor | None, log_weight: Tensor | None
) -> Tensor:
    """Log of the sum over pairs, a product: (sum of e^s over absent) x (sum of e^-s over present)."""
    present, absent = present_and_absent(target.bool(), mask)
    highest_absent, absent_rest = masked_lse(scores, absent, log_weight)
    highest_present, present_rest = masked_lse(-scores, present, log_weight)
    # Add the two maxima first: they may be huge and nearly cancel. The remainders are at most log C.
    return (highest_absent + highest_present) + (absent_rest + present_rest)


def graded_log_pairs(
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
