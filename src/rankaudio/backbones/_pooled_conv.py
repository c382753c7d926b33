"""A convolution of size 3 and max pooling by two as one autograd function for a CPU, a few rows at a time.

The output of the convolution is four times as large as that of the pooling. As a whole it needs new memory
in the forward and in the backward pass, which takes longer than the convolution. In pieces it stays in the
cache, and it is not kept.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd.function import once_differentiable

# Outputs of the convolution below 16 MB of float32 gain nothing. Pieces of 8 MB fit into most caches, and are
# large enough for convolutions of a hundred channels.
_LARGE = 2**22
_PIECE_VALUES = 2**21

_CEIL_MODE = _TRANSPOSED = False
_backward_of_pool = torch.ops.aten.max_pool2d_with_indices_backward.grad_input
_backward_of_conv = torch.ops.aten.convolution_backward


def has_large_output(x: Tensor, weight: Tensor) -> bool:
    """Tell whether :class:`PooledConv` is faster than a convolution and a pooling of ``x``."""
    return x.numel() // x.shape[1] * weight.shape[0] > _LARGE


class PooledConv(torch.autograd.Function):
    """Convolution of size 3 with zeros around it, then the maximum of pairs on both axes.

    ``hidden`` is true where a step is in no pair, and broadcasts to the output of the convolution.
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor, hidden: Tensor | None) -> Tensor:
        """Return ``(B, C, H // 2, N // 2)`` with channels last. Input and places of maxima are kept."""
        size = _pool_size(x)
        shape = (x.shape[0], weight.shape[0], x.shape[2] // size[0], x.shape[3] // 2)
        pooled = _channels_last(shape, x)
        # Half the memory of PyTorch's int64, and enough for 2^31 places in a plane.
        places = torch.empty_like(pooled, dtype=torch.int32)
        for rows in _pieces(x, weight):
            y = F.conv2d(x[rows], weight, bias, padding=1)
            if hidden is not None:
                y.masked_fill_(hidden[rows], torch.finfo(y.dtype).min)
            pooled[rows], places[rows] = torch.ops.aten.max_pool2d_with_indices(y, size)
        ctx.save_for_backward(x, weight, places)
        return pooled

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        """Return the gradients of the input, weight and bias."""
        x, weight, places = ctx.saved_tensors
        size, wanted = _pool_size(x), list(ctx.needs_input_grad[:3])
        grad = grad.contiguous(memory_format=torch.channels_last)
        grad_x = torch.empty_like(x) if wanted[0] else None
        sums: list[Tensor | None] = [None, None]
        of_conv = like = x.new_empty(0)
        for rows in _pieces(x, weight):
            some = x[rows]
            shape = (some.shape[0], weight.shape[0], *some.shape[2:])
            if of_conv.shape != shape:
                # PyTorch wants to see the output of the convolution, but reads its shape alone.
                of_conv, like = _channels_last(shape, x), _channels_last(shape, x)
            _backward_of_pool(
                grad[rows],
                like,
                size,
                size,
                [0, 0],
                [1, 1],
                _CEIL_MODE,
                places[rows].long(),
                grad_input=of_conv,
            )
            grads = _backward_of_conv(
                of_conv, some, weight, [shape[1]], [1, 1], [1, 1], [1, 1], _TRANSPOSED, [0, 0], 1, wanted
            )
            if grad_x is not None:
                grad_x[rows] = grads[0]
            sums = [new if old is None else old.add_(new) for old, new in zip(sums, grads[1:], strict=True)]
        # DistributedDataParallel warns of other strides than those of the weights.
        grad_weight = None if sums[0] is None else torch.empty_like(weight).copy_(sums[0])
        return grad_x, grad_weight, sums[1], None


def _channels_last(shape: tuple[int, ...], like: Tensor) -> Tensor:
    return torch.empty(shape, dtype=like.dtype, memory_format=torch.channels_last)


def _pool_size(x: Tensor) -> list[int]:
    return [min(x.shape[2], 2), 2]


def _pieces(x: Tensor, weight: Tensor) -> Iterator[slice]:
    values = weight.shape[0] * x.shape[2] * x.shape[3]
    rows = max(1, _PIECE_VALUES * torch.get_num_threads() // values)
    return (slice(first, first + rows) for first in range(0, x.shape[0], rows))
