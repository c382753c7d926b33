"""Folds for cross-validation in which every label is as frequent as in the whole."""

from __future__ import annotations

from collections import Counter

import torch
from torch import Tensor

from rankaudio._checks import check_integer, check_tensor, check_values, describe

__all__ = ["multilabel_folds"]


def multilabel_folds(target: Tensor, *, n_folds: int = 5, seed: int = 42) -> Tensor:
    """Divide clips into folds that have the same share of every label.

    Iterative stratification: the rarest label comes first, while there is still a choice. Each of its clips
    goes to the fold that lacks most of that label; among equals to the one that lacks most clips; among
    these to a random one. Clips without labels fill up at the end. Unlike in the original, no fold grows
    beyond its share of the clips.

    Args:
        target: ``(N, C)`` bool or 0/1.
        n_folds: number of folds, from 2 to N.
        seed: another seed gives other folds.

    Returns:
        ``(N,)`` int64, the fold of each clip, 0 to ``n_folds - 1``, on the CPU. The sizes of the folds
        differ by at most 1. A label with fewer clips than folds is missing in some.

    Raises:
        TypeError: if ``target`` is not a tensor, or a setting is not an integer.
        ValueError: if it has not two axes, has other values than 0 and 1, or there are fewer clips than
            folds.

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
    waiting = torch.randperm(len(labels), generator=generator).tolist()
    left = Counter(label for each in labels for label in each)
    while left:
        rarest = min(left, key=lambda label: (left[label], label))
        chosen = [clip for clip in waiting if rarest in labels[clip]]
        waiting = [clip for clip in waiting if rarest not in labels[clip]]
        for clip in chosen:
            folds.place(clip, rarest)
            left -= Counter(labels[clip])
    for clip in waiting:
        folds.place(clip, None)
    return torch.tensor(folds.of_clip)


class _Folds:
    """Folds being filled. Whole numbers throughout, so that equals are equal."""

    def __init__(self, labels: list[list[int]], n_folds: int, generator: torch.Generator) -> None:
        self.of_clip = [-1] * len(labels)
        self._labels = labels
        # n_folds times what a fold still lacks of each label: at first, all there are.
        counts = Counter(label for each in labels for label in each)
        self._lacking = [counts.copy() for _ in range(n_folds)]
        self._sizes = [0] * n_folds
        self._share, self._larger = divmod(len(labels), n_folds)
        self._lots = torch.rand(len(labels), n_folds, generator=generator, dtype=torch.float64).tolist()

    def place(self, clip: int, label: int | None) -> None:
        """Give the clip to the fold that lacks most of the label, or without one, most clips."""
        lots = self._lots[clip]
        fold = max(
            filter(self._has_room, range(len(self._sizes))),
            key=lambda f: (0 if label is None else self._lacking[f][label], -self._sizes[f], lots[f]),
        )
        self.of_clip[clip] = fold
        self._larger -= self._sizes[fold] == self._share
        self._sizes[fold] += 1
        for each in self._labels[clip]:
            self._lacking[fold][each] -= len(self._sizes)

    def _has_room(self, fold: int) -> bool:
        """Where the folds cannot be of one size, the first to ask get one clip more."""
        return self._sizes[fold] < self._share + (self._larger > 0)


def _check_target(target: object) -> Tensor:
    tensor = check_tensor("target", target)
    if tensor.ndim != 2 or tensor.is_complex():
        raise ValueError(f"target: wanted (N, C), got {describe(tensor)}")
    tensor = tensor.detach().cpu()
    check_values("target", tensor, (tensor == 0) | (tensor == 1), "only 0 and 1")
    return tensor.bool()
