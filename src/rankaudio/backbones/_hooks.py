"""Hooks of a layer, which run only if the layer itself is called."""

from __future__ import annotations

from torch import nn


def has_hooks(layer: nn.Module) -> bool:
    """Tell whether somebody watches a layer, so that no other layer may compute its result."""
    forward = layer._forward_hooks or layer._forward_pre_hooks
    return bool(forward or layer._backward_hooks or layer._backward_pre_hooks)
