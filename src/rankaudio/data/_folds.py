"""Folds for cross-validation: with the same share of every label, or at random."""

from __future__ import annotations

from collections import Counter

import torch
from torch import Tensor

from rankaudio._checks import check_integer, check_tensor, check_zeros_and_ones, describe

__all__ = ["multilabel_folds", "random_folds"]


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


def multilabel_folds(target: Tensor, *, n_folds: int = 5, seed: int = 42) -> Tensor:
    """Divide clips into folds that have the same share of every label.

    This is iterative stratification. The rarest label comes first, while many folds still have room. Each of
    its clips goes to the fold that still needs the most clips with that label. Among equal folds it goes to
    the smallest, and among equally small folds to a random one. Clips without labels are placed last. In
    contrast to the original method, no fold gets more than its share of the clips.

    Args:
        target: ``(N, C)`` bool or 0/1.
        n_folds: number of folds, from 2 to N.
        seed: a different seed gives different folds.

    Returns:
        ``(N,)`` int64 on the CPU, the fold of each clip from 0 to ``n_folds - 1``. The sizes of the folds
        differ by at most 1. A label with fewer clips than folds is missing in some folds.

    Raises:
        TypeError: if ``target`` is not a tensor, or a setting is not an integer.
        ValueError: if ``target`` does not have two axes, has values other than 0 and 1, or has fewer clips
            than folds.

    Reference:
        Sechidis, Tsoumakas and Vlahavas, On the Stratification of Multi-Label Data, ECML PKDD 2011.

    >>> target = torch.tensor([[1, 0], [1, 0], [0, 1], [0, 1]])
    >>> folds = multilabel_folds(target, n_folds=2)
    >>> target[folds == 0].sum(0), target[folds == 1].sum(0)
    (tensor([1, 1]), tensor([1, 1]))
    """
    present = _check_target(target)
    check_integer("seed", seed, 0)
    check_integer("n_folds", n_folds, 2, max(len(present), 2))
    if n_folds > len(present):
        raise ValueError(f"n_folds: wanted at most one fold per clip, {len(present)}, got {n_folds}")
    generator = torch.Generator().manual_seed(seed)
    labels: list[list[int]] = [[] for _ in present]
    for clip, label in present.nonzero().tolist():
        labels[clip].append(label)
    folds = _Folds(labels, n_folds, generator)
    unplaced = torch.randperm(len(labels), generator=generator).tolist()
    remaining = Counter(label for each in labels for label in each)
    while remaining:
        rarest = min(remaining, key=lambda label: (remaining[label], label))
        chosen = [clip for clip in unplaced if rarest in labels[clip]]
        unplaced = [clip for clip in unplaced if rarest not in labels[clip]]
        for clip in chosen:
            folds.place(clip, rarest)
            remaining -= Counter(labels[clip])
    for clip in unplaced:
        folds.place(clip, None)
    return torch.tensor(folds.of_clip)


class _Folds:
    """Folds that are being filled. All counts are integers, so ties are exact."""

    def __init__(self, labels: list[list[int]], n_folds: int, generator: torch.Generator) -> None:
        self.of_clip = [-1] * len(labels)
        self._labels = labels
        # n_folds times the number of clips that a fold still needs with each label: at first, all of them.
        counts = Counter(label for each in labels for label in each)
        self._needed = [counts.copy() for _ in range(n_folds)]
        self._sizes = [0] * n_folds
        self._share, self._larger_folds = divmod(len(labels), n_folds)
        self._tie_breakers = torch.rand(
            len(labels), n_folds, generator=generator, dtype=torch.float64
        ).tolist()

    def place(self, clip: int, label: int | None) -> None:
        """Put the clip into the fold that needs the label most; without a label, into the smallest fold."""
        tie_breakers = self._tie_breakers[clip]
        fold = max(
            filter(self._has_room, range(len(self._sizes))),
            key=lambda f: (0 if label is None else self._needed[f][label], -self._sizes[f], tie_breakers[f]),
        )
        self.of_clip[clip] = fold
        self._larger_folds -= self._sizes[fold] == self._share
        self._sizes[fold] += 1
        for each in self._labels[clip]:
            self._needed[fold][each] -= len(self._sizes)

    def _has_room(self, fold: int) -> bool:
        """If folds cannot have one size, the first ones to be filled get one clip more."""
        return self._sizes[fold] < self._share + (self._larger_folds > 0)


def _check_target(target: object) -> Tensor:
    tensor = check_tensor("target", target)
    if tensor.ndim != 2 or tensor.is_complex():
        raise ValueError(f"target: wanted (N, C), got {describe(tensor)}")
    tensor = tensor.detach().cpu()
    check_zeros_and_ones("target", tensor)
    return tensor.bool()
