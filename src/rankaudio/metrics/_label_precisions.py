"""Sums of label precisions, from which lwlrap follows.

For each true label these count how many labels are scored at least as high.

There are two exact ways to count, both with integers. The first compares each true label with its row: P x C
comparisons for P labels, and no sort. It needs the positions of the labels, a tensor whose size depends on
values, so an accelerator would make the host wait. The second sorts every row and looks up where the ties of
each score begin. Its shapes are known beforehand, and it is faster when labels are dense. Accelerators
therefore always sort. The CPU sorts only the chunks of rows that have many labels.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple, Self

import torch
import torch.nn.functional as F
from torch import Tensor

from rankaudio._chunks import row_chunks, rows_per_chunk
from rankaudio._ties import tie_starts
from rankaudio.metrics._labelled_rows import SHORT_ROW, sort_labelled_rows

# Scores in a chunk of rows: some MB in all, and more on an accelerator, which has to be kept busy.
CHUNK, CHUNK_ON_DEVICE = 2**18, 2**22
# Comparisons in one operation: just too few for PyTorch to split them between threads. Comparisons are so
# cheap that threads would lose more time waiting for each other on a busy CPU, such as one that loads data.
COMPARISONS = 2**15 - 1
# Float64 labels per row from which the sort is faster on the CPU (measured: 20 at 527 classes). A third is
# enough for float32, which is sorted as numbers and not by argsort (5 at 527 classes, 9 at 2,000). A third of
# that is enough for short rows, which numpy sorts in a fifth of the time per number (at 80 classes: 6 and 2).
LABELS_TO_SORT = 24


class PrecisionSums(NamedTuple):
    """What lwlrap needs to know about a set of clips; sets are joined by adding their sums."""

    precision: Tensor
    """``(C,)``, the weighted precisions of the labels of each class."""
    support: Tensor
    """``(C,)``, the weights of the labels of each class."""
    row_precision: Tensor
    """``()``, the weighted mean precisions of the rows with a label."""
    row_weight: Tensor
    """``()``, the weights of the rows with a label."""
    nan_scores: Tensor
    """``()``, the number of known scores that are NaN. An error here would make the host wait."""

    @classmethod
    def zeros(cls, n_classes: int, device: torch.device) -> Self:
        """Sums of no clips."""
        shapes = [(n_classes,), (n_classes,), (), (), ()]
        return cls(*(torch.zeros(shape, dtype=sum_dtype(device), device=device) for shape in shapes))

    def add(self, other: PrecisionSums) -> PrecisionSums:
        """Sums of both sets, in new tensors."""
        return PrecisionSums(*(mine + theirs for mine, theirs in zip(self, other, strict=True)))

    def to(self, device: torch.device | str) -> PrecisionSums:
        """The same sums on another device."""
        dtype = sum_dtype(torch.device(device))
        return PrecisionSums(*(part.to(device, dtype) for part in self))


def sum_dtype(device: torch.device) -> torch.dtype:
    """Float64 wherever the device has it."""
    return torch.float32 if device.type == "mps" else torch.float64


def precision_sums(scores: Tensor, present: Tensor, known: Tensor | None, weight: Tensor) -> PrecisionSums:
    """Sum over rows: ``(R, C)`` scores, target and known labels, ``(R,)`` weights in the sums' dtype."""
    total = PrecisionSums.zeros(scores.shape[-1], scores.device)
    for rows in _chunks(scores):
        hidden = None if known is None else ~known[rows]
        total = total.add(_chunk_sums(scores[rows].contiguous(), present[rows].bool(), hidden, weight[rows]))
    return total


def row_precisions(scores: Tensor, present: Tensor) -> Tensor:
    """Mean precision of each row's labels, 0 without labels: ``(R,)``, in the sums' dtype."""
    by_row, labels = row_sums(scores, present, None)
    return by_row / labels.clamp(min=1)


def row_sums(scores: Tensor, present: Tensor, known: Tensor | None) -> tuple[Tensor, Tensor]:
    """Sums of the precisions of each row's labels, and their number: ``(R,)`` each, in the sums' dtype."""
    none = torch.zeros(0, dtype=sum_dtype(scores.device), device=scores.device)
    sums, counts = [none], [none]
    for rows in _chunks(scores):
        part, labels_of = scores[rows].contiguous(), present[rows].bool()
        hidden = None if known is None else ~known[rows]
        labels_of = labels_of if hidden is None else labels_of & ~hidden
        _, _, by_row, labels = _sum_precisions(part, labels_of, hidden, none.new_ones(len(part)))
        sums.append(by_row)
        counts.append(labels.to(none.dtype))
    return torch.cat(sums), torch.cat(counts)


def _chunks(scores: Tensor) -> Iterator[slice]:
    budget = CHUNK if scores.device.type == "cpu" else CHUNK_ON_DEVICE
    return row_chunks(len(scores), scores.shape[-1], budget)


def _chunk_sums(scores: Tensor, present: Tensor, hidden: Tensor | None, weight: Tensor) -> PrecisionSums:
    present = present if hidden is None else present & ~hidden
    by_class, support, by_row, labels = _sum_precisions(scores, present, hidden, weight)
    labelled = weight * (labels > 0)
    row_precision = (labelled * (by_row / labels.clamp(min=1))).sum()
    nan_scores = _count_nan(scores, hidden).to(weight.dtype)
    return PrecisionSums(by_class, support, row_precision, labelled.sum(), nan_scores)


