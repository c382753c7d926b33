"""The inputs that all metrics share: checked, as tensors, with one row for each clip."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, NamedTuple, TypeAlias

import torch
from torch import Tensor

from rankaudio._checks import (
    check_floating,
    check_mask,
    check_number,
    check_scores_and_target,
    check_shape,
    check_tensor,
    check_values,
    check_zeros_and_ones,
    describe,
)
from rankaudio.metrics._label_precisions import sum_dtype

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array: TypeAlias = Tensor | NDArray[Any]

# The averages of metrics that compare clips within a class.
ClassAverage = Literal["macro", "micro"]
CLASS_AVERAGES: tuple[Any, ...] = ("macro", "micro", None)


class Rows(NamedTuple):
    """Checked clips, without gradients, on the device of the scores."""

    scores: Tensor
    """``(R, C)`` floating point."""
    target: Tensor
    """``(R, C)`` bool or 0/1."""
    known: Tensor | None
    """``(R, C)`` bool, true where the label is known; None if all of them are."""
    weight: Tensor
    """``(R,)``, of the dtype of sums."""


def check_rows(scores: Array, target: Array, mask: Array | None, sample_weight: Array | None) -> Rows:
    """Check a batch ``(*, C)`` and flatten it. Arrays are moved to the device of the scores."""
    scores = as_tensor("scores", scores)
    target = as_tensor("target", target, scores.device)
    check_scores_and_target(scores, target)
    check_zeros_and_ones("target", target)
    rows = scores.detach().reshape(-1, scores.shape[-1])
    known = None
    if mask is not None:
        mask = check_mask("mask", as_tensor("mask", mask, scores.device), scores.shape, like=scores)
        known = mask.reshape(rows.shape)
    weight = torch.ones(len(rows), dtype=sum_dtype(rows.device), device=rows.device)
    if sample_weight is not None:
        sample_weight = as_tensor("sample_weight", sample_weight, scores.device)
        check_floating("sample_weight", sample_weight)
        check_shape("sample_weight", sample_weight, scores.shape[:-1], like=scores)
        usable = (sample_weight >= 0) & sample_weight.isfinite()
        check_values("sample_weight", sample_weight, usable, "finite, non-negative numbers")
        weight = sample_weight.detach().flatten().to(weight.dtype)
    return Rows(rows, target.detach().reshape(rows.shape), known, weight)


def check_no_known_nan(rows: Rows) -> None:
    """Refuse known scores that are NaN. This waits for the scores."""
    missing = rows.scores.isnan()
    if rows.known is not None:
        missing &= rows.known
    if count := int(missing.count_nonzero()):
        raise ValueError(f"scores: wanted numbers, got {count} NaN")


def as_tensor(name: str, value: Array, device: torch.device | None = None) -> Tensor:
    """Return a tensor as it is, and a numpy array as a tensor on ``device``."""
    import numpy as np

    if not isinstance(value, np.ndarray):
        return check_tensor(name, value)
    # PyTorch cannot share read-only memory, negative strides or another byte order, so these are copied.
    plain = np.require(value, value.dtype.newbyteorder("="), ["C", "W"])
    try:
        return torch.from_numpy(plain).to(device)
    except TypeError:
        raise TypeError(f"{name}: wanted an array of numbers, got dtype {value.dtype}") from None


def check_thresholds(thresholds: object, n_classes: int, device: torch.device) -> Tensor:
    """Return thresholds ``(C,)`` from a tensor or from a number for all classes. None is NaN."""
    if not isinstance(thresholds, Tensor):
        if isinstance(thresholds, bool) or not isinstance(thresholds, (int, float)):
            raise TypeError(f"thresholds: wanted a tensor or a number, got {describe(thresholds)}")
        number = check_number("thresholds", thresholds)
        return torch.full((n_classes,), float(number), dtype=sum_dtype(device), device=device)
    check_floating("thresholds", thresholds)
    check_shape("thresholds", thresholds, (n_classes,))
    check_values("thresholds", thresholds, ~thresholds.isnan(), "numbers")
    return thresholds.detach().to(device)
