"""Maxima over parts of the time axis, in place of the maximum over a clip."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor


def to_coarser_steps(x: Tensor, n_steps: int, steps: Tensor | None) -> Tensor:
    """Take the maximum over the time of each coarser step: ``(B, D, N)`` to ``(B, D, n_steps)``.

    The padding of ``x`` has a value that is never the maximum. Pooling by two rounds down, so a clip may have
    a few values after its last coarser step. They belong to that step.

    Args:
        x: values of steps that are shorter by a factor r, and N / r rounds down to ``n_steps``.
        n_steps: coarser steps of the batch.
        steps: coarser steps of each clip; None: ``n_steps`` for all.
    """
    factor = 1
    while x.shape[-1] // (2 * factor) >= n_steps:
        factor *= 2
    padding = (n_steps + 1) * factor - x.shape[-1]
    padded = F.pad(x, (0, padding), value=torch.finfo(x.dtype).min)
    pooled = padded.reshape(*x.shape[:-1], n_steps + 1, factor).amax(-1)
    own, after = pooled[..., :-1], pooled[..., 1:]
    last = torch.tensor([n_steps], device=x.device) if steps is None else steps
    is_last = torch.arange(1, n_steps + 1, device=x.device) == last[:, None]
    return torch.where(is_last[:, None], own.maximum(after), own)


def max_of_neighbours(x: Tensor, context: int) -> Tensor:
    """Take the maximum over each step and ``context`` steps on each side: the same shape ``(B, ..., S)``.

    The padding of ``x`` has a value that is never the maximum.
    """
    side = min(context, x.shape[-1] - 1)
    if side == 0:
        return x
    return F.max_pool1d(x.flatten(0, -2), 2 * side + 1, stride=1, padding=side).reshape(x.shape)
