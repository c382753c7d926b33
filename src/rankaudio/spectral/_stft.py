"""Frames, spectra and bands of a padded batch: the computation of every spectrogram.

Each clip is extended at its own end, so that its frames are the same alone and in any batch. Spectra are real
numbers, and the square root never gets a zero. So every gradient is finite at digital silence.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from rankaudio._autocast import full_precision
from rankaudio._checks import check_choice, check_number, describe
from rankaudio._chunks import rows_per_chunk
from rankaudio._plain import is_quiet
from rankaudio.lengths import PAD_MODES, PadMode, frame_lengths, zero_beyond
from rankaudio.spectral._bands import sum_bands
from rankaudio.spectral._dft import TRANSFORMS
from rankaudio.spectral._filterbank import check_frames
from rankaudio.spectral._magnitudes import magnitudes
from rankaudio.spectral._padding import pad_for_frames

# Samples in a chunk of a batch on a CPU. Larger chunks need new pages of memory for each step. Smaller
# chunks spend too much time on starting threads.
_CHUNK_SAMPLES = 1 << 19


def check_settings(
    *, n_fft: object, hop_length: object, power: object, pad_mode: object, transform: object
) -> None:
    """Check the settings that all spectrograms have."""
    check_frames(n_fft=n_fft, hop_length=hop_length)
    if check_number("power", power) not in (1, 2):
        raise ValueError(f"power: wanted 1 (magnitude) or 2 (power), got {describe(power)}")
    check_choice("pad_mode", pad_mode, PAD_MODES)
    check_choice("transform", transform, TRANSFORMS)


def check_eps(eps: float | None) -> float | None:
    """Refuse an eps that is 0 in float32; None, no logarithm, passes."""
    return None if eps is None else check_number("eps", eps, 1e-30)


def spectrogram(
    waveform: Tensor,
    lengths: Tensor | None,
    *,
    window: Tensor,
    hop_length: int,
    power: float,
    pad_mode: PadMode,
    filterbank: Tensor | None = None,
    eps: float | None = None,
    stages: Sequence[Tensor] = (),
) -> Tensor:
    """Return the spectrogram ``(B, F, N)`` of checked clips, with ``filterbank`` and logarithm if given.

    Frames after a clip's end hold the value of silence: 0, or ``log(eps)``. With the ``stages`` of
    :func:`~rankaudio.spectral._dft.dft_stages` no step uses complex numbers.
    """
    window = window.to(waveform.dtype)
    # Nothing else can record operations, so results can be overwritten. New memory takes as long as a step.
    quiet = is_quiet(waveform) and not (filterbank is not None and filterbank.requires_grad)

    def of_bins(bins: Tensor) -> Tensor:
        if filterbank is None:
            return _transpose_in_tiles(bins) if quiet and bins.device.type == "cpu" else bins.mT.contiguous()
        return sum_bands(bins, filterbank)

    def of_chunk(clips: Tensor, ends: Tensor | None) -> Tensor:
        padded = pad_for_frames(clips, ends, window.shape[0], hop_length, pad_mode)
        some = magnitudes(padded, window, hop_length, power, stages, quiet=quiet, piece=_CHUNK_SAMPLES)
        parts = [of_bins(bins) for bins in some]
        bins = parts[0] if len(parts) == 1 else torch.cat(parts, dim=-1)
        if ends is not None:
            bins = zero_beyond(bins, frame_lengths(ends, hop_length=hop_length, pad_mode=pad_mode))
        if eps is None:
            return bins
        return bins.add_(eps).log_() if quiet else (bins + eps).log()

    with full_precision(waveform.device):
        if waveform.shape[0] == 0:  # FFT libraries refuse an empty batch
            return of_chunk(F.pad(waveform, (0, 0, 0, 1)), None)[:0]
        if lengths is not None and quiet and waveform.device.type == "cpu":
            silence = waveform.new_zeros(64)[:, None]  # as many as a vector instruction takes
            silence = silence if eps is None else silence.add_(eps).log_()
            longest = lengths.new_tensor([waveform.shape[1]])
            frames = int(frame_lengths(longest, hop_length=hop_length, pad_mode=pad_mode))
            return _to_the_ends(of_chunk, waveform, lengths, frames, silence[0])
        return _in_chunks(of_chunk, waveform, lengths)


def _transpose_in_tiles(bins: Tensor) -> Tensor:
    """Return bins ``(B, N, F)`` as ``(B, F, N)``. PyTorch transposes matrices in tiles, but no batches."""
    result = bins.new_empty(bins.shape[0], bins.shape[2], bins.shape[1])
    for clip, new in zip(bins, result, strict=True):
        new.copy_(clip.t())
    return result


def _to_the_ends(
    function: Callable[[Tensor, Tensor | None], Tensor],
    waveform: Tensor,
    lengths: Tensor,
    n_frames: int,
    silence: Tensor,
) -> Tensor:
    """Compute some clips at a time, up to the end of the longest of them. Later frames are ``silence``."""
    sizes = [min(max(size, 1), waveform.shape[1]) for size in lengths.tolist()]
    result, first = waveform.new_empty(0), 0
    while first < len(sizes):
        last, longest = first + 1, sizes[first]
        while last < len(sizes) and (last + 1 - first) * max(longest, sizes[last]) <= _CHUNK_SAMPLES:
            longest, last = max(longest, sizes[last]), last + 1
        part = function(waveform[first:last, :longest], lengths[first:last])
        if first == 0:
            result = part.new_empty(len(sizes), part.shape[1], n_frames)
        result[first:last, :, : part.shape[2]] = part
        result[first:last, :, part.shape[2] :] = silence
        first = last
    return result


def _in_chunks(
    function: Callable[[Tensor, Tensor | None], Tensor], waveform: Tensor, lengths: Tensor | None
) -> Tensor:
    """Compute some clips at a time on a CPU, which is two to three times as fast as the whole batch."""
    rows = rows_per_chunk(waveform.shape[1], _CHUNK_SAMPLES)
    if torch.compiler.is_compiling() or waveform.device.type != "cpu" or waveform.shape[0] <= rows:
        return function(waveform, lengths)
    clips = torch.split(waveform, rows)
    ends = [None] * len(clips) if lengths is None else torch.split(lengths, rows)
    return torch.cat([function(*chunk) for chunk in zip(clips, ends, strict=True)])
