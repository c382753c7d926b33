"""Clips extended at their own ends, so that their frames are the same alone and in any batch."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from rankaudio.lengths import PadMode, length_mask


def pad_for_frames(
    waveform: Tensor, lengths: Tensor | None, n_fft: int, hop_length: int, pad_mode: PadMode
) -> Tensor:
    """Extend clips ``(B, T)``, so that the first and the last frame of each are as the pad mode has them."""
    if pad_mode == "same":
        return _pad_same(waveform, lengths, n_fft, hop_length)
    return pad_ends(waveform, lengths, n_fft // 2, pad_mode)


def _pad_same(waveform: Tensor, lengths: Tensor | None, n_fft: int, hop_length: int) -> Tensor:
    """Put zeros around each clip, so that its frames fit exactly; half of the zeros are before the clip.

    Half is rounded down. The number of zeros depends on the length of a clip, so in a padded batch each clip
    has its own start.
    """
    longest = waveform.shape[1]
    size = (longest - 1) // hop_length * hop_length + n_fft
    if lengths is None and not torch.compiler.is_compiling():
        front = max(size - longest, 0) // 2
        return F.pad(waveform, (front, size - longest - front))
    if lengths is None:
        lengths = torch.full((waveform.shape[0],), longest, device=waveform.device)
    needed = (lengths - 1) // hop_length * hop_length + n_fft
    before = (needed - lengths).clamp(min=0) // 2
    source = torch.arange(size, device=waveform.device) - before[:, None]
    inside = (source >= 0) & (source < lengths[:, None])
    return waveform.gather(1, source.clamp(0, longest - 1)).masked_fill(~inside, 0)


def pad_ends(waveform: Tensor, lengths: Tensor | None, width: int, pad_mode: PadMode) -> Tensor:
    """Extend each clip by ``width`` samples on both sides, then with zeros: ``(B, T + 2 width)``."""
    batch, longest = waveform.shape
    if lengths is None and not torch.compiler.is_compiling() and pad_mode == "reflect" and longest > width:
        # Three parts side by side take a CPU a fifth of the time of F.pad(mode="reflect").
        before, after = waveform[:, 1 : width + 1].flip(1), waveform[:, -width - 1 : -1].flip(1)
        return torch.cat([before, waveform, after], dim=1)
    # The rest works for clips of any length, even of one sample, in one graph.
    padded = F.pad(waveform, (width, width))
    if lengths is None:
        lengths = torch.full((batch,), longest, device=waveform.device)
    else:
        # In place, because `padded` is new. A product would keep NaN.
        padded.masked_fill_(~length_mask(lengths + width, longest + 2 * width), 0)
    if pad_mode == "constant":
        return padded
    offset = torch.arange(width, device=waveform.device)
    end = lengths[:, None]
    position = torch.cat([(offset - width).expand(batch, width), end + offset], dim=1)
    return padded.scatter_(1, position + width, waveform.gather(1, _reflect(position, end)))


def _reflect(position: Tensor, end: Tensor) -> Tensor:
    """Return the sample, 0 .. end - 1, that a position shows after reflection at both ends.

    Reflection without a repeated edge has the period 2 (end - 1). A single sample is repeated.
    """
    period = (2 * end - 2).clamp(min=1)
    phase = position % period
    return torch.minimum(phase, period - phase)
