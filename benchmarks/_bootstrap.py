"""Bootstrap over clips and seeds: what other clips and other trainings might give."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from rankaudio.metrics import bootstrap


def resampled(scores: Tensor, target: Tensor) -> Tensor:
    """Lwlrap of 2,000 resamples of the clips; the draws are the same for as many clips."""
    return bootstrap(scores, target, resamples=2000).values


def over_seeds(of_seeds: Tensor, of_resamples: Tensor) -> Tensor:
    """Return means over seeds that are drawn anew for each resample of the clips.

    ``of_seeds`` has the figure of each seed, ``(S,)``, and ``of_resamples`` those of resamples, ``(S, R)``.
    All configurations have the same draws of seeds. A resample has some clips several times. That raises
    average precision, so each seed's resamples are shifted to its figure. A bootstrap of S values has
    (S - 1) / S of their variance, so the spread of the seeds is widened by that.
    """
    seeds, resamples = of_resamples.shape
    centre = of_seeds.mean()
    wider = math.sqrt(seeds / (seeds - 1)) if seeds > 1 else 1.0
    of_clips = of_resamples - of_resamples.mean(1, keepdim=True)
    draws = of_clips + (centre + wider * (of_seeds - centre))[:, None]
    picked = torch.randint(seeds, (seeds, resamples), generator=torch.Generator().manual_seed(0))
    return draws.gather(0, picked).mean(0)


def interval(values: Tensor, *, signed: bool = False) -> str:
    """Write the interval that 95 % of the values are in."""
    low, high = (float(values.quantile(q)) for q in (0.025, 0.975))
    return f"[{low:+.3f}, {high:+.3f}]" if signed else f"[{low:.3f}, {high:.3f}]"
