"""The choice of a partner for each clip that is mixed."""

from __future__ import annotations

import torch
from torch import Tensor

from rankaudio import _random
from rankaudio._checks import check_mask


def draw_partners(
    lengths: Tensor, *, p: float, partners: Tensor | None, generator: torch.Generator | None
) -> tuple[Tensor, Tensor]:
    """Draw for each clip, with probability ``p``, another clip, uniform among ``partners``.

    Returns:
        Indices ``(B,)``, where a clip that is not mixed has its own index; and ``(B,)`` bool, which clips are
        mixed.
    """
    count, device = lengths.shape[0], lengths.device
    own = torch.arange(count, device=device)
    if partners is None:
        allowed = torch.ones(count, dtype=torch.bool, device=device)
    else:
        allowed = check_mask("partners", partners, lengths.shape, like=lengths)
    choices = allowed.sum() - allowed.long()
    # Each clip counts the allowed clips from itself on, cyclically, and takes the one at a random step.
    in_order = allowed.logical_not().int().argsort(stable=True)
    step = _random.below(choices.clamp(min=1), generator=generator)
    position = (allowed.long().cumsum(0) + step) % allowed.sum().clamp(min=1)
    mixed = _random.choose(count, p, device=device, generator=generator) & (choices > 0)
    return torch.where(mixed, in_order[position], own), mixed
