"""The one way to work on some rows of a batch at a time, so that memory stays bounded."""

from __future__ import annotations

from collections.abc import Iterator


def rows_per_chunk(row_size: int, budget: int) -> int:
    """Return how many rows of ``row_size`` values have at most ``budget`` values together, at least 1.

    >>> rows_per_chunk(80, 1000), rows_per_chunk(2000, 1000)
    (12, 1)
    """
    return max(1, budget // max(1, row_size))


def row_chunks(rows: int, row_size: int, budget: int) -> Iterator[slice]:
    """Cut a batch into slices of consecutive rows, each within the budget of values.

    A row that is larger than the budget is a chunk alone. The last slice may reach past the end, as Python's
    slices may.

    >>> list(row_chunks(5, 10, budget=20))
    [slice(0, 2, None), slice(2, 4, None), slice(4, 6, None)]
    """
    step = rows_per_chunk(row_size, budget)
    return (slice(start, start + step) for start in range(0, rows, step))
