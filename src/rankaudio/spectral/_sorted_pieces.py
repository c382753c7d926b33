"""Statistics of windows on a CPU, several times as fast as a percentile of each window.

Windows overlap by half. So window k consists of the pieces k and k + 1, and each piece is used twice:

- a histogram of each piece shows between which levels the wanted ranks of its windows are;
- only samples of those levels are kept, and each piece of them is sorted, as numpy sorts floats quickly;
- a binary search finds the samples of given ranks in two sorted pieces.

Nothing is padded, and the result is exact, whatever the levels are. The fewer samples the levels leave out,
the longer the sorting takes.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Floats = NDArray[np.floating[Any]]
    Integers = NDArray[np.int64]

# Below so many samples in a piece, a histogram takes longer than sorting everything.
_FEWEST_TO_COUNT = 512
# Samples that are worked on at a time. Levels fit the peak of a block, and larger arrays take longer.
_BLOCK_SAMPLES = 1 << 18


class _Scratch(NamedTuple):
    """Memory for a block, which is used again. New memory would take longer than the work in it."""

    floats: Floats
    levels: Integers
    flags: NDArray[np.bool_]


class _Ranked(NamedTuple):
    """Samples piece by piece, the edges of the pieces, and wanted ranks ``(W, Q)`` in each window."""

    samples: Floats
    edges: Integers
    rank: Integers


def statistics_of_clips(
    clips: Sequence[Floats], windows: int, percentiles: tuple[int, ...]
) -> Iterator[Floats]:
    """Yield mean, deviation, range and percentiles ``(windows, 3 + len(percentiles))`` of each clip.

    Every clip has at least ``2 * windows`` samples, so that no piece is empty. The first percentile is 0 and
    the last is 100.
    """
    import numpy as np

    if not clips:
        return
    blocks = [_blocks(len(clip), windows) for clip in clips]
    largest = max(int(edges[-1] - edges[0]) for own in blocks for edges in own)
    memory = [np.empty(largest, kind) for kind in (clips[0].dtype, np.int64, np.bool_)]
    for clip, own in zip(clips, blocks, strict=True):
        rows = []
        for edges in own:
            block = clip[edges[0] : edges[-1]]
            scratch = _Scratch(*(values[: len(block)] for values in memory))
            with np.errstate(over="ignore", invalid="ignore"):
                rows.append(_statistics(block, edges - edges[0], percentiles, scratch))
        yield np.concatenate(rows)


def _blocks(length: int, windows: int) -> list[Integers]:
    """Return the edges of the pieces of some windows at a time. Neighbours share one piece."""
    import numpy as np

    edges = (np.arange(-1, 2 * windows + 2, 2) * length // (2 * windows)).clip(0, length)
    step = -(-windows // -(-length // _BLOCK_SAMPLES))
    return [edges[first : first + step + 2] for first in range(0, windows, step)]


def _statistics(clip: Floats, edges: Integers, percentiles: tuple[int, ...], scratch: _Scratch) -> Floats:
    """Return the statistics of the windows of all neighbouring pieces."""
    import numpy as np

    place = np.array(percentiles[1:-1]) * (edges[2:] - edges[:-2] - 1)[:, None]
    rank, weight = place // 100, place % 100 / 100
    mean, deviation = _moments(clip, edges, scratch.floats)
    low, high = np.minimum.reduceat(clip, edges[:-1]), np.maximum.reduceat(clip, edges[:-1])
    low, high = np.minimum(low[:-1], low[1:]), np.maximum(high[:-1], high[1:])
    below, above = _samples_of_ranks(_keep_wanted_levels(_Ranked(clip, edges, rank), scratch))
    inner = below * (1 - weight) + above * weight
    columns = [mean, deviation, high - low, low, *inner.T, high]
    return np.stack(columns, axis=1).astype(clip.dtype)


def _moments(clip: Floats, edges: Integers, scratch: Floats) -> tuple[Floats, Floats]:
    """Return the mean and the population deviation of each window, from those of its two pieces."""
    import numpy as np

    size = np.diff(edges)
    longest = int(size.max())
    # Divided before the sum, which could overflow.
    mean = np.add.reduceat(np.divide(clip, longest, out=scratch), edges[:-1]) * (longest / size)
    for piece, average in zip(_pieces(edges), mean.tolist(), strict=True):
        np.subtract(clip[piece], average, out=scratch[piece])
    squares = np.add.reduceat(np.square(scratch, out=scratch), edges[:-1])
    total = size[:-1] + size[1:]
    share = size[:-1] / total
    between = (mean[:-1] - mean[1:]) ** 2 * share * (1 - share)
    deviation: Floats = np.sqrt((squares[:-1] + squares[1:]) / total + between)
    return mean[:-1] * share + mean[1:] * (1 - share), deviation


def _pieces(edges: Integers) -> list[slice]:
    return [slice(*ends) for ends in zip(edges[:-1].tolist(), edges[1:].tolist(), strict=True)]


def _keep_wanted_levels(ranked: _Ranked, scratch: _Scratch) -> _Ranked:
    """Leave out samples that are on none of the levels of the wanted ranks and those after them.

    The ranks of the result are those in what is left.
    """
    import numpy as np

    clip, edges, rank = ranked
    size = np.diff(edges)
    levels = 1 << (int(size.max()).bit_length() - 2)
    peak = float(np.abs(clip, out=scratch.floats).max())
    if size.max() < _FEWEST_TO_COUNT or not 1e-30 < peak < 1e30:  # an odd peak may also be NaN
        return _Ranked(clip.copy(), edges, rank)
    _set_levels(clip, peak, levels, scratch)
    for number, piece in enumerate(_pieces(edges)):
        scratch.levels[piece] += number * levels
    count = np.bincount(scratch.levels, minlength=len(size) * levels).reshape(-1, levels)

    at_most, before = _running_sums(count)
    found = np.searchsorted(at_most, before + np.stack([rank, rank + 1]), side="right")
    wanted = np.zeros((len(size) - 1) * levels, dtype=bool)
    wanted[found] = True
    kept = np.zeros((len(size), levels), dtype=bool)
    kept[:-1] = wanted.reshape(-1, levels)
    kept[1:] |= wanted.reshape(-1, levels)

    left_out = np.where(kept, 0, count)
    fewer, fewer_before = _running_sums(left_out)
    rank = rank - (fewer[found[0]] - fewer_before)
    # With mode="clip", take writes to `out` without a copy in between.
    flags = kept.ravel().take(scratch.levels, out=scratch.flags, mode="clip")
    new_edges = np.concatenate([[0], np.cumsum(size - left_out.sum(1))])
    return _Ranked(clip[np.flatnonzero(flags)], new_edges, rank)


def _set_levels(clip: Floats, peak: float, levels: int, scratch: _Scratch) -> None:
    """Write the level of each sample, from 0 to ``levels - 1``. A larger sample is on no lower level.

    ``scratch.floats`` holds the absolute values. Their square roots give quiet parts more levels.
    """
    import numpy as np

    root = np.sqrt(scratch.floats, out=scratch.floats)
    root *= (levels // 2 - 1) / peak**0.5
    # The sign is the first bit. numpy's copysign takes three times as long.
    bits = np.dtype(f"i{clip.itemsize}")
    signs, root_bits = scratch.levels.view(bits)[: len(clip)], root.view(bits)
    np.bitwise_and(clip.view(bits), np.iinfo(bits).min, out=signs)
    np.bitwise_or(root_bits, signs, out=root_bits)
    root += levels // 2
    np.copyto(scratch.levels, root, casting="unsafe")


def _running_sums(count: Integers) -> tuple[Integers, Integers]:
    """Sum counts ``(W + 1, L)`` of pieces over the levels of one window after the other.

    All sums are in one row, so that one binary search serves all windows. The sums before each window are the
    second value.
    """
    import numpy as np

    sums = np.cumsum(count[:-1] + count[1:])
    ends = sums[count.shape[1] - 1 :: count.shape[1]]
    return sums, np.concatenate([[0], ends[:-1]])[:, None]


def _samples_of_ranks(ranked: _Ranked) -> tuple[Floats, Floats]:
    """Return the samples of the wanted ranks of each window, and those of the ranks after them."""
    import numpy as np

    samples, edges, rank = ranked
    for piece in _pieces(edges):
        samples[piece].sort()
    first, second, stop = (edges[k : len(edges) - 2 + k, None] for k in range(3))
    taken = _taken_from_first(ranked)

    def values(start: Integers, stop: Integers, number: Integers) -> Floats:
        index = start + number
        return np.where(index < stop, samples.take(index, mode="clip"), np.inf)

    ours, theirs = values(first, second, taken), values(second, stop, rank - taken)
    our_next, their_next = values(first, second, taken + 1), values(second, stop, rank - taken + 1)
    after = np.where(ours <= theirs, np.minimum(our_next, theirs), np.minimum(ours, their_next))
    return np.minimum(ours, theirs), after


def _taken_from_first(ranked: _Ranked) -> Integers:
    """Count how many of the ``rank`` smallest samples of each window are in its first piece.

    The count i is the smallest for which sample i of the first piece is not below sample rank - 1 - i of the
    second.
    """
    import numpy as np

    samples, edges, rank = ranked
    first, second, stop = (edges[k : len(edges) - 2 + k, None] for k in range(3))
    low = np.maximum(rank - (stop - second), 0)
    high = np.minimum(rank, second - first)
    for _ in range(int((high - low).max()).bit_length()):
        middle = (low + high) // 2
        ours = samples.take(first + middle, mode="clip")
        theirs = samples.take(second + rank - 1 - middle, mode="clip")
        more = (middle < high) & (ours < theirs)
        low, high = np.where(more, middle + 1, low), np.where(more, high, middle)
    return low
