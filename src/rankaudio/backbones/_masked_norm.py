"""Batch norm over the frames that are not padding, with an optional PReLU or ReLU after it.

There are three implementations of the same result:

- PyTorch's own, in eval mode and for a batch without padding on an accelerator;
- the formula in plain operations, for a batch with padding on an accelerator and in compiled graphs;
- an autograd function, for training on a CPU. Plain operations spend most of their time there on new memory.
  The function works on some clips at a time, which stay in the cache. It also sums more exactly: PyTorch
  adds a million numbers of a channels-last batch one by one, and its variances are then off by 1e-4.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from rankaudio._chunks import row_chunks

# Values in a chunk: 4 MB of float32. They fit into the cache of a core together with the results.
_CHUNK_VALUES = 2**20


class MaskedBatchNorm(nn.BatchNorm1d):
    """Batch norm over the frames that are not padding, for any number of axes after the channels.

    A training batch with one value per channel has no variance. It is normalised by the running statistics,
    where PyTorch raises an error, so that the last batch of an epoch may be a single clip.
    """

    def _check_input_dim(self, input: Tensor) -> None:  # noqa: A002
        """Accept any number of axes."""

    def forward(
        self,
        input: Tensor,  # noqa: A002
        mask: Tensor | None = None,
        *,
        act: nn.PReLU | None = None,
        relu: bool = False,
    ) -> Tensor:
        """Normalise each channel and apply ``act`` or ReLU. Padding is zero in the result.

        ``mask`` is false in the padding and broadcasts to the input. The input must be finite everywhere.
        """
        x = input
        eager_cpu = x.device.type == "cpu" and not torch.compiler.is_compiling()
        if self.training and x.numel() > x.shape[1] and eager_cpu:
            return self._normalise_chunks(x, mask, None if act is None else act.weight, relu=relu)
        # In place is safe, because `y` is new.
        y = self._normalise(x, mask)
        y = y if act is None else act(y)
        y = F.relu(y, inplace=True) if relu else y
        if mask is None:
            return y
        # Faster than masked_fill, and equal for finite values.
        real = mask.to(y.dtype)
        return y * real if y.requires_grad else y.mul_(real)

    def _normalise(self, x: Tensor, mask: Tensor | None) -> Tensor:
        if self.training and x.numel() == x.shape[1]:
            running = self.running_mean, self.running_var
            return F.batch_norm(x, *running, self.weight, self.bias, eps=self.eps)
        if mask is None or not self.training:
            return super().forward(x)
        dtype, axes = x.dtype, [0, *range(2, x.ndim)]
        x = x.float() if dtype != torch.float64 else x
        count = _count_values(x, mask)
        mean = x.masked_fill(~mask, 0).sum(axes) / count
        centred = (x - _per_channel(mean, x)).masked_fill(~mask, 0)
        variance = centred.square().sum(axes) / count
        self._track(mean.detach(), variance.detach(), count)
        scale = self.weight * (variance + self.eps).rsqrt()
        return (centred * _per_channel(scale, x) + _per_channel(self.bias, x)).to(dtype)

    def _normalise_chunks(
        self, x: Tensor, mask: Tensor | None, slope: Tensor | None, *, relu: bool
    ) -> Tensor:
        y: Tensor
        y, mean, variance, _, count = ChunkedBatchNorm.apply(  # type: ignore[no-untyped-call]
            x, self.weight, self.bias, slope, mask, self.eps, relu
        )
        self._track(mean, variance, count)
        return y

    @torch.no_grad()
    def _track(self, mean: Tensor, variance: Tensor, count: Tensor) -> None:
        """Update the running statistics as PyTorch does, with the unbiased variance."""
        if self.running_mean is None or self.running_var is None or self.num_batches_tracked is None:
            return
        self.num_batches_tracked.add_(1)
        momentum = 0.1 if self.momentum is None else self.momentum
        self.running_mean.lerp_(mean.to(self.running_mean.dtype), momentum)
        unbiased = variance * (count / (count - 1).clamp(min=1))
        self.running_var.lerp_(unbiased.to(self.running_var.dtype), momentum)


def _per_channel(values: Tensor, like: Tensor) -> Tensor:
    """Reshape ``(C,)`` to ``(1, C, 1, ...)``."""
    return values.reshape(1, -1, *(1,) * (like.ndim - 2))


def _count_values(x: Tensor, mask: Tensor | None) -> Tensor:
    """Count the values of a channel that are not padding; the mask is broadcast over frequency."""
    if mask is None:
        return torch.tensor(x.numel() // x.shape[1], device=x.device)
    return mask.sum() * (x[0, 0].numel() // mask[0].numel())


class ChunkedBatchNorm(torch.autograd.Function):
    r"""Batch norm, PReLU or ReLU, and zeroed padding, some clips at a time on a CPU.

    With :math:`\hat x = (x - \mu) / \sigma` the gradient of the normalisation is
    :math:`\frac{w}{\sigma} (g - \overline{g} - \hat x \, \overline{g \hat x})`. The means do not include
    padding.
    """

    @staticmethod
    def forward(  # noqa: PLR0917  (autograd passes positional arguments)
        x: Tensor,
        weight: Tensor,
        bias: Tensor,
        slope: Tensor | None,
        mask: Tensor | None,
        eps: float,
        relu: bool,  # noqa: FBT001
    ) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
        """Return the result ``(B, C, ...)``; mean, variance and 1 / sigma ``(C,)``; the number of values."""
        count = _count_values(x, mask)
        mean = _masked_sum(mask, lambda chunk: chunk, x) / count
        variance = _masked_sum(mask, lambda chunk: (chunk - _per_channel(mean, x)).square_(), x) / count
        scale = (variance + eps).rsqrt()
        affine = _Affine(mean=mean, scale=scale, weight=weight, bias=bias, like=x)
        y = torch.empty_like(x)
        for real, chunk, out in _chunks(mask, x, y):
            # A result in low precision is rounded once, at the end.
            z = affine.standardised(chunk, out=out if out.dtype == mean.dtype else None)
            z = affine.scaled(z, out=z)
            z = z if slope is None else F.prelu(z, slope.to(z.dtype))
            z = z.clamp_(min=0) if relu else z
            z = z if real is None else z.mul_(real)
            if z is not out:
                out.copy_(z)
        return y, mean, variance, scale, count

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, ...]) -> None:
        """Keep the input; the backward pass computes the intermediate results again.

        After ReLU the result is kept too. The next layer keeps it anyway, so that costs no memory.
        """
        y, mean, _, scale, count = output
        *tensors, _, relu = inputs
        ctx.mark_non_differentiable(*output[1:])
        ctx.save_for_backward(*tensors, mean, scale, count, y if relu else None)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor, *_: Tensor) -> tuple[Tensor | None, ...]:
        """Return the gradients of the input, weight, bias and slope."""
        x, weight, bias, slope, mask, mean, scale, count, y = ctx.saved_tensors
        affine = _Affine(mean=mean, scale=scale, weight=weight, bias=bias, like=x)
        grad_x = torch.empty_like(x)
        sums = torch.zeros(3, x.shape[1], dtype=mean.dtype)
        for real, chunk, grad_out, out, result in _chunks(mask, x, grad, grad_x, x if y is None else y):
            g = grad_out if y is None else torch.ops.aten.threshold_backward(grad_out, result, 0)
            g = g.to(mean.dtype) if real is None else g * real
            standardised = affine.standardised(chunk)
            if slope is not None:
                z = affine.scaled(standardised)
                sums[2] += _sum_channels(z.clamp(max=0).mul_(g))
                # g where z > 0, slope * g elsewhere. torch.where takes forty times as long.
                above = torch.ops.aten.threshold_backward(g, z, 0)
                g = torch.lerp(above, g, _per_channel(slope.to(g.dtype), x))
            sums[0] += _sum_channels(g)
            sums[1] += _sum_channels(standardised.mul_(g))
            out.copy_(g)
        grad_bias, grad_weight, grad_slope = sums
        mean_g, mean_gx = _per_channel(grad_bias / count, x), _per_channel(grad_weight / count, x)
        for real, chunk, out in _chunks(mask, x, grad_x):
            projection = affine.standardised(chunk).mul_(mean_gx).add_(mean_g)
            g = torch.sub(out, projection, out=out if out.dtype == mean.dtype else None)
            g = g.mul_(affine.factor)
            g = g if real is None else g.mul_(real)
            if g is not out:
                out.copy_(g)
        return grad_x, grad_weight, grad_bias, None if slope is None else grad_slope, None, None, None


class _Affine:
    """The affine map of each channel that a batch norm applies."""

    def __init__(self, *, mean: Tensor, scale: Tensor, weight: Tensor, bias: Tensor, like: Tensor) -> None:
        columns = (mean, scale, weight, bias, weight * scale)
        self.mean, self.scale, self.weight, self.bias, self.factor = (
            _per_channel(values.to(mean.dtype), like) for values in columns
        )

    def standardised(self, chunk: Tensor, *, out: Tensor | None = None) -> Tensor:
        """Return values with mean 0 and variance 1."""
        return torch.sub(chunk, self.mean, out=out).mul_(self.scale)

    def scaled(self, standardised: Tensor, *, out: Tensor | None = None) -> Tensor:
        """Apply weight and bias."""
        return torch.addcmul(self.bias, standardised, self.weight, out=out)


def _chunks(mask: Tensor | None, *values: Tensor) -> Iterator[tuple[Any, ...]]:
    """Iterate over some clips at a time: their mask as 0 and 1, or None, and their rows of each tensor."""
    x = values[0]
    real = None if mask is None else mask.to(_sum_dtype(x))
    for rows in row_chunks(len(x), x[0].numel(), _CHUNK_VALUES):
        yield None if real is None else real[rows], *(value[rows] for value in values)


def _masked_sum(mask: Tensor | None, function: Callable[[Tensor], Tensor], x: Tensor) -> Tensor:
    total = torch.zeros(x.shape[1], dtype=_sum_dtype(x))
    for real, chunk in _chunks(mask, x):
        values = function(chunk)
        total += _sum_channels(values if real is None else values * real)
    return total


def _sum_channels(x: Tensor) -> Tensor:
    """Sum to ``(C,)``, one axis after the other, which is exact and fast."""
    if x.ndim == 4:
        x = x.permute(0, 2, 3, 1).flatten(0, 1).sum(1)
    return x.sum(-1).sum(0) if x.ndim == 3 else x.sum(0)


def _sum_dtype(x: Tensor) -> torch.dtype:
    return torch.promote_types(x.dtype, torch.float32)
