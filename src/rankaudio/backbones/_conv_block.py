"""The convolution block of the hierarchical networks, in one and two dimensions.

It has three implementations of the same result: the layers one by one, a faster training step on a CPU, and a
faster evaluation on a CPU.
"""

from __future__ import annotations

from typing import TypeGuard

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from rankaudio.backbones._evaluation import (
    can_evaluate,
    convolved,
    normalised,
    pooled_by_two,
    zero_after_end,
)
from rankaudio.backbones._hooks import has_hooks
from rankaudio.backbones._layers import (
    Lengths,
    hidden_steps,
    lengths_after_pooling,
    max_pool_by_two,
    real_steps,
)
from rankaudio.backbones._masked_norm import MaskedBatchNorm
from rankaudio.backbones._packing import Packed
from rankaudio.backbones._pooled_conv import PooledConv, has_large_output

CONV: dict[int, type[nn.Conv1d | nn.Conv2d]] = {1: nn.Conv1d, 2: nn.Conv2d}


class Bottleneck(nn.Module):
    """Residual bottleneck of constant depth: Conv 1, Conv 3, Conv 1, each with batch norm."""

    def __init__(self, depth: int, *, dims: int) -> None:
        super().__init__()
        conv = CONV[dims]
        self.conv1, self.norm1, self.act1 = conv(depth, depth, 1), MaskedBatchNorm(depth), nn.PReLU(depth)
        self.conv2 = conv(depth, depth, 3, padding=1)
        self.norm2, self.act2 = MaskedBatchNorm(depth), nn.PReLU(depth)
        self.conv3, self.norm3, self.act3 = conv(depth, depth, 1), MaskedBatchNorm(depth), nn.PReLU(depth)

    def forward(self, x: Tensor, mask: Tensor | None) -> Tensor:
        """Return ``(B, depth, ..., N)``. Padding is zero in ``x`` and in the result."""
        y = self.norm1(_at_each_place(self.conv1, x), mask, act=self.act1)
        y = self.norm2(self.conv2(y), mask, act=self.act2)
        out: Tensor = self.norm3(_at_each_place(self.conv3, y), mask, residual=x, act=self.act3)
        return out

    def evaluate(self, x: Tensor, lengths: Tensor | None) -> Tensor:
        """Return the same as ``forward`` if ``can_evaluate``, but the padding may hold anything."""
        y = zero_after_end(self.act1(convolved(self.conv1, self.norm1, x)), lengths)
        y = self.act2(convolved(self.conv2, self.norm2, y))
        out: Tensor = self.act3(convolved(self.conv3, self.norm3, y).add_(x))
        return out


def _at_each_place(conv: nn.Module, x: Tensor) -> Tensor:
    """Apply a convolution of size 1. In training on a CPU, each bin is a row of the batch if rows are few.

    With one thread, PyTorch takes its slow convolution for fewer than 16 rows.
    """
    if not 0 < x.shape[0] < 16 or not _trains_on_cpu(conv, x):
        return _convolve(conv, x)
    bins = x.permute(0, 2, 3, 1).flatten(0, 1)[:, None]
    y = _convolve(conv, bins.permute(0, 3, 1, 2))
    return y.permute(0, 2, 3, 1).view(x.shape[0], x.shape[2], x.shape[3], -1).permute(0, 3, 1, 2)


def _convolve(conv: nn.Module, x: Tensor) -> Tensor:
    """Apply a convolution. In training on a CPU, the gradient of its weights has their strides."""
    y: Tensor = conv._conv_forward(x, _kernel(conv), conv.bias) if _trains_on_cpu(conv, x) else conv(x)
    return y


def _kernel(conv: nn.Conv1d | nn.Conv2d) -> Tensor:
    """Return the weights. Their gradient has the strides of the weights.

    For a kernel of size 1 or of one input channel, PyTorch's gradient has the strides of channels last. Then
    DistributedDataParallel copies it, and warns. A view of the weights undoes that.
    """
    weight = conv.weight
    return weight.flatten(1).view_as(weight) if 1 in (weight.shape[1], weight.shape[2:].numel()) else weight


