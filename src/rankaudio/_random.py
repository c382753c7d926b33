"""Random parameters, one per example, drawn where the generator lives and then moved.

Drawing on the generator's device is what makes a CPU generator give the same parameters to a model
on any accelerator. Without a generator the draw happens on the CPU, from PyTorch's global one.
"""

from __future__ import annotations

import torch
from torch import Tensor


def uniform(
    count: int, low: float, high: float, *, device: torch.device, generator: torch.Generator | None = None
) -> Tensor:
    """``count`` numbers from U(low, high), float64 (float32 where the device has no float64)."""
    home = torch.device("cpu") if generator is None else generator.device
    # float32 has 2^24 steps: too few to reach every sample offset of a long recording.
    dtype = torch.float32 if "mps" in (home.type, device.type) else torch.float64
    drawn = torch.rand(count, generator=generator, device=home, dtype=dtype)
    return (low + (high - low) * drawn).to(device, non_blocking=True)


def below(limit: Tensor, *, generator: torch.Generator | None = None) -> Tensor:
    """For each entry of ``limit`` (>= 1) an integer from U{0, ..., limit - 1}."""
    fraction = uniform(limit.numel(), 0.0, 1.0, device=limit.device, generator=generator).reshape(limit.shape)
    # The product can round up to the limit itself.
    return torch.minimum((fraction * limit).long(), limit - 1)
