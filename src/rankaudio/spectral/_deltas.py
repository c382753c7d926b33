"""Derivatives of a spectrogram along time."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from rankaudio._autocast import full_precision
from rankaudio._checks import check_integer
from rankaudio.lengths import zero_beyond
from rankaudio.spectral._decibels import check_spectrogram


def deltas(spectrogram: Tensor, lengths: Tensor | None = None, *, width: int = 9) -> Tensor:
    r"""Append the first and the second derivative along time, as channels.

    In each window of ``width`` frames a straight line and a parabola are fitted by least squares
    (Savitzky-Golay). The derivatives are the line's slope and the parabola's second derivative, per
    frame. The frames at both ends take the derivatives of the nearest whole window.

    Args:
        spectrogram: ``(B, F, N)`` floating point.
        lengths: ``(B,)`` integers, frames of each clip; ``None`` is all of them.
        width: frames in a window, odd, at least 3.

    Returns:
        ``(B, 3, F, N)``: the spectrogram, its first and its second derivative; float64 for float64,
        else float32. A clip shorter than ``width`` is extended by copies of its last frame. Frames after a
        clip's end are 0 in all three channels.

    Raises:
        TypeError: if the spectrogram is not floating point, or ``width`` is not an integer.
        ValueError: if it is not ``(B, F, N)``, is empty along F or N, or ``width`` is even.

    Reference:
        ``librosa.feature.delta``; the input of the first-place system of Freesound Audio Tagging 2019.

    >>> deltas(torch.arange(9.0).reshape(1, 1, 9))[0, 1, 0, :3]
    tensor([1., 1., 1.])
    """
    spectrogram, lengths = check_spectrogram(spectrogram, lengths)
    kernels = _kernels(width, spectrogram)
    batch, bins, frames = spectrogram.shape
    ends = torch.full((batch,), frames, device=spectrogram.device) if lengths is None else lengths
    end = ends[:, None, None]
    index = torch.arange(frames + width - 1, device=spectrogram.device)
    # Every clip must fill one window, whatever the size of the batch.
    extended = spectrogram.gather(-1, index.minimum(end - 1).expand(-1, bins, -1))
    with full_precision(spectrogram.device):
        fitted = (extended.unfold(-1, width, 1) @ kernels).movedim(-1, 1)
    start = (index[:frames] - width // 2).clamp(min=0).minimum((end - width).clamp(min=0))
    derivatives = fitted.gather(-1, start[:, None].expand(-1, 2, bins, -1))
    return zero_beyond(torch.cat([spectrogram[:, None], derivatives], dim=1), lengths)


class Deltas(nn.Module):
    """Module form of :func:`deltas`, which holds the definition and the shapes.

    Args:
        width: as in the function.

    >>> Deltas()(torch.zeros(8, 128, 256)).shape
    torch.Size([8, 3, 128, 256])
    """

    def __init__(self, *, width: int = 9) -> None:
        super().__init__()
        self.width: int = _check_width(width)

    def forward(self, spectrogram: Tensor, lengths: Tensor | None = None) -> Tensor:
        """Return the spectrogram with its derivatives."""
        return deltas(spectrogram, lengths, width=self.width)

    def extra_repr(self) -> str:
        """Show the settings."""
        return f"width={self.width}"


def _kernels(width: int, like: Tensor) -> Tensor:
    """Least squares over the offsets -h .. h: the weights ``(width, 2)`` of line and parabola."""
    half = _check_width(width) // 2
    offset = torch.arange(-half, half + 1, dtype=like.dtype, device=like.device)
    # The part of a parabola that is orthogonal to a constant and a line.
    parabola = offset.square() - offset.square().mean()
    return torch.stack([offset / offset.square().sum(), 2 * parabola / parabola.square().sum()], dim=-1)


def _check_width(width: object) -> int:
    number = check_integer("width", width, 3)
    if number % 2 == 0:
        raise ValueError(f"width: wanted an odd integer, got {number}")
    return number
