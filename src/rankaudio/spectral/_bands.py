"""Sums over the bins of each band, which leave out most of the zeros of a filterbank."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch.utils.weak import WeakTensorKeyDictionary

from rankaudio._plain import is_plain, needs_gradient

# Groups of bands that are summed apart on a CPU. Eight groups have 14 % of the products of 128 bands.
_GROUPS = 8

# For each filterbank its version, and the bins that each group uses.
_known: WeakTensorKeyDictionary = WeakTensorKeyDictionary()


def sum_bands(bins: Tensor, filterbank: Tensor) -> Tensor:
    """Return ``filterbank @ bins.mT``: bins ``(B, N, F)`` and filterbank ``(M, F)`` to ``(B, M, N)``."""
    weights = filterbank.to(bins.dtype)
    if bins.device.type != "cpu" or not is_plain(bins) or filterbank.requires_grad:
        # With the filterbank on the left, the product is (B, M, N) in memory too, without a copy.
        return weights @ bins.mT
    used = _used_bins(filterbank)
    if needs_gradient(bins):
        result: Tensor = _Bands.apply(bins, weights, used)  # type: ignore[no-untyped-call]
        return result
    return _sum_groups(bins, weights, used)


def _used_bins(filterbank: Tensor) -> list[slice]:
    """Return the bins from the first to the last that each group of bands uses."""
    # Tensors that were made in inference mode have no version.
    version = None if filterbank.is_inference() else filterbank._version
    if version is not None and filterbank in _known:
        known: tuple[int, list[slice]] = _known[filterbank]
        if known[0] == version:
            return known[1]
    used = []
    for group in filterbank.chunk(_GROUPS):
        bins = group.any(0).nonzero()
        used.append(slice(int(bins[0]), int(bins[-1]) + 1) if len(bins) else slice(0, 1))
    _known[filterbank] = (version, used)
    return used


def _sum_groups(bins: Tensor, weights: Tensor, used: Sequence[slice]) -> Tensor:
    groups = list(zip(used, weights.chunk(_GROUPS), strict=True))
    if len(bins) == 1:
        # Products of matrices start faster than products of batches.
        clip = bins[0]
        return torch.cat([torch.mm(group[:, of], clip[:, of].t()) for of, group in groups])[None]
    return torch.cat([group[:, of] @ bins[..., of].mT for of, group in groups], dim=1)


class _Bands(torch.autograd.Function):
    """PyTorch's own gradient fills a spectrum with zeros for each group."""

    @staticmethod
    def forward(ctx: Any, bins: Tensor, weights: Tensor, used: Sequence[slice]) -> Tensor:
        ctx.save_for_backward(weights)
        ctx.used = used
        return _sum_groups(bins, weights, used)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None, None]:
        (weights,) = ctx.saved_tensors
        frames = gradients[0].mT
        if torch.is_grad_enabled():
            return frames @ weights, None, None
        of_bins = frames.new_zeros(*frames.shape[:2], weights.shape[1])
        for of, part, group in zip(ctx.used, frames.chunk(_GROUPS, -1), weights.chunk(_GROUPS), strict=True):
            of_bins[..., of].add_(part @ group[:, of])
        return of_bins, None, None
