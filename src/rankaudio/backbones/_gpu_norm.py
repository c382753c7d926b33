"""Batch norm over the values that are not padding, for training on a GPU, in few kernels.

A training step of a small network on a GPU takes the time of its kernel launches. The formula in plain
operations has forty of them, forward and backward. PyTorch has kernels of batch norm over several processes,
which merge groups of values by their counts. Here all values are the first group, and the padding is a second
one with a negative count. The merged statistics are those of the other values.
"""

from __future__ import annotations

import functools
from collections.abc import MutableMapping
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.utils.weak import WeakTensorKeyDictionary

# The norms of a block have the same mask. Its counts take five kernels.
_COUNTS: MutableMapping[Tensor, dict[tuple[torch.Size, torch.dtype], tuple[Tensor, Tensor]]]
_COUNTS = WeakTensorKeyDictionary()


def runs_on_gpu(x: Tensor, weight: Tensor) -> bool:
    """Return whether the kernels take this batch: on a GPU, in eager mode, with statistics in full precision.

    The running variance divides by the count minus one, so a channel needs two values at least. Each clip has
    one frame that is not padding.
    """
    eager = x.device.type == "cuda" and not torch.compiler.is_compiling()
    return eager and weight.dtype in {torch.float32, torch.float64} and x[:, 0, ..., 0].numel() > 1


class GPUBatchNorm(torch.autograd.Function):
    r"""Batch norm with the statistics of the values that are not padding; the padding of the result is not 0.

    The padding is filled with a value :math:`a` of the first clip, which is near the mean, so that no digits
    are lost. Let :math:`m` be the mean of all n values and M the sum of their squared distances from it, and
    let p of them be padding. The mean and the sum of the others are

    .. math:: m' = \frac{n m - p a}{n - p}, \quad M' = M - (m - a)^2 \frac{n p}{n - p}

    The gradient that comes in must be zero in the padding.
    """

    @staticmethod
    def forward(  # noqa: PLR0917  (autograd passes positional arguments)
        ctx: Any,
        x: Tensor,
        mask: Tensor,
        weight: Tensor,
        bias: Tensor,
        running_mean: Tensor | None,
        running_var: Tensor | None,
        momentum: float,
        eps: float,
    ) -> Tensor:
        """Return the result ``(B, C, ...)``, and update the running statistics in place."""
        counts, count = _counts_of(mask, x, weight.dtype)
        # Each clip has one real frame at least, so this value of each channel is near the mean.
        near = x[0, :, 0] if x.ndim == 3 else x[0, :, 0, 0]
        filled = _dense(x.where(mask, near.view(1, -1, *(1,) * (x.ndim - 2))))
        mean, scale = torch.batch_norm_stats(filled, eps)
        groups = torch.stack((mean, near.to(mean.dtype), scale, _scale_of_constants(scale, eps)))
        mean, scale = torch.batch_norm_gather_stats_with_counts(
            filled,
            groups[:2],
            groups[2:],
            running_mean,
            running_var,
            momentum,
            eps,
            counts,
        )
        ctx.save_for_backward(filled, mask, weight, mean, scale, count)
        result: Tensor = torch.batch_norm_elemt(filled, weight, bias, mean, scale, eps)
        return result

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        """Return the gradients of the input, weight and bias."""
        filled, mask, weight, mean, scale, count = ctx.saved_tensors
        grad = _dense(grad, like=filled)
        sums, products, of_weight, of_bias = torch.batch_norm_backward_reduce(
            grad, filled, mean, scale, weight, *ctx.needs_input_grad[:1], *ctx.needs_input_grad[2:4]
        )
        of_x = None
        if ctx.needs_input_grad[0]:
            of_x = torch.batch_norm_backward_elemt(grad, filled, mean, scale, weight, sums, products, count)
            of_x = of_x * mask
        return of_x, None, of_weight, of_bias, None, None, None, None


def _scale_of_constants(like: Tensor, eps: float) -> Tensor:
    """Return one over the deviation of a group without variance, ``(C,)``."""
    return _full(len(like), eps**-0.5, like.dtype, like.device)


@functools.lru_cache(maxsize=64)
def _full(size: int, value: float, dtype: torch.dtype, device: torch.device) -> Tensor:
    return torch.full((size,), value, dtype=dtype, device=device)


def _counts_of(mask: Tensor, x: Tensor, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
    """Return the counts of both groups, ``(2,)``, and the number of values without padding, ``(1,)``."""
    shape = torch.Size((x.shape[0], 1, *x.shape[2:]))
    of_mask = _COUNTS.setdefault(mask, {})
    if (shape, dtype) not in of_mask:
        real = mask.expand(shape).sum(dtype=dtype)[None]
        total = shape.numel()
        of_mask[shape, dtype] = (
            torch.nn.functional.pad(real - total, (1, 0), value=total),
            real.to(torch.int32),
        )
    return of_mask[shape, dtype]


def _dense(x: Tensor, *, like: Tensor | None = None) -> Tensor:
    """Return ``x`` without gaps in memory, in the format of ``like``: channels second or last."""
    last = (x if like is None else like).is_contiguous(memory_format=torch.channels_last)
    return x.contiguous(memory_format=torch.channels_last if last else torch.contiguous_format)
