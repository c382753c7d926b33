"""What is made of a spectrogram: decibels, and how it changes from frame to frame."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from rankaudio._checks import check_floating, check_integer, check_lengths, check_number, describe
from rankaudio._precision import full_precision
from rankaudio.lengths import zero_beyond


def power_to_db(
    spectrogram: Tensor,
    lengths: Tensor | None = None,
    *,
    ref: float = 1.0,
    amin: float = 1e-10,
    top_db: float | None = 80.0,
) -> Tensor:
    r"""Power in decibels, cut off at a distance below each clip's own peak.

    .. math:: y = \max\Bigl(z, \; \max z - \mathit{top\_db}\Bigr), \qquad
        z = 10 \log_{10} \frac{\max(x, \mathit{amin})}{\max(\mathit{ref}, \mathit{amin})}

    Args:
        spectrogram: ``(B, F, N)`` floating point, power (not magnitude).
        lengths: ``(B,)`` integers, frames of each clip; ``None`` is all of them.
        ref: the power that is 0 dB.
        amin: the least power told from silence.
        top_db: decibels kept below the peak of the clip; ``None`` keeps all.

    Returns:
        ``(B, F, N)``; float64 for float64, else float32. Frames beyond a clip's length hold what
        silence has there, the lowest value a clip with this peak can show.

    Raises:
        TypeError: if the spectrogram is not floating point, or a setting has another type.
        ValueError: if it is not ``(B, F, N)``, is empty along F or N, or a setting is out of range.

    Reference:
        ``librosa.power_to_db``, for each clip by itself; the input of the first-place system of
        Freesound Audio Tagging 2019.

    >>> power_to_db(torch.tensor([[[1.0, 100.0, 0.0]]]))
    tensor([[[  0.,  20., -60.]]])
    """
    spectrogram, lengths = _check_spectrogram(spectrogram, lengths)
    amin = check_number("amin", amin, 1e-30)
    ref = max(check_number("ref", ref, 0), amin)
    db = 10 * (zero_beyond(spectrogram, lengths).clamp(min=amin) / ref).log10()
    if top_db is None:
        return db
    floor = db.amax(dim=(1, 2), keepdim=True) - check_number("top_db", top_db, 0)
    return torch.maximum(db, floor)


def deltas(spectrogram: Tensor, lengths: Tensor | None = None, *, width: int = 9) -> Tensor:
    r"""Append first and second derivatives along time, as channels.

    In each window of ``width`` frames a straight line and a parabola are fitted by least squares
    (Savitzky-Golay); the derivatives are the line's slope and the parabola's second derivative, per
    frame. The frames at either end take those of the nearest whole window, whose fit they are in.

    Args:
        spectrogram: ``(B, F, N)`` floating point.
        lengths: ``(B,)`` integers, frames of each clip; ``None`` is all of them.
        width: frames in a window, odd, at least 3.

    Returns:
        ``(B, 3, F, N)``: the spectrogram, its first and its second derivative; float64 for float64,
        else float32. A clip of fewer frames than ``width`` is continued with its last frame. Frames
        beyond a clip's length are 0 in all three channels.

    Raises:
        TypeError: if the spectrogram is not floating point, or ``width`` no integer.
        ValueError: if it is not ``(B, F, N)``, is empty along F or N, or ``width`` is even.

    Reference:
        ``librosa.feature.delta``; the input of the first-place system of Freesound Audio Tagging 2019.

    >>> deltas(torch.arange(9.0).reshape(1, 1, 9))[0, 1, 0, :3]
    tensor([1., 1., 1.])
    """
    spectrogram, lengths = _check_spectrogram(spectrogram, lengths)
    kernels = _fits(width, spectrogram)
    batch, bins, frames = spectrogram.shape
    ends = torch.full((batch,), frames, device=spectrogram.device) if lengths is None else lengths
    end = ends[:, None, None]
    index = torch.arange(frames + width - 1, device=spectrogram.device)
    # So many frames that every clip fills a window, whatever the batch is padded to.
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


def _fits(width: int, like: Tensor) -> Tensor:
    """Least squares over the offsets -h .. h: the weights ``(width, 2)`` of line and parabola."""
    half = _check_width(width) // 2
    offset = torch.arange(-half, half + 1, dtype=like.dtype, device=like.device)
    # What a parabola adds to a constant and a line, which its fit is orthogonal to.
    bend = offset.square() - offset.square().mean()
    return torch.stack([offset / offset.square().sum(), 2 * bend / bend.square().sum()], dim=-1)


def _check_width(width: object) -> int:
    number = check_integer("width", width, 3)
    if number % 2 == 0:
        raise ValueError(f"width: wanted an odd integer, got {number}")
    return number


def _check_spectrogram(spectrogram: object, lengths: Tensor | None) -> tuple[Tensor, Tensor | None]:
    tensor = check_floating("spectrogram", spectrogram, ndim=(3,))
    batch, bins, frames = tensor.shape
    if bins == 0 or frames == 0:
        raise ValueError(f"spectrogram: wanted at least one bin and one frame, got {describe(tensor)}")
    if lengths is not None:
        lengths = check_lengths(lengths, batch=batch, longest=frames, like=tensor)
    return tensor if tensor.dtype == torch.float64 else tensor.float(), lengths
