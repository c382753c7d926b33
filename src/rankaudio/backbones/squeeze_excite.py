"""One factor for each channel, from the mean of all channels."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from rankaudio._checks import check_floating, check_integer, check_lengths, describe
from rankaudio.backbones.cbam import mean_over_places
from rankaudio.lengths import zero_beyond

__all__ = ["SqueezeExcite"]


class SqueezeExcite(nn.Module):
    r"""Squeeze-and-excitation: multiply each channel by a factor that depends on the means of all channels.

    .. math:: y = x \cdot \sigma\bigl(W_2 \max(W_1 \overline{x} + b_1, 0) + b_2\bigr)

    The mean :math:`\overline{x}` is over frequency and the frames of the clip. A clip's result is the same
    alone and in a padded batch.

    Args:
        channels: K, channels of the input.
        reduction: the hidden layer has K / reduction units, rounded down, at least 1.

    Shapes:
        x ``(B, K, F, N)``, lengths ``(B,)`` in frames. The result has the shape of x, and is zero beyond the
        lengths.

    Raises:
        TypeError: if a setting is not an integer, or the input is not floating point.
        ValueError: if a setting is out of range, or the input has other axes.

    Reference:
        Hu et al., *Squeeze-and-Excitation Networks* (2017), https://arxiv.org/abs/1709.01507

    >>> SqueezeExcite(32)(torch.randn(2, 32, 8, 16), torch.tensor([16, 5])).shape
    torch.Size([2, 32, 8, 16])
    """

    def __init__(self, channels: int, *, reduction: int = 4) -> None:
        super().__init__()
        self.channels: int = check_integer("channels", channels)
        self.reduction: int = check_integer("reduction", reduction)
        hidden = max(channels // reduction, 1)
        self.reduce: nn.Linear = nn.Linear(channels, hidden)
        self.expand: nn.Linear = nn.Linear(hidden, channels)

    def forward(self, x: Tensor, lengths: Tensor | None = None) -> Tensor:
        """Return ``x`` times one factor for each channel; ``lengths`` are in frames."""
        check_floating("x", x, ndim=(4,))
        if x.shape[1] != self.channels or 0 in x.shape[2:]:
            raise ValueError(f"x: wanted (B, {self.channels}, F, N) with F and N from 1, got {describe(x)}")
        if lengths is not None:
            lengths = check_lengths(lengths, batch=x.shape[0], longest=x.shape[3], like=x)
        x = zero_beyond(x, lengths)
        hidden = torch.relu(self.reduce(mean_over_places(x, lengths)))
        return x * torch.sigmoid(self.expand(hidden))[:, :, None, None]

    def extra_repr(self) -> str:
        """Show the settings."""
        return f"{self.channels}, reduction={self.reduction}"
