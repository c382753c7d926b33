"""What the losses with masks and weights share: their checks, and the base of their Modules."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import torch
from torch import Tensor, nn

from rankaudio._checks import (
    check_choice,
    check_floating,
    check_mask,
    check_scores_and_target,
    check_shape,
    check_values,
    check_zeros_and_ones,
)

Reduction = Literal["none", "mean", "sum"]
REDUCTIONS: tuple[Reduction, ...] = ("none", "mean", "sum")


class WeightedLoss(nn.Module):
    """Base of the Modules with a class weight and a reduction.

    The class weight moves with the Module and is not part of its state dict. The ``_function`` of a
    subclass is the function of its loss, with all other settings.
    """

    class_weight: Tensor | None

    def __init__(self, class_weight: Tensor | None, reduction: Reduction) -> None:
        super().__init__()
        self.reduction: Reduction = check_choice("reduction", reduction, REDUCTIONS)
        if class_weight is not None:
            check_floating("class_weight", class_weight)
        self.register_buffer("class_weight", class_weight, persistent=False)

    @property
    def _function(self) -> Callable[..., Tensor]:
        raise NotImplementedError

    def forward(
        self,
        scores: Tensor,
        target: Tensor,
        *,
        mask: Tensor | None = None,
        sample_weight: Tensor | None = None,
    ) -> Tensor:
        """Return the loss of a batch of scores."""
        return self._function(
            scores,
            target,
            mask=mask,
            class_weight=self.class_weight,
            sample_weight=sample_weight,
            reduction=self.reduction,
        )

    def extra_repr(self) -> str:
        """Show the settings."""
        weighted = "" if self.class_weight is None else f"class_weight=({len(self.class_weight)},), "
        return f"{weighted}reduction={self.reduction!r}"


def prepare_labels(scores: object, target: object) -> tuple[Tensor, Tensor]:
    """Check scores and 0/1 labels. Return finite scores in float32 or float64, and which labels are present.

    An infinite score becomes the largest finite number. The gradient there is 0.
    """
    checked, labels = check_scores_and_target(scores, target)
    check_zeros_and_ones("target", labels)
    if checked.dtype != torch.float64:
        checked = checked.float()
    largest = torch.finfo(checked.dtype).max
    return checked.clamp(-largest, largest), labels.bool()


def check_options(
    scores: Tensor,
    reduction: Reduction,
    *,
    mask: Tensor | None,
    sample_weight: Tensor | None,
    class_weight: Tensor | None = None,
) -> None:
    """Check the options that come with scores of this shape and device."""
    check_choice("reduction", reduction, REDUCTIONS)
    if mask is not None:
        check_mask("mask", mask, scores.shape, like=scores)
    if class_weight is not None:
        _check_weight("class_weight", class_weight, scores.shape[-1:], scores)
    if sample_weight is not None:
        _check_weight("sample_weight", sample_weight, scores.shape[:-1], scores)


def _check_weight(name: str, weight: object, shape: torch.Size, scores: Tensor) -> None:
    tensor = check_floating(name, weight)
    check_shape(name, tensor, shape, like=scores)
    check_values(name, tensor, tensor >= 0, "non-negative numbers")
