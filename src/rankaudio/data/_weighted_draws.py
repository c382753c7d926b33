"""Draws of clips by weight, the longest first, whose lengths have a known limit in every epoch."""

from __future__ import annotations

import torch
from torch import Tensor


class WeightedDraws:
    r"""Draws of an epoch: each clip comes as often as its weight says, in the mean over epochs.

    Clip :math:`i` is expected :math:`e_i = M w_i / \sum_j w_j` times in :math:`M` draws. The clips are put on
    a line, the longest first, each with the width :math:`e_i`. Draw :math:`k` is the clip at a random place
    of the interval :math:`[k, k + 1)` of this line. So the number of draws is exact, and draw :math:`k` is
    never longer than the clip at the place :math:`k`.

    Attributes:
        longest: ``(M,)`` int64, descending: the length that no draw exceeds.
    """

    def __init__(self, lengths: Tensor, weights: Tensor, draws: int) -> None:
        self._clips = weights.nonzero()[:, 0]
        self._lengths = lengths[self._clips]
        self._expected = weights[self._clips] * (draws / weights.sum())
        self._place = torch.arange(draws, dtype=torch.float64)
        order = self._lengths.argsort(descending=True, stable=True)
        self.longest = self._lengths[order][self._find(order, self._place)]
        # Rounding could give a place to the clip before it, which may be longer.
        self._first = torch.searchsorted(-self._lengths[order], -self.longest)

    def draw(self, generator: torch.Generator) -> Tensor:
        """Return the clips of an epoch, ``(M,)``, the longest first; clips of one length in random order."""
        order = torch.randperm(len(self._clips), generator=generator)
        order = order[self._lengths[order].argsort(descending=True, stable=True)]
        place = self._place + torch.rand(len(self._place), generator=generator, dtype=torch.float64)
        return self._clips[order[torch.maximum(self._find(order, place), self._first)]]

    def shortest(self, count: int) -> Tensor:
        """Return the shortest clips that can be drawn, again and again if there are too few."""
        return self._clips[self._lengths.argsort(stable=True)].repeat(count)[:count]

    def _find(self, order: Tensor, place: Tensor) -> Tensor:
        """Return the rank of the clip at each place of the line."""
        ends = self._expected[order].cumsum(0)
        return torch.searchsorted(ends, place, right=True).clamp(max=len(order) - 1)
