r"""Swaps of units between two folds, as long as they make the counts of the labels more even.

With counts :math:`n_{cf}` of label :math:`c` in fold :math:`f` and weights :math:`w_c`, the sum
:math:`\sum_{c, f} w_c n_{cf}^2` is least where the folds are equal. A unit with amounts :math:`m_c` that goes
from fold :math:`f` to fold :math:`g` lowers it by
:math:`2 \sum_c w_c m_c (n_{cf} - n_{cg} - m_c)`.
"""

from __future__ import annotations

from itertools import combinations
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from rankaudio.data._stratify import Units

    Integers = NDArray[np.int64]

# Units of each fold that are tried with each other: those that help most when they move alone.
_CANDIDATES = 64
# Pairs of folds that are searched at most. Five folds are done after a few.
_MOST_SEARCHES = 1000


def swap_units(fold: Integers, units: Units, weight: Integers, n_folds: int) -> None:
    """Swap units until no swap of candidates helps; ``fold`` ``(U,)`` is changed in place."""
    counts, searches, changed = units.count_in(fold, n_folds), 0, True
    while changed:
        changed = False
        for pair in combinations(range(n_folds), 2):
            excess = counts[:, pair[0]] - counts[:, pair[1]]
            if abs(excess).max() < 2 or searches == _MOST_SEARCHES:
                continue  # no move can help
            searches += 1
            moved = _Pair(fold, units, weight, excess, pair).improve()
            counts[:, pair[0]] -= moved
            counts[:, pair[1]] += moved
            changed |= bool(moved.any())


class _Pair:
    """Two folds, the units that may change places, and what the first fold has more of each label."""

    def __init__(
        self, fold: Integers, units: Units, weight: Integers, excess: Integers, pair: tuple[int, int]
    ) -> None:
        import numpy as np

        self._fold, self._pair = fold, pair
        pull = weight[units.label] * units.amount
        own = np.add.reduceat(pull * units.amount, units.start[:-1])
        gain = np.add.reduceat(pull * excess[units.label], units.start[:-1])
        self._sides = [_best(fold == pair[0], gain - own), _best(fold == pair[1], -gain - own)]
        tables = [_table(units, side, len(weight)) for side in self._sides]
        self._used = np.flatnonzero(tables[0].any(0) | tables[1].any(0))
        self._tables = [table[:, self._used] for table in tables]
        self._weight, self._excess = weight[self._used], excess[self._used]
        self._labels = len(weight)

    def improve(self) -> Integers:
        """Make the best swap as long as one helps, and return the amounts that went to the second fold."""
        import numpy as np

        (first, second), weight = self._tables, self._weight
        moved = np.zeros(self._labels, np.int64)
        own = [(table * table) @ weight for table in self._tables]
        shared = 2 * (first * weight) @ second.T
        free = np.ones(shared.shape, bool)
        while True:
            pull = weight * (self._excess - 2 * moved[self._used])
            gain = (first @ pull - own[0])[:, None] + (-(second @ pull) - own[1]) + shared
            best = int(np.where(free, gain, -1).argmax())
            row, column = divmod(best, gain.shape[1])
            if not free[row, column] or gain[row, column] <= 0:
                return moved
            moved[self._used] += first[row] - second[column]
            self._swap(row, column, free)

    def _swap(self, row: int, column: int, free: NDArray[np.bool_]) -> None:
        """Swap two candidates. The last row of each table stands for nothing, which stays free."""
        first, second = self._sides
        if row < len(first):
            self._fold[first[row]] = self._pair[1]
            free[row] = False
        if column < len(second):
            self._fold[second[column]] = self._pair[0]
            free[:, column] = False


def _best(inside: NDArray[np.bool_], gain: Integers) -> Integers:
    """Return the units inside a fold that help most."""
    import numpy as np

    units = np.flatnonzero(inside)
    if len(units) > _CANDIDATES:
        units = units[np.argsort(-gain[units], kind="stable")[:_CANDIDATES]]
    return units


def _table(units: Units, chosen: Integers, labels: int) -> Integers:
    """Return the amounts of the chosen units as rows, and a row of zeros for no unit."""
    import numpy as np

    table = np.zeros((len(chosen) + 1, labels), np.int64)
    for row, unit in enumerate(chosen):
        entries = units.row(unit)
        table[row, units.label[entries]] = units.amount[entries]
    return table
