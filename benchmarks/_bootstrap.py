"""Paired bootstrap over clips: what other clips might give."""

from __future__ import annotations

import torch
from torch import Tensor

from rankaudio import lwlrap


def draw_clips(count: int, *, repeats: int = 2000, seed: int = 0) -> Tensor:
    """Rows of resampled sets of clips, ``(repeats, count)``; the same for everything that is compared."""
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(count, (repeats, count), generator=generator)


def resampled(scores: Tensor, target: Tensor, draws: Tensor) -> Tensor:
    """Lwlrap of each bootstrap draw of clips: a weighted mean of each clip's sums."""
    labels = target.sum(1).double()
    each = torch.stack(
        [lwlrap(s[None], t[None], average="sample") for s, t in zip(scores, target, strict=True)]
    )
    sums = (each.nan_to_num(0) * labels)[draws].sum(1)
    return sums / labels[draws].sum(1)


def interval(values: Tensor, *, signed: bool = False) -> str:
    """Where 95 % of the draws lie."""
    low, high = (float(values.quantile(q)) for q in (0.025, 0.975))
    return f"[{low:+.3f}, {high:+.3f}]" if signed else f"[{low:.3f}, {high:.3f}]"
