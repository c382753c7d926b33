"""Silence on a CPU, of which only the clips are written."""

from __future__ import annotations

import torch
from torch import Tensor


def silence(like: Tensor, *shape: int) -> Tensor:
    """Return zeros of the dtype on the CPU.

    The system gives numpy large pages, and only where something is written. PyTorch writes all of them, and
    most of a padded batch is padding.
    """
    if like.dtype not in (torch.float32, torch.float64):
        return torch.zeros(shape, dtype=like.dtype)
    import numpy as np

    return torch.from_numpy(np.zeros(shape, np.float64 if like.dtype == torch.float64 else np.float32))
