"""Statistics of windows on a CPU, ten times as fast as a percentile of each window.

Windows overlap by half. So window k consists of the pieces k and k + 1, and each piece is used twice:

- a histogram of each piece shows between which levels the wanted ranks of its windows are;
- only samples of those levels are kept, and each piece of them is sorted, as numpy sorts floats quickly;
- a binary search finds the samples of given ranks in two sorted pieces.

Nothing is padded, and the result is exact, whatever the levels are. The fewer samples the levels leave out,
the longer the sorting takes.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import lru_cache
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Floats = NDArray[np.floating[Any]]
    Integers = NDArray[np.signedinteger[Any]]

# Below so many samples in a piece, levels take longer than sorting everything.
_FEWEST_TO_COUNT = 512
# Samples that are worked on at a time. Levels fit the peak of a block, and larger arrays take longer.
_BLOCK_SAMPLES = 1 << 18
# Sums of squares of larger samples could overflow in float32.
_LARGEST = 1e15
# Levels of both signs: so many to an octave, and so many octaves below the peak of a block.
_OCTAVES, _OCTAVE_BITS = 8, 4
_HALF = (_OCTAVES << _OCTAVE_BITS) + 1
_LEVELS = 2 * _HALF


class _Block(NamedTuple):
    """Neighbouring pieces of a clip: where they begin and end in it, and the first level of each sample."""

    start: int
    edges: Integers
    first_level: Integers


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
) -> Iterator[Floats | None]:
    """Yield mean, deviation, range and percentiles ``(windows, 3 + len(percentiles))`` of each clip.

    Every clip has at least ``2 * windows`` samples, so that no piece is empty. The first percentile is 0 and
    the last is 100. None stands for a clip with samples that are not finite or larger than 1e15.
    """
    import numpy as np

    memory: list[NDArray[Any]] = []
    for clip in clips:
        rows: list[Floats | None] = []
        for block in _blocks(len(clip), windows, _BLOCK_SAMPLES):
            samples = clip[block.start : block.start + len(block.first_level)]
            if not memory or len(memory[0]) < len(samples):
                memory = [np.empty(len(samples), kind) for kind in (clip.dtype, np.int64, np.bool_)]
            scratch = _Scratch(*(values[: len(samples)] for values in memory))
            rows.append(_statistics(samples, block, percentiles, scratch))
        found = [row for row in rows if row is not None]
        yield np.concatenate(found) if len(found) == len(rows) else None


@lru_cache(maxsize=4)
def _blocks(length: int, windows: int, most: int) -> list[_Block]:
    """Return some windows at a time, about ``most`` samples. Neighbours share one piece."""
    import numpy as np

    ends = (np.arange(-1, 2 * windows + 2, 2) * length // (2 * windows)).clip(0, length)
    step = -(-windows // -(-length // most))
    blocks = []
    for first in range(0, windows, step):
        own = ends[first : first + step + 2]
        level = np.arange(len(own) - 1, dtype=np.int32) * _LEVELS + _HALF
        blocks.append(_Block(int(own[0]), own - own[0], np.repeat(level, np.diff(own))))
    return blocks


def _statistics(
    clip: Floats, block: _Block, percentiles: tuple[int, ...], scratch: _Scratch
) -> Floats | None:
    """Return the statistics of the windows of all neighbouring pieces, if the samples are in range."""
    import numpy as np

    edges = block.edges
    low, high = np.minimum.reduceat(clip, edges[:-1]), np.maximum.reduceat(clip, edges[:-1])
    peak = max(-float(low.min()), float(high.max()))
    if not peak <= _LARGEST:
        return None
    place = np.array(percentiles[1:-1]) * (edges[2:] - edges[:-2] - 1)[:, None]
    rank, weight = place // 100, place % 100 / 100
    mean, deviation = _moments(clip, edges, scratch.floats)
    low, high = np.minimum(low[:-1], low[1:]), np.maximum(high[:-1], high[1:])
    if np.diff(edges).max() < _FEWEST_TO_COUNT:
        kept = _Ranked(clip.copy(), edges, rank)
    else:
        _set_levels(clip, peak, block.first_level, scratch)
        kept = _keep_wanted_levels(_Ranked(clip, edges, rank), scratch)
    below, above = _samples_of_ranks(kept)
    inner = below * (1 - weight) + above * weight
    columns = [mean, deviation, high - low, low, *inner.T, high]
    return np.stack(columns, axis=1).astype(clip.dtype)


def _moments(clip: Floats, edges: Integers, scratch: Floats) -> tuple[Floats, Floats]:
    """Return the mean and the population deviation of each window, from those of its two pieces."""
    import numpy as np

    size = np.diff(edges)
    mean = np.add.reduceat(clip, edges[:-1]) / size
    squares = np.add.reduceat(np.square(clip, out=scratch), edges[:-1])
    shift = size * mean**2
    # Where the shift is most of the squares, their difference would be inexact.
    for piece in np.flatnonzero(2 * shift > squares):
        squares[piece] = np.square(clip[edges[piece] : edges[piece + 1]] - mean[piece]).sum()
        shift[piece] = 0
    squares = squares - shift
    total = size[:-1] + size[1:]
    share = size[:-1] / total
    between = (mean[:-1] - mean[1:]) ** 2 * share * (1 - share)
    deviation: Floats = np.sqrt((squares[:-1] + squares[1:]) / total + between)
    return mean[:-1] * share + mean[1:] * (1 - share), deviation


def _set_levels(clip: Floats, peak: float, first_level: Integers, scratch: _Scratch) -> None:
    """Write the level of each sample. In a piece, a larger sample is on no lower level.

    The first bits of a positive float are its octave and its place in it. So the levels are the first bits
    of the absolute value, to which a small constant is added, because zero is below all octaves.
    """
    import numpy as np

    bits = np.dtype(f"i{clip.itemsize}")
    quiet = np.array(peak / 2**_OCTAVES, clip.dtype)
    level = np.abs(clip, out=scratch.floats)
    level += quiet
    level = level.view(bits)
    level -= quiet.view(bits)
    level >>= np.finfo(clip.dtype).nmant - _OCTAVE_BITS
    # -1 for negative samples, whose levels are turned over, and else 0.
    signs = np.right_shift(clip.view(bits), 8 * clip.itemsize - 1, out=scratch.levels.view(bits)[: len(clip)])
    level ^= signs
    level += first_level
    np.copyto(scratch.levels, level)


def _keep_wanted_levels(ranked: _Ranked, scratch: _Scratch) -> _Ranked:
    """Leave out samples that are on none of the levels of the wanted ranks and those after them.

    The ranks of the result are those in what is left.
    """
    import numpy as np

    clip, edges, rank = ranked
    size = np.diff(edges)
    count = np.bincount(scratch.levels, minlength=len(size) * _LEVELS).reshape(-1, _LEVELS)

    at_most, before = _running_sums(count)
    found = np.searchsorted(at_most, before + np.stack([rank, rank + 1]), side="right")
    wanted = np.zeros((len(size) - 1) * _LEVELS, dtype=bool)
    wanted[found] = True
    kept = np.zeros((len(size), _LEVELS), dtype=bool)
    kept[:-1] = wanted.reshape(-1, _LEVELS)
    kept[1:] |= wanted.reshape(-1, _LEVELS)

    left_out = np.where(kept, 0, count)
    fewer, fewer_before = _running_sums(left_out)
    rank = rank - (fewer[found[0]] - fewer_before)
    # With mode="clip", take writes to `out` without a copy in between.
    flags = kept.ravel().take(scratch.levels, out=scratch.flags, mode="clip")
    new_edges = np.concatenate([[0], np.cumsum(size - left_out.sum(1))])
    return _Ranked(clip[np.flatnonzero(flags)], new_edges, rank)


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
    for piece in zip(edges[:-1].tolist(), edges[1:].tolist(), strict=True):
        samples[slice(*piece)].sort()
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
    last = second + rank - 1
    for _ in range(int((high - low).max()).bit_length()):
        middle = (low + high) >> 1
        more = samples.take(first + middle, mode="clip") < samples.take(last - middle, mode="clip")
        more &= middle < high
        low, high = np.where(more, middle + 1, low), np.where(more, high, middle)
    return low
