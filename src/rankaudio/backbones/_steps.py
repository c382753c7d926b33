"""Values of time steps, in place of the maximum over a clip."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor


def at_finer_steps(x: Tensor, n_steps: int, *, factor: int, steps: Tensor | None) -> Tensor:
    """Repeat each value for the finer steps in its time: ``(B, D, N)`` to ``(B, D, n_steps)``.

    Pooling by two rounds down, so a clip may have a few finer steps after its last coarse one. They get the
    last value.

    Args:
        x: values of steps that are longer by ``factor``.
        n_steps: finer steps of the batch.
        factor: finer steps in a coarse one.
        steps: coarse steps of each clip; None: all of ``x``.
    """
    last = torch.tensor([x.shape[-1]], device=x.device) if steps is None else steps
    index = (torch.arange(n_steps, device=x.device) // factor).minimum(last[:, None] - 1)
    return x.gather(-1, index[:, None].expand(*x.shape[:2], n_steps))


def max_of_neighbours(x: Tensor, context: int) -> Tensor:
    """Take the maximum over each step and ``context`` steps on each side: the same shape ``(B, ..., S)``.

    The padding of ``x`` has a value that is never the maximum.
    """
    side = min(context, x.shape[-1] - 1)
    if side == 0:
        return x
    return F.max_pool1d(x.flatten(0, -2), 2 * side + 1, stride=1, padding=side).reshape(x.shape)
