"""Frames, spectra and bands of a padded batch: the computation of every spectrogram.

Each clip is extended at its own end, so that its frames are the same alone and in any batch. Spectra are real
numbers, and the square root never gets a zero. So every gradient is finite at digital silence.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor

from rankaudio._autocast import full_precision
from rankaudio._checks import check_choice, check_number, describe
from rankaudio._chunks import rows_per_chunk
from rankaudio._plain import is_plain, is_quiet, needs_gradient
from rankaudio.lengths import PAD_MODES, PadMode, frame_lengths, zero_beyond
from rankaudio.spectral._bands import band_groups
from rankaudio.spectral._dft import TRANSFORMS
from rankaudio.spectral._filterbank import check_frames
from rankaudio.spectral._magnitudes import magnitudes
from rankaudio.spectral._padding import pad_for_frames
from rankaudio.spectral._pieces import Recipe, in_pieces, in_pieces_with_gradient

# Samples in a chunk of a batch on a CPU if _pieces.py does not compute it. Larger chunks need new pages of
# memory for each step. Smaller chunks spend too much time on starting threads.
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
    window = window if window.dtype == waveform.dtype else window.to(waveform.dtype)
    known = filterbank is None or not needs_gradient(filterbank)
    if known and waveform.is_cpu and not stages and is_plain(waveform):
        groups = [] if filterbank is None else band_groups(filterbank, waveform.dtype)
        recipe = Recipe(window, hop_length, power, pad_mode, groups, eps)
        ends = [waveform.shape[1]] * waveform.shape[0] if lengths is None else lengths.tolist()
        if not needs_gradient(waveform):
            return in_pieces(waveform, ends, recipe)
        again = partial(_in_operations, lengths=lengths, recipe=recipe, filterbank=filterbank)
        return in_pieces_with_gradient(waveform, ends, recipe, again)
    recipe = Recipe(window, hop_length, power, pad_mode, [], eps)

    def of_chunk(clips: Tensor, ends: Tensor | None) -> Tensor:
        return _in_operations(clips, ends, recipe, filterbank, stages)

    with full_precision(waveform.device):
        if waveform.shape[0] == 0:  # FFT libraries refuse an empty batch
            return of_chunk(F.pad(waveform, (0, 0, 0, 1)), None)[:0]
        return _in_chunks(of_chunk, waveform, lengths)


def _in_operations(
    waveform: Tensor,
    lengths: Tensor | None,
    recipe: Recipe,
    filterbank: Tensor | None,
    stages: Sequence[Tensor] = (),
) -> Tensor:
    """Return the spectrogram in operations that PyTorch can compile, export and differentiate."""
    # Nothing else can record operations, so results can be overwritten. New memory takes as long as a step.
    quiet = is_quiet(waveform) and not (filterbank is not None and filterbank.requires_grad)
    frames = pad_for_frames(waveform, lengths, *recipe.settings).unfold(
        -1, recipe.window.shape[0], recipe.hop_length
    )
    bins = magnitudes(frames * recipe.window, recipe.power, stages, quiet=quiet)
    # With the filterbank on the left, the product is (B, M, N) in memory too, without a copy.
    bins = bins.mT.contiguous() if filterbank is None else filterbank.to(bins.dtype) @ bins.mT
    if lengths is not None:
        counts = frame_lengths(lengths, hop_length=recipe.hop_length, pad_mode=recipe.pad_mode)
        bins = zero_beyond(bins, counts)
    if recipe.eps is None:
        return bins
    return bins.add_(recipe.eps).log_() if quiet else (bins + recipe.eps).log()


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