def _trains_on_cpu(conv: nn.Module, x: Tensor) -> TypeGuard[nn.Conv2d]:
    """Tell whether this is training on a CPU, and nobody watches or replaces the convolution."""
    if type(conv) is not nn.Conv2d or torch.compiler.is_compiling():
        return False
    return _is_channels_last(x) and conv.training and not has_hooks(conv)


def _is_channels_last(x: Tensor) -> bool:
    return x.device.type == "cpu" and x.ndim == 4 and x.is_contiguous(memory_format=torch.channels_last)


class ConvBlock(nn.Module):
    """Batch norm, Conv 3, max pooling by 2, batch norm, PReLU and a residual bottleneck."""

    def __init__(self, in_depth: int, depth: int, *, dims: int) -> None:
        super().__init__()
        self.norm_in = MaskedBatchNorm(in_depth)
        self.conv = CONV[dims](in_depth, depth, 3, padding=1)
        self.norm, self.act = MaskedBatchNorm(depth), nn.PReLU(depth)
        self.residual = Bottleneck(depth, dims=dims)

    def forward(self, x: Tensor, lengths: Lengths) -> tuple[Tensor, Lengths]:
        """Return features of half the size, and their lengths. In eval mode padding may hold anything."""
        if not isinstance(lengths, Packed) and can_evaluate(self, x):
            return self._evaluate(x, lengths)
        if self._may_fuse(x):
            x, lengths = self._fused(x, lengths)
        else:
            x = _convolve(self.conv, self.norm_in(x, real_steps(x, lengths)))
            x, lengths = max_pool_by_two(x, lengths)
        mask = real_steps(x, lengths)
        return self.residual(self.norm(x, mask, act=self.act), mask), lengths

    def _may_fuse(self, x: Tensor) -> bool:
        """Tell whether this is training on a CPU, and nobody watches or replaces the layers one by one."""
        if not _trains_on_cpu(self.conv, x) or x.numel() <= x.shape[1] or torch.is_autocast_enabled("cpu"):
            return False
        if x.dtype not in (torch.float32, torch.float64) or x.dtype != self.conv.weight.dtype:
            return False
        norm: nn.Module = self.norm_in
        return isinstance(norm, MaskedBatchNorm) and norm.training and not has_hooks(norm)

    def _fused(self, x: Tensor, lengths: Lengths) -> tuple[Tensor, Lengths]:
        """Normalise, convolve and pool with fewer passes over the batch, and with the same result."""
        mask, weight, bias = real_steps(x, lengths), _kernel(self.conv), self.conv.bias
        if x.requires_grad:
            x = self.norm_in(x, mask)
        else:
            x, weight = self.norm_in.as_weights(x, mask, weight)
        if not has_large_output(x, weight):
            return max_pool_by_two(F.conv2d(x, weight, bias, padding=1), lengths)
        hidden = None if lengths is None else hidden_steps(x, lengths)
        pooled: Tensor = PooledConv.apply(x, weight, bias, hidden)  # type: ignore[no-untyped-call]
        return pooled, lengths_after_pooling(lengths)

    def _evaluate(self, x: Tensor, lengths: Tensor | None) -> tuple[Tensor, Tensor | None]:
        x = zero_after_end(normalised(self.norm_in, x), lengths)
        x, lengths = pooled_by_two(self.conv(x), lengths)
        return self.residual.evaluate(self.act(normalised(self.norm, x)), lengths), lengths


def halo_of_blocks(blocks: nn.ModuleList) -> int:
    """Return the frames on each side of a cell that the outputs of all blocks in it depend on.

    A cell is the frames of one output of the last block. Pooling by two never crosses the end of a cell.
    """
    frames, halo = 1, 0
    for block in blocks:
        halo += frames * sum(map(_side, block.get_submodule("conv").modules()))
        frames *= 2
        halo += frames * sum(map(_side, block.get_submodule("residual").modules()))
    return halo


def _side(module: nn.Module) -> int:
    """Return the places on each side of its own that a convolution sees along time."""
    if not isinstance(module, (nn.Conv1d, nn.Conv2d)):
        return 0
    return module.dilation[-1] * (module.kernel_size[-1] // 2)
