"""Batches of clips with time on the last axis.

Clips are waveforms ``(B, T)``, spectrograms ``(B, F, N)``, or spectrograms with channels ``(B, K, F, N)``.
"""

from __future__ import annotations

import torch
from torch import Tensor

from rankaudio._checks import check_floating, check_lengths, check_same_device, check_tensor, describe


def check_clips(
    clips: Tensor, lengths: Tensor | None, *, name: str = "clips", ndim: tuple[int, ...] = (2, 3, 4)
) -> Tensor:
    """Check a batch and its lengths, and return the length of each clip, ``(B,)`` int64."""
    check_floating(name, clips, ndim=ndim)
    batch, longest = clips.shape[0], clips.shape[-1]
    if 0 in clips.shape[1:]:
        raise ValueError(f"{name}: wanted at least one step on each axis, got {describe(clips)}")
    if lengths is None:
        return torch.full((batch,), longest, device=clips.device)
    return check_lengths(lengths, batch=batch, longest=longest, like=clips)


def check_target(clips: Tensor, target: Tensor, *, name: str = "clips") -> None:
    """Refuse a target that does not have one row for each clip."""
    check_tensor("target", target)
    if target.is_complex():
        raise TypeError(f"target: wanted bool, integers or real numbers, got {describe(target)}")
    if target.ndim != 2 or target.shape[0] != clips.shape[0]:
        raise ValueError(f"target: wanted shape ({clips.shape[0]}, C), got {describe(target)}")
    check_same_device("target", target, name, clips)


def per_clip(values: Tensor, clips: Tensor) -> Tensor:
    """Reshape values ``(B,)`` or ``(B, T)`` so that they broadcast with clips ``(B, ..., T)``."""
    if values.ndim == 1:
        return values.reshape(-1, *(1,) * (clips.ndim - 1))
    return values.reshape(values.shape[0], *(1,) * (clips.ndim - 2), values.shape[1])


def gather_steps(clips: Tensor, index: Tensor) -> Tensor:
    """Gather steps of the last axis; ``index`` ``(B, T')`` holds the steps of each clip."""
    index = per_clip(index, clips)
    return clips.gather(-1, index.expand(*clips.shape[:-1], index.shape[-1]))


def computation_dtype(clips: Tensor) -> torch.dtype:
    """Return the dtype of sums and products: float64 for float64, float32 for everything else."""
    return torch.float64 if clips.dtype == torch.float64 else torch.float32


def can_loop_over_rows(clips: Tensor) -> bool:
    """Tell whether a loop over the clips is quick: on a CPU, without gradients, outside a compiled graph."""
    quiet = not (torch.is_grad_enabled() and clips.requires_grad)
    return clips.device.type == "cpu" and quiet and not torch.compiler.is_compiling()
