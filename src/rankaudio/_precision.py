"""Full precision under autocast."""

from __future__ import annotations

import contextlib

import torch


def full_precision(device: torch.device) -> contextlib.AbstractContextManager[object]:
    """Keep autocast, where the device has one, from multiplying matrices in half precision."""
    # While a graph is traced, old releases cannot ask; devices that graphs run on have autocast.
    if torch.compiler.is_compiling() or torch.amp.is_autocast_available(device.type):
        return torch.autocast(device.type, enabled=False)
    return contextlib.nullcontext()
