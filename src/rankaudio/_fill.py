"""The values that fill padding and masks."""

from __future__ import annotations

import math
from typing import Literal

import torch
from torch import Tensor

from rankaudio._checks import check_choice, check_number
from rankaudio._clips import computation_dtype, per_clip
from rankaudio.lengths import length_mask, zero_beyond

Fill = float | Literal["minimum", "mean"]
_NAMES: tuple[Literal["minimum", "mean"], ...] = ("minimum", "mean")


def check_fill(fill: object) -> Fill:
    """Return the value if it is a number, ``"minimum"`` or ``"mean"``."""
    return check_choice("fill", fill, _NAMES) if isinstance(fill, str) else check_number("fill", fill)


def fill_values(clips: Tensor, lengths: Tensor, fill: Fill) -> Tensor:
    """Compute one value for each clip from its real part, in a shape that broadcasts with the clips.

    With channels ``(B, K, F, N)`` it is one value for each channel.
    """
    first = 2 if clips.ndim == 4 else 1
    axes = tuple(range(first, clips.ndim))
    if fill == "minimum":
        padding = ~per_clip(length_mask(lengths, clips.shape[-1]), clips)
        return clips.masked_fill(padding, torch.inf).amin(axes, keepdim=True)
    if fill == "mean":
        total = zero_beyond(clips, lengths).sum(axes, dtype=computation_dtype(clips))
        count = per_clip(lengths * math.prod(clips.shape[first:-1]), total)
        return (total / count).to(clips.dtype).reshape(*clips.shape[:first], *(1,) * len(axes))
    return clips.new_full((clips.shape[0], *(1,) * (clips.ndim - 1)), fill)
