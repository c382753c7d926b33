"""Updates of the weights: precision, accumulation, clipping and schedule, on one device or several."""

from __future__ import annotations

import contextlib
import inspect
from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from freesound.building import one_cycle
from freesound.processes import World
from freesound.settings import Settings
from rankaudio import LSEPLoss

DTYPES = {"bf16": torch.bfloat16, "fp16": torch.float16}


class Updates:
    """A model, its optimiser and how gradients become steps.

    The gradient of a step is that of the mean loss over all clips of its batches, those of other processes
    included: each batch counts by its share of the clips.
    """

    def __init__(self, model: nn.Module, settings: Settings, world: World, *, total: int) -> None:
        self.settings, self.world = settings, world
        self.step_number, self.total = 0, total
        self.parameters = list(model.parameters())
        self.optimizer = torch.optim.Adam(self.parameters, lr=settings.lr_min, amsgrad=True)
        self.criterion: Callable[[Tensor, Tensor], Tensor] = (
            LSEPLoss() if settings.loss == "lsep" else F.binary_cross_entropy_with_logits
        )
        self.scaler = torch.amp.GradScaler(world.device.type, enabled=settings.precision == "fp16")
        # Lengths differ from batch to batch, so ask for one program for all sizes. (torch 2.13 still makes
        # another one on a CPU for each number of frames after pooling.)
        self.model = torch.compile(model, dynamic=True) if settings.compile else model
        if world.size > 1:
            self.model = distributed_form(self.model, world.device)

    def backward(
        self, waveform: Tensor, target: Tensor, lengths: Tensor | None, *, of: int, final: bool
    ) -> Tensor:
        """Add a batch to the gradient; returns its mean loss, still on the device.

        Args:
            waveform: ``(B, T)``.
            target: ``(B, C)``.
            lengths: ``(B,)``, or None.
            of: clips of the whole step, in all batches of all processes.
            final: whether it is the step's last batch in this process; gradients are exchanged then.
        """
        with contextlib.nullcontext() if final or self.world.size == 1 else self.model.no_sync():
            with self._autocast():
                loss = self.criterion(self.model(waveform, lengths), target)
            # Gradients are averaged over processes, not added up.
            share = len(waveform) * self.world.size / of
            self.scaler.scale(loss * share).backward()
        return loss.detach()

    def step(self) -> None:
        """Change the weights by what has been added up, at the learning rate of the schedule."""
        low, high = self.settings.lr_min, self.settings.lr_max
        for group in self.optimizer.param_groups:
            group["lr"] = one_cycle(self.step_number, self.total, low=low, high=high)
        if self.settings.clip_norm is not None:
            self.scaler.unscale_(self.optimizer)
            nn.utils.clip_grad_norm_(self.parameters, self.settings.clip_norm)
        self.scaler.step(self.optimizer)
        self.scaler.update()
        self.optimizer.zero_grad(set_to_none=True)
        self.step_number += 1

    @property
    def learning_rate(self) -> float:
        """That of the latest step."""
        return float(self.optimizer.param_groups[0]["lr"])

    def state_dict(self) -> dict[str, Any]:
        """Everything beside the weights that is needed to go on."""
        return {
            "step": self.step_number,
            "optimizer": self.optimizer.state_dict(),
            "scaler": self.scaler.state_dict(),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from there."""
        self.step_number = state["step"]
        self.optimizer.load_state_dict(state["optimizer"])
        self.scaler.load_state_dict(state["scaler"])

    def _autocast(self) -> contextlib.AbstractContextManager[object]:
        dtype = DTYPES.get(self.settings.precision)
        return contextlib.nullcontext() if dtype is None else torch.autocast(self.world.device.type, dtype)


def distributed_form(model: nn.Module, device: torch.device) -> DistributedDataParallel:
    """A model whose gradients are averaged over processes.

    Running statistics are left alone: they are averaged at the end of an epoch, not sent before every batch.
    """
    # torch 2.13 has a new name for this and warns of the old one.
    known = inspect.signature(DistributedDataParallel).parameters
    setting = "forward_sync_buffers" if "forward_sync_buffers" in known else "broadcast_buffers"
    ids = None if device.type == "cpu" else [device]
    return DistributedDataParallel(model, device_ids=ids, **{setting: False})
