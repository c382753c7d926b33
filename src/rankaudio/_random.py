"""Random parameters, one for each clip.

The numbers are drawn on the generator's device and then moved. So a CPU generator gives a model the same
parameters on any accelerator. Without a generator, PyTorch's global CPU generator is used.
"""

from __future__ import annotations

import torch
from torch import Tensor

from rankaudio._checks import check_generator


def uniform(
    count: int, low: float, high: float, *, device: torch.device, generator: torch.Generator | None = None
) -> Tensor:
    """Draw ``count`` numbers from U(low, high), in float64 (float32 where the device has no float64)."""
    check_generator(generator)
    source = torch.device("cpu") if generator is None else generator.device
    # float32 has 2^24 steps. This is not enough to reach every sample of a long recording.
    dtype = torch.float32 if "mps" in (source.type, device.type) else torch.float64
    drawn = torch.rand(count, generator=generator, device=source, dtype=dtype)
    return (low + (high - low) * drawn).to(device, non_blocking=True)


def below(limit: Tensor, *, generator: torch.Generator | None = None) -> Tensor:
    """Draw an integer from U{0, ..., limit - 1} for each entry of ``limit`` (>= 1)."""
    fraction = uniform(limit.numel(), 0.0, 1.0, device=limit.device, generator=generator).reshape(limit.shape)
    # The product can round up to the limit itself.
    return torch.minimum((fraction * limit).long(), limit - 1)


def choose(count: int, p: float, *, device: torch.device, generator: torch.Generator | None = None) -> Tensor:
    """Draw ``count`` bools, each true with probability ``p``: which clips are changed."""
    return uniform(count, 0.0, 1.0, device=device, generator=generator) < p
