"""Label smoothing, and the binary cross entropy on logits with it."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from rankaudio._checks import check_choice, check_number, check_tensor, check_values, describe
from rankaudio.losses._noisy import _prepare
from rankaudio.losses._options import REDUCTIONS, Reduction, check_options
from rankaudio.losses._reduction import reduce_entries


def smooth_labels(target: Tensor, amount: float = 0.01) -> Tensor:
    r"""Move labels away from 0 and 1, each class by itself.

    .. math:: \tilde y = (1 - 2 \varepsilon) \, y + \varepsilon

    So a present label becomes :math:`1 - \varepsilon`, and an absent one :math:`\varepsilon`. A weighted mean
    of labels, as in :func:`weighted_mixup`, may be smoothed before or after the mixing: the result is the
    same.

    Args:
        target: ``(*)`` bool or numbers from 0 to 1.
        amount: :math:`\varepsilon` from 0 to 0.5.

    Returns:
        A tensor of the same shape, in the dtype of a floating-point target, else float32.

    Raises:
        TypeError: if ``target`` is no tensor of real numbers, or ``amount`` is not a number.
        ValueError: if ``amount`` is out of range, or, on the CPU, a label is outside [0, 1].

    Reference:
        Szegedy et al., *Rethinking the Inception Architecture for Computer Vision* (2016), for one class of
        several. The second-place system of Freesound Audio Tagging 2019 smooths each class by 0.01.

    >>> smooth_labels(torch.tensor([1, 0, 0]), 0.01)
    tensor([0.9900, 0.0100, 0.0100])
    """
    tensor = check_tensor("target", target)
    if tensor.is_complex():
        raise TypeError(f"target: wanted bool, integers or real numbers, got {describe(tensor)}")
    if tensor.dtype != torch.bool:
        check_values("target", tensor, (tensor >= 0) & (tensor <= 1), "numbers from 0 to 1")
    labels = tensor if tensor.is_floating_point() else tensor.float()
    return _smooth(labels, check_number("amount", amount, 0, 0.5))


def smoothed_bce_loss(
    scores: Tensor,
    target: Tensor,
    *,
    smoothing: float = 0.01,
    mask: Tensor | None = None,
    sample_weight: Tensor | None = None,
    reduction: Reduction = "mean",
) -> Tensor:
    r"""Binary cross entropy on logits, against smoothed labels.

    .. math:: \ell = -\tilde y \log p - (1 - \tilde y) \log (1 - p), \qquad
        \tilde y = (1 - 2 \varepsilon) \, y + \varepsilon, \qquad p = \frac{1}{1 + e^{-s}}

    The gradient is :math:`\partial \ell / \partial s = p - \tilde y`, and it is that for every score. Nothing
    is cut off, so a score of 20 on an absent label still has the gradient that moves it.

    Args:
        scores: ``(*, C)`` floating point, logits :math:`s`.
        target: ``(*, C)`` bool or numbers from 0 to 1, labels :math:`y`. Soft labels are allowed.
        smoothing: :math:`\varepsilon` from 0 to 0.5, as in :func:`smooth_labels`.
        mask: ``(*, C)`` bool, true where the label is known. Other entries have no loss and no gradient.
        sample_weight: ``(*)`` non-negative weights of the rows.
        reduction: ``"none"``, ``"sum"``, or ``"mean"``, over rows and classes. With a mask the mean is over
            known labels, and with ``sample_weight`` it is the weighted mean.

    Returns:
        ``()``, or ``(*, C)`` for ``"none"``; float64 for float64 scores, else float32. Values and gradients
        are finite for every finite score. The mean of no rows, of no known label or with no weight is 0, and
        it is still part of the graph.

    Raises:
        TypeError: if scores or weights are not floating point, a mask is not bool, or ``smoothing`` is not a
            number.
        ValueError: if shapes or devices disagree, a setting is out of range, or, on the CPU, a target is
            outside [0, 1] or a weight is negative.

    Reference:
        The second-place system of Freesound Audio Tagging 2019. That system cuts probabilities at 1e-7, so
        its gradient is 0 for scores beyond 16.

    >>> smoothed_bce_loss(torch.tensor([[2.0, 0.0]]), torch.tensor([[1, 0]]))
    tensor(0.4200)
    >>> smoothed_bce_loss(torch.tensor([[20.0]]), torch.tensor([[0]]), reduction="none")
    tensor([[19.8000]])
    """
    scores, target = _prepare(scores, target)
    check_options(scores, reduction, mask=mask, sample_weight=sample_weight)
    labels = _smooth(target, check_number("smoothing", smoothing, 0, 0.5))
    # The sum of two logarithms, each with an exact gradient. In p - y, p would round to 1 from 17 on.
    losses = -labels * F.logsigmoid(scores) - (1 - labels) * F.logsigmoid(-scores)
    return reduce_entries(losses, reduction, mask=mask, sample_weight=sample_weight)


class SmoothedBCELoss(nn.Module):
    """Module form of :func:`smoothed_bce_loss`, which holds the definition and the shapes.

    Args:
        smoothing: as in the function.
        reduction: as in the function.

    >>> SmoothedBCELoss(smoothing=0.01)(torch.tensor([[2.0, 0.0]]), torch.tensor([[1, 0]]))
    tensor(0.4200)
    """

    def __init__(self, *, smoothing: float = 0.01, reduction: Reduction = "mean") -> None:
        super().__init__()
        self.smoothing: float = check_number("smoothing", smoothing, 0, 0.5)
        self.reduction: Reduction = check_choice("reduction", reduction, REDUCTIONS)

    def forward(
        self,
        scores: Tensor,
        target: Tensor,
        *,
        mask: Tensor | None = None,
        sample_weight: Tensor | None = None,
    ) -> Tensor:
        """Return the loss of a batch of scores."""
        return smoothed_bce_loss(
            scores,
            target,
            smoothing=self.smoothing,
            mask=mask,
            sample_weight=sample_weight,
            reduction=self.reduction,
        )

    def extra_repr(self) -> str:
        """Show the settings."""
        return f"smoothing={self.smoothing}, reduction={self.reduction!r}"


def _smooth(labels: Tensor, amount: float) -> Tensor:
    return amount + (1 - 2 * amount) * labels
