"""Who is mixed with whom: the draw that all mixers share."""

from __future__ import annotations

import torch
from torch import Tensor

from rankaudio import _random
from rankaudio._checks import check_number, check_shape, describe


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
    step = _random.below(choices.clamp(min=1), generator=generator)
    place = (allowed.long().cumsum(0) + step) % allowed.sum().clamp(min=1)
    mixed = _random.uniform(count, 0.0, 1.0, device=device, generator=generator) < p
    mixed = mixed & (choices > 0)
    return torch.where(mixed, in_order[place], own), mixed


def _check_partners(partners: object, lengths: Tensor) -> None:
    tensor = check_shape("partners", partners, lengths.shape, like=lengths)
    if tensor.dtype != torch.bool:
        raise TypeError(f"partners: wanted bool, got {describe(tensor)}")
