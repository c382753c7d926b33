"""The choice of a partner for each clip that is mixed."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from rankaudio import _random
from rankaudio._checks import check_integers, check_mask, check_shape


def draw_partners(
    lengths: Tensor,
    *,
    p: float,
    partners: Tensor | None,
    groups: Tensor | None,
    generator: torch.Generator | None,
) -> tuple[Tensor, Tensor]:
    """Draw for each clip, with probability ``p``, another clip of its group, uniform among ``partners``.

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
    if groups is None:
        groups = torch.zeros(count, dtype=torch.long, device=device)
    else:
        check_shape("groups", check_integers("groups", groups), lengths.shape, like=lengths)
    candidates, first, total, up_to_own = _candidates(allowed, groups)
    choices = total - allowed.long()
    # Each clip counts the allowed clips of its group from itself on, cyclically, and takes one of them.
    step = _random.below(choices.clamp(min=1), generator=generator)
    position = first + (up_to_own + step) % total.clamp(min=1)
    mixed = _random.choose(count, p, device=device, generator=generator) & (choices > 0)
    return torch.where(mixed, candidates[position], own), mixed


def _candidates(allowed: Tensor, groups: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Sort the clips by group, the allowed ones first in each.

    Returns:
        The sorted indices. Then for each clip: the place of its group's first clip among them, the number of
        allowed clips in its group, and the number of these up to the clip itself.
    """
    in_groups = groups.argsort(stable=True)
    sorted_groups = groups[in_groups]
    first, end = (torch.searchsorted(sorted_groups, groups, right=right) for right in (False, True))
    before = F.pad(allowed[in_groups].long().cumsum(0), (1, 0))
    up_to_own = before[1 + in_groups.argsort()] - before[first]
    allowed_first = allowed.logical_not().int().argsort(stable=True)
    candidates = allowed_first[groups[allowed_first].argsort(stable=True)]
    return candidates, first, before[end] - before[first], up_to_own
