"""What the running metrics share: checks of batches and states, and sums over processes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor, distributed

from rankaudio._checks import check_same_device, check_shape, describe
from rankaudio.metrics._inputs import as_tensor

if TYPE_CHECKING:
    from rankaudio.metrics._inputs import Array


def check_batch(scores: Array, sums: Tensor, n_classes: int) -> Tensor:
    """Return the scores if they have the classes of the metric, and are on the device of its sums."""
    tensor = as_tensor("scores", scores, sums.device)
    check_same_device("scores", tensor, "the metric", sums)
    if tensor.shape[-1:] != (n_classes,):
        raise ValueError(f"scores: wanted {n_classes} classes, got {describe(tensor)}")
    return tensor


def check_names_of_state(state: Mapping[str, Tensor], names: Sequence[str]) -> None:
    """Refuse a state with other names."""
    if set(state) != set(names):
        wanted, got = ", ".join(names), ", ".join(state) or "nothing"
        raise ValueError(f"state: wanted {wanted}, got {got}")


def check_state(state: Mapping[str, Tensor], sums: Mapping[str, Tensor]) -> None:
    """Refuse a state with other names or shapes than those of the sums."""
    check_names_of_state(state, list(sums))
    for name, part in sums.items():
        check_shape(f"state[{name!r}]", state[name], part.shape)


def has_processes() -> bool:
    """Whether there are other processes to hear from."""
    return distributed.is_available() and distributed.is_initialized()


def add_processes(sums: Sequence[Tensor]) -> Sequence[Tensor]:
    """Return the sums over all processes of the default group; the given tensors do not change."""
    if not has_processes():
        return sums
    flat = torch.cat([part.flatten() for part in sums])
    distributed.all_reduce(flat)
    parts = torch.split(flat, [part.numel() for part in sums])
    return [new.view_as(old) for new, old in zip(parts, sums, strict=True)]
