"""Attention over channels, then over places, that never sees padding."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from rankaudio._checks import check_floating, check_integer, check_lengths, describe
from rankaudio.lengths import zero_beyond

__all__ = ["CBAM"]


class CBAM(nn.Module):
    r"""Convolutional block attention: one factor for each channel, then one for each place.

    .. math::

        x' = x \cdot \sigma\bigl(g(\overline{x}) + g(\max x)\bigr), \qquad
        y = x' \cdot \sigma\bigl(\mathit{conv}[\overline{x'}, \max x']\bigr)

    The first mean and maximum are over all places of a channel, and :math:`g` is a network of two layers
    without bias with a ReLU between them. The second ones are over all channels of a place. A clip's result
    is the same alone and in a padded batch.

    Args:
        channels: K, channels of the input.
        reduction: the hidden layer of :math:`g` has K / reduction units, at least 1.
        kernel_size: size of the convolution over places, 3 or 7.

    Shapes:
        x ``(B, K, F, N)``, lengths ``(B,)`` in frames. The result has the shape of x, and is zero beyond the
        lengths.

    Raises:
        TypeError: if a setting is not an integer, or the input is not floating point.
        ValueError: if a setting is out of range, or the input has other axes.

    Reference:
        Woo et al., *CBAM: Convolutional Block Attention Module* (2018), https://arxiv.org/abs/1807.06521

    >>> CBAM(32)(torch.randn(2, 32, 8, 16), torch.tensor([16, 5])).shape
    torch.Size([2, 32, 8, 16])
    """

    def __init__(self, channels: int, *, reduction: int = 16, kernel_size: int = 7) -> None:
        super().__init__()
        self.channels: int = check_integer("channels", channels)
        self.reduction: int = check_integer("reduction", reduction)
        self.kernel_size: int = check_kernel("kernel_size", kernel_size)
        hidden = max(channels // reduction, 1)
        self.reduce: nn.Linear = nn.Linear(channels, hidden, bias=False)
        self.expand: nn.Linear = nn.Linear(hidden, channels, bias=False)
        self.spatial: nn.Conv2d = nn.Conv2d(2, 1, kernel_size, padding=kernel_size // 2, bias=False)

    def forward(self, x: Tensor, lengths: Tensor | None = None) -> Tensor:
        """Return ``x`` times its attention; ``lengths`` are in frames."""
        check_floating("x", x, ndim=(4,))
        if x.shape[1] != self.channels or 0 in x.shape[2:]:
            raise ValueError(f"x: wanted (B, {self.channels}, F, N) with F and N from 1, got {describe(x)}")
        if lengths is not None:
            lengths = check_lengths(lengths, batch=x.shape[0], longest=x.shape[3], like=x)
        x = zero_beyond(x, lengths)
        x = x * self._channel_attention(x, lengths)[:, :, None, None]
        # Beyond a clip both maps are 0, as the convolution's padding is beyond the batch.
        maps = torch.cat([x.mean(1, keepdim=True), x.max(1, keepdim=True).values], dim=1)
        return x * torch.sigmoid(self.spatial(maps))

    def _channel_attention(self, x: Tensor, lengths: Tensor | None) -> Tensor:
        maximum = zero_beyond(x, lengths, fill=torch.finfo(x.dtype).min).flatten(2).max(-1).values
        pooled = torch.stack([mean_over_places(x, lengths), maximum])
        return torch.sigmoid(self.expand(torch.relu(self.reduce(pooled))).sum(0))

    def extra_repr(self) -> str:
        """Show the settings."""
        return f"{self.channels}, reduction={self.reduction}, kernel_size={self.kernel_size}"


def check_kernel(name: str, kernel_size: object) -> int:
    """Accept 3 and 7, the sizes that the attention was proposed with."""
    size = check_integer(name, kernel_size)
    if size not in (3, 7):
        raise ValueError(f"{name}: wanted one of 3, 7, got {size}")
    return size


def mean_over_places(x: Tensor, lengths: Tensor | None) -> Tensor:
    """Mean over frequency and real frames of features that are zero in the padding, to ``(B, K)``."""
    if lengths is None:
        return x.mean((2, 3))
    count = (lengths * x.shape[2])[:, None]
    wide = torch.promote_types(x.dtype, torch.float32)
    return (x.sum((2, 3), dtype=wide) / count).to(x.dtype)
