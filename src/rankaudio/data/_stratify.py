"""Units of clips, and folds of these units with nearly the same count of every label.

A unit is what stays together: a clip, or all clips of a group. It has an amount of each label. Its number of
clips is one more label, the last one.

There are three passes. Units with equal labels are dealt out evenly. Each of the others goes to the fold that
has least of its labels, units with rare labels first. At last, swaps between two folds remove what is still
uneven (:mod:`rankaudio.data._fold_swaps`). All counts and weights are integers, so the folds are the same on
every machine.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from rankaudio.data._fold_swaps import swap_units

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Integers = NDArray[np.int64]

_WEIGHT = 1 << 20
# With groups, unequal sizes of the folds count as much as this number of uneven labels.
_SIZE_AS_LABELS = 10


class Units(NamedTuple):
    """The labels of each unit, as rows of a sparse matrix; the last label stands for the clip itself."""

    start: Integers
    """``(U + 1,)``, the first entry of each unit, and the number of entries."""
    label: Integers
    amount: Integers
    """The number of clips of the unit that have the label."""
    total: Integers
    """``(C + 1,)``, the sum of the amounts of each label."""

    def row(self, unit: int) -> slice:
        """Return where the entries of a unit are."""
        return slice(self.start[unit], self.start[unit + 1])

    def count_in(self, fold: Integers, n_folds: int) -> Integers:
        """Count each label in each fold, ``(C + 1, n_folds)``; units in fold -1 are left out."""
        import numpy as np

        place = np.repeat(fold, np.diff(self.start))
        placed = place >= 0
        cells = self.label[placed] * n_folds + place[placed]
        counts = np.bincount(cells, self.amount[placed], len(self.total) * n_folds)
        return counts.astype(np.int64).reshape(-1, n_folds)


def clips_as_units(present: Tensor) -> Units:
    """Make each clip of a bool target ``(N, C)`` a unit."""
    import numpy as np

    entry = F.pad(present, (0, 1), value=True).flatten().nonzero()[:, 0].numpy()
    return _make_units(entry, np.ones_like(entry), *present.shape)


def groups_as_units(present: Tensor, unit: Tensor) -> Units:
    """Make all clips with the same number ``unit``, from 0 on, a unit."""
    import numpy as np

    classes = present.shape[1]
    clip, label = F.pad(present, (0, 1), value=True).nonzero(as_tuple=True)
    entry, amount = np.unique((unit[clip] * (classes + 1) + label).numpy(), return_counts=True)
    return _make_units(entry, amount, int(unit.max()) + 1, classes)


def _make_units(entry: Integers, amount: Integers, units: int, classes: int) -> Units:
    import numpy as np

    unit, label = np.divmod(entry, classes + 1)
    total = np.bincount(label, amount, classes + 1).astype(np.int64)
    return Units(np.searchsorted(unit, np.arange(units + 1)), label, amount, total)


def divide_units(units: Units, n_folds: int, *, equal_sizes: bool, generator: torch.Generator) -> Tensor:
    """Return the fold of each unit; with ``equal_sizes``, folds of single clips differ by one at most."""
    weight = _weights(units, equal_sizes=equal_sizes)
    order = torch.randperm(len(units.start) - 1, generator=generator).numpy()
    fold = _deal_equal_units(units, order, n_folds, generator)
    if not equal_sizes:
        # What is large is hard to fit in at the end.
        order = order[units.amount[units.start[order + 1] - 1].argsort(kind="stable")[::-1]]
    rest = order[fold[order] < 0]
    _place_rest(fold, units, rest, weight, n_folds, equal_sizes=equal_sizes, generator=generator)
    swap_units(fold, units, weight, n_folds)
    return torch.from_numpy(fold)


def _weights(units: Units, *, equal_sizes: bool) -> Integers:
    """Weight of a squared deviation of each label: rare labels weigh more, and equal sizes weigh most."""
    import numpy as np

    weight: Integers = np.maximum(_WEIGHT // np.maximum(units.total, 1), 1)
    weight[-1] = 2 * _WEIGHT * len(weight) if equal_sizes else _SIZE_AS_LABELS * weight[-1]
    return weight


def _deal_equal_units(units: Units, order: Integers, n_folds: int, generator: torch.Generator) -> Integers:
    """Give every fold the same number of each kind of unit. What remains of a kind is in fold -1."""
    import numpy as np

    # Units with equal labels have equal sums. Other units do not, except by chance, which does no harm.
    key = torch.randint(2**62, units.total.shape, generator=generator).numpy()
    kind = np.add.reduceat(key[units.label] * units.amount, units.start[:-1])
    order = order[kind[order].argsort(kind="stable")]
    first = np.flatnonzero(np.diff(kind[order], prepend=~kind[order[0]]))
    size = np.diff(first, append=len(order))
    place = np.arange(len(order)) - first.repeat(size)
    dealt = place < (size // n_folds * n_folds).repeat(size)
    fold: Integers = np.full(len(order), -1)
    fold[order[dealt]] = place[dealt] % n_folds
    return fold


def _place_rest(
    fold: Integers,
    units: Units,
    rest: Integers,
    weight: Integers,
    n_folds: int,
    *,
    equal_sizes: bool,
    generator: torch.Generator,
) -> None:
    """Put each unit of the rest into the fold that has least of its labels, the rarest label first."""
    clips = int(units.total[-1])
    share, larger = divmod(clips, n_folds) if equal_sizes else (clips, 1)
    if equal_sizes:
        weight = weight.copy()
        weight[-1] = 0
    places = _Places(units.count_in(fold, n_folds).tolist(), share=share, larger=larger)
    rows = [units.row(unit) for unit in rest.tolist()]
    labels = [units.label[row].tolist() for row in rows]
    weights = (weight[units.label] * units.amount).tolist()
    ties = torch.rand(len(rest), n_folds, generator=generator, dtype=torch.float64).tolist()
    for index in _rarest_first(labels, len(units.total)):
        amounts = units.amount[rows[index]].tolist()
        fold[rest[index]] = places.take(labels[index], amounts, weights[rows[index]], ties[index])


def _rarest_first(labels: list[list[int]], count: int) -> list[int]:
    """Order units so that the units of the label with fewest units left always come next."""
    members: list[list[int]] = [[] for _ in range(count)]
    for index, row in enumerate(labels):
        for label in row:
            members[label].append(index)
    left = [len(each) for each in members]
    placed = [False] * len(labels)
    order: list[int] = []
    # The last label is that of all units, also of those without another one.
    waiting = set(range(count - 1))
    while waiting := {label for label in waiting if left[label]}:
        rarest = min(waiting, key=lambda label: (left[label], label))
        for index in members[rarest]:
            if not placed[index]:
                placed[index] = True
                order.append(index)
                for label in labels[index]:
                    left[label] -= 1
    return order + [index for index in members[-1] if not placed[index]]


class _Places:
    """Counts of each label in each fold, while units are placed; lists, because each unit needs few of them.

    A fold has room for ``share`` clips, and the first ``larger`` folds that are full have room for one more.
    """

    def __init__(self, counts: list[list[int]], *, share: int, larger: int) -> None:
        self._counts, self._sizes = counts, counts[-1]
        self._share, self._larger = share, larger

    def take(self, labels: list[int], amounts: list[int], weights: list[int], ties: list[float]) -> int:
        """Choose the fold of a unit, and count its labels: least weight, then least size, then at random."""
        most = self._share + (self._larger > 0)
        cost: list[float] = [0 if size < most else math.inf for size in self._sizes]
        for label, weight in zip(labels, weights, strict=True):
            cost = [so_far + weight * count for so_far, count in zip(cost, self._counts[label], strict=True)]
        fold = min(zip(cost, self._sizes, ties, range(len(cost)), strict=True))[3]
        self._larger -= self._sizes[fold] == self._share
        for label, amount in zip(labels, amounts, strict=True):
            self._counts[label][fold] += amount
        return fold
