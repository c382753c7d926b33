"""2d blocks in eval mode on a CPU, where nothing records operations: the same result in less time.

- Batch norm after a convolution becomes part of its weights.
- A convolution of three sees one step after the end of a clip. Only that step is set to zero, in place of all
  padding. So the padding of a result may hold anything.
- Maxima are taken of long rows, as channels last has them in memory. PyTorch's pooling writes indices too.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from rankaudio._plain import is_plain
from rankaudio.backbones._hooks import has_hooks
from rankaudio.backbones._masked_norm import MaskedBatchNorm
from rankaudio.lengths import halved


def can_evaluate(block: nn.Module, x: Tensor) -> bool:
    """Whether this file can compute a block: no gradient, no hook, and no part of another class."""
    if block.training or torch.is_grad_enabled() or x.device.type != "cpu" or not is_plain(x):
        return False
    if x.ndim != 4 or x.dtype not in (torch.float32, torch.float64) or torch.is_autocast_enabled("cpu"):
        return False
    return all(_is_known(part, x.dtype) for part in block.modules() if part is not block)


def _is_known(part: nn.Module, dtype: torch.dtype) -> bool:
    if part.training or has_hooks(part):
        return False
    if isinstance(part, MaskedBatchNorm):
        return part.running_var is not None and part.running_var.dtype == dtype
    weight = getattr(part, "weight", None)
    return weight is None or (type(part) in (nn.Conv2d, nn.PReLU) and weight.dtype == dtype)


def normalised(norm: MaskedBatchNorm, x: Tensor) -> Tensor:
    """Apply batch norm by the running statistics."""
    scale, shift = _scale_and_shift(norm)
    return torch.addcmul(shift.view(-1, 1, 1), x, scale.view(-1, 1, 1))


def convolved(conv: nn.Conv1d | nn.Conv2d, norm: MaskedBatchNorm, x: Tensor) -> Tensor:
    """Apply a convolution and the batch norm after it."""
    scale, shift = _scale_and_shift(norm)
    bias = shift if conv.bias is None else shift.addcmul_(conv.bias, scale)
    y: Tensor = conv._conv_forward(x, conv.weight * scale.view(-1, 1, 1, 1), bias)
    return y


def _scale_and_shift(norm: MaskedBatchNorm) -> tuple[Tensor, Tensor]:
    """Return the factors of batch norm, and what it adds after the product, ``(C,)``."""
    mean, variance = norm.get_buffer("running_mean"), norm.get_buffer("running_var")
    scale = norm.weight * (variance + norm.eps).rsqrt_()
    return scale, torch.addcmul(norm.bias, mean, scale, value=-1)


def zero_after_end(x: Tensor, lengths: Tensor | None) -> Tensor:
    """Set the step after the end of each clip to zero, in place."""
    if lengths is not None:
        clips = (lengths < x.shape[-1]).nonzero().flatten()
        x.movedim(-1, 1)[clips, lengths[clips]] = 0
    return x


def pooled_by_two(x: Tensor, lengths: Tensor | None) -> tuple[Tensor, Tensor | None]:
    """Do as ``max_pool_by_two`` does. The padding may be overwritten."""
    if lengths is not None:
        single = (lengths == 1).nonzero().flatten()
        steps = x.movedim(-1, 1)
        steps[single, 1] = steps[single, 0]
        lengths = halved(lengths)
    n_bins, n_steps = x.shape[2] // 2 * 2, x.shape[3] // 2 * 2
    x = torch.maximum(x[..., 0:n_steps:2], x[..., 1:n_steps:2])
    return (torch.maximum(x[:, :, 0:n_bins:2], x[:, :, 1:n_bins:2]) if n_bins else x), lengths


def has_long_rows(x: Tensor) -> bool:
    """Whether :func:`max_of_rows` can be used: an ordinary tensor on a CPU, with channels last."""
    return is_plain(x) and x.device.type == "cpu" and x.is_contiguous(memory_format=torch.channels_last)


def max_of_rows(x: Tensor) -> Tensor:
    """Return the maximum over frequency: ``(B, C, F, N)`` to ``(B, C, N)``.

    With channels last, all channels of all steps are a row. The maximum of rows takes a twentieth of the time
    of pooling.
    """
    return x.permute(0, 2, 3, 1).flatten(2).amax(1).view(-1, x.shape[3], x.shape[1]).mT
