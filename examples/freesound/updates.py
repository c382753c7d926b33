"""From batches to steps of the weights: forward pass, precision, accumulation, clipping, several devices."""

from __future__ import annotations

import contextlib
import inspect
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from freesound.data import Batch
from freesound.distributed import Group
from freesound.plans.base import Optim
from freesound.system import System

DTYPES = {"bf16": torch.bfloat16, "fp16": torch.float16}


class Updates:
    """The network of a system in training, its optimiser and its schedule.

    The gradient of a step is that of the mean loss over all clips of its batches in all processes: each
    batch counts by its share of the clips.
    """

    def __init__(self, system: System, optim: Optim, group: Group, *, steps: int) -> None:
        self.system, self.optim, self.group = system, optim, group
        self.parameters = list(system.tagger.parameters())
        self.optimizer = system.optimizer()
        self.schedule = system.schedule(self.optimizer, steps)
        self.precision = optim.precision
        if self.precision == "auto":
            self.precision = "fp32" if group.device.type == "cpu" else "fp16"
        self.scaler = torch.amp.GradScaler(group.device.type, enabled=self.precision == "fp16")
        self.learning_rate = 0.0
        # Lengths differ from batch to batch, so ask for one program for all sizes. (torch 2.13 still makes
        # another one on a CPU for each number of frames after pooling.)
        backbone = system.tagger.backbone
        self.network = torch.compile(backbone, dynamic=True) if optim.compile else backbone
        if group.world_size > 1:
            self.network = distributed_network(self.network, group.device)

    def backward(
        self, batch: Batch, *, of: int, final: bool, generator: torch.Generator | None = None
    ) -> Tensor:
        """Add the gradient of a batch; return its mean loss, still on the device.

        Args:
            batch: training clips, on the device.
            of: the number of clips of the whole step, in all batches of all processes.
            final: whether this is the last batch of the step in this process; then gradients are exchanged.
            generator: of the augmentation.
        """
        with contextlib.nullcontext() if final or self.group.world_size == 1 else self.network.no_sync():
            loss = self.loss(batch, generator)
            # Gradients are averaged over processes, not added.
            share = len(batch.waveform) * self.group.world_size / of
            self.scaler.scale(loss * share).backward()
        return loss.detach()

    def loss(self, batch: Batch, generator: torch.Generator | None = None) -> Tensor:
        """Return the mean loss of a batch: augment, transform, augment, score, compare."""
        system = self.system
        waveform, target, lengths = system.on_waveforms(
            batch.waveform, batch.target, batch.lengths, generator=generator
        )
        spectrogram, frames = system.tagger.spectrogram(waveform, lengths)
        clips = (batch.waveform, batch.lengths) if system.side_inputs_of_clips else (waveform, lengths)
        side = system.tagger.side_inputs(*clips)
        groups = batch.source if system.mix_within_source else None
        spectrogram, target, frames = system.on_spectrograms(
            spectrogram, target, frames, groups=groups, generator=generator
        )
        with self._autocast():
            given = {"side_inputs": side} if side else {}
            return system.criterion(self.network(spectrogram, frames, **given), target, batch.source)

    def step(self) -> None:
        """Change the weights by the gradients so far, at the learning rate of the schedule."""
        self.learning_rate = float(self.optimizer.param_groups[0]["lr"])
        if self.optim.clip_norm is not None:
            self.scaler.unscale_(self.optimizer)
            nn.utils.clip_grad_norm_(self.parameters, self.optim.clip_norm)
        self.scaler.step(self.optimizer)
        self.scaler.update()
        self.optimizer.zero_grad(set_to_none=True)
        self.schedule.after_step()

    def state_dict(self) -> dict[str, Any]:
        """Return everything except the weights that is needed to resume."""
        return {
            "optimizer": self.optimizer.state_dict(),
            "schedule": self.schedule.state_dict(),
            "scaler": self.scaler.state_dict(),
            "learning_rate": self.learning_rate,
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Resume from there."""
        self.optimizer.load_state_dict(state["optimizer"])
        self.schedule.load_state_dict(state["schedule"])
        self.scaler.load_state_dict(state["scaler"])
        self.learning_rate = state["learning_rate"]

    def _autocast(self) -> contextlib.AbstractContextManager[object]:
        dtype = DTYPES.get(self.precision)
        return contextlib.nullcontext() if dtype is None else torch.autocast(self.group.device.type, dtype)


def distributed_network(network: nn.Module, device: torch.device) -> DistributedDataParallel:
    """Return a network whose gradients are averaged over processes.

    Its running statistics are averaged at the end of an epoch instead of being sent before every batch.
    """
    # torch 2.13 renames this setting, and warns of the old name.
    known = inspect.signature(DistributedDataParallel).parameters
    setting = "forward_sync_buffers" if "forward_sync_buffers" in known else "broadcast_buffers"
    ids = None if device.type == "cpu" else [device]
    return DistributedDataParallel(network, device_ids=ids, **{setting: False})
