"""What samplers share: the random numbers of an epoch, and the rank of this process."""

from __future__ import annotations

import torch

from rankaudio._checks import check_integer

# More processes are a mistake: each needs a separate batch in every step.
_MOST_PROCESSES = 2**16


def epoch_generator(seed: int, epoch: int) -> torch.Generator:
    """Return a generator on the CPU that depends on the seed and the epoch only."""
    return torch.Generator().manual_seed((seed * 1_000_003 + epoch) % 2**63)


def check_ranks(rank: int | None, world_size: int | None) -> tuple[int, int]:
    """Return the rank and the number of processes, by default those of ``torch.distributed``."""
    distributed = torch.distributed.is_available() and torch.distributed.is_initialized()
    if world_size is None:
        world_size = torch.distributed.get_world_size() if distributed else 1
    if rank is None:
        rank = torch.distributed.get_rank() if distributed else 0
    check_integer("world_size", world_size, 1, _MOST_PROCESSES)
    return check_integer("rank", rank, 0, world_size - 1), world_size
