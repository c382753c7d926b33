"""LSEP, the log-sum-exp pairwise loss: exact, and without a table of class pairs."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor

from rankaudio._checks import check_flag, check_scores_and_target, check_zeros_and_ones
from rankaudio.losses._lsep_gradients import (
    SOFTPLUS_THRESHOLD,
    binary_losses,
    graded_losses,
    has_own_gradient,
)
from rankaudio.losses._lsep_pairs import binary_log_pairs, graded_log_pairs
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
    losses = _own_losses(scores, target, mask, class_weight, graded=graded)
    if losses is None:
        log_weight = None if class_weight is None else class_weight.to(scores.dtype).log()
        log_pairs = graded_log_pairs if graded else binary_log_pairs
        losses = F.softplus(log_pairs(scores, target, mask, log_weight), threshold=SOFTPLUS_THRESHOLD)
    if losses.dtype != scores.dtype:
        losses = losses.to(scores.dtype)
    return reduce_rows(losses, sample_weight, reduction)


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


def _own_losses(
    scores: Tensor, target: Tensor, mask: Tensor | None, class_weight: Tensor | None, *, graded: bool
) -> Tensor | None:
    """Losses of rows with a gradient that is written out, or None where PyTorch has to find it."""
    if not has_own_gradient(scores, class_weight):
        return None
    weight = None if class_weight is None else class_weight.to(scores.dtype)
    if graded:
        return graded_losses(scores, target, mask, weight)
    return binary_losses(scores, target, mask, None if weight is None else weight.log())
