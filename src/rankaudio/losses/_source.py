"""One criterion for each source of labels."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn

from rankaudio._checks import (
    check_floating,
    check_number,
    check_ordered,
    check_scores_and_target,
    check_shape,
    check_tensor,
    check_values,
    describe,
)


class SourceLoss(nn.Module):
    r"""A separate criterion for the clips of each source: curated, relabelled, noisy.

    .. math:: \ell = \sum_k w_k \frac{n_k}{B} \; \overline{\ell^{(k)}}
        = \frac{1}{B} \sum_b w_{k_b} \, \ell^{(k_b)}_b

    Each source's term is the mean over its :math:`n_k` clips, weighted by their share of the batch. A batch
    without clips of a source has no term for it.

    Args:
        criteria: one for each source, in the order of their numbers. Each takes scores and target and returns
            one loss a clip, ``(B,)``, or one a class, ``(B, C)``, of which the mean is taken: a loss with
            ``reduction="none"``.
        weights: :math:`w`, one number from 0 for each source; ``None`` is 1 for all.

    Shapes:
        scores ``(B, C)`` floating point, target ``(B, C)``, source ``(B,)`` bool or integers from 0, the loss
        ``()``. A clip whose source has no criterion raises an error on the CPU and costs 0 on an accelerator.

    Raises:
        TypeError: if scores are not floating point, source is neither bool nor integers, or a weight is not
            a number.
        ValueError: if shapes or devices disagree, or there are not as many weights as criteria.

    Reference:
        The first-place system of Freesound Audio Tagging 2019: binary cross entropy for curated clips,
        soft bootstrapping for noisy ones, each with the weight 0.5.

    >>> bce = torch.nn.BCEWithLogitsLoss(reduction="none")
    >>> criterion = SourceLoss(
    ...     [bce, LSoftLoss(beta=0.7, reduction="none")], weights=(0.5, 0.5)
    ... )
    >>> scores, target = torch.tensor([[2.0, 0.0], [2.0, 0.0]]), torch.zeros(2, 2)
    >>> criterion(scores, target, torch.tensor([False, True]))
    tensor(0.6390)
    """

    def __init__(
        self, criteria: Sequence[Callable[..., Tensor]], *, weights: Sequence[float] | None = None
    ) -> None:
        super().__init__()
        for criterion in check_ordered("criteria", criteria, "losses"):
            if not callable(criterion):
                raise TypeError(f"criteria: wanted Modules or functions, got {describe(criterion)}")
        self.criteria: tuple[Callable[..., Tensor], ...] = tuple(criteria)
        # A criterion that is a Module moves with this one.
        self._modules_of_criteria = nn.ModuleList(c for c in criteria if isinstance(c, nn.Module))
        chosen = [1.0] * len(self.criteria) if weights is None else weights
        self.weights: tuple[float, ...] = tuple(
            check_number("weights", weight, 0) for weight in check_ordered("weights", chosen, "numbers")
        )
        if not self.criteria:
            raise ValueError("criteria: wanted at least one, got none")
        if len(self.weights) != len(self.criteria):
            raise ValueError(
                f"weights: wanted one for each of {len(self.criteria)} criteria, got {len(self.weights)}"
            )

    def forward(self, scores: Tensor, target: Tensor, source: Tensor) -> Tensor:
        """Return the loss of a batch."""
        check_floating("scores", scores, ndim=(2,))
        check_scores_and_target(scores, target)
        source = self._check_source(source, scores)
        scores = scores if scores.dtype == torch.float64 else scores.float()
        target = target if target.is_floating_point() else target.to(scores.dtype)
        # All criteria see all clips: to pick clips out would make an accelerator wait for their number.
        total = scores.new_zeros(())
        for number, (criterion, weight) in enumerate(zip(self.criteria, self.weights, strict=True)):
            losses = _per_clip(criterion(scores, target), scores)
            total = total + weight * losses.where(source == number, 0).sum()
        return total / max(scores.shape[0], 1)

    def extra_repr(self) -> str:
        """Show the weights."""
        return f"weights={self.weights}"

    def _check_source(self, source: object, scores: Tensor) -> Tensor:
        tensor = check_tensor("source", source)
        if tensor.is_floating_point() or tensor.is_complex():
            raise TypeError(f"source: wanted bool or integers, got {describe(tensor)}")
        check_shape("source", tensor, scores.shape[:1], like=scores)
        last = len(self.criteria) - 1
        tensor = tensor.long()
        check_values("source", tensor, (tensor >= 0) & (tensor <= last), f"numbers from 0 to {last}")
        return tensor


def _per_clip(losses: Tensor, scores: Tensor) -> Tensor:
    """``(B,)``: the criterion's own, or the mean over classes."""
    if losses.shape == scores.shape:
        return losses.mean(1)
    if losses.shape != scores.shape[:1]:
        raise ValueError(
            f"criteria: wanted losses of shape ({scores.shape[0]},) or {tuple(scores.shape)}, got "
            f"{describe(losses)}; give the criterion reduction='none'"
        )
    return losses
