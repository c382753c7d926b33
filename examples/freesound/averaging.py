"""Averages of weights, which often score better than the last weights themselves."""

from __future__ import annotations

from typing import Any, Protocol

import torch
from torch import Tensor, nn

from freesound.processes import World
from freesound.settings import Settings

State = dict[str, Tensor]


class Average(Protocol):
    """An average over the course of training.

    It covers the running statistics of batch normalisation like the weights: they are averages already, so
    theirs is close to the statistics of the averaged network, and no further pass over the clips is needed.
    Counters are those of the latest model.
    """

    def after_step(self, model: nn.Module) -> None:
        """Take in the model after an update."""

    def after_epoch(self, model: nn.Module) -> None:
        """Take in the model after an epoch."""

    def mean(self) -> State:
        """The average, as a state dict of the model."""

    def state_dict(self) -> dict[str, Any]:
        """Everything needed to go on, in tensors and plain types."""

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from there."""


class ExponentialAverage:
    """Each update moves the average by ``1 - decay`` towards the model; faster at first.

    After ``n`` updates the decay is at most ``(1 + n) / (10 + n)``, or the random weights of the start
    would weigh in a short training.
    """

    def __init__(self, model: nn.Module, *, decay: float, world: World) -> None:
        self.decay, self.world, self.updates = decay, world, 0
        self.values = {name: value.clone() for name, value in model.state_dict().items()}

    @torch.no_grad()
    def after_step(self, model: nn.Module) -> None:
        """Move towards the model."""
        decay = min(self.decay, (1 + self.updates) / (10 + self.updates))
        self.updates += 1
        for name, value in model.state_dict().items():
            if value.is_floating_point():
                self.values[name].lerp_(value, 1 - decay)
            else:
                self.values[name].copy_(value)

    def after_epoch(self, model: nn.Module) -> None:  # noqa: ARG002
        """Agree with the other processes, whose batches had other statistics."""
        self.world.average(self.values.values())

    def mean(self) -> State:
        """The average."""
        return self.values

    def state_dict(self) -> dict[str, Any]:
        """The average and how many updates it has seen."""
        return {"values": self.values, "updates": self.updates}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take over both."""
        self.updates = state["updates"]
        for name, value in state["values"].items():
            self.values[name].copy_(value)


class AverageOfLast:
    """The plain mean of the models after each of the last epochs, which are kept on the CPU."""

    def __init__(self, *, epochs: int) -> None:
        self.epochs = epochs
        self.models: list[State] = []

    def after_step(self, model: nn.Module) -> None:
        """Do nothing: epochs are counted."""

    def after_epoch(self, model: nn.Module) -> None:
        """Keep this model, and drop the one that is too old."""
        copied = {name: value.to("cpu", copy=True) for name, value in model.state_dict().items()}
        self.models = [*self.models, copied][-self.epochs :]

    def mean(self) -> State:
        """The mean of what is kept, added up in float64."""
        return {name: self._mean([model[name] for model in self.models]) for name in self.models[-1]}

    @staticmethod
    def _mean(values: list[Tensor]) -> Tensor:
        if not values[-1].is_floating_point():
            return values[-1]
        return torch.stack(values).double().mean(0).to(values[-1].dtype)

    def state_dict(self) -> dict[str, Any]:
        """What is kept."""
        return {"models": self.models}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take it over."""
        self.models = list(state["models"])


def build_average(settings: Settings, model: nn.Module, world: World) -> Average | None:
    """The average that the settings ask for."""
    if settings.average == "ema":
        return ExponentialAverage(model, decay=settings.average_decay, world=world)
    return AverageOfLast(epochs=settings.average_last) if settings.average == "last" else None
