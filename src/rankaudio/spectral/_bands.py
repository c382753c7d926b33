"""Sums over the bins of each band, which leave out most of the zeros of a filterbank."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor
from torch.utils.weak import WeakTensorKeyDictionary

# Groups of bands that are summed apart on a CPU. Eight groups have 14 % of the products of 128 bands.
_GROUPS = 8

# For each filterbank its version, and its groups.
_known: WeakTensorKeyDictionary = WeakTensorKeyDictionary()


class Group(NamedTuple):
    """Neighbouring bands, the bins from the first to the last that they use, and their weights."""

    bands: slice
    bins: slice
    weights: Tensor


def band_groups(filterbank: Tensor, dtype: torch.dtype) -> list[Group]:
    """Return the groups of a filterbank ``(M, F)``, with weights of this dtype."""
    # Tensors that were made in inference mode have no version.
    version = None if filterbank.is_inference() else (filterbank._version, dtype)
    if version is not None and filterbank in _known:
        known: tuple[object, list[Group]] = _known[filterbank]
        if known[0] == version:
            return known[1]
    groups, start = [], 0
    for weights in filterbank.detach().chunk(_GROUPS):
        used = weights.any(0).nonzero()
        bins = slice(int(used[0]), int(used[-1]) + 1) if len(used) else slice(0, 1)
        own = weights[:, bins].to(dtype, memory_format=torch.contiguous_format, copy=True)
        groups.append(Group(slice(start, start + len(weights)), bins, own))
        start += len(weights)
    _known[filterbank] = (version, groups)
    return groups


def sum_bands(bins: Tensor, groups: Sequence[Group]) -> Tensor:
    """Return ``filterbank @ bins.T``: bins ``(N, F)`` to ``(M, N)``."""
    result, columns = bins.new_empty(groups[-1].bands.stop, bins.shape[0]), bins.t()
    for bands, of, weights in groups:
        torch.mm(weights, columns[of], out=result[bands])
    return result


def spread_bands(gradient: Tensor, groups: Sequence[Group], n_bins: int) -> Tensor:
    """Return the gradient of the bins ``(N, F)`` from that of their sums ``(M, N)``."""
    of_bins = gradient.new_zeros(gradient.shape[1], n_bins)
    for bands, of, weights in groups:
        of_bins[:, of].addmm_(gradient[bands].t(), weights)
    return of_bins
