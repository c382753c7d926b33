"""Maxima over running windows of steps whose features arrive one part after the other."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor


class StepWindows:
    """Maxima over windows of ``size`` steps that begin every ``hop`` steps.

    Only the steps from the next window on are kept.

    Attributes:
        next: first step of the next window.
    """

    def __init__(self, size: int, hop: int) -> None:
        self.size, self.hop, self.next = size, hop, 0
        self._kept: Tensor | None = None
        self._first = 0

    def add(self, features: Tensor) -> Tensor:
        """Take features ``(d, S)``, and return the maxima ``(W, d)`` over the windows that they complete."""
        known = features if self._kept is None else torch.cat([self._kept, features], dim=1)
        ahead = known[:, self.next - self._first :]  # empty if the next window begins later
        count = max(0, (ahead.shape[1] - self.size) // self.hop + 1)
        maxima = ahead.new_empty(0, ahead.shape[0])
        if count:
            maxima = F.max_pool1d(ahead[None], self.size, self.hop)[0].mT
        self.next += count * self.hop
        dropped = min(self.next - self._first, known.shape[1])
        self._kept, self._first = known[:, dropped:].clone(), self._first + dropped
        return maxima

    def last(self) -> Tensor:
        """Return the maxima ``(W, d)`` over the shorter window at the end: one window or none."""
        end = self.next if self._kept is None else self._first + self._kept.shape[1]
        reached = self.next - self.hop + self.size if self.next else 0
        if self._kept is None or self.next >= end or reached >= end:
            return torch.empty(0, 0)
        return self._kept[:, self.next - self._first :].amax(1)[None]
