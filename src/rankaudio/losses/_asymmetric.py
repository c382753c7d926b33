"""ASL, the asymmetric loss: binary cross entropy that easy labels hardly touch, absent ones least of all."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor

from rankaudio._checks import check_flag, check_number
from rankaudio.losses._options import Reduction, WeightedLoss, check_options, prepare_labels
from rankaudio.losses._reduction import reduce_entries


def asymmetric_loss(
    scores: Tensor,
    target: Tensor,
    *,
    gamma_pos: float = 0.0,
    gamma_neg: float = 4.0,
    margin: float = 0.05,
    detach_focus: bool = False,
    mask: Tensor | None = None,
    class_weight: Tensor | None = None,
    sample_weight: Tensor | None = None,
    reduction: Reduction = "mean",
) -> Tensor:
    r"""Asymmetric loss (ASL): binary cross entropy with separate focusing of present and absent labels.

    .. math:: \ell = -y \, (1 - p)^{\gamma_+} \log p - (1 - y) \, p_m^{\gamma_-} \log (1 - p_m)

    .. math:: p_m = \max(p - m, 0), \qquad p = \frac{1}{1 + e^{-s}}

    The powers are the focusing weights. They make labels count less that are already right. Most labels of a
    clip are absent, so :math:`\gamma_-` is the larger one. With the margin :math:`m`, an absent label whose
    probability is at most :math:`m` has a loss and a gradient of exactly 0. That is the definition. Nothing
    else is cut off: no probability is clamped, so every other label keeps its gradient.

    Args:
        scores: ``(*, C)`` floating point, logits :math:`s`.
        target: ``(*, C)`` bool or 0/1, labels :math:`y`. That is checked on the CPU. On an accelerator the
            check would have to wait, so every non-zero value counts as present. Soft labels are refused,
            because with focusing the best probability for a label of 0.3 is not 0.3.
        gamma_pos: :math:`\gamma_+` from 0, for present labels.
        gamma_neg: :math:`\gamma_-` from 0, for absent labels.
        margin: :math:`m` from 0, below 1. With 0, and equal gammas, the loss is :func:`focal_loss` with
            ``alpha=None``.
        detach_focus: take the focusing weights as constants in the backward pass. The authors' program
            trains like this. The gradient is then that of cross entropy times the weight.
        mask: ``(*, C)`` bool, true where the label is known. Other entries have no loss and no gradient.
        class_weight: ``(C,)`` non-negative weights of the classes.
        sample_weight: ``(*)`` non-negative weights of the rows.
        reduction: ``"none"``, ``"sum"``, or ``"mean"``, over rows and classes. With a mask the mean is over
            known labels, and with weights it is the weighted mean. The authors' program takes the sum.

    Returns:
        ``()``, or ``(*, C)`` for ``"none"``; float64 for float64 scores, else float32. Values and gradients
        are finite for every finite score. The mean of no rows, of no known label or with no weight is 0, and
        it is still part of the graph. An infinite score counts as the largest finite number and has no
        gradient.

    Raises:
        TypeError: if scores or weights are not floating point, a mask or ``detach_focus`` is not bool, or a
            setting is not a number.
        ValueError: if shapes or devices disagree, a setting is out of range, or, on the CPU, a target is not
            0/1 or a weight is negative.

    Reference:
        Ridnik et al., *Asymmetric Loss For Multi-Label Classification*, ICCV 2021,
        https://arxiv.org/abs/2009.14119, whose settings are the defaults.

    >>> asymmetric_loss(
    ...     torch.tensor([[2.0, 0.0]]), torch.tensor([[1, 0]]), reduction="none"
    ... )
    tensor([[0.1269, 0.0245]])
    >>> asymmetric_loss(
    ...     torch.tensor([[-3.0]]), torch.tensor([[0]])
    ... )  # a probability below the margin
    tensor(0.)
    """
    scores, present = prepare_labels(scores, target)
    check_options(scores, reduction, mask=mask, class_weight=class_weight, sample_weight=sample_weight)
    _check_settings(gamma_pos, gamma_neg, margin, detach_focus)
    losses = focused_losses(scores, present, (gamma_pos, gamma_neg), margin=margin, detach=detach_focus)
    return reduce_entries(
        losses, reduction, mask=mask, class_weight=class_weight, sample_weight=sample_weight
    )


class AsymmetricLoss(WeightedLoss):
    """Module form of :func:`asymmetric_loss`, which holds the definition and the shapes.

    Args:
        gamma_pos: as in the function.
        gamma_neg: as in the function.
        margin: as in the function.
        detach_focus: as in the function.
        class_weight: as in the function. It moves with the Module and is not part of its state dict.
        reduction: as in the function.

    >>> AsymmetricLoss(gamma_neg=2.0)(torch.tensor([[2.0, 0.0]]), torch.tensor([[1, 0]]))
    tensor(0.1240)
    """

    def __init__(
        self,
        *,
        gamma_pos: float = 0.0,
        gamma_neg: float = 4.0,
        margin: float = 0.05,
        detach_focus: bool = False,
        class_weight: Tensor | None = None,
        reduction: Reduction = "mean",
    ) -> None:
        super().__init__(class_weight, reduction)
        _check_settings(gamma_pos, gamma_neg, margin, detach_focus)
        self.gamma_pos: float = gamma_pos
        self.gamma_neg: float = gamma_neg
        self.margin: float = margin
        self.detach_focus: bool = detach_focus

    @property
    def _function(self) -> Callable[..., Tensor]:
        return partial(
            asymmetric_loss,
            gamma_pos=self.gamma_pos,
            gamma_neg=self.gamma_neg,
            margin=self.margin,
            detach_focus=self.detach_focus,
        )

    def extra_repr(self) -> str:
        """Show the settings."""
        gammas = f"gamma_pos={self.gamma_pos}, gamma_neg={self.gamma_neg}"
        focus = ", detach_focus=True" if self.detach_focus else ""
        return f"{gammas}, margin={self.margin}{focus}, {super().extra_repr()}"


def focused_losses(
    scores: Tensor, present: Tensor, gammas: tuple[float, float], *, margin: float = 0.0, detach: bool = False
) -> Tensor:
    """Cross entropy of each label times its focusing weight, ``(*, C)``; gammas of present and absent labels.

    Everything is in logarithms: of the probability that the label gets, and of the probability against it.
    Each has its full precision, however close to 0 or 1 the other is.
    """
    against = torch.where(present, -scores, scores)
    # 0 - x, because the negative of 0 would be printed as -0.
    cost, log_against = 0 - F.logsigmoid(-against), F.logsigmoid(against)
    if margin:
        shifted, log_shifted = _shift(cost, margin)
        cost, log_against = (
            torch.where(present, cost, shifted),
            torch.where(present, log_against, log_shifted),
        )
    gamma = torch.where(present, scores.new_full((), gammas[0]), scores.new_full((), gammas[1]))
    weight = (gamma * log_against).exp()
    return (weight.detach() if detach else weight) * cost


def _shift(cost: Tensor, margin: float) -> tuple[Tensor, Tensor]:
    """Return the costs -log(1 - p_m) of absent labels, and log p_m, from the costs -log(1 - p).

    Where p_m is 0, the cost is 0 without a gradient, and log p_m is replaced by a number that has none.
    """
    log_right = torch.logaddexp(-cost, cost.new_full((), math.log(margin)))
    within = log_right >= 0
    log_shifted = (-torch.expm1(log_right.masked_fill(within, -1))).log()
    return (0 - log_right).masked_fill(within, 0), log_shifted


def _check_settings(gamma_pos: float, gamma_neg: float, margin: float, detach_focus: bool) -> None:  # noqa: FBT001
    check_number("gamma_pos", gamma_pos, 0)
    check_number("gamma_neg", gamma_neg, 0)
    if check_number("margin", margin, 0, 1) == 1:
        raise ValueError("margin: wanted a number below 1, got 1; no absent label would cost anything")
    check_flag("detach_focus", detach_focus)
