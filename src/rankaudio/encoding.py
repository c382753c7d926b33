"""A channel that tells a convolution its position on the frequency axis."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from rankaudio._checks import check_floating, check_integer, check_number, describe

__all__ = ["FrequencyEncoding", "frequency_encoding"]


def frequency_encoding(
    spectrogram: Tensor,
    *,
    low: float = -1.0,
    high: float = 1.0,
    frequency_dim: int = -2,
    channel_dim: int = 1,
) -> Tensor:
    r"""Append a channel with the position of each bin on the frequency axis, from ``low`` to ``high``.

    .. math:: e_f = \mathit{low} + (\mathit{high} - \mathit{low}) \, \frac{f}{F - 1}

    A convolution does not know its position. Along time that is right, because a sound may start anywhere.
    Along frequency it is wrong: the same shape two octaves higher is another sound.

    Args:
        spectrogram: ``(B, C, F, N)`` or ``(B, F, N)``. The latter gets a channel axis first.
        low: value at the lowest bin (index 0).
        high: value at the highest bin (index F - 1).
        frequency_dim: the frequency axis, counted in the four axes of the result.
        channel_dim: the channel axis, counted in the four axes of the result.

    Returns:
        ``(B, C + 1, F, N)`` with the axes in the order of the input, in the dtype of the input. The encoding
        is the last channel. An input ``(B, F, N)`` gives ``(B, 2, F, N)``. A single bin (F = 1) gets ``low``.

    Raises:
        TypeError: if the spectrogram is not floating point, or a setting is not a number.
        ValueError: if the spectrogram does not have 3 or 4 axes, or the two named axes are the same.

    Reference:
        The third-place system of Freesound Audio Tagging 2019; in images, CoordConv (Liu et al.
        2018, https://arxiv.org/abs/1807.03247).

    >>> frequency_encoding(torch.zeros(1, 3, 2))[0, 1]
    tensor([[-1., -1.],
            [ 0.,  0.],
            [ 1.,  1.]])
    """
    check_floating("spectrogram", spectrogram, ndim=(3, 4))
    frequency_axis, channel_axis = _axes(frequency_dim, channel_dim)
    check_number("low", low)
    check_number("high", high)
    if spectrogram.ndim == 3:
        spectrogram = spectrogram.unsqueeze(channel_axis)
    bins = spectrogram.shape[frequency_axis]
    shape = [1 if axis == channel_axis else size for axis, size in enumerate(spectrogram.shape)]
    ramp = torch.linspace(
        low,
        high,
        bins,
        device=spectrogram.device,
        dtype=torch.float64 if spectrogram.dtype == torch.float64 else torch.float32,
    )
    ramp = ramp.reshape([bins if axis == frequency_axis else 1 for axis in range(4)])
    return torch.cat([spectrogram, ramp.to(spectrogram.dtype).expand(shape)], dim=channel_axis)


class FrequencyEncoding(nn.Module):
    """Module form of :func:`frequency_encoding`, which holds the definition and the shapes.

    Args:
        low: value at the lowest bin.
        high: value at the highest bin.
        frequency_dim: the frequency axis of the result.
        channel_dim: the channel axis of the result.

    >>> FrequencyEncoding()(torch.zeros(8, 128, 87)).shape
    torch.Size([8, 2, 128, 87])
    """

    low: float
    high: float
    frequency_dim: int
    channel_dim: int

    def __init__(
        self, *, low: float = -1.0, high: float = 1.0, frequency_dim: int = -2, channel_dim: int = 1
    ) -> None:
        super().__init__()
        self.low, self.high = check_number("low", low), check_number("high", high)
        _axes(frequency_dim, channel_dim)
        self.frequency_dim, self.channel_dim = frequency_dim, channel_dim

    def forward(self, spectrogram: Tensor) -> Tensor:
        """Return the spectrogram with its encoding."""
        return frequency_encoding(
            spectrogram,
            low=self.low,
            high=self.high,
            frequency_dim=self.frequency_dim,
            channel_dim=self.channel_dim,
        )

    def extra_repr(self) -> str:
        """Show the settings."""
        return (
            f"low={self.low}, high={self.high}, "
            f"frequency_dim={self.frequency_dim}, channel_dim={self.channel_dim}"
        )


def _axes(frequency_dim: int, channel_dim: int) -> tuple[int, int]:
    """Return both axes, counted from the front of a 4-axis result."""
    frequency = check_integer("frequency_dim", frequency_dim, -4, 3) % 4
    channel = check_integer("channel_dim", channel_dim, -4, 3) % 4
    if frequency == channel:
        raise ValueError(
            f"channel_dim: wanted another axis than frequency_dim, got {describe(channel_dim)} for both"
        )
    return frequency, channel
