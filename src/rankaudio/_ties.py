"""Sorted rows, and the places where ties begin. numpy sorts with vector instructions, PyTorch does not."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


def sort_rows(scores: Tensor) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """Sort each row of ``(R, C)`` scores on the CPU, the lowest first.

    Returns:
        The column of each sorted score, ``(R, C)``, and whether it is not the one before, ``(R, C - 1)``.
        NaN with a sign come first and others last.

    >>> order, changes = sort_rows(torch.tensor([[2.0, 5.0, 2.0]]))
    >>> order.tolist(), changes.tolist()
    ([[0, 2, 1]], [[False, True]])
    """
    import numpy as np

    if scores.dtype == torch.float64:
        order = np.argsort(scores.numpy(), axis=-1)
        ranked = np.take_along_axis(scores.numpy(), order, axis=-1)
        return order, ranked[:, 1:] != ranked[:, :-1]
    # An integer with the score in its high half and the column in its low half: a sort of numbers is faster
    # than an argsort.
    key = order_of_floats(scores).astype(np.int64) << 32
    key |= np.arange(scores.shape[-1])
    key.sort(axis=-1)
    ranked = key >> 32
    return key & 0xFFFFFFFF, ranked[:, 1:] != ranked[:, :-1]


def order_of_floats(scores: Tensor) -> NDArray[np.signedinteger]:
    """Integers in the order of the scores: 32 bits, or 64 for float64."""
    import numpy as np

    wide = (scores if scores.dtype == torch.float64 else scores.float()).contiguous()
    # Adding 0 turns -0 into 0. Bits of negative floats have the opposite order.
    key: NDArray[np.signedinteger] = (wide + 0.0).numpy().view(f"i{wide.element_size()}")
    others = key >> (8 * wide.element_size() - 1)
    others &= np.iinfo(key.dtype).max
    key ^= others
    return key


def tie_starts(changes: NDArray[np.bool_]) -> NDArray[np.int32]:
    """Return the position where the tie of each sorted score begins, ``(R, C)``.

    >>> order, changes = sort_rows(torch.tensor([[2.0, 5.0, 2.0]]))
    >>> tie_starts(changes).tolist()
    [[0, 0, 2]]
    """
    import numpy as np

    start = np.zeros((len(changes), changes.shape[1] + 1), np.int32)
    np.multiply(changes, np.arange(1, start.shape[1], dtype=np.int32), out=start[:, 1:])
    return np.maximum.accumulate(start, axis=-1, out=start)


def mid_ranks(scores: Tensor) -> Tensor:
    """Number of lower scores of the row plus half of the other equal scores, ``(R, C)`` float32 on the CPU.

    >>> mid_ranks(torch.tensor([[2.0, 5.0, 2.0]]))
    tensor([[0.5000, 2.0000, 0.5000]])
    """
    import numpy as np

    order, changes = sort_rows(scores)
    start = tie_starts(changes)
    # The tie of each score ends where the tie begins that is next in the row: look from the other end.
    after = scores.shape[-1] - tie_starts(changes[:, ::-1])[:, ::-1]
    ranks = np.empty(start.shape, np.float32)
    np.put_along_axis(ranks, order, (start + after - 1) * np.float32(0.5), axis=-1)
    return torch.from_numpy(ranks)
