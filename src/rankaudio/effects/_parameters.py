"""The parameters of effects: one value for each clip, within limits."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from rankaudio._checks import check_number, check_shape, check_values, describe

Range = tuple[float, float]


def check_parameters(
    values: Mapping[str, Tensor | float], limits: Mapping[str, Range], clips: Tensor
) -> dict[str, Tensor]:
    """Return each parameter as ``(B,)`` float64, from a tensor ``(B,)`` or one number for all clips."""
    return {name: _check_parameter(name, value, clips, *limits[name]) for name, value in values.items()}


def _check_parameter(name: str, value: Tensor | float, clips: Tensor, low: float, high: float) -> Tensor:
    # Delays and positions are counted in samples, and float32 cannot count the samples of a long recording.
    dtype = torch.float32 if clips.device.type == "mps" else torch.float64
    if not isinstance(value, Tensor):
        number = check_number(name, value, low, high)
        return torch.full(clips.shape[:1], number, dtype=dtype, device=clips.device)
    tensor = check_shape(name, value, clips.shape[:1], like=clips)
    if tensor.is_complex() or tensor.dtype == torch.bool:
        raise TypeError(f"{name}: wanted a number or a tensor of real numbers, got {describe(tensor)}")
    good = (tensor >= low) & (tensor <= high)
    check_values(name, tensor, good, f"finite values from {low:g} to {high:g}")
    # Gradients flow to the waveform only.
    return tensor.detach().to(dtype)


def largest(value: Tensor | float, limit: float) -> float:
    """Return the largest value of a batch if a read is free, else ``limit``."""
    if not isinstance(value, Tensor):
        return value
    return float(value.max()) if can_read(value) and value.numel() else limit


def smallest(value: Tensor | float, limit: float) -> float:
    """Return the smallest value of a batch if a read is free, else ``limit``."""
    if not isinstance(value, Tensor):
        return value
    return float(value.min()) if can_read(value) and value.numel() else limit


def can_read(tensor: Tensor) -> bool:
    """Tell whether values can be read without a wait for an accelerator, and outside a compiled graph."""
    return tensor.device.type == "cpu" and not torch.compiler.is_compiling()
