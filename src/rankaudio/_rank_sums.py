"""The sums behind lwlrap: for every true label, how many labels are scored at least as high.

Two exact ways to count, integers both. One compares each true label with its row: P x C comparisons
for P labels, no sort; but finding the labels gives a tensor whose size depends on values, for which an
accelerator makes the host wait. The other sorts every row and looks up where each score's ties begin:
shapes known beforehand, and quicker when labels are dense. So accelerators always sort, and the CPU
sorts the chunks of rows that have many labels.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple, Self

import torch
import torch.nn.functional as F
from torch import Tensor

# Entries looked at together: some tens of MB in all, more on a device that has to be kept busy.
CHUNK, CHUNK_ON_DEVICE = 2**20, 2**22
# Comparisons made together: just too few for PyTorch to split them between threads. They are so cheap
# that on a CPU busy with other work, as when data is loaded, waiting for each other would take longer.
PIECE = 2**15 - 1
# Labels per row from which the sort is quicker on the CPU (measured: 40 at 80 classes, 130 at 2,000).
LABELS_TO_SORT = 64


class RankSums(NamedTuple):
    """All that a set of clips leaves behind; sets are joined by adding."""

    precision: Tensor
    """``(C,)``, the weighted precisions of the labels of each class."""
    support: Tensor
    """``(C,)``, the weights of the labels of each class."""
    row_precision: Tensor
    """``()``, the weighted mean precisions of the rows with a label."""
    row_weight: Tensor
    """``()``, the weights of the rows with a label."""
    nan_scores: Tensor
    """``()``, known scores that are NaN: counted, because raising would make the host wait."""

    @classmethod
    def zeros(cls, n_classes: int, device: torch.device) -> Self:
        """No clips."""
        shapes = [(n_classes,), (n_classes,), (), (), ()]
        return cls(*(torch.zeros(shape, dtype=sum_dtype(device), device=device) for shape in shapes))

    def add(self, other: RankSums) -> RankSums:
        """Both sets, in new tensors."""
        return RankSums(*(mine + theirs for mine, theirs in zip(self, other, strict=True)))

    def to(self, device: torch.device | str) -> RankSums:
        """The same sums on another device."""
        dtype = sum_dtype(torch.device(device))
        return RankSums(*(part.to(device, dtype) for part in self))


def sum_dtype(device: torch.device) -> torch.dtype:
    """Double precision wherever the device has it."""
    return torch.float32 if device.type == "mps" else torch.float64


def rank_sums(scores: Tensor, present: Tensor, known: Tensor | None, weight: Tensor) -> RankSums:
    """Sum up rows: ``(R, C)`` scores, target and known labels, ``(R,)`` weights in the sums' dtype."""
    total = RankSums.zeros(scores.shape[-1], scores.device)
    for rows in _chunks(scores):
        hidden = None if known is None else ~known[rows]
        total = total.add(_chunk_sums(scores[rows].contiguous(), present[rows].bool(), hidden, weight[rows]))
    return total


def row_precisions(scores: Tensor, present: Tensor) -> Tensor:
    """Of each row the mean precision of its labels, 0 where it has none: ``(R,)``, in the sums' dtype."""
    means = [torch.zeros(0, dtype=sum_dtype(scores.device), device=scores.device)]
    for rows in _chunks(scores):
        part = scores[rows].contiguous()
        _, _, by_row, labels = _sum_precisions(part, present[rows], None, means[0].new_ones(len(part)))
        means.append(by_row / labels.clamp(min=1))
    return torch.cat(means)


def _chunks(scores: Tensor) -> Iterator[slice]:
    step = max(1, (CHUNK if scores.device.type == "cpu" else CHUNK_ON_DEVICE) // scores.shape[-1])
    return (slice(start, start + step) for start in range(0, len(scores), step))


def _chunk_sums(scores: Tensor, present: Tensor, hidden: Tensor | None, weight: Tensor) -> RankSums:
    nan = scores.isnan()
    if hidden is not None:
        nan, present = nan & ~hidden, present & ~hidden
    by_class, support, by_row, labels = _sum_precisions(scores, present, hidden, weight)
    labelled = weight * (labels > 0)
    row_precision = (labelled * (by_row / labels.clamp(min=1))).sum()
    return RankSums(by_class, support, row_precision, labelled.sum(), nan.count_nonzero().to(weight.dtype))


def _sum_precisions(
    scores: Tensor, present: Tensor, hidden: Tensor | None, weight: Tensor
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Of each class weighted precisions and labels ``(C,)``, of each row precisions and labels ``(R,)``."""
    if scores.device.type == "cpu":
        rows, classes = present.nonzero(as_tuple=True)
        if len(rows) < LABELS_TO_SORT * len(scores):
            return _by_comparing(scores, rows, classes, hidden, weight)
    return _by_sorting(scores, present, hidden, weight)


def _by_comparing(
    scores: Tensor, rows: Tensor, classes: Tensor, hidden: Tensor | None, weight: Tensor
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Compare each label, in order of ``rows``, with its row and with the labels of its row."""
    own, labels = scores[rows, classes], rows.bincount(minlength=len(scores))
    place = torch.arange(len(rows), device=rows.device) - (labels.cumsum(0) - labels)[rows]
    # A table of the labels' scores alone; what stays NaN reaches no score.
    rivals = scores.new_full((len(scores), int(labels.max())), float("nan"))
    rivals[rows, place] = own
    hits, ranks = _count_reached(rivals, rows, own, None), _count_reached(scores, rows, own, hidden)
    precision = hits.to(weight.dtype) / ranks
    label_weight, per_class = weight[rows], weight.new_zeros(scores.shape[-1])
    return (
        per_class.index_add(0, classes, precision * label_weight),
        per_class.index_add(0, classes, label_weight),
        torch.zeros_like(weight).index_add(0, rows, precision),
        labels,
    )


def _count_reached(table: Tensor, rows: Tensor, scores: Tensor, hidden: Tensor | None) -> Tensor:
    """For each score, how many entries of its row of the table are at least as high."""
    counts = []
    step = max(1, PIECE // max(1, table.shape[-1]))  # rows without labels have a table of no columns
    for row, score in zip(torch.split(rows, step), torch.split(scores[:, None], step), strict=True):
        reached = table.index_select(0, row) >= score
        if hidden is not None:
            reached &= ~hidden.index_select(0, row)
        counts.append(reached.sum(-1))
    return torch.cat(counts)


def _by_sorting(
    scores: Tensor, present: Tensor, hidden: Tensor | None, weight: Tensor
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Sort each row once, and look every entry up in it."""
    ranked, order = scores.sort(dim=-1)
    ties_start = torch.searchsorted(ranked, scores)

    def at_least(flags: Tensor) -> Tensor:
        """For every entry, the flags that are set among the entries scored at least as high."""
        below = F.pad(flags.gather(-1, order).cumsum(-1, dtype=torch.int32), (1, 0))
        return below[:, -1:] - below.gather(-1, ties_start)

    ranks = scores.shape[-1] - ties_start if hidden is None else at_least(~hidden)
    precision = at_least(present).to(weight.dtype) / ranks
    # where, not a product: an entry that is no label may have no rank, and 0 / 0 is NaN.
    precision = torch.where(present, precision, 0.0)
    column = weight[:, None]
    return (precision * column).sum(0), (present * column).sum(0), precision.sum(-1), present.sum(-1)
