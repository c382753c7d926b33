"""What is put where a mask or padding is, and how a batch is indexed along time."""

from __future__ import annotations

import math
from typing import Literal

import torch
from torch import Tensor

from rankaudio._checks import check_choice, check_number
from rankaudio._parts import computed_in, per_clip
from rankaudio.lengths import length_mask, zero_beyond

Fill = float | Literal["minimum", "mean"]
_FILLS: tuple[Literal["minimum", "mean"], ...] = ("minimum", "mean")


def check_fill(fill: object) -> Fill:
    """Refuse what is neither a number nor the name of one."""
    return check_choice("fill", fill, _FILLS) if isinstance(fill, str) else check_number("fill", fill)


def fill_values(clips: Tensor, lengths: Tensor, fill: Fill) -> Tensor:
    """One value for each clip, within its own length, in a form that broadcasts with the clips."""
    axes = tuple(range(1, clips.ndim))
    if fill == "minimum":
        beyond = ~per_clip(length_mask(lengths, clips.shape[-1]), clips)
        return clips.masked_fill(beyond, torch.inf).amin(axes, keepdim=True)
    if fill == "mean":
        total = zero_beyond(clips, lengths).sum(axes, dtype=computed_in(clips))
        count = lengths * math.prod(clips.shape[1:-1])
        return per_clip((total / count).to(clips.dtype), clips)
    return clips.new_full((clips.shape[0], *(1,) * (clips.ndim - 1)), fill)


def take(clips: Tensor, index: Tensor) -> Tensor:
    """Steps of the last axis, ``index`` ``(B, T')`` saying which for each clip."""
    index = per_clip(index, clips)
    return clips.gather(-1, index.expand(*clips.shape[:-1], index.shape[-1]))