def _count_nan(scores: Tensor, hidden: Tensor | None) -> Tensor:
    """Count known scores that are NaN."""
    # A maximum passes NaN on, and takes a tenth of the time of a mask.
    if scores.device.type == "cpu" and (scores.numel() == 0 or not scores.amax().isnan()):
        return torch.zeros((), dtype=torch.int64)
    nan = scores.isnan()
    return (nan if hidden is None else nan & ~hidden).count_nonzero()


def _sum_precisions(
    scores: Tensor, present: Tensor, hidden: Tensor | None, weight: Tensor
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Weighted precisions and labels of classes ``(C,)``, then precisions and labels of rows ``(R,)``."""
    if scores.device.type != "cpu":
        return _by_sorting(scores, present, hidden, weight)
    import numpy as np

    labels = present.sum(-1)
    share = (1 if scores.dtype == torch.float64 else 3) * (1 if scores.shape[-1] > SHORT_ROW else 3)
    dense = int(labels.sum()) * share >= LABELS_TO_SORT * len(scores)
    classes, precision = (_by_ranking if dense else _by_comparing)(scores, present, hidden, labels)
    label_weight = torch.from_numpy(np.repeat(weight.numpy(), labels.numpy()))
    none = weight.new_zeros(scores.shape[-1])
    return (
        none.scatter_add(0, classes, precision * label_weight),
        none.scatter_add(0, classes, label_weight),
        _sum_rows(precision, labels),
        labels,
    )


def _sum_rows(precision: Tensor, labels: Tensor) -> Tensor:
    """Sum the precisions of each row, which has so many of them."""
    import numpy as np

    by_row = torch.zeros(len(labels), dtype=precision.dtype)
    some = labels > 0
    start = (labels.cumsum(0) - labels)[some]
    if len(start):
        # A fifth of the time of segment_reduce. It cannot sum what is empty.
        by_row[some] = torch.from_numpy(np.add.reduceat(precision.numpy(), start.numpy()))
    return by_row


def _by_comparing(
    scores: Tensor, present: Tensor, hidden: Tensor | None, labels: Tensor
) -> tuple[Tensor, Tensor]:
    """Compare each label with its row and with the labels of its row: class and precision of each label."""
    rows, classes = present.nonzero(as_tuple=True)
    own = scores[rows, classes]
    column = torch.arange(len(rows), device=rows.device) - (labels.cumsum(0) - labels)[rows]
    # A table of the labels' scores only. Unused entries stay NaN, and NaN >= score is false.
    label_scores = scores.new_full((len(scores), int(labels.max())), float("nan"))
    label_scores[rows, column] = own
    hits = _count_at_least(label_scores, rows, own, None)
    return classes, hits.double() / _count_at_least(scores, rows, own, hidden)


def _count_at_least(table: Tensor, rows: Tensor, scores: Tensor, hidden: Tensor | None) -> Tensor:
    """Count, for each score, the entries of its row of the table that are at least as high."""
    counts = []
    step = rows_per_chunk(table.shape[-1], COMPARISONS)
    for row, score in zip(torch.split(rows, step), torch.split(scores[:, None], step), strict=True):
        at_least = table.index_select(0, row) >= score
        if hidden is not None:
            at_least &= ~hidden.index_select(0, row)
        counts.append(at_least.sum(-1))
    return torch.cat(counts)


def _by_ranking(
    scores: Tensor, present: Tensor, hidden: Tensor | None, labels: Tensor
) -> tuple[Tensor, Tensor]:
    """Sort each row on the CPU, and count from each label to the end: class and precision of each label.

    In numpy, because its sort and its search for set flags take a tenth of PyTorch's time.
    """
    import numpy as np

    width, count = scores.shape[-1], labels.numpy()
    at, classes, ranked, lowest_bits = sort_labelled_rows(scores, present, hidden, labels)
    difference = ranked.take(at - 1)
    difference ^= ranked.take(at)
    difference >>= lowest_bits
    first = np.arange(0, ranked.size, width)
    place, hits = np.repeat(first, count), np.repeat(np.cumsum(count), count)
    np.subtract(at, place, out=place)
    hits -= np.arange(len(at))
    tied = np.flatnonzero(difference == 0)
    tied = tied[place[tied] > 0]
    if len(tied):
        # Few labels are tied. These count from the start of their tie. Hidden entries come first.
        row = (at[tied] - place[tied]) // width
        has_ties = np.bincount(row, minlength=len(scores)) > 0
        high = ranked[has_ties] >> lowest_bits
        starts = tie_starts(high[:, 1:] != high[:, :-1])
        start = starts[(np.cumsum(has_ties) - 1)[row], place[tied]]
        hits[tied] = np.cumsum(count)[row] - np.searchsorted(at, first[row] + start)
        place[tied] = start
    np.subtract(width, place, out=place)
    return torch.from_numpy(classes), torch.from_numpy(hits / place)


def _by_sorting(
    scores: Tensor, present: Tensor, hidden: Tensor | None, weight: Tensor
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Sort each row once, and look up every entry in it."""
    ranked, order = scores.sort(dim=-1)
    ties_start = torch.searchsorted(ranked, scores)

    def at_least(flags: Tensor) -> Tensor:
        """Count, for every entry, the flags that are set among entries scored at least as high."""
        below = F.pad(flags.gather(-1, order).cumsum(-1, dtype=torch.int32), (1, 0))
        return below[:, -1:] - below.gather(-1, ties_start)

    ranks = scores.shape[-1] - ties_start if hidden is None else at_least(~hidden)
    precision = at_least(present).to(weight.dtype) / ranks
    # where, not a product: an entry without a label may have rank 0, and 0 / 0 is NaN.
    precision = torch.where(present, precision, 0.0)
    column = weight[:, None]
    return (precision * column).sum(0), (present * column).sum(0), precision.sum(-1), present.sum(-1)
