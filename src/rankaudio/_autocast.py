"""Full precision under autocast."""

from __future__ import annotations

import contextlib

import torch


def full_precision(device: torch.device) -> contextlib.AbstractContextManager[object]:
    """Switch autocast off, so that it does not multiply matrices in half precision."""
    # torch 2.7 cannot ask for autocast while it traces a graph. Devices with compilers have autocast.
    compiling = torch.compiler.is_compiling()
    if compiling or (torch.amp.is_autocast_available(device.type) and torch.is_autocast_enabled(device.type)):
        return torch.autocast(device.type, enabled=False)
    return contextlib.nullcontext()
