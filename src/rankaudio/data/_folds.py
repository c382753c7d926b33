"""Folds for cross-validation: with the same share of every label, or at random."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from rankaudio._checks import (
    check_integer,
    check_integers,
    check_ordered,
    check_tensor,
    check_values,
    check_zeros_and_ones,
    describe,
)
from rankaudio.data._stratify import clips_as_units, divide_units, groups_as_units

__all__ = ["FoldBalance", "fold_balance", "multilabel_folds", "random_folds"]


def random_folds(clips: int, *, n_folds: int = 5, seed: int = 42) -> Tensor:
    r"""Divide clips into random folds, as scikit-learn's ``KFold`` with ``shuffle=True`` does.

    With a random permutation :math:`\pi` of the N clips, the folds are consecutive parts of
    :math:`\pi_0, \dots, \pi_{N - 1}`. The first :math:`N \bmod K` of the K folds have one clip more than the
    others. Labels have no influence. :func:`multilabel_folds` spreads rare labels more evenly.

    Args:
        clips: N.
        n_folds: K, from 2 to N.
        seed: of numpy's ``RandomState``, below 2^32; a different seed gives different folds.

    Returns:
        ``(N,)`` int64 on the CPU, the fold of each clip from 0 to ``n_folds - 1``. The global random state
        does not change.

    Raises:
        TypeError: if an argument is not an integer.
        ValueError: if an argument is out of range.

    Reference:
        The first-place system of Freesound Audio Tagging 2019 has five such folds with seed 42, over the rows
        of its table of curated clips.

    >>> random_folds(7, n_folds=3)
    tensor([0, 0, 1, 2, 1, 0, 2])
    """
    import numpy as np

    check_integer("clips", clips, 2)
    check_integer("n_folds", n_folds, 2, clips)
    order = np.arange(clips)
    np.random.RandomState(check_integer("seed", seed, 0, 2**32 - 1)).shuffle(order)
    folds = torch.empty(clips, dtype=torch.int64)
    for fold, part in enumerate(np.array_split(order, n_folds)):
        folds[torch.from_numpy(part)] = fold
    return folds


def multilabel_folds(
    target: Tensor, *, n_folds: int = 5, seed: int = 42, groups: Tensor | Sequence[int | str] | None = None
) -> Tensor:
    """Divide clips into folds that have the same share of every label.

    This is stratification by labels, in three passes. First, clips with equal labels are dealt out evenly.
    Then each remaining clip goes to the fold that has least of its labels, clips with rare labels first. At
    last, swaps of clips between two folds remove what is still uneven. The time is linear in the number of
    labels of all clips.

    Args:
        target: ``(N, C)`` bool or 0/1.
        n_folds: number of folds, from 2 to the number of clips, or of groups.
        seed: a different seed gives different folds.
        groups: the group of each clip, such as its recording or its author: ``(N,)`` integers, or a list of
            numbers or strings. All clips of a group are in one fold. None: each clip is a group.
            :func:`fold_balance` tells how even the folds are.

    Returns:
        ``(N,)`` int64 on the CPU, the fold of each clip from 0 to ``n_folds - 1``. Without groups, the sizes
        of the folds differ by at most 1. With groups they are nearly equal, if no group is very large. A
        label with fewer clips than folds is missing in some folds.

    Raises:
        TypeError: if ``target`` is not a tensor, a setting is not an integer, or ``groups`` is not a list or
            a tensor of integers.
        ValueError: if ``target`` does not have two axes, has values other than 0 and 1, or has fewer clips or
            groups than folds. Also if there is not one group for each clip.

    Reference:
        Sechidis, Tsoumakas and Vlahavas, On the Stratification of Multi-Label Data, ECML PKDD 2011. The
        second pass is theirs, but it looks at all labels of a clip.

    >>> target = torch.tensor([[1, 0], [1, 0], [0, 1], [0, 1]])
    >>> folds = multilabel_folds(target, n_folds=2)
    >>> target[folds == 0].sum(0), target[folds == 1].sum(0)
    (tensor([1, 1]), tensor([1, 1]))
    >>> folds = multilabel_folds(target, n_folds=2, groups=["a", "b", "a", "b"])
    >>> bool(folds[0] == folds[2]), bool(folds[1] == folds[3])
    (True, True)
    """
    present = _check_target(target)
    check_integer("seed", seed, 0)
    check_integer("n_folds", n_folds, 2, max(len(present), 2))
    if n_folds > len(present):
        raise ValueError(f"n_folds: wanted at most one fold per clip, {len(present)}, got {n_folds}")
    unit = None if groups is None else _number_groups(groups, len(present))
    if unit is not None and n_folds > int(unit.max()) + 1:
        raise ValueError(f"n_folds: wanted at most one fold per group, {int(unit.max()) + 1}, got {n_folds}")
    units = clips_as_units(present) if unit is None else groups_as_units(present, unit)
    generator = torch.Generator().manual_seed(seed)
    folds = divide_units(units, n_folds, equal_sizes=unit is None, generator=generator)
    return folds if unit is None else folds[unit]


class FoldBalance(NamedTuple):
    """The result of :func:`fold_balance`: how even folds are.

    >>> balance = fold_balance(torch.eye(4), torch.tensor([0, 0, 1, 1]))
    >>> balance.sizes, balance.mean_deviation
    (tensor([2, 2]), 0.5)
    """

    sizes: Tensor
    """``(K,)`` int64, the number of clips in each fold."""
    counts: Tensor
    """``(K, C)`` int64, the number of clips in each fold with each label."""
    mean_deviation: float
    """The mean over folds and labels of the difference from an equal share of the label's clips, in clips."""
    largest_deviation: float
    """The largest of these differences, in clips."""
    largest_share_deviation: float
    """The largest difference between the share of a fold's clips that have a label and that of all clips."""


