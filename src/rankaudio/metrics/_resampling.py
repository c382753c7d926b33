"""Values of metrics for many weights of the clips at once: what each clip adds is computed only once."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, TypeAlias

import torch
from torch import Tensor

from rankaudio._chunks import rows_per_chunk
from rankaudio.metrics._inputs import Rows
from rankaudio.metrics._label_precisions import row_sums

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats: TypeAlias = NDArray[Any]

# Weights of one part of the resamples: 128 MB. Average precision reads them in the order of scores, so the
# weights of a clip in many resamples should be next to each other.
_BUDGET = 2**25
# Draws, or weights in float64, in one operation: they fit the cache.
_AT_ONCE = 2**18
# From weights (B, R) to values (B,).
Resampled: TypeAlias = Callable[[Tensor], Tensor]


def draw_counts(clips: int, groups: Tensor | None, resamples: int, seed: int) -> Iterator[Tensor]:
    """Yield how often each clip is drawn in each resample: ``(B, R)`` float32, some resamples at a time.

    With groups ``(R,)``, whole groups are drawn.
    """
    generator = torch.Generator().manual_seed(seed)
    units, member = clips, None
    if groups is not None:
        found, member = torch.unique(groups, return_inverse=True)
        units = len(found)
    step = rows_per_chunk(clips, _BUDGET)
    for start in range(0, resamples, step):
        counts = torch.zeros(min(step, resamples - start), units)
        for part in torch.split(counts, rows_per_chunk(units, _AT_ONCE)) if units else ():
            drawn = torch.randint(units, part.shape, generator=generator)
            drawn += units * torch.arange(len(part))[:, None]
            part.copy_(drawn.flatten().bincount(minlength=part.numel()).view_as(part))
        yield counts if member is None else counts[:, member]


def lwlrap_of(rows: Rows, average: str) -> Resampled:
    """Lwlrap is a ratio of sums over clips, so all resamples are two products with matrices."""
    precisions, labels = row_sums(rows.scores, rows.target, rows.known)
    if average == "sample":
        precisions, labels = precisions / labels.clamp(min=1), (labels > 0).to(labels.dtype)
    sums = torch.stack([precisions, labels], dim=1).double()

    def values(weights: Tensor) -> Tensor:
        parts = torch.split(weights, rows_per_chunk(weights.shape[1], _AT_ONCE))
        totals = torch.cat([part.double() @ sums for part in parts])
        return totals[:, 0] / totals[:, 1]

    return values


def f1_of(rows: Rows, average: str, thresholds: Tensor) -> Resampled:
    """F1 is made of counts of each class, which are products with matrices."""
    present, claimed = rows.target.bool(), rows.scores >= thresholds
    if rows.known is not None:
        present, claimed = present & rows.known, claimed & rows.known
    # Counts are exact in float32 up to 16 million clips.
    hits, support, claims = ((part.float()) for part in (present & claimed, present, claimed))

    def values(weights: Tensor) -> Tensor:
        of_hits, of_support, of_claims = ((weights @ part).double() for part in (hits, support, claims))
        if average == "micro":
            return 2 * of_hits.sum(1) / (of_support + of_claims).sum(1)
        return torch.where(of_support > 0, 2 * of_hits / (of_support + of_claims), torch.nan).nanmean(1)

    return values


def average_precision_of(rows: Rows, average: str) -> Resampled:
    """Each class is sorted once. A resample only changes the weights of the sorted clips.

    Precisions are needed at the clips with the class. So clips are summed between these, by a product with a
    sparse matrix.
    """
    count, classes = rows.scores.shape
    if average == "micro":
        clip = torch.arange(count).repeat_interleave(classes)
        known = None if rows.known is None else rows.known.flatten()
        columns = [_SortedClass(rows.scores.flatten(), rows.target.flatten(), known, clip)]
    else:
        clip = torch.arange(count)
        columns = [
            _SortedClass(
                rows.scores[:, c], rows.target[:, c], None if rows.known is None else rows.known[:, c], clip
            )
            for c in range(classes)
        ]

    def values(weights: Tensor) -> Tensor:
        by_clip = weights.T.contiguous().numpy()
        return torch.stack([column.values(by_clip) for column in columns]).nanmean(0)

    return values


class _SortedClass:
    """The clips of one class in pieces, each of which ends with a clip of the class and all of its ties."""

    def __init__(self, scores: Tensor, target: Tensor, known: Tensor | None, clip: Tensor) -> None:
        present = target.bool()
        if known is not None:
            scores, present, clip = scores[known], present[known], clip[known]
        ranked, order = scores.sort(descending=True)
        present, clip = present[order], clip[order]
        # Ascending numbers, in which the number of scores at least as high can be looked up.
        found = torch.unique(-ranked[present].double())
        ends = torch.searchsorted(-ranked.double(), found, right=True)
        place = torch.searchsorted(ends, present.nonzero()[:, 0], right=True)
        clips = int(clip.max()) + 1 if len(clip) else 0
        starts = torch.cat([torch.zeros(1, dtype=torch.long), place.bincount(minlength=len(ends)).cumsum(0)])
        self.pieces = _pieces(clip, torch.cat([torch.zeros(1, dtype=torch.long), ends]), clips)
        self.labels = _pieces(clip[present], starts, clips)
        self.clips = clips

    def values(self, weights: Floats) -> Tensor:
        """Return the average precision for weights ``(R, B)``; NaN where no clip of the class is drawn."""
        used = weights[: self.clips]
        all_above = torch.from_numpy(self.pieces @ used).cumsum(0).double()
        labels = torch.from_numpy(self.labels @ used).double()
        precision = torch.where(labels > 0, labels.cumsum(0) / all_above, 0.0)
        return (labels * precision).sum(0) / labels.sum(0)


def _pieces(clip: Tensor, starts: Tensor, clips: int) -> Any:
    """Return a sparse matrix ``(G, R)`` that sums the weights of the clips of each piece."""
    import numpy as np
    from scipy.sparse import csr_matrix

    kept = clip[: int(starts[-1])].numpy().astype(np.int32)
    ones = np.ones(len(kept), np.float32)
    return csr_matrix((ones, kept, starts.numpy()), shape=(len(starts) - 1, clips))
