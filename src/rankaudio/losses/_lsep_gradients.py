"""LSEP with gradients written out, which takes a third of the time of PyTorch's own backward pass.

Second derivatives come from the operations of ``_lsep_pairs``. PyTorch asks for them by calling ``backward``
with gradients enabled.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from rankaudio._checks import check_values
from rankaudio._plain import is_plain
from rankaudio._ties import sort_rows, tie_starts
from rankaudio.losses._lsep_pairs import binary_log_pairs, graded_log_pairs

# The largest distance of two scores of a row in sums of exponentials. A pair has the weight e^(u - v), and
# two factors above e^-708. So pairs up to e^-108 (e^-358) are right, and smaller ones change no loss.
_WIDEST = {torch.float32: 600.0, torch.float64: 350.0}
_LEAST_WEIGHT, _LARGEST_WEIGHT = 1e-6, 1e20
# Below this, softplus of a sum in float64 has an error of 1e-17. PyTorch's default of 20 is wrong by 2e-9.
SOFTPLUS_THRESHOLD = 40.0


def has_own_gradient(scores: Tensor, class_weight: Tensor | None) -> bool:
    """Whether a Function of this file can compute the loss. None of them has a gradient of the weights."""
    return is_plain(scores) and (class_weight is None or not class_weight.requires_grad)


def binary_losses(scores: Tensor, target: Tensor, mask: Tensor | None, log_weight: Tensor | None) -> Tensor:
    """Losses of rows with 0/1 targets, ``(*)``."""
    losses: Tensor = _Binary.apply(scores, target, mask, log_weight)  # type: ignore[no-untyped-call]
    return losses


class _Binary(torch.autograd.Function):
    """Softplus of the log of the sum over pairs: (sum of e^s over absent) x (sum of e^-s over present)."""

    @staticmethod
    def forward(
        ctx: Any, scores: Tensor, target: Tensor, mask: Tensor | None, log_weight: Tensor | None
    ) -> Tensor:
        absent, present = _terms(scores, target, mask, log_weight)
        # Add the two highest first: they may be huge and nearly cancel.
        log_pairs = absent.amax(-1).add_(present.amax(-1))
        # Reusing a name frees memory for the next step. New pages of memory take as long as a step.
        absent = absent.softmax(-1)
        present = present.softmax(-1)
        # The largest share is 1 / (sum of e^(term - highest)), so this logarithm is from -2 log C to 0.
        log_pairs.sub_(absent.amax(-1).mul_(present.amax(-1)).log_())
        slope = absent.sub_(present)
        ctx.save_for_backward(scores, target, mask, log_weight, log_pairs, slope)
        return F.softplus(log_pairs, threshold=SOFTPLUS_THRESHOLD)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None, None, None]:
        *inputs, log_pairs, slope = ctx.saved_tensors
        if torch.is_grad_enabled():
            return _differentiable(binary_log_pairs, inputs, gradients[0]), None, None, None
        return (gradients[0] * log_pairs.sigmoid()).unsqueeze(-1) * slope, None, None, None


def _terms(
    scores: Tensor, target: Tensor, mask: Tensor | None, log_weight: Tensor | None
) -> tuple[Tensor, Tensor]:
    """Exponents of both sums. An entry that is not in a sum has a finite number below all others.

    Masks are numbers here. On a CPU arithmetic takes a fifth of the time of ``masked_fill``.
    """
    info = torch.finfo(scores.dtype)
    hidden = 0.7 * info.max
    # On a CPU the target has been checked. Elsewhere every non-zero value counts as present.
    labels = target if target.device.type == "cpu" else target.bool()
    not_absent = labels if labels.dtype == scores.dtype else labels.to(scores.dtype)
    # In place where that is possible, because new memory takes as long as an operation.
    present = not_absent.mul(hidden).sub_(hidden)
    if mask is not None:
        not_absent, present = not_absent.masked_fill(~mask, 1), present.masked_fill_(~mask, -hidden)
    absent = scores.clamp(info.min / 4, info.max / 4)
    present.sub_(absent)
    if log_weight is not None:
        log_weight = log_weight.clamp(min=info.min / 5)
        absent, present = absent.add_(log_weight), present.add_(log_weight)
    return absent.sub_(not_absent, alpha=hidden), present


def graded_losses(
    scores: Tensor, target: Tensor, mask: Tensor | None, weight: Tensor | None
) -> Tensor | None:
    """Losses of rows with graded targets ``(*)``, or None if only logarithms can hold the sums."""
    if scores.device.type != "cpu" or scores.numel() == 0 or not _has_sums(scores, weight):
        return None
    check_values("target", target, target.isfinite(), "finite numbers")
    losses: Tensor = _Graded.apply(scores, target, mask, weight)  # type: ignore[no-untyped-call]
    return losses


def _has_sums(scores: Tensor, weight: Tensor | None) -> bool:
    """Whether every pair that adds to a loss is within the range of float64."""
    spread = (scores.detach().amax(-1) - scores.detach().amin(-1)).max().item()
    if weight is not None:
        positive = weight[weight > 0]
        if len(positive) and not (
            _LEAST_WEIGHT <= positive.min().item() <= positive.max().item() <= _LARGEST_WEIGHT
        ):
            return False
    return spread <= _WIDEST[scores.dtype]


class _Graded(torch.autograd.Function):
    """Softplus of the log of the sum over pairs, by running sums of both factors in float64."""

    @staticmethod
    def forward(
        ctx: Any, scores: Tensor, target: Tensor, mask: Tensor | None, weight: Tensor | None
    ) -> Tensor:
        log_pairs, slope = _sums_in_order(scores, target, mask, weight)
        ctx.save_for_backward(scores, target, mask, weight, log_pairs, slope)
        return F.softplus(log_pairs, threshold=SOFTPLUS_THRESHOLD)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None, None, None]:
        scores, target, mask, weight, log_pairs, slope = ctx.saved_tensors
        if torch.is_grad_enabled():
            inputs = (scores, target, mask, None if weight is None else weight.log())
            return _differentiable(graded_log_pairs, inputs, gradients[0]), None, None, None
        row = (gradients[0] * log_pairs.sigmoid())[..., None]
        return (row * slope).to(scores.dtype), None, None, None


def _sums_in_order(
    scores: Tensor, target: Tensor, mask: Tensor | None, weight: Tensor | None
) -> tuple[Tensor, Tensor]:
    """Log of the sum over pairs ``(*)``, and its gradient ``(*, C)``.

    In the order of the target, class u is paired with all v that begin where the tie of u ends, or later.
    """
    levels = target if target.is_floating_point() or target.dtype == torch.bool else target.double()
    order_array, changes = sort_rows(levels.reshape(-1, target.shape[-1]))
    order = torch.from_numpy(order_array)
    ranked = scores.double().reshape(order.shape).gather(-1, order)
    highest, lowest = ranked.amax(-1, keepdim=True), ranked.amin(-1, keepdim=True)
    up = (ranked - highest).exp_()
    down = (lowest - highest).exp_() / up
    if weight is not None or mask is not None:
        ranked_weight = _weight_in_order(weight, mask, order)
        up, down = up * ranked_weight, down * ranked_weight

    start = torch.from_numpy(tie_starts(changes)).long()
    # The end of a tie is the start of a tie from the other end.
    from_end = torch.from_numpy(tie_starts(changes[:, ::-1])).long().flip(-1)
    pairs = F.pad(up.cumsum(-1), (1, 0)).gather(-1, start).mul_(down)
    later = F.pad(down.flip(-1).cumsum(-1), (1, 0)).gather(-1, from_end)
    total = pairs.sum(-1, keepdim=True)
    # A row without a pair has the logarithm of 0, and its gradient is 0.
    slope = later.mul_(up).sub_(pairs).div_(torch.where(total > 0, total, 1))
    log_pairs = (total.log() + (highest - lowest)).reshape(scores.shape[:-1])
    return log_pairs, torch.empty_like(slope).scatter_(-1, order, slope).reshape(scores.shape)


def _weight_in_order(weight: Tensor | None, mask: Tensor | None, order: Tensor) -> Tensor:
    """Weights of the sorted classes ``(R, C)``, 0 where unknown."""
    weights = torch.ones((), dtype=torch.float64) if weight is None else weight.double()
    weights = weights.expand(order.shape)
    if mask is not None:
        weights = weights * mask.reshape(order.shape)
    return weights.gather(-1, order)


def _differentiable(log_pairs: Callable[..., Tensor], inputs: Sequence[Any], gradient: Tensor) -> Tensor:
    """Gradient with respect to the scores, the first input, as part of a graph."""
    losses = F.softplus(log_pairs(*inputs), threshold=SOFTPLUS_THRESHOLD)
    of_scores: Tensor
    (of_scores,) = torch.autograd.grad(losses, inputs[0], gradient.to(losses.dtype), create_graph=True)
    return of_scores
