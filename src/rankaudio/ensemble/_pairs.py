"""Counts of classes that a blend scores at least as high as a label, for many weights of the same members.

If all members agree about a label and another class, so does every blend of them. Only the other pairs need
the weights. They are a small part of all pairs, if the members are good.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from rankaudio._chunks import row_chunks

# Differences that are compared at once while the pairs are collected.
CHUNK = 2**20


class _Pairs(NamedTuple):
    """Pairs of a label and a class about which the members disagree, in the order of the labels."""

    differences: Tensor
    """``(U, M)``, score of the class less score of the label."""
    bounds: Tensor
    """``(P + 1,)``, where the pairs of each label begin."""
    certain: Tensor
    """``(P,)``, classes that all members score at least as high."""

    def count_higher(self, weights: Tensor) -> Tensor:
        """Count the classes that the blend scores at least as high as each label, ``(P,)``."""
        import numpy as np

        higher = (self.differences @ weights >= 0).numpy()
        before = torch.zeros(len(higher) + 1, dtype=torch.int64)
        np.cumsum(higher, out=before.numpy()[1:])
        return self.certain + before[self.bounds].diff()


class BlendedPrecisions:
    """lwlrap of blends of ``(M, N, C)`` scores, from the pairs about which the members disagree."""

    def __init__(self, scores: Tensor, target: Tensor) -> None:
        rows, classes = target.nonzero(as_tuple=True)
        members, _, n_classes = scores.shape
        parts = [
            _compare(scores[:, rows[some]], classes[some], target[rows[some]])
            for some in row_chunks(len(rows), members * n_classes, CHUNK)
        ]
        self._all, self._present = (_join([part[kind] for part in parts]) for kind in (0, 1))

    def lwlrap(self, weights: Tensor) -> float:
        """Return lwlrap of the blend with weights ``(M,)``, not negative and not all 0."""
        weights = weights.to(self._all.differences.dtype)
        return float((self._present.count_higher(weights).double() / self._all.count_higher(weights)).mean())


def _compare(scores: Tensor, classes: Tensor, present: Tensor) -> list[_Pairs]:
    """Compare labels with all classes and with present classes, from scores ``(M, P, C)``."""
    own = scores.gather(-1, classes.expand(len(scores), -1)[..., None])
    differences = (scores - own).movedim(0, -1)
    certain = (differences >= 0).all(-1)
    disputed = (differences >= 0).any(-1) & ~certain
    return [
        _Pairs(differences[disputed & counted], (disputed & counted).sum(-1), (certain & counted).sum(-1))
        for counted in (torch.ones_like(present), present)
    ]


def _join(parts: list[_Pairs]) -> _Pairs:
    """Join consecutive labels. Here ``bounds`` of a part has the number of pairs of each label."""
    differences, counts, certain = (torch.cat(column) for column in zip(*parts, strict=True))
    return _Pairs(differences, torch.cat([counts.new_zeros(1), counts.cumsum(0)]), certain)
