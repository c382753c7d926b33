"""Clips extended at their own ends, so that their frames are the same alone and in any batch."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

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


class FrameSettings(NamedTuple):
    """What decides how a clip is extended."""

    n_fft: int
    hop_length: int
    pad_mode: PadMode


def pad_group(clips: Tensor, ends: Sequence[int], settings: FrameSettings) -> Tensor:
    """Extend clips ``(B, T)`` that end at ``ends`` by :func:`pad_for_frames`, then with zeros."""
    each = [
        pad_for_frames(clip[None, :end], None, *settings)[0] for clip, end in zip(clips, ends, strict=True)
    ]
    padded = clips.new_zeros(len(each), max(map(len, each)))
    for row, clip in zip(padded, each, strict=True):
        row[: len(clip)] = clip
    return padded


def padded_part(clips: Tensor, start: int, stop: int, pad_mode: PadMode) -> Tensor:
    """Return the samples from ``start`` to ``stop`` of whole clips that are extended at both ends.

    Samples in the clips are a view of them. With ``"reflect"`` the clips have more samples than are added at
    an end.
    """
    longest = clips.shape[1]
    before, after = max(-start, 0), max(stop - longest, 0)
    if before == 0 and after == 0:
        return clips[:, start:stop]
    inside = clips[:, max(start, 0) : min(stop, longest)]
    if pad_mode != "reflect":
        return F.pad(inside, (before, after))
    # Parts next to each other take a CPU a fifth of the time of F.pad(mode="reflect").
    parts = [inside]
    if before:
        parts.insert(0, clips[:, 1 : before + 1].flip(1))
    if after:
        parts.append(clips[:, longest - 1 - after : longest - 1].flip(1))
    return torch.cat(parts, dim=1)


def transpose_of_padding(
    gradient: Tensor, ends: Sequence[int], clips: Tensor, settings: FrameSettings
) -> None:
    """Write the gradient of clips to ``clips`` from that of :func:`pad_group`, which may be too long."""
    for row, clip, end in zip(gradient, clips, ends, strict=True):
        before = samples_before(end, settings)
        clip[:end] = row[before : before + end]
        if settings.pad_mode == "reflect":
            _add_reflected(row[:before], row[before + end : end + 2 * before], clip[:end])


def _add_reflected(before: Tensor, after: Tensor, clip: Tensor) -> None:
    """Add values before and after a clip to the samples that they are a reflection of."""
    end, width = len(clip), len(before)
    if end > width:
        clip[1 : width + 1] += before.flip(0)
        clip[end - width - 1 : end - 1] += after.flip(0)
        return
    offset = torch.arange(width)
    source = _reflect(torch.cat([offset - width, end + offset]), torch.tensor(end))
    clip.index_add_(0, source, torch.cat([before, after]))


def samples_before(end: int, settings: FrameSettings) -> int:
    """Return how many samples before a clip the first frame begins, at least 0."""
    n_fft, hop_length, pad_mode = settings
    if pad_mode != "same":
        return n_fft // 2
    return max((end - 1) // hop_length * hop_length + n_fft - end, 0) // 2


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
