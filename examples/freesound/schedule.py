"""Learning-rate schedules, one rate for each step."""

from __future__ import annotations

from typing import Any

from torch.optim import Optimizer


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
