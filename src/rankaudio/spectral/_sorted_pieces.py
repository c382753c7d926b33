"""Statistics of the windows of one clip on a CPU, from pieces that are sorted once.

Window k consists of the pieces k and k + 1, because windows overlap by half. Each piece is sorted in place,
and belongs to two windows. A binary search finds the samples of given ranks in two sorted pieces. So nothing
is sorted twice, nothing is copied but the clip, and no window is padded. numpy sorts floats several times as
fast as PyTorch does on a CPU.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Floats = NDArray[np.floating[Any]]
    Integers = NDArray[np.int64]


def statistics_of_clip(clip: Floats, windows: int, percentiles: tuple[int, ...]) -> Floats:
    """Return mean, deviation, range and percentiles of each window, ``(windows, 3 + len(percentiles))``.

    The clip has at least ``2 * windows`` samples, so that no piece is empty. Its samples are sorted within
    the pieces. The first percentile is 0 and the last is 100.
    """
    import numpy as np

    odd = np.arange(-1, 2 * windows + 2, 2)
    edges = (odd * len(clip) // (2 * windows)).clip(0, len(clip))
    with np.errstate(over="ignore", invalid="ignore"):
        mean, deviation = _moments(clip, edges)
        for start, stop in zip(edges.tolist(), edges[1:].tolist(), strict=False):
            clip[start:stop].sort()
        low = np.minimum(clip[edges[:-2]], clip[edges[1:-1]])
        high = np.maximum(clip[edges[1:-1] - 1], clip[edges[2:] - 1])
        inner = _percentiles(clip, edges, percentiles[1:-1])
        columns = [mean, deviation, high - low, low, *inner, high]
    return np.stack(columns, axis=1).astype(clip.dtype)


def _moments(clip: Floats, edges: Integers) -> tuple[Floats, Floats]:
    """Return the mean and the population deviation of each window, from those of its two pieces."""
    import numpy as np

    size = np.diff(edges)
    mean, squares = np.empty(len(size)), np.empty(len(size))
    buffer = np.empty(size.max(), clip.dtype)
    for j, (start, n) in enumerate(zip(edges.tolist(), size.tolist(), strict=False)):
        piece, scratch = clip[start : start + n], buffer[:n]
        # Divided before the sum, which could overflow. Python's floats keep float32 arrays in float32.
        average = float(np.add.reduce(np.multiply(piece, 1 / n, out=scratch)))
        np.subtract(piece, average, out=scratch)
        mean[j], squares[j] = average, np.add.reduce(np.multiply(scratch, scratch, out=scratch))
    total = size[:-1] + size[1:]
    share = size[:-1] / total
    between = (mean[:-1] - mean[1:]) ** 2 * share * (1 - share)
    variance = (squares[:-1] + squares[1:]) / total + between
    return mean[:-1] * share + mean[1:] * (1 - share), np.sqrt(variance)


def _percentiles(clip: Floats, edges: Integers, percentiles: tuple[int, ...]) -> Floats:
    """Return percentiles from 1 to 99 of each window, ``(len(percentiles), windows)``."""
    import numpy as np

    first, second, stop = edges[:-2], edges[1:-1], edges[2:]
    place = np.array(percentiles)[:, None] * (stop - first - 1)
    rank, weight = place // 100, place % 100 / 100
    taken = _taken_from_first(clip, edges, rank)

    def values(start: Integers, stop: Integers, number: Integers) -> Floats:
        index = start + number
        return np.where(index < stop, clip.take(index, mode="clip"), np.inf)

    ours, theirs = values(first, second, taken), values(second, stop, rank - taken)
    ours_after, theirs_after = (
        values(first, second, taken + 1),
        values(second, stop, rank - taken + 1),
    )
    below = np.minimum(ours, theirs)
    above = np.where(ours <= theirs, np.minimum(ours_after, theirs), np.minimum(ours, theirs_after))
    result: Floats = below * (1 - weight) + above * weight
    return result


def _taken_from_first(clip: Floats, edges: Integers, rank: Integers) -> Integers:
    """Count how many of the ``rank`` smallest samples of each window are in its first piece.

    The count i is the smallest for which sample i of the first piece is not below sample rank - 1 - i of the
    second.
    """
    import numpy as np

    first, second, stop = edges[:-2], edges[1:-1], edges[2:]
    low = np.maximum(rank - (stop - second), 0)
    high = np.minimum(rank, second - first)
    for _ in range(int((second - first).max()).bit_length()):
        middle = (low + high) // 2
        ours = clip.take(first + middle, mode="clip")
        theirs = clip.take(second + rank - 1 - middle, mode="clip")
        more = (middle < high) & (ours < theirs)
        low, high = np.where(more, middle + 1, low), np.where(more, high, middle)
    return low