def fold_balance(target: Tensor, folds: Tensor) -> FoldBalance:
    r"""Measure how evenly the labels are spread over folds.

    With :math:`n_{kc}` clips with label :math:`c` in fold :math:`k` of :math:`K`, the deviation in clips is
    :math:`\lvert n_{kc} - n_c / K \rvert`. For single labels the best possible mean is about 0.3, because
    counts are integers. The deviation of a share is
    :math:`\lvert n_{kc} / N_k - n_c / N \rvert`, with the :math:`N_k` clips of the fold.

    Args:
        target: ``(N, C)`` bool or 0/1.
        folds: ``(N,)`` integers from 0, the fold of each clip, such as the result of
            :func:`multilabel_folds`. Each fold has at least one clip.

    Returns:
        A :class:`FoldBalance`. Without labels its deviations are 0.

    Raises:
        TypeError: if ``target`` is not a tensor, or ``folds`` is not a tensor of integers.
        ValueError: if shapes are wrong, there are no clips, or a fold is negative or has no clips.

    >>> target = torch.tensor([[1, 0], [1, 0], [1, 1], [0, 1]])
    >>> balance = fold_balance(target, torch.tensor([0, 1, 0, 1]))
    >>> balance.counts
    tensor([[2, 1],
            [1, 1]])
    >>> balance.largest_deviation, balance.largest_share_deviation
    (0.5, 0.25)
    """
    present = _check_target(target)
    folds = check_integers("folds", folds).cpu().long()
    if len(folds) != len(present) or len(folds) == 0:
        raise ValueError(f"folds: wanted shape ({max(len(present), 1)},), got {describe(folds)}")
    check_values("folds", folds, folds >= 0, "numbers from 0")
    sizes = folds.bincount()
    check_values("folds", sizes, sizes > 0, "at least one clip in each fold")
    clip, label = present.nonzero(as_tuple=True)
    classes = present.shape[1]
    cells = (folds[clip] * classes + label).bincount(minlength=len(sizes) * classes)
    counts = cells.reshape(len(sizes), classes)
    if classes == 0:
        return FoldBalance(sizes, counts, 0.0, 0.0, 0.0)
    exact = counts.double()
    off = (exact - exact.mean(0)).abs()
    shares = (exact / sizes[:, None] - exact.sum(0) / len(folds)).abs()
    return FoldBalance(sizes, counts, float(off.mean()), float(off.max()), float(shares.max()))


def _number_groups(groups: object, clips: int) -> Tensor:
    """Return a number from 0 for each clip, the same for all clips of a group."""
    if isinstance(groups, Tensor):
        values = check_integers("groups", groups).tolist()
    else:
        values = list(check_ordered("groups", groups, "numbers or strings"))
    if len(values) != clips:
        raise ValueError(f"groups: wanted one for each of the {clips} clips, got {len(values)}")
    number: dict[object, int] = {}
    for value in values:
        if isinstance(value, bool) or not isinstance(value, (int, str)):
            raise TypeError(f"groups: wanted integers or strings, got {describe(value)}")
        number.setdefault(value, len(number))
    return torch.tensor([number[value] for value in values])


def _check_target(target: object) -> Tensor:
    tensor = check_tensor("target", target)
    if tensor.ndim != 2 or tensor.is_complex():
        raise ValueError(f"target: wanted (N, C), got {describe(tensor)}")
    tensor = tensor.detach().cpu()
    check_zeros_and_ones("target", tensor)
    return tensor.bool()
