"""Batch norm over the frames that are not padding, with an optional PReLU or ReLU after it.

There are four implementations of the same result:

- PyTorch's own, in eval mode and for a batch without padding on an accelerator;
- the formula in plain operations, for a batch with padding in compiled graphs and on other accelerators;
- PyTorch's kernels of batch norm over several processes, for a batch with padding on a GPU;
- an autograd function, for training on a CPU. It is faster, and it also sums more exactly: PyTorch adds a
  million numbers of a channels-last batch one by one, and its variances are then off by 1e-4.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from rankaudio.backbones._chunked_norm import ChunkedBatchNorm, count_values
from rankaudio.backbones._gpu_norm import GPUBatchNorm, runs_on_gpu
from rankaudio.backbones._hooks import has_hooks


class MaskedBatchNorm(nn.BatchNorm1d):
    """Batch norm over the frames that are not padding, for any number of axes after the channels.

    A training batch with one value per channel, or none, has no variance. It is normalised by the running
    statistics, where PyTorch raises an error, so that the last batch of an epoch may be a single clip.
    """

    def _check_input_dim(self, input: Tensor) -> None:  # noqa: A002
        """Accept any number of axes."""

    def forward(
        self,
        input: Tensor,  # noqa: A002
        mask: Tensor | None = None,
        *,
        residual: Tensor | None = None,
        act: nn.Module | None = None,
        relu: bool = False,
    ) -> Tensor:
        """Normalise each channel, add ``residual``, and apply ``act`` or ReLU. Padding is zero in the result.

        ``mask`` is false in the padding and broadcasts to the input. The input must be finite everywhere, and
        the residual zero in the padding.
        """
        x = input
        eager_cpu = x.device.type == "cpu" and not torch.compiler.is_compiling()
        if self.training and x.numel() > x.shape[1] and eager_cpu:
            slope = act.weight if isinstance(act, nn.PReLU) and _is_plain(act) else None
            y, *statistics = ChunkedBatchNorm.apply(  # type: ignore[no-untyped-call]
                x, self.weight, self.bias, slope, residual, mask, self.eps, relu
            )
            self._track(*statistics)
            changed: Tensor = y if act is None or slope is not None else _without_padding(act(y), mask)
            return changed
        # In place is safe, because `y` is new.
        y = self._normalise(x, mask)
        y = y if residual is None else residual + _without_padding(y, mask)
        y = y if act is None else act(y)
        y = F.relu(y, inplace=True) if relu else y
        return y if residual is not None and (act is None or _is_plain(act)) else _without_padding(y, mask)

    def as_weights(self, x: Tensor, mask: Tensor | None, weight: Tensor) -> tuple[Tensor, Tensor]:
        """Return the input and the weights of a convolution that stands for this and the next convolution.

        The batch is on a CPU and needs no gradient. The scales become factors of ``weight``. The shifts
        become the weight of one more channel, which is 1 in the clips and 0 in the padding. So the
        convolution needs no gradient of its input, and that is half the time of its backward pass.
        """
        ones, zeros, relu = torch.ones_like(self.weight), torch.zeros_like(self.bias), False
        standardised, *statistics = ChunkedBatchNorm.apply(  # type: ignore[no-untyped-call]
            x, ones, zeros, None, None, mask, self.eps, relu
        )
        self._track(*statistics)
        shape = (x.shape[0], x.shape[1] + 1, *x.shape[2:])
        with_real = torch.empty(shape, dtype=x.dtype, memory_format=torch.channels_last)
        with_real[:, :-1] = standardised
        with_real[:, -1:] = 1 if mask is None else mask
        scaled = weight * _per_channel(self.weight, weight)
        shifted = (weight * _per_channel(self.bias, weight)).sum(1, keepdim=True)
        return with_real, torch.cat([scaled, shifted], 1)

    def _normalise(self, x: Tensor, mask: Tensor | None) -> Tensor:
        if self.training and x.numel() <= x.shape[1]:
            running = self.running_mean, self.running_var
            return F.batch_norm(x, *running, self.weight, self.bias, eps=self.eps)
        if mask is None or not self.training:
            return super().forward(x)
        if runs_on_gpu(x, self.weight):
            return self._normalise_on_gpu(x, mask)
        dtype, axes = x.dtype, [0, *range(2, x.ndim)]
        x = x.float() if dtype != torch.float64 else x
        count = count_values(x, mask)
        mean = x.masked_fill(~mask, 0).sum(axes) / count
        centred = (x - _per_channel(mean, x)).masked_fill(~mask, 0)
        variance = centred.square().sum(axes) / count
        self._track(mean.detach(), variance.detach(), count)
        scale = self.weight * (variance + self.eps).rsqrt()
        return (centred * _per_channel(scale, x) + _per_channel(self.bias, x)).to(dtype)

    def _normalise_on_gpu(self, x: Tensor, mask: Tensor) -> Tensor:
        if self.num_batches_tracked is not None:
            self.num_batches_tracked.add_(1)
        running = self.running_mean, self.running_var
        normalised: Tensor = GPUBatchNorm.apply(  # type: ignore[no-untyped-call]
            x, mask, self.weight, self.bias, *running, self._momentum(), self.eps
        )
        return normalised

    def _momentum(self) -> float:
        return 0.1 if self.momentum is None else self.momentum

    @torch.no_grad()
    def _track(self, mean: Tensor, variance: Tensor, count: Tensor) -> None:
        """Update the running statistics as PyTorch does, with the unbiased variance."""
        if self.running_mean is None or self.running_var is None or self.num_batches_tracked is None:
            return
        self.num_batches_tracked.add_(1)
        self.running_mean.lerp_(mean.to(self.running_mean.dtype), self._momentum())
        unbiased = variance * count / (count - 1).clamp(min=1)
        self.running_var.lerp_(unbiased.to(self.running_var.dtype), self._momentum())


def _is_plain(act: nn.Module) -> bool:
    """Tell whether this is PReLU itself, which is 0 at 0, and nobody watches it."""
    return type(act) is nn.PReLU and not has_hooks(act)


def _without_padding(y: Tensor, mask: Tensor | None) -> Tensor:
    """Return ``y`` with zeros in the padding; ``y`` may be overwritten."""
    if mask is None:
        return y
    # Faster than masked_fill, and equal for finite values. On a GPU, one kernel is faster than two.
    real = mask if y.device.type == "cuda" else mask.to(y.dtype)
    return y * real if y.requires_grad else y.mul_(real)


def _per_channel(values: Tensor, like: Tensor) -> Tensor:
    """Reshape ``(C,)`` to ``(1, C, 1, ...)``."""
    return values.reshape(1, -1, *(1,) * (like.ndim - 2))
