"""The focal loss: binary cross entropy in which easy labels count less."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor

from rankaudio._checks import check_number
from rankaudio.losses._asymmetric import focused_losses
from rankaudio.losses._options import Reduction, WeightedLoss, check_options, prepare_labels
from rankaudio.losses._reduction import reduce_entries


def focal_loss(
    scores: Tensor,
    target: Tensor,
    *,
    gamma: float = 2.0,
    alpha: float | None = 0.25,
    mask: Tensor | None = None,
    class_weight: Tensor | None = None,
    sample_weight: Tensor | None = None,
    reduction: Reduction = "mean",
) -> Tensor:
    r"""Focal loss: binary cross entropy of each class, in which labels that are easy count less.

    .. math:: \ell = -y \, \alpha \, (1 - p)^\gamma \log p - (1 - y)(1 - \alpha) \, p^\gamma \log (1 - p),
        \qquad p = \frac{1}{1 + e^{-s}}

    With ``gamma=0`` and ``alpha=None`` it is binary cross entropy. No probability is clamped, so every label
    keeps its gradient.

    Args:
        scores: ``(*, C)`` floating point, logits :math:`s`.
        target: ``(*, C)`` bool or 0/1, labels :math:`y`. That is checked on the CPU. On an accelerator the
            check would have to wait, so every non-zero value counts as present. Soft labels are refused,
            because with focusing the best probability for a label of 0.3 is not 0.3.
        gamma: :math:`\gamma` from 0, the focusing.
        alpha: :math:`\alpha` from 0 to 1, the weight of present labels. Absent ones have
            :math:`1 - \alpha`. ``None`` leaves both factors out.
        mask: ``(*, C)`` bool, true where the label is known. Other entries have no loss and no gradient.
        class_weight: ``(C,)`` non-negative weights of the classes.
        sample_weight: ``(*)`` non-negative weights of the rows.
        reduction: ``"none"``, ``"sum"``, or ``"mean"``, over rows and classes. With a mask the mean is over
            known labels, and with weights it is the weighted mean. :math:`\alpha` is not one of these
            weights.

    Returns:
        ``()``, or ``(*, C)`` for ``"none"``; float64 for float64 scores, else float32. Values and gradients
        are finite for every finite score. The mean of no rows, of no known label or with no weight is 0, and
        it is still part of the graph. An infinite score counts as the largest finite number and has no
        gradient.

    Raises:
        TypeError: if scores or weights are not floating point, a mask is not bool, or a setting is not a
            number.
        ValueError: if shapes or devices disagree, a setting is out of range, or, on the CPU, a target is not
            0/1 or a weight is negative.

    Reference:
        Lin et al., *Focal Loss for Dense Object Detection*, ICCV 2017, https://arxiv.org/abs/1708.02002,
        whose settings are the defaults.

    >>> focal_loss(torch.tensor([[2.0, 0.0]]), torch.tensor([[1, 0]]), reduction="none")
    tensor([[0.0005, 0.1300]])
    """
    scores, present = prepare_labels(scores, target)
    check_options(scores, reduction, mask=mask, class_weight=class_weight, sample_weight=sample_weight)
    check_number("gamma", gamma, 0)
    losses = focused_losses(scores, present, (gamma, gamma))
    if alpha is not None:
        share = check_number("alpha", alpha, 0, 1)
        losses = losses * torch.where(present, scores.new_full((), share), scores.new_full((), 1 - share))
    return reduce_entries(
        losses, reduction, mask=mask, class_weight=class_weight, sample_weight=sample_weight
    )


class FocalLoss(WeightedLoss):
    """Module form of :func:`focal_loss`, which holds the definition and the shapes.

    Args:
        gamma: as in the function.
        alpha: as in the function.
        class_weight: as in the function. It moves with the Module and is not part of its state dict.
        reduction: as in the function.

    >>> FocalLoss(alpha=None)(torch.tensor([[2.0, 0.0]]), torch.tensor([[1, 0]]))
    tensor(0.0875)
    """

    def __init__(
        self,
        *,
        gamma: float = 2.0,
        alpha: float | None = 0.25,
        class_weight: Tensor | None = None,
        reduction: Reduction = "mean",
    ) -> None:
        super().__init__(class_weight, reduction)
        self.gamma: float = check_number("gamma", gamma, 0)
        self.alpha: float | None = None if alpha is None else check_number("alpha", alpha, 0, 1)

    @property
    def _function(self) -> Callable[..., Tensor]:
        return partial(focal_loss, gamma=self.gamma, alpha=self.alpha)

    def extra_repr(self) -> str:
        """Show the settings."""
        return f"gamma={self.gamma}, alpha={self.alpha}, {super().extra_repr()}"
