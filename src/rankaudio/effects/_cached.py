"""Constants that are computed once for each device and dtype."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import TypeVar

import torch

Value = TypeVar("Value")


def cached(
    build: Callable[[torch.device, torch.dtype], Value],
) -> Callable[[torch.device, torch.dtype], Value]:
    """Store what a function of device and dtype returns.

    A compiler cannot look into a store. It computes the constant in its graph, once.
    """

    @lru_cache(maxsize=16)
    def stored(device: torch.device, dtype: torch.dtype) -> Value:
        with torch.inference_mode(mode=False):  # a later call may need gradients
            return build(device, dtype)

    def get(device: torch.device, dtype: torch.dtype) -> Value:
        return build(device, dtype) if torch.compiler.is_compiling() else stored(device, dtype)

    return get
