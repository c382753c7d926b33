"""LSEP, the log-sum-exp pairwise loss: exact, and without a table of class pairs."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor

from rankaudio._checks import check_flag, check_scores_and_target, check_values, check_zeros_and_ones
from rankaudio.losses._masked_lse import masked_lse, present_and_absent
from rankaudio.losses._options import Reduction, WeightedLoss, check_options
from rankaudio.losses._reduction import reduce_rows


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
    check_options(scores, reduction, mask=mask, class_weight=class_weight, sample_weight=sample_weight)
    if scores.dtype != torch.float64:
        scores = scores.float()
    log_weight = None if class_weight is None else class_weight.to(scores.dtype).log()
    log_pairs = _graded_log_pairs if graded else _binary_log_pairs
    # softplus is the identity above its threshold. At the default of 20 that is wrong by 2e-9.
    losses = F.softplus(log_pairs(scores, target, mask, log_weight), threshold=40)
    return reduce_rows(losses.to(scores.dtype), sample_weight, reduction)


class LSEPLoss(WeightedLoss):
    """Module form of :func:`lsep_loss`, which holds the definition and the shapes.

    Args:
        graded: as in the function.
        class_weight: as in the function. It moves with the Module and is not part of its state dict.
        reduction: as in the function.

    >>> LSEPLoss()(torch.tensor([[2.0, 0.0]]), torch.tensor([[1, 0]]))
    tensor(0.1269)
    """

    def __init__(
        self, *, graded: bool = False, class_weight: Tensor | None = None, reduction: Reduction = "mean"
    ) -> None:
        super().__init__(class_weight, reduction)
        self.graded: bool = check_flag("graded", graded)

    @property
    def _function(self) -> Callable[..., Tensor]:
        return partial(lsep_loss, graded=self.graded)

    def extra_repr(self) -> str:
        """Show the settings."""
        return f"graded={self.graded}, {super().extra_repr()}"


def _binary_log_pairs(
    scores: Tensor, target: Tensor, mask: Tensor | None, log_weight: Tensor | None
) -> Tensor:
    """Log of the sum over pairs, a product: (sum of e^s over absent) x (sum of e^-s over present)."""
    present, absent = present_and_absent(target.bool(), mask)
    highest_absent, absent_rest = masked_lse(scores, absent, log_weight)
    highest_present, present_rest = masked_lse(-scores, present, log_weight)
    # Add the two maxima first: they may be huge and nearly cancel. The remainders are at most log C.
    return (highest_absent + highest_present) + (absent_rest + present_rest)


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
