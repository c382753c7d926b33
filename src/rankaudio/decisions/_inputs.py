"""The clips that thresholds and calibrations are fitted on, and their folds."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, NamedTuple

import torch
from torch import Tensor

from rankaudio._checks import check_integers, check_shape, describe
from rankaudio.metrics._inputs import as_tensor, check_no_known_nan, check_rows

if TYPE_CHECKING:
    from rankaudio.metrics._inputs import Array


class Clips(NamedTuple):
    """Checked clips on the CPU."""

    scores: Tensor
    """``(N, C)`` float32 or float64."""
    present: Tensor
    """``(N, C)`` bool, false where the label is not known."""
    known: Tensor
    """``(N, C)`` bool."""

    def rows(self, chosen: Tensor) -> Clips:
        """Return some of the clips."""
        return Clips(*(part[chosen] for part in self))

    def classes(self, budget: int) -> Iterator[Clips]:
        """Yield the clips with some classes at a time, so that a part has at most ``budget`` scores."""
        step = max(1, budget // max(1, len(self.scores)))
        for start in range(0, self.scores.shape[1], step):
            yield Clips(*(part[:, start : start + step] for part in self))


def check_clips(scores: Array, target: Array, mask: Array | None) -> Clips:
    """Check a table of scores and its labels. Half precision becomes float32, which is exact."""
    scores = as_tensor("scores", scores)
    rows = check_rows(scores, target, mask, None)
    if scores.ndim != 2:
        raise ValueError(f"scores: wanted shape (N, C), got {describe(scores)}")
    check_no_known_nan(rows)
    table = rows.scores.cpu()
    table = table if table.dtype == torch.float64 else table.float()
    present = rows.target.cpu().bool()
    known = torch.ones_like(present) if rows.known is None else rows.known.cpu()
    return Clips(table, present & known, known)


def check_fold_numbers(folds: object, clips: int) -> Tensor | None:
    """Return the fold of each clip if there are at least two folds."""
    if folds is None:
        return None
    fold_of = check_shape("folds", check_integers("folds", folds), (clips,)).cpu()
    if len(found := set(fold_of.tolist())) < 2:
        raise ValueError(f"folds: wanted at least two different ones, got {sorted(found)}")
    return fold_of
