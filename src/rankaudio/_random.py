"""Random parameters, one per example, drawn where the generator lives and then moved.

Drawing on the generator's device is what makes a CPU generator give the same parameters to a model
on any accelerator. Without a generator the draw happens on the CPU, from PyTorch's global one.
"""

from __future__ import annotations

import torch
from torch import Tensor

from rankaudio._checks import check_number, check_shape, describe


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


def draw_partners(
    lengths: Tensor, *, p: float, partners: Tensor | None, generator: torch.Generator | None
) -> tuple[Tensor, Tensor]:
    """With probability ``p`` another clip, uniform among those allowed; else the clip itself.

    Returns:
        Indices ``(B,)``, and ``(B,)`` bool: which clips are mixed.
    """
    check_number("p", p, 0, 1)
    count, device = lengths.shape[0], lengths.device
    own = torch.arange(count, device=device)
    allowed = torch.ones(count, dtype=torch.bool, device=device) if partners is None else partners
    _check_partners(allowed, lengths)
    choices = allowed.sum() - allowed.long()
    # The allowed clips in their order, seen from each clip: those behind it, and round to those before.
    in_order = allowed.logical_not().int().argsort(stable=True)
    step = below(choices.clamp(min=1), generator=generator)
    place = (allowed.long().cumsum(0) + step) % allowed.sum().clamp(min=1)
    mixed = uniform(count, 0.0, 1.0, device=device, generator=generator) < p
    mixed = mixed & (choices > 0)
    return torch.where(mixed, in_order[place], own), mixed


def _check_partners(partners: object, lengths: Tensor) -> None:
    tensor = check_shape("partners", partners, lengths.shape, like=lengths)
    if tensor.dtype != torch.bool:
        raise TypeError(f"partners: wanted bool, got {describe(tensor)}")
