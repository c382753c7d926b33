"""Bootstrap over clips: what other clips might give."""

from __future__ import annotations

from torch import Tensor

from rankaudio.metrics import bootstrap


def resampled(scores: Tensor, target: Tensor) -> Tensor:
    """Lwlrap of 2,000 resamples of the clips; the draws are the same for as many clips."""
    return bootstrap(scores, target, resamples=2000).values


def interval(values: Tensor, *, signed: bool = False) -> str:
    """Write the interval that 95 % of the values are in."""
    low, high = (float(values.quantile(q)) for q in (0.025, 0.975))
    return f"[{low:+.3f}, {high:+.3f}]" if signed else f"[{low:.3f}, {high:.3f}]"
