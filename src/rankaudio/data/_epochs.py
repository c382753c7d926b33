"""What samplers share: the random numbers of an epoch, the rank of this process, and lists of numbers."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from rankaudio._checks import check_integer, check_integers, check_number, check_values, describe

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


def check_integer_list(name: str, values: object, low: int) -> Tensor:
    """Return integers from ``low``, given as a tensor or a list, as ``(N,)`` int64 on the CPU."""
    if not isinstance(values, Tensor):
        if isinstance(values, str) or not isinstance(values, Sequence):
            raise TypeError(f"{name}: wanted a tensor or a list of integers, got {describe(values)}")
        numbers = [check_integer(f"{name}[{i}]", each, low) for i, each in enumerate(values)]
        return torch.tensor(numbers, dtype=torch.int64)
    tensor = check_integers(name, values).cpu().long()
    check_values(name, tensor, tensor >= low, f"values from {low}")
    return tensor


def check_weights(name: str, values: object, of_what: str, count: int) -> Tensor:
    """Return numbers from 0, not all 0, given as a tensor or a list, as ``(count,)`` float64 on the CPU."""
    if isinstance(values, Tensor):
        if values.is_complex() or values.dtype == torch.bool:
            raise TypeError(f"{name}: wanted real numbers, got {describe(values)}")
        weights = values.detach().cpu().double()
    else:
        if isinstance(values, str) or not isinstance(values, Sequence):
            raise TypeError(f"{name}: wanted a tensor or a list of numbers, got {describe(values)}")
        numbers = [check_number(f"{name}[{i}]", each, 0) for i, each in enumerate(values)]
        weights = torch.tensor(numbers, dtype=torch.float64)
    if weights.shape != (count,):
        got = len(weights) if weights.ndim == 1 else describe(values)
        raise ValueError(f"{name}: wanted one for each of the {count} {of_what}, got {got}")
    check_values(name, weights, weights.isfinite() & (weights >= 0), "finite numbers from 0")
    if not weights.any():
        raise ValueError(f"{name}: wanted at least one above 0, got {describe(values)}")
    return weights
