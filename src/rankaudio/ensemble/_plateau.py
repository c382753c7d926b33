"""Learning rates that fall, and a training that ends, once a value no longer rises."""

from __future__ import annotations

import math

from torch.optim import Optimizer
from torch.optim.lr_scheduler import ReduceLROnPlateau


class Plateau:
    """PyTorch's schedule for plateaus, with an early stop.

    A gain counts for the learning rate from 0.01 % on. Any gain counts for the best epoch and for the stop.
    """

    def __init__(self, optimizer: Optimizer, *, patience: int, factor: float, stop: int) -> None:
        self._scheduler = ReduceLROnPlateau(
            optimizer, mode="max", patience=patience, factor=factor, threshold=1e-4, min_lr=1e-8
        )
        self._stop = stop
        self._best, self._epoch = -math.inf, -1
        self.best_epoch = -1

    def step(self, value: float) -> bool:
        """Take the value of the next epoch, and return whether it is a new best value."""
        self._epoch += 1
        self._scheduler.step(value)
        better = value > self._best
        if better:
            self._best, self.best_epoch = value, self._epoch
        return better

    def finished(self) -> bool:
        """Return whether the best value is too many epochs ago."""
        return self._epoch - self.best_epoch >= self._stop
