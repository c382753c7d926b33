"""Logsumexp over some entries of a row: the sum inside the pairwise losses."""

from __future__ import annotations

import torch
from torch import Tensor


def masked_lse(x: Tensor, keep: Tensor, log_weight: Tensor | None) -> tuple[Tensor, Tensor]:
    """Logsumexp over the entries to keep, as two terms: the maximum and the remainder.

    Separate terms keep the softmax in the gradient exact to rounding. In float32 the sum of 10,000 and log 2
    has lost four digits of log 2.
    """
    if log_weight is not None:
        x = x + log_weight
    # A finite number, because -inf gives NaN second derivatives on rows without a pair. It is a quarter of
    # the range, so that the sum of two is still finite.
    hidden = torch.finfo(x.dtype).min / 4
    x = x.masked_fill(~keep, hidden).clamp(min=hidden)
    highest = x.detach().amax(-1)
    # The exponential of a huge negative number takes a CPU twelve times as long. The sum has a term of 1,
    # which hides all that is below the clamp.
    lowest = -80.0 if x.dtype == torch.float32 else -600.0
    return highest, (x - highest[..., None]).clamp(min=lowest).logsumexp(-1)


def present_and_absent(present: Tensor, mask: Tensor | None) -> tuple[Tensor, Tensor]:
    """Return which labels are known to be present, and which are known to be absent."""
    absent = ~present
    return (present, absent) if mask is None else (present & mask, absent & mask)
