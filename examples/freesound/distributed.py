"""The processes that train together when ``torchrun`` starts several, and the device of each."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import timedelta
from typing import NoReturn, TypeVar

import torch
from torch import Tensor, distributed

T = TypeVar("T")

# Processes wait for each other while one validates more clips, or writes a checkpoint to a slow disk.
TIMEOUT = timedelta(minutes=10)
BACKENDS = {"cuda": "nccl", "xpu": "xccl"}
# Errors that the user can correct; each is reported in one line.
USER_ERRORS = (OSError, ValueError, TypeError, ImportError, FloatingPointError, torch.OutOfMemoryError)


class OtherRankError(Exception):
    """Another process reports an error, and this process only has to end."""


@dataclass(frozen=True)
class Group:
    """This process's device and rank among ``world_size`` processes. One process sends nothing."""

    device: torch.device
    rank: int = 0
    world_size: int = 1

    @property
    def is_main(self) -> bool:
        """Whether this process writes and prints."""
        return self.rank == 0

    def add_up(self, tensor: Tensor) -> None:
        """Replace a tensor by its sum over all processes."""
        if self.world_size > 1:
            on_device = tensor.to(self.device)
            distributed.all_reduce(on_device)
            tensor.copy_(on_device)

    def average(self, tensors: Iterable[Tensor]) -> None:
        """Replace each floating-point tensor by its mean over all processes."""
        if self.world_size > 1:
            for tensor in tensors:
                if tensor.is_floating_point():
                    self.add_up(tensor)
                    tensor.div_(self.world_size)

    def broadcast(self, work: Callable[[], T]) -> T:
        """Return what ``work`` returns in the main process, in every process."""
        made = self.run_on_all(lambda: work() if self.is_main else None)
        if self.world_size > 1:
            box = [made]
            distributed.broadcast_object_list(box, src=0)
            made = box[0]
        return made  # type: ignore[return-value]

    def run_on_all(self, work: Callable[[], T]) -> T:
        """Run ``work`` in every process. If one of them fails, all stop and the main one reports why."""
        if self.world_size == 1:
            return work()
        made, failure = None, None
        try:
            made = work()
        except USER_ERRORS as error:
            failure = error
        messages: list[str | None] = [None] * self.world_size
        distributed.all_gather_object(messages, None if failure is None else str(failure))
        failed = [rank for rank, message in enumerate(messages) if message is not None]
        if not failed:
            return made  # type: ignore[return-value]
        if not self.is_main:
            raise OtherRankError
        if failure is not None:
            raise failure
        raise ValueError(f"process {failed[0]} of {self.world_size}: {messages[failed[0]]}")


def is_distributed() -> bool:
    """Whether this process belongs to a group of several."""
    return distributed.is_available() and distributed.is_initialized()


def default_device() -> str:
    """Return the accelerator that this machine has, of whatever kind, or ``cpu``."""
    if torch.accelerator.is_available():
        return str(torch.accelerator.current_accelerator())
    return "cpu"


def local_device(name: str | None) -> str:
    """Return the device of this process: with ``torchrun`` each process has its own accelerator.

    Raises:
        ValueError: if this machine does not have the device.
    """
    name = default_device() if name is None else name
    if "LOCAL_RANK" in os.environ and name != "cpu" and ":" not in name:
        name = f"{name}:{os.environ['LOCAL_RANK']}"
    try:
        torch.zeros(1, device=name)
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        first = str(error).splitlines()[0]
        raise ValueError(f"--device: wanted one that this machine has, got {name!r} ({first})") from error
    return name


def join_group(device: str) -> Group:
    """Connect to the other processes that ``torchrun`` started, if there are any.

    The group is never destroyed; its processes end with :func:`exit_process`.
    """
    place = torch.device(device)
    if int(os.environ.get("WORLD_SIZE", "1")) == 1:
        return Group(place)
    if place.type != "cpu":
        torch.accelerator.set_device_index(place.index or 0)
    if not is_distributed():
        distributed.init_process_group(BACKENDS.get(place.type, "gloo"), timeout=TIMEOUT)
    return Group(place, rank=distributed.get_rank(), world_size=distributed.get_world_size())


def exit_process(status: int) -> NoReturn:
    """End one of several processes at once.

    After an error, a process that destroys the group could wait for the others forever. Even without an
    error a gloo group can hang (seen in torch 2.13). Destroying it holds Python's lock, and a thread of the
    group may need that lock to release the tensor that was sent last.
    """
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status)
