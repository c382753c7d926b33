"""Scores of a network with auxiliary heads, and their loss."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

from torch import Tensor, nn

from rankaudio._checks import check_number, check_ordered, describe


class AuxiliaryScores(NamedTuple):
    r"""Scores of all heads: what a network with auxiliary heads returns in training mode.

    >>> outputs = AuxiliaryScores(torch.zeros(2, 5), (torch.zeros(2, 5),) * 3)
    >>> outputs.scores.shape, len(outputs.auxiliary)
    (torch.Size([2, 5]), 3)
    """

    scores: Tensor
    """Scores of the main head, ``(B, C)``: :math:`s^{(0)}` of :class:`AuxiliaryLoss`."""
    auxiliary: tuple[Tensor, ...]
    r"""Scores of each auxiliary head, ``(B, C)``, from the deepest block to the first:
    :math:`s^{(1)}, \dots, s^{(H)}`."""


class AuxiliaryLoss(nn.Module):
    r"""Weighted sum of one criterion over the main head and the auxiliary heads of a network.

    .. math:: \ell = \sum_{h=0}^{H} w_h \; \mathit{criterion}(s^{(h)}, y)

    Head 0 is the main one. The others follow in the order of :class:`AuxiliaryScores`. A plain tensor of
    scores, which a network returns in eval mode or if it has no auxiliary heads, is the main head alone.

    Args:
        criterion: what is computed for each head, from scores and target, and ``source`` if it is given.
        weights: one number from 0 for each head, the main one first.

    Shapes:
        outputs are :class:`AuxiliaryScores` or ``(B, C)``; target ``(B, C)``; source ``(B,)``; the loss is
        what the criterion returns, ``()`` as a rule.

    Raises:
        TypeError: if a weight is not a number, or outputs are of another type.
        ValueError: if a weight is negative, there is none, or their number is not that of the heads.

    Reference:
        The first-place system of Freesound Audio Tagging 2019, whose weights are the defaults.

    >>> criterion = AuxiliaryLoss(LSoftLoss(beta=0.7), weights=(1.0, 0.5))
    >>> scores, target = torch.tensor([[2.0, 0.0]]), torch.tensor([[0, 0]])
    >>> criterion(AuxiliaryScores(scores, (scores,)), target)
    tensor(1.7187)
    >>> criterion(scores, target)
    tensor(1.1458)
    """

    def __init__(
        self, criterion: Callable[..., Tensor], *, weights: Sequence[float] = (1.0, 0.4, 0.2, 0.1)
    ) -> None:
        super().__init__()
        if not callable(criterion):
            raise TypeError(f"criterion: wanted a function or a Module, got {describe(criterion)}")
        self.criterion: Callable[..., Tensor] = criterion
        self.weights: tuple[float, ...] = tuple(
            check_number("weights", weight, 0) for weight in check_ordered("weights", weights, "numbers")
        )
        if not self.weights:
            raise ValueError("weights: wanted at least one number, got none")

    def forward(
        self, outputs: Tensor | AuxiliaryScores, target: Tensor, source: Tensor | None = None
    ) -> Tensor:
        """Return the loss of a batch."""
        more = () if source is None else (source,)
        if isinstance(outputs, Tensor):
            return self.weights[0] * self.criterion(outputs, target, *more)
        if not isinstance(outputs, AuxiliaryScores):
            raise TypeError(f"outputs: wanted a tensor or AuxiliaryScores, got {describe(outputs)}")
        heads = (outputs.scores, *outputs.auxiliary)
        if len(heads) != len(self.weights):
            raise ValueError(
                f"outputs: wanted {len(self.weights)} heads, one for each weight, got {len(heads)}"
            )
        losses = [
            weight * self.criterion(scores, target, *more)
            for weight, scores in zip(self.weights, heads, strict=True)
        ]
        total = losses[0]
        for loss in losses[1:]:
            total = total + loss
        return total

    def extra_repr(self) -> str:
        """Show the weights."""
        return f"weights={self.weights}"
