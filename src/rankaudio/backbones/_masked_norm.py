"""Batch normalisation over real frames only, alone or with a PReLU behind it.

Three ways to one result. In eval mode, and where nothing is padded on an accelerator, PyTorch's own. With
padding, or inside a compiler, the formula in plain operations. And on a CPU a function with a gradient of its
own, because there most of the time of the plain operations goes into memory that is new each time: it
works on some clips at a time, which stay in the cache, and adds up exactly where PyTorch's batch
normalisation of a channels-last batch adds up a million numbers one after the other (its variances are off
by 1e-4 then).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

# Values of a piece: 4 MB of float32, which a core keeps in its cache with what is computed from it.
_PIECE = 2**20


def zero_padding(x: Tensor, mask: Tensor | None) -> Tensor:
    """Zero what is not real."""
    return x if mask is None else x.masked_fill(~mask, 0)


class MaskedBatchNorm(nn.BatchNorm1d):
    """Batch normalisation over real frames only, for any number of axes after the channels.

    A training batch with one value a channel has no variance to divide by; it is normalised by the running
    statistics, where PyTorch raises an error, so that the one long clip left over can be trained on.
    """

    def _check_input_dim(self, input: Tensor) -> None:  # noqa: A002
        """Every number of axes will do."""

    def forward(
        self,
        input: Tensor,  # noqa: A002
        mask: Tensor | None = None,
        *,
        act: nn.PReLU | None = None,
    ) -> Tensor:
        """Normalise each channel, then apply ``act``; what lies in the padding is zero afterwards.

        The input has to be finite there, too. ``mask`` broadcasts to it.
        """
        x = input
        if self.training and x.numel() > x.shape[1] and _in_pieces_pays(x):
            slope = None if act is None else act.weight
            return self._in_pieces(x, mask, slope)
        y = self._normalise(x, mask)
        y = y if act is None else act(y)
        if mask is None:
            return y
        # Quicker than zero_padding, for values that are finite; nobody else has seen them yet.
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
        count = _real_values(x, mask)
        mean = x.masked_fill(~mask, 0).sum(axes) / count
        centred = (x - _column(mean, x)).masked_fill(~mask, 0)
        variance = centred.square().sum(axes) / count
        self._track(mean.detach(), variance.detach(), count)
        scale = self.weight * (variance + self.eps).rsqrt()
        return (centred * _column(scale, x) + _column(self.bias, x)).to(dtype)

    def _in_pieces(self, x: Tensor, mask: Tensor | None, slope: Tensor | None) -> Tensor:
        y: Tensor
        y, mean, variance, _, count = NormaliseInPieces.apply(  # type: ignore[no-untyped-call]
            x, self.weight, self.bias, slope, mask, self.eps
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


def _in_pieces_pays(x: Tensor) -> bool:
    return x.device.type == "cpu" and not torch.compiler.is_compiling()


def _column(values: Tensor, like: Tensor) -> Tensor:
    """``(C,)`` as ``(1, C, 1, ...)``."""
    return values.reshape(1, -1, *(1,) * (like.ndim - 2))


def _real_values(x: Tensor, mask: Tensor | None) -> Tensor:
    """Real values a channel: every row of the mask stands for all sizes that it is broadcast over."""
    if mask is None:
        return torch.tensor(x.numel() // x.shape[1], device=x.device)
    return mask.sum() * (x[0, 0].numel() // mask[0].numel())


class NormaliseInPieces(torch.autograd.Function):
    r"""Batch normalisation, PReLU and zeroed padding of some clips at a time, on a CPU.

    With :math:`\hat x = (x - \mu) / \sigma` the gradient of the normalisation is
    :math:`\frac{w}{\sigma} (g - \overline{g} - \hat x \, \overline{g \hat x})`, the means being over real
    values.
    """

    @staticmethod
    def forward(  # noqa: PLR0917  (autograd passes them by place)
        x: Tensor, weight: Tensor, bias: Tensor, slope: Tensor | None, mask: Tensor | None, eps: float
    ) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
        """Return the result ``(B, C, ...)``, mean, variance and 1 / sigma ``(C,)``, the number of values."""
        count = _real_values(x, mask)
        mean = _sum_over_real(mask, lambda part: part, x) / count
        variance = _sum_over_real(mask, lambda part: (part - _column(mean, x)).square_(), x) / count
        scale = (variance + eps).rsqrt()
        line = _Line(mean=mean, scale=scale, weight=weight, bias=bias, like=x)
        y = torch.empty_like(x)
        for real, part, out in _pieces(mask, x, y):
            z = line.at(line.standard(part))
            z = z if slope is None else F.prelu(z, slope.to(z.dtype))
            out.copy_(z if real is None else z.mul_(real))
        return y, mean, variance, scale, count

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, ...]) -> None:
        """Keep the input, from which the rest is computed again, rather than the result of every step."""
        _, mean, _, scale, count = output
        ctx.mark_non_differentiable(*output[1:])
        ctx.save_for_backward(*inputs[:-1], mean, scale, count)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor, *_: Tensor) -> tuple[Tensor | None, ...]:
        """Return the gradients of the input, weight, bias and slope."""
        x, weight, bias, slope, mask, mean, scale, count = ctx.saved_tensors
        line = _Line(mean=mean, scale=scale, weight=weight, bias=bias, like=x)
        grad_x = torch.empty_like(x)
        sums = torch.zeros(3, x.shape[1], dtype=mean.dtype)
        for real, part, given, out in _pieces(mask, x, grad, grad_x):
            g = given.to(mean.dtype) if real is None else given * real
            standard = line.standard(part)
            if slope is not None:
                z = line.at(standard)
                sums[2] += _sum_channels(z.clamp(max=0).mul_(g))
                # g above zero, slope times g below; torch.where takes forty times as long.
                above = torch.ops.aten.threshold_backward(g, z, 0)
                g = torch.lerp(above, g, _column(slope.to(g.dtype), x))
            sums[0] += _sum_channels(g)
            sums[1] += _sum_channels(standard.mul_(g))
            out.copy_(g)
        grad_bias, grad_weight, grad_slope = sums
        level, tilt = _column(grad_bias / count, x), _column(grad_weight / count, x)
        for real, part, out in _pieces(mask, x, grad_x):
            along = line.standard(part).mul_(tilt).add_(level)
            g = (out - along).mul_(line.slope)
            out.copy_(g if real is None else g.mul_(real))
        return grad_x, grad_weight, grad_bias, None if slope is None else grad_slope, None, None


class _Line:
    """What a normalisation does to each channel: a line through its values."""

    def __init__(self, *, mean: Tensor, scale: Tensor, weight: Tensor, bias: Tensor, like: Tensor) -> None:
        columns = (mean, scale, weight, bias, weight * scale)
        self.mean, self.scale, self.weight, self.bias, self.slope = (
            _column(values.to(mean.dtype), like) for values in columns
        )

    def standard(self, part: Tensor) -> Tensor:
        """Mean 0, variance 1."""
        return (part - self.mean).mul_(self.scale)

    def at(self, standard: Tensor) -> Tensor:
        """The result for standardised values."""
        return torch.addcmul(self.bias, standard, self.weight)


def _pieces(mask: Tensor | None, *values: Tensor) -> Iterator[tuple[Any, ...]]:
    """Some clips at a time: what is real of them as 0 and 1, or None, and their part of each tensor."""
    x = values[0]
    rows = max(_PIECE // x[0].numel(), 1)
    real = None if mask is None else mask.to(_wide(x))
    for start in range(0, len(x), rows):
        piece = slice(start, start + rows)
        yield None if real is None else real[piece], *(value[piece] for value in values)


def _sum_over_real(mask: Tensor | None, function: Callable[[Tensor], Tensor], x: Tensor) -> Tensor:
    total = torch.zeros(x.shape[1], dtype=_wide(x))
    for real, part in _pieces(mask, x):
        values = function(part)
        total += _sum_channels(values if real is None else values * real)
    return total


def _sum_channels(x: Tensor) -> Tensor:
    """``(C,)``, one axis after the other, which is exact and quick."""
    if x.ndim == 4:
        x = x.permute(0, 2, 3, 1).flatten(0, 1).sum(1)
    return x.sum(-1).sum(0) if x.ndim == 3 else x.sum(0)


def _wide(x: Tensor) -> torch.dtype:
    return torch.promote_types(x.dtype, torch.float32)
