"""Learning-rate schedules, one rate for each step."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from torch.optim import Optimizer
from torch.optim.lr_scheduler import ReduceLROnPlateau


def one_cycle(
    step: int, total: int, *, low: float, high: float, last: float = 1e-7, rise: float = 0.3
) -> float:
    """Learning rate at a step: linear up to ``high`` over 30 % of the steps, then linear down to ``last``."""
    top = rise * total
    if step < top:
        return low + (high - low) * step / top
    return high + (last - high) * (step - top) / (total - top)


class OneCycle:
    """:func:`one_cycle` over all steps of a training."""

    def __init__(self, optimizer: Optimizer, steps: int, *, low: float, high: float) -> None:
        self.optimizer, self.steps, self.low, self.high = optimizer, steps, low, high
        self.step = 0
        self._set_rate()

    def after_step(self) -> None:
        """Set the rate of the next step."""
        self.step += 1
        self._set_rate()

    def after_epoch(self, value: float) -> None:
        """Do nothing: the rate depends on the step only."""

    def state_dict(self) -> dict[str, Any]:
        """Return the number of steps done."""
        return {"step": self.step}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Resume after that many steps."""
        self.step = state["step"]
        self._set_rate()

    def _set_rate(self) -> None:
        for group in self.optimizer.param_groups:
            group["lr"] = one_cycle(self.step, self.steps, low=self.low, high=self.high)


class Plateau:
    """A constant rate that is lowered after epochs without a gain of the validation value of 0.01 %."""

    def __init__(self, optimizer: Optimizer, *, rate: float, patience: int, factor: float) -> None:
        self.optimizer = optimizer
        for group in optimizer.param_groups:
            group["lr"] = rate
        self.scheduler = ReduceLROnPlateau(
            optimizer, mode="max", patience=patience, factor=factor, threshold=1e-4, min_lr=1e-8
        )

    def after_step(self) -> None:
        """Do nothing: the rate depends on the epochs only."""

    def after_epoch(self, value: float) -> None:
        """Lower the rate if it is time."""
        self.scheduler.step(value)

    def state_dict(self) -> dict[str, Any]:
        """Return the best value and the epochs since, and the rate."""
        names = ("best", "num_bad_epochs", "cooldown_counter", "last_epoch")
        state = {name: getattr(self.scheduler, name) for name in names}
        return {**state, "rate": self.optimizer.param_groups[0]["lr"]}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Resume from there."""
        state = dict(state)
        for group in self.optimizer.param_groups:
            group["lr"] = state["rate"]
        for name in ("best", "num_bad_epochs", "cooldown_counter", "last_epoch"):
            setattr(self.scheduler, name, state[name])


class Milestones:
    """A constant rate that is lowered when some epochs begin."""

    def __init__(self, optimizer: Optimizer, *, rate: float, epochs: Sequence[int], factor: float) -> None:
        self.optimizer, self.rate, self.epochs, self.factor = optimizer, rate, tuple(epochs), factor
        self.epoch = 0
        self._set_rate()

    def after_step(self) -> None:
        """Do nothing: the rate depends on the epochs only."""

    def after_epoch(self, value: float) -> None:  # noqa: ARG002
        """Set the rate of the next epoch."""
        self.epoch += 1
        self._set_rate()

    def state_dict(self) -> dict[str, Any]:
        """Return the number of epochs done."""
        return {"epoch": self.epoch}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Resume after that many epochs."""
        self.epoch = state["epoch"]
        self._set_rate()

    def _set_rate(self) -> None:
        lowered = sum(epoch <= self.epoch for epoch in self.epochs)
        for group in self.optimizer.param_groups:
            group["lr"] = self.rate * self.factor**lowered
