"""Layers of the second-place network. Features are zero in the padding before and after every layer."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from rankaudio.backbones._masked_norm import MaskedBatchNorm
from rankaudio.backbones.axis_pool import AxisPool
from rankaudio.backbones.squeeze_excite import SqueezeExcite
from rankaudio.lengths import time_mask, zero_beyond

N_STATISTICS = 12
EPS = 1e-3
MOMENTUM = 0.15


class Activate(nn.Module):
    """Batch norm, ReLU and, with a ``reduction``, squeeze-and-excitation."""

    def __init__(self, depth: int, *, reduction: int | None) -> None:
        super().__init__()
        self.norm: MaskedBatchNorm = MaskedBatchNorm(depth, eps=EPS, momentum=MOMENTUM)
        self.excite: SqueezeExcite | None = (
            None if reduction is None else SqueezeExcite(depth, reduction=reduction)
        )

    def forward(self, x: Tensor, lengths: Tensor | None) -> Tensor:
        """Return features of the same shape, not negative, and zero in the padding."""
        x = F.relu(self.norm(x, time_mask(x, lengths)), inplace=True)
        if self.excite is None:
            return x
        excited: Tensor = self.excite(x, lengths)
        return excited


class Stem(nn.Module):
    """Convolutions of several sizes next to each other, whose outputs are concatenated and activated."""

    def __init__(self, in_depth: int, depth: int, *, sizes: tuple[int, ...], reduction: int | None) -> None:
        super().__init__()
        self.convs: nn.ModuleList = nn.ModuleList(
            nn.Conv2d(in_depth, depth, size, padding=size // 2, bias=False) for size in sizes
        )
        self.depth: int = depth * len(sizes)
        self.activate: Activate = Activate(self.depth, reduction=reduction)

    def forward(self, x: Tensor, lengths: Tensor | None) -> Tensor:
        """Return ``(B, depth, F, N)``."""
        features: Tensor = self.activate(torch.cat([conv(x) for conv in self.convs], dim=1), lengths)
        return features


class AxisBlock(nn.Module):
    """Two convolutions of size 3. With a ``pool``, a maximum 3x3 after the first and the pool at the end.

    With ``highway`` a convolution of size 1 joins the outputs of both.
    """

    def __init__(
        self, in_depth: int, depth: int, *, pool: AxisPool | None, reduction: int | None, highway: bool
    ) -> None:
        super().__init__()
        self.conv1: nn.Conv2d = nn.Conv2d(in_depth, depth, 3, padding=1)
        self.activate1: Activate = Activate(depth, reduction=reduction)
        self.conv2: nn.Conv2d = nn.Conv2d(depth, depth, 3, padding=1)
        self.activate2: Activate = Activate(depth, reduction=reduction)
        self.merge: nn.Conv2d | None = nn.Conv2d(2 * depth, depth, 1) if highway else None
        self.pool: AxisPool | None = pool

    def forward(self, x: Tensor, lengths: Tensor | None) -> tuple[Tensor, Tensor | None]:
        """Return the features, and their lengths."""
        first = self.activate1(self.conv1(x), lengths)
        if self.pool is not None:
            # Nothing is negative after a ReLU, so the zeros of the padding never win.
            first = zero_beyond(F.max_pool2d(first, 3, stride=1, padding=1), lengths)
        x = self.activate2(self.conv2(first), lengths)
        if self.merge is not None:
            x = zero_beyond(self.merge(torch.cat([first, x], dim=1)), lengths)
        if self.pool is None:
            return x, lengths
        return self.pool(x, lengths), None if lengths is None else self.pool.frame_lengths(lengths)


class StatisticsGRU(nn.Module):
    """Batch norm, two bidirectional GRUs whose directions are added, and the maximum over the windows."""

    def __init__(self, units: int, *, momentum: float) -> None:
        super().__init__()
        self.norm: MaskedBatchNorm = MaskedBatchNorm(N_STATISTICS, eps=EPS, momentum=momentum)
        self.layers: nn.ModuleList = nn.ModuleList(
            nn.GRU(size, units, batch_first=True, bidirectional=True) for size in (N_STATISTICS, units)
        )

    def forward(self, statistics: Tensor) -> Tensor:
        """From ``(B, windows, 12)`` to ``(B, units)``."""
        x = self.norm(statistics.mT).mT
        for gru in self.layers:
            forwards, backwards = gru(x)[0].chunk(2, dim=-1)
            x = forwards + backwards
        maximum: Tensor = x.max(1).values
        return maximum


def pool_bin_pairs(x: Tensor, lengths: Tensor | None) -> Tensor:
    """Maximum over time, then its mean over the even bins and over the odd bins.

    From ``(B, K, F, N)`` to ``(B, 2 K)``. An odd number of bins gets the last one twice.
    """
    return mean_of_bin_pairs(zero_beyond(x, lengths, fill=torch.finfo(x.dtype).min).max(-1).values)


def mean_of_bin_pairs(x: Tensor) -> Tensor:
    """Mean over the even bins and over the odd bins: from ``(B, K, F, ...)`` to ``(B, 2 K, ...)``."""
    if x.shape[2] % 2:
        x = torch.cat([x, x[:, :, -1:]], dim=2)
    return torch.cat([x[:, :, 0::2].mean(2), x[:, :, 1::2].mean(2)], dim=1)


def initialise(network: nn.Module) -> None:
    """Draw uniform weights after Glorot, orthogonal recurrent weights, and zero biases."""
    for module in network.modules():
        if isinstance(module, (nn.Conv2d, nn.Linear, nn.GRU)):
            for name, parameter in module.named_parameters():
                if parameter.ndim == 1:
                    nn.init.zeros_(parameter)
                elif name.startswith("weight_hh"):
                    nn.init.orthogonal_(parameter)
                else:
                    nn.init.xavier_uniform_(parameter)
