"""Rows of scores that are sorted together with their labels.

numpy sorts numbers faster than it sorts indices, so a number holds the score and what belongs to it. Rows of
up to 256 float32 scores are sorted as 64 bits: the score, the column and the label. numpy takes five times as
long per number for longer rows of 64 bits, and half of that for 32 bits. So in long rows, 31 bits hold the
score and one bit the label. The labels are sorted a second time, with their columns.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from torch import Tensor

from rankaudio._ties import order_of_floats

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

# numpy sorts rows of up to so many 64-bit numbers in a fifth of the time per number.
SHORT_ROW = 256


class LabelledRows(NamedTuple):
    """Rows ``(R, C)`` in ascending order of scores, and their P labels in the same order."""

    labels: NDArray[np.int64]
    """``(P,)``, the positions of the labels, counted through all rows."""
    columns: NDArray[np.int64]
    """``(P,)``, the column of each label before the sort."""
    scores: NDArray[np.integer]
    """``(R, C)``, numbers in the order of the scores. Equal scores have the same bits above the lowest."""
    lowest_bits: int
    """How many bits of these numbers say something else."""


def sort_labelled_rows(
    scores: Tensor, present: Tensor, hidden: Tensor | None, labels: Tensor
) -> LabelledRows:
    """Sort each row on the CPU, the lowest score first. Hidden entries come before all others.

    Args:
        scores: ``(R, C)``.
        present: ``(R, C)`` bool, where the labels are. None of them is hidden.
        hidden: ``(R, C)`` bool.
        labels: ``(R,)``, the number of labels of each row.

    >>> scores, present = (
    ...     torch.tensor([[2.0, 5.0, 1.0]]),
    ...     torch.tensor([[True, False, True]]),
    ... )
    >>> rows = sort_labelled_rows(scores, present, None, present.sum(-1))
    >>> rows.labels.tolist(), rows.columns.tolist()
    ([0, 1], [2, 0])
    """
    import numpy as np

    order, off = order_of_floats(scores), None if hidden is None else hidden.numpy()
    most = int(labels.amax())
    # Before version 2, numpy took as long for 32 bits as for 64.
    if (
        order.dtype == np.int32
        and order.shape[1] > SHORT_ROW >= most
        and np.lib.NumpyVersion(np.__version__) >= "2.0.0"
    ):
        short = _short_order(order)
        if short is not None:
            columns = _columns_of_labels(order, present.numpy(), labels.numpy(), most)
            return _sort_short(short, present.numpy(), off, columns)
    if off is not None:
        order[off] = np.iinfo(order.dtype).min  # below negative infinity
    low = np.add(present.numpy(), np.arange(0, 2 * order.shape[1], 2, dtype=np.int32), dtype=np.int32)
    return _argsort(order, low) if order.dtype == np.int64 else _sort_joined(order, low)


def _argsort(order: NDArray[np.signedinteger], low: NDArray[np.int32]) -> LabelledRows:
    """Sort 64 bits of a score, which leave no room for ``low``: twice the column plus the label."""
    import numpy as np

    places = np.argsort(order, axis=-1)
    places += np.arange(0, order.size, order.shape[1])[:, None]
    low = low.take(places)
    at = _odd(low)
    return LabelledRows(at, (low.take(at) >> 1).astype(np.int64), order.take(places), 0)


def _sort_joined(order: NDArray[np.signedinteger], low: NDArray[np.int32]) -> LabelledRows:
    """Sort 32 bits of a score together with ``low``: twice the column plus the label."""
    import numpy as np

    joined = order.astype(np.int64)
    joined <<= 32
    joined |= low
    joined.sort(axis=-1)
    at = _odd(joined)
    return LabelledRows(at, (joined.take(at).astype(np.int32) >> 1).astype(np.int64), joined, 32)


def _sort_short(
    short: NDArray[np.uint32],
    present: NDArray[np.bool_],
    hidden: NDArray[np.bool_] | None,
    columns: NDArray[np.int64],
) -> LabelledRows:
    """Sort 31 bits of a score together with the label."""
    short <<= 1
    short |= present
    if hidden is not None:
        short[hidden] = 0
    short.sort(axis=-1)
    return LabelledRows(_odd(short), columns, short, 1)


def _short_order(order: NDArray[np.signedinteger]) -> NDArray[np.uint32] | None:
    """Map integers to numbers of 31 bits from 1 on, in the same order; None if they do not fit.

    The gap between the highest negative score and the lowest other score is left out. Scores of one sign
    always fit. Scores of both signs fit if their sizes are between 1e-19 and 1e19.
    """
    import numpy as np

    unsigned = order.view(np.uint32)  # negative scores are behind the others
    first, last, gap = int(order.min()), int(order.max()), 0
    if first < 0 <= last:
        gap = int(unsigned.min()) + 2**32 - int(unsigned.max()) - 1
    if last - first - gap > 2**31 - 2:
        return None
    short: NDArray[np.uint32] = unsigned - np.uint32((first - 1) % 2**32)
    if gap:
        short -= np.multiply(order >= 0, np.uint32(gap))
    return short


def _columns_of_labels(
    order: NDArray[np.signedinteger], present: NDArray[np.bool_], labels: NDArray[np.int64], most: int
) -> NDArray[np.int64]:
    """Sort the labels of each row by their score, then by their column, in a table as wide as ``most``."""
    import numpy as np

    at = np.flatnonzero(present)
    table = np.full((len(order), most), np.iinfo(np.int64).max)
    used = np.arange(most) < labels[:, None]
    table[used] = (order.take(at).astype(np.int64) << 32) | at
    table.sort(axis=-1)
    columns: NDArray[np.int64] = table[used] & 0xFFFFFFFF
    columns -= np.repeat(np.arange(0, order.size, order.shape[1]), labels)
    return columns


def _odd(numbers: NDArray[np.integer]) -> NDArray[np.int64]:
    """Return where the lowest bit is set."""
    import numpy as np

    return np.flatnonzero((numbers.astype(np.uint8) & 1).view(np.bool_))
