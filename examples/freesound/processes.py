"""The processes that train together when ``torchrun`` starts several; one process alone otherwise."""

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

# Longer than any process waits for another: validation of unequal parts, a checkpoint on a slow disk.
PATIENCE = timedelta(minutes=10)
# What is the user's to mend, and is said in a line.
MISTAKES = (OSError, ValueError, TypeError, ImportError, FloatingPointError, torch.OutOfMemoryError)


class MistakeElsewhereError(Exception):
    """Another process says what is wrong; this one only has to end."""


@dataclass(frozen=True)
class World:
    """Which of how many processes this is, and where it computes. With one process, nothing is sent."""

    device: torch.device
    rank: int = 0
    size: int = 1

    @property
    def first(self) -> bool:
        """Whether this is the process that writes and prints."""
        return self.rank == 0

    def add_up(self, tensor: Tensor) -> None:
        """Replace a tensor by its sum over all processes."""
        if self.size > 1:
            there = tensor.to(self.device)
            distributed.all_reduce(there)
            tensor.copy_(there)

    def average(self, tensors: Iterable[Tensor]) -> None:
        """Replace each floating-point tensor by its mean over all processes."""
        if self.size > 1:
            for tensor in tensors:
                if tensor.is_floating_point():
                    self.add_up(tensor)
                    tensor.div_(self.size)

    def from_first(self, work: Callable[[], T]) -> T:
        """What the first process makes of it; the others receive a copy."""
        made = self.together(lambda: work() if self.first else None)
        if self.size > 1:
            box = [made]
            distributed.broadcast_object_list(box, src=0)
            made = box[0]
        return made  # type: ignore[return-value]

    def together(self, work: Callable[[], T]) -> T:
        """Do something in every process. If one of them cannot, all stop, and the first process says why."""
        if self.size == 1:
            return work()
        made, mistake = None, None
        try:
            made = work()
        except MISTAKES as error:
            mistake = error
        complaints: list[str | None] = [None] * self.size
        distributed.all_gather_object(complaints, None if mistake is None else str(mistake))
        wrong = [rank for rank, complaint in enumerate(complaints) if complaint is not None]
        if not wrong:
            return made  # type: ignore[return-value]
        if not self.first:
            raise MistakeElsewhereError
        if mistake is not None:
            raise mistake
        raise ValueError(f"process {wrong[0]} of {self.size}: {complaints[wrong[0]]}")


def joint() -> bool:
    """Whether this is one of several processes that have met."""
    return distributed.is_available() and distributed.is_initialized()


def own_device(name: str) -> str:
    """The accelerator of this process, where ``torchrun`` has started one for each."""
    alone = "LOCAL_RANK" not in os.environ or name == "cpu" or ":" in name
    return name if alone else f"{name}:{os.environ['LOCAL_RANK']}"


def joined(device: str) -> World:
    """Meet the other processes, if there are any.

    The group is never taken apart; processes that have met end with :func:`end`.
    """
    place = torch.device(device)
    size = int(os.environ.get("WORLD_SIZE", "1"))
    if size == 1:
        return World(place)
    if place.type == "cuda":
        torch.cuda.set_device(place)
    if not joint():
        distributed.init_process_group("nccl" if place.type == "cuda" else "gloo", timeout=PATIENCE)
    return World(place, rank=distributed.get_rank(), size=size)


def end(status: int) -> NoReturn:
    """End one of several processes at once.

    After a mistake, whoever takes leave of the others in due form could wait for them forever. And a group of
    gloo can hang even when all is done: while it is taken apart, Python's lock is held, and a thread of
    the group may need that lock to let go of the tensor that was sent last (seen in torch 2.13).
    """
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status)
