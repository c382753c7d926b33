"""Losses on logits that trust noisy labels less: soft bootstrapping and the generalised cross entropy."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from rankaudio._checks import check_choice, check_flag, check_number, check_scores_and_target, check_values
from rankaudio.losses._options import REDUCTIONS, Reduction
from rankaudio.losses._reduction import reduce_entries


def l_soft_loss(
    scores: Tensor, target: Tensor, *, beta: float = 0.7, reduction: Reduction = "mean"
) -> Tensor:
    r"""Soft bootstrapping: binary cross entropy against a mixture of the label and the prediction.

    .. math:: \ell = -t \log p - (1 - t) \log (1 - p), \qquad t = \beta y + (1 - \beta) \, p, \qquad
        p = \frac{1}{1 + e^{-s}}

    The mixture :math:`t` is a constant in the backward pass. The gradient is therefore exactly
    :math:`\partial \ell / \partial s = \beta (p - y)`, which is :math:`\beta` times that of binary cross
    entropy. The two losses differ in their values: here a confident prediction costs less.

    Args:
        scores: ``(*, C)`` floating point, logits :math:`s`.
        target: ``(*, C)`` bool or numbers from 0 to 1, labels :math:`y`. Soft labels are allowed.
        beta: :math:`\beta` from 0 to 1, the weight of the label. 1 gives binary cross entropy.
        reduction: ``"none"``, ``"sum"``, or ``"mean"``, over clips and classes.

    Returns:
        ``()``, or ``(*, C)`` for ``"none"``; float64 for float64 scores, else float32. Values and gradients
        are finite for every finite score. The mean of no rows is 0, and it is still part of the graph.

    Raises:
        TypeError: if scores are not floating point, or ``beta`` is not a number.
        ValueError: if shapes or devices disagree, a setting is out of range, or, on the CPU, a target is
            outside [0, 1].

    Reference:
        Reed et al., *Training Deep Neural Networks on Noisy Labels with Bootstrapping* (2014),
        https://arxiv.org/abs/1412.6596. The first-place system of Freesound Audio Tagging 2019 uses it for
        noisy clips. That system clamps probabilities, which changes the gradient of scores beyond 16.

    >>> l_soft_loss(torch.tensor([[2.0, 0.0]]), torch.tensor([[0, 0]]))
    tensor(1.1458)
    >>> l_soft_loss(torch.tensor([[2.0, 0.0]]), torch.tensor([[0, 0]]), reduction="none")
    tensor([[1.5984, 0.6931]])
    """
    scores, target = _prepare(scores, target)
    check_number("beta", beta, 0, 1)
    label_term = F.binary_cross_entropy_with_logits(scores, target, reduction="none")
    # The cross entropy of p with itself, symmetric in the score; both summands are positive.
    size = scores.detach().abs()
    entropy = F.softplus(-size) + size * torch.sigmoid(-size)
    return _reduce(beta * label_term + (1 - beta) * entropy, reduction)


class LSoftLoss(nn.Module):
    """Module form of :func:`l_soft_loss`, which holds the definition and the shapes.

    Args:
        beta: as in the function.
        reduction: as in the function.

    >>> LSoftLoss(beta=0.7)(torch.tensor([[2.0, 0.0]]), torch.tensor([[0, 0]]))
    tensor(1.1458)
    """

    def __init__(self, *, beta: float = 0.7, reduction: Reduction = "mean") -> None:
        super().__init__()
        self.beta: float = check_number("beta", beta, 0, 1)
        self.reduction: Reduction = check_choice("reduction", reduction, REDUCTIONS)

    def forward(self, scores: Tensor, target: Tensor) -> Tensor:
        """Return the loss of a batch of scores."""
        return l_soft_loss(scores, target, beta=self.beta, reduction=self.reduction)

    def extra_repr(self) -> str:
        """Show the settings."""
        return f"beta={self.beta}, reduction={self.reduction!r}"


def lq_loss(
    scores: Tensor,
    target: Tensor,
    *,
    q: float = 0.7,
    absent: bool = True,
    reduction: Reduction = "mean",
) -> Tensor:
    r"""Generalised cross entropy: between cross entropy and the mean absolute error.

    .. math:: \ell = \frac{1 - \pi^q}{q}, \qquad
        \pi = y \, p + (1 - y)(1 - p), \qquad p = \frac{1}{1 + e^{-s}}

    With labels of 0 and 1, :math:`\pi` is the probability that the model gives to the label. Cross entropy is
    the limit for :math:`q \to 0`, and ``q = 1`` is the absolute error. The gradient is that of cross entropy
    times :math:`\pi^q`, so a label that the model finds improbable counts less.

    Args:
        scores: ``(*, C)`` floating point, logits :math:`s`.
        target: ``(*, C)`` bool or numbers from 0 to 1, labels :math:`y`. Soft labels are allowed.
        q: above 0 and at most 1. A higher value ignores improbable labels more.
        absent: count absent labels too. False leaves out :math:`(1 - y)(1 - p)`, so that :math:`\pi = y p`:
            an absent label then costs the constant :math:`1 / q` and has no gradient.
        reduction: ``"none"``, ``"sum"``, or ``"mean"``, over clips and classes.

    Returns:
        ``()``, or ``(*, C)`` for ``"none"``; float64 for float64 scores, else float32. Values and gradients
        are finite for every finite score. The mean of no rows is 0, and it is still part of the graph.

    Raises:
        TypeError: if scores are not floating point, or ``q`` is not a number.
        ValueError: if shapes or devices disagree, a setting is out of range, or, on the CPU, a target is
            outside [0, 1].

    Reference:
        Zhang and Sabuncu, *Generalized Cross Entropy Loss for Training Deep Neural Networks with Noisy
        Labels*, arXiv 1805.07836 (2018). The code of the first-place system of Freesound
        Audio Tagging 2019 has the form with ``absent=False``, and adds 1e-7 to :math:`\pi`.

    >>> lq_loss(torch.tensor([[2.0, 0.0]]), torch.tensor([[0, 1]]), q=1.0, reduction="none")
    tensor([[0.8808, 0.5000]])
    """
    scores, target = _prepare(scores, target)
    if check_number("q", q, 0, 1) == 0:
        raise ValueError("q: wanted a number above 0, got 0; the limit is binary cross entropy")
    # In logarithms, because p itself is 0 for scores below -104 in float32, where p^(q-1) is infinite.
    log_pi = F.logsigmoid(scores) + target.log()
    if check_flag("absent", absent):
        log_pi = torch.logaddexp(log_pi, F.logsigmoid(-scores) + (1 - target).log())
    return _reduce(-torch.expm1(q * log_pi) / q, reduction)


class LqLoss(nn.Module):
    """Module form of :func:`lq_loss`, which holds the definition and the shapes.

    Args:
        q: as in the function.
        absent: as in the function.
        reduction: as in the function.

    >>> LqLoss(q=1.0)(torch.tensor([[2.0, 0.0]]), torch.tensor([[0, 1]]))
    tensor(0.6904)
    """

    def __init__(self, *, q: float = 0.7, absent: bool = True, reduction: Reduction = "mean") -> None:
        super().__init__()
        if check_number("q", q, 0, 1) == 0:
            raise ValueError("q: wanted a number above 0, got 0; the limit is binary cross entropy")
        self.q: float = q
        self.absent: bool = check_flag("absent", absent)
        self.reduction: Reduction = check_choice("reduction", reduction, REDUCTIONS)

    def forward(self, scores: Tensor, target: Tensor) -> Tensor:
        """Return the loss of a batch of scores."""
        return lq_loss(scores, target, q=self.q, absent=self.absent, reduction=self.reduction)

    def extra_repr(self) -> str:
        """Show the settings."""
        return f"q={self.q}, absent={self.absent}, reduction={self.reduction!r}"


def _prepare(scores: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
    """Check both tensors and return them in float32 or float64."""
    scores, target = check_scores_and_target(scores, target)
    if target.dtype != torch.bool:
        check_values("target", target, (target >= 0) & (target <= 1), "numbers from 0 to 1")
    if scores.dtype != torch.float64:
        scores = scores.float()
    return scores, target.to(scores.dtype)


def _reduce(losses: Tensor, reduction: Reduction) -> Tensor:
    """Reduce over all entries; the mean of nothing is 0."""
    return reduce_entries(losses, check_choice("reduction", reduction, REDUCTIONS))
