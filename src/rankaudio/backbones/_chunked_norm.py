"""Batch norm, PReLU or ReLU, and zeroed padding as one autograd function for a CPU.

Plain operations spend most of their time on new memory. This function works on a few rows at a time, which
stay in the cache of a core. It keeps its input alone, and the backward pass computes the rest again.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from rankaudio.backbones._norm_grid import NormGrid


def count_values(x: Tensor, mask: Tensor | None) -> Tensor:
    """Count the values of a channel that are not padding; the mask is broadcast over frequency."""
    if mask is None:
        return torch.tensor(x.numel() // x.shape[1], device=x.device)
    return mask.sum() * (x[0, 0].numel() // mask[0].numel())


class ChunkedBatchNorm(torch.autograd.Function):
    r"""Batch norm, then the sum with ``residual``, then PReLU or ReLU. Padding is zero in the result.

    With :math:`\hat x = (x - \mu) / \sigma` the gradient of the normalisation is
    :math:`\frac{w}{\sigma} (g - \overline{g} - \hat x \, \overline{g \hat x})`. The means do not include
    padding. The residual must be zero in the padding.
    """

    @staticmethod
    def forward(  # noqa: PLR0917  (autograd passes positional arguments)
        ctx: Any,
        x: Tensor,
        weight: Tensor,
        bias: Tensor,
        slope: Tensor | None,
        residual: Tensor | None,
        mask: Tensor | None,
        eps: float,
        relu: bool,  # noqa: FBT001
    ) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Return the result ``(B, C, ...)``; mean and variance ``(C,)``; the number of values.

        The input is kept, and the backward pass computes the intermediate results again. After ReLU the
        result is kept too. That costs no memory, because the next layer keeps it anyway. The residual is the
        input of the first convolution of its block, which keeps it anyway too.
        """
        grid = NormGrid(x, mask)
        count = count_values(x, mask)
        mean, variance = grid.statistics(x, count)
        scale = (variance + eps).rsqrt()
        factor = weight.to(scale.dtype) * scale
        factors, shifts = grid.masked(factor), grid.masked(bias.to(scale.dtype) - mean * factor)
        slopes = None if slope is None else grid.columns(slope.to(scale.dtype))
        y = grid.empty_like(x)
        # A result in low precision is rounded once, at the end.
        direct = slope is None and y.dtype == grid.dtype
        for cut, chunk, out, added in grid.chunks(x, y, residual):
            z = torch.addcmul(cut(shifts), chunk, cut(factors), out=out if direct else None)
            z = grid.without_padding(z, cut)
            z = z if added is None else z.add_(added)
            z = z if slopes is None else grid.prelu(z, slopes)
            z = z.clamp_(min=0) if relu else z
            if not direct:
                out.copy_(z)
        ctx.mark_non_differentiable(mean, variance, count)
        ctx.grid, kept = grid, y if relu else None
        ctx.save_for_backward(x, weight, bias, slope, residual, mean, scale, count, kept)
        return y, mean, variance, count

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor, *_: Tensor) -> tuple[Tensor | None, ...]:
        """Return the gradients of the input, weight, bias, slope and residual."""
        x, weight, bias, slope, residual, mean, scale, count, y = ctx.saved_tensors
        grid = ctx.grid
        after = grid.empty_like(x)  # the gradient after the normalisation
        weight, bias = weight.to(grid.dtype), bias.to(grid.dtype)
        slope = None if slope is None else slope.to(grid.dtype)
        grad_bias, grad_weight, grad_slope = _before_activation(
            grid, (x, grad, after, y, residual), (mean, scale, weight, bias, slope)
        )
        grad_x = after if residual is None else grid.empty_like(x)
        factor = weight * scale
        of_x = -factor * scale * grad_weight / count
        constants = grid.masked(-factor * grad_bias / count - of_x * mean)
        factors, factors_of_x = grid.masked(factor), grid.masked(of_x)
        direct = grad_x.dtype == grid.dtype
        for cut, chunk, g, out in grid.chunks(x, after, grad_x):
            z = torch.addcmul(cut(constants), chunk, cut(factors_of_x))
            z = torch.addcmul(z, g, cut(factors), out=out if direct else None)
            z = grid.without_padding(z, cut)
            if not direct:
                out.copy_(z)
        grad_residual = None if residual is None else after
        return grad_x, grad_weight, grad_bias, grad_slope, grad_residual, None, None, None


def _before_activation(
    grid: NormGrid,
    tensors: tuple[Tensor, Tensor, Tensor, Tensor | None, Tensor | None],
    parameters: tuple[Tensor, Tensor, Tensor, Tensor, Tensor | None],
) -> tuple[Tensor, Tensor, Tensor | None]:
    """Write the gradient before the activation, and return those of bias, weight and slope, each ``(C,)``."""
    mean, scale, weight, bias, slope = parameters
    scales, shifts = grid.masked(scale), grid.masked(-mean * scale)
    weights, biases = grid.columns(weight), grid.masked(bias)
    slopes = None if slope is None else grid.columns(slope)
    of_bias, of_weight, of_slope = [], [], []
    for cut, chunk, grad_out, out, result, added in grid.chunks(*tensors):
        g = grad_out if result is None else torch.ops.aten.threshold_backward(grad_out, result, 0)
        g = g.to(grid.dtype)
        standardised = grid.without_padding(torch.addcmul(cut(shifts), chunk, cut(scales)), cut)
        if slopes is not None:
            z = grid.without_padding(torch.addcmul(cut(biases), standardised, weights), cut)
            z = z if added is None else z.add_(added)
            # g where z > 0, slope * g elsewhere. torch.where takes twenty times as long.
            above = torch.ops.aten.threshold_backward(g, z, 0)
            of_slope.append(grid.partial(z.clamp_(max=0).mul_(g)))
            g = torch.lerp(above, g, slopes, out=out if out.dtype == g.dtype else None)
        of_bias.append(grid.partial(g, cut))
        of_weight.append(grid.partial(standardised.mul_(g)))
        if g is not out:
            out.copy_(g)
    sums = grid.totals(of_bias, of_weight, *([of_slope] if of_slope else []))
    return sums[0], sums[1], sums[2] if of_slope else None
