"""Averages of weights, which often score better than the last weights."""

from __future__ import annotations

from typing import Any, Protocol

import torch
from torch import Tensor, nn

from freesound.distributed import Group

State = dict[str, Tensor]


class Average(Protocol):
    """An average over the course of training.

    The running statistics of batch normalisation are averaged like the weights. They are averages already,
    so the result is close to the statistics of the averaged network, and no further pass over the clips is
    needed. Counters are those of the latest model.
    """

    def after_step(self, model: nn.Module) -> None:
        """Include the model after a step."""

    def after_epoch(self, model: nn.Module) -> None:
        """Include the model after an epoch."""

    def mean(self) -> State:
        """Return the average, as a state dict of the model."""

    def state_dict(self) -> dict[str, Any]:
        """Return everything that is needed to resume, in tensors and plain types."""

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Resume from there."""


class ExponentialAverage:
    """Each step moves the average by ``1 - decay`` towards the model, and by more in the first steps.

    After ``n`` steps the decay is at most ``(1 + n) / (10 + n)``. Without that limit the random weights of
    the start would count in a short training.
    """

    def __init__(self, model: nn.Module, *, decay: float, group: Group) -> None:
        self.decay, self.group, self.steps = decay, group, 0
        self.values = {name: value.clone() for name, value in model.state_dict().items()}

    @torch.no_grad()
    def after_step(self, model: nn.Module) -> None:
        """Move towards the model."""
        decay = min(self.decay, (1 + self.steps) / (10 + self.steps))
        self.steps += 1
        for name, value in model.state_dict().items():
            if value.is_floating_point():
                self.values[name].lerp_(value, 1 - decay)
            else:
                self.values[name].copy_(value)

    def after_epoch(self, model: nn.Module) -> None:  # noqa: ARG002
        """Average over the processes, because the batches of each had other statistics."""
        self.group.average(self.values.values())

    def mean(self) -> State:
        """Return the average."""
        return self.values

    def state_dict(self) -> dict[str, Any]:
        """Return the average and the number of steps in it."""
        return {"values": self.values, "steps": self.steps}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restore both."""
        self.steps = state["steps"]
        for name, value in state["values"].items():
            self.values[name].copy_(value)


class AverageOfLast:
    """The mean of the models after each of the last epochs, which are kept on the CPU."""

    def __init__(self, *, epochs: int) -> None:
        self.epochs = epochs
        self.models: list[State] = []

    def after_step(self, model: nn.Module) -> None:
        """Do nothing: only epochs count."""

    def after_epoch(self, model: nn.Module) -> None:
        """Keep this model, and drop the oldest if there are too many."""
        copied = {name: value.to("cpu", copy=True) for name, value in model.state_dict().items()}
        self.models = [*self.models, copied][-self.epochs :]

    def mean(self) -> State:
        """Return the mean of the models, summed in float64."""
        return {name: self._mean([model[name] for model in self.models]) for name in self.models[-1]}

    @staticmethod
    def _mean(values: list[Tensor]) -> Tensor:
        if not values[-1].is_floating_point():
            return values[-1]
        return torch.stack(values).double().mean(0).to(values[-1].dtype)

    def state_dict(self) -> dict[str, Any]:
        """Return the models."""
        return {"models": self.models}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restore the models."""
        self.models = list(state["models"])
