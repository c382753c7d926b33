"""Spectrograms on a CPU, a few frames at a time, with a gradient that is written out.

A piece and its spectra stay in the cache of a core, and their memory is used again by the next piece. Frames
after a clip's end are not computed. The gradient takes an FFT of real numbers, and adds frames up hop by hop.
PyTorch's own takes a complex FFT, and adds overlapping frames up sample by sample.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor

from rankaudio._autocast import full_precision
from rankaudio._chunks import rows_per_chunk
from rankaudio._silence import silence
from rankaudio.lengths import PadMode, count_frames
from rankaudio.spectral._bands import Group, spread_bands, sum_bands
from rankaudio.spectral._magnitudes import magnitude, slope_of_magnitude
from rankaudio.spectral._padding import (
    FrameSettings,
    pad_group,
    padded_part,
    samples_before,
    transpose_of_padding,
)

# Samples of a piece. Frames and spectra have several times as many numbers: some MB in all.
_PIECE_SAMPLES = 1 << 17
# Several threads get a larger piece together, by this factor at most.
_MOST_PIECES = 4


class Recipe(NamedTuple):
    """How a spectrogram is computed."""

    window: Tensor
    hop_length: int
    power: float
    pad_mode: PadMode
    groups: Sequence[Group]
    """Groups of bands; none leaves the bins as they are."""
    eps: float | None

    def count(self, samples: int) -> int:
        """Return the number of frames of a clip."""
        return count_frames(samples, self.hop_length, self.pad_mode)

    @property
    def settings(self) -> FrameSettings:
        """What decides how clips are extended."""
        return FrameSettings(self.window.shape[0], self.hop_length, self.pad_mode)

    @property
    def n_bins(self) -> int:
        """Number of bins of a spectrum."""
        return self.window.shape[0] // 2 + 1

    @property
    def n_rows(self) -> int:
        """Number of rows of the spectrogram."""
        return self.groups[-1].bands.stop if self.groups else self.n_bins


class Piece(NamedTuple):
    """Some frames of a group of clips, and what their gradient needs."""

    group: int
    frames: slice
    spectrum: Tensor
    magnitudes: Tensor
    bands: Tensor
    """The sums over bands, ``(M, B N)``; without bands, the magnitudes once more."""


def in_pieces(waveform: Tensor, ends: list[int], recipe: Recipe) -> Tensor:
    """Return the spectrogram ``(B, F, N)`` of clips that end at ``ends``; nothing records operations."""
    return _compute(waveform, ends, _groups(ends), recipe, None)


def in_pieces_with_gradient(
    waveform: Tensor, ends: list[int], recipe: Recipe, again: Callable[[Tensor], Tensor]
) -> Tensor:
    """Return the same as part of a graph. ``again`` computes it once more, for second derivatives."""
    result: Tensor = _Spectrogram.apply(waveform, ends, recipe, again)  # type: ignore[no-untyped-call]
    return result


class _Spectrogram(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, waveform: Tensor, *settings: Any) -> Tensor:
        ctx.ends, ctx.recipe, ctx.again = settings
        # The groups depend on the number of threads, which may change before the gradient.
        pieces: list[Piece] = []
        ctx.groups = _groups(ctx.ends)
        result = _compute(waveform, ctx.ends, ctx.groups, ctx.recipe, pieces)
        ctx.places = [piece[:2] for piece in pieces]
        ctx.save_for_backward(waveform, *(tensor for piece in pieces for tensor in piece[2:]))
        return result

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None, None, None]:
        waveform, *kept = ctx.saved_tensors
        if torch.is_grad_enabled():
            with full_precision(waveform.device):
                again = ctx.again(waveform)
            (of_clips,) = torch.autograd.grad(again, waveform, gradients[0], create_graph=True)
            return of_clips, None, None, None
        pieces = [Piece(*place, *kept[3 * k : 3 * k + 3]) for k, place in enumerate(ctx.places)]
        return _gradient(waveform, gradients[0], pieces, ctx), None, None, None


def _compute(
    waveform: Tensor, ends: list[int], groups: list[slice], recipe: Recipe, pieces: list[Piece] | None
) -> Tensor:
    """Return the spectrogram, and add each piece to ``pieces`` if that is a list."""
    shape = (len(ends), recipe.n_rows, recipe.count(waveform.shape[1]))
    result = waveform.new_empty(shape)
    for index, group in enumerate(groups):
        clips = waveform if len(groups) == 1 else waveform[group]
        for part, frames in _parts(clips, ends[group], recipe):
            values, kept = _of_frames(frames, recipe, keep=pieces is not None)
            if pieces is not None:
                pieces.append(Piece(index, part, *kept))
            new = result if values.shape == shape else result[group, :, part]
            if recipe.eps is None:
                new.copy_(values)
            else:
                torch.add(values, recipe.eps, out=new)
                new.log_()
    if min(ends, default=0) < waveform.shape[1]:
        # As many numbers as a vector instruction takes: the logarithm of one number may be rounded otherwise.
        silence = waveform.new_full((64,), recipe.eps).log_()[0] if recipe.eps is not None else 0.0
        for clip, end in zip(result, ends, strict=True):
            clip[:, recipe.count(end) :] = silence
    return result


def _parts(clips: Tensor, ends: list[int], recipe: Recipe) -> Iterator[tuple[slice, Tensor]]:
    """Yield the frames ``(B, N, n)`` of a group of clips, some at a time, and which they are."""
    n, hop = recipe.window.shape[0], recipe.hop_length
    longest = max(ends)
    count = recipe.count(longest)
    clips = clips if longest == clips.shape[1] else clips[:, :longest]
    if min(ends) < longest or (recipe.pad_mode == "reflect" and longest <= n // 2):
        yield slice(0, count), pad_group(clips, ends, recipe.settings).unfold(-1, n, hop)
        return
    origin = -samples_before(longest, recipe.settings)
    step = rows_per_chunk(clips.shape[0] * hop, _piece_samples())
    for first in range(0, count, step):
        last = min(first + step, count)
        start, stop = origin + first * hop, origin + (last - 1) * hop + n
        yield slice(first, last), padded_part(clips, start, stop, recipe.pad_mode).unfold(-1, n, hop)


def _groups(ends: list[int]) -> list[slice]:
    """Cut a batch into consecutive clips that are about one piece together, or one longer clip."""
    groups, start, samples = [], 0, _piece_samples()
    while start < len(ends):
        stop, longest = start + 1, ends[start]
        while stop < len(ends) and max(longest, ends[stop]) * (stop + 1 - start) <= samples:
            longest = max(longest, ends[stop])
            stop += 1
        groups.append(slice(start, stop))
        start = stop
    return groups


def _piece_samples() -> int:
    return _PIECE_SAMPLES * min(torch.get_num_threads(), _MOST_PIECES)


def _of_frames(frames: Tensor, recipe: Recipe, *, keep: bool) -> tuple[Tensor, tuple[Tensor, ...]]:
    """Return bins or bands ``(B, F, N)`` of frames ``(B, N, n)``, and with ``keep`` what a Piece keeps."""
    spectrum = torch.fft.rfft(frames * recipe.window)
    parts = torch.view_as_real(spectrum)
    magnitudes = magnitude(parts.square() if keep else parts.square_(), recipe.power, quiet=True)
    if not recipe.groups:
        return magnitudes.mT, (spectrum, magnitudes, magnitudes)
    bands = sum_bands(magnitudes.flatten(0, 1), recipe.groups)
    return bands.view(-1, *frames.shape[:2]).transpose(0, 1), (spectrum, magnitudes, bands)


def _gradient(waveform: Tensor, gradient: Tensor, pieces: Sequence[Piece], ctx: Any) -> Tensor:
    of_waveform, recipe = silence(waveform, *waveform.shape), ctx.recipe
    for index, some in itertools.groupby(pieces, lambda piece: piece.group):
        clips = ctx.groups[index]
        own = ctx.ends[clips]
        of_group = _without_padding(gradient[clips], own, recipe)
        size = max(own) + 2 * recipe.window.shape[0] + recipe.hop_length
        of_padded = waveform.new_zeros(len(own), size)
        for piece in some:
            frames = _gradient_of_frames(of_group[..., piece.frames], piece, recipe)
            start = piece.frames.start * recipe.hop_length
            _overlap_add(of_padded[:, start:], frames, recipe.hop_length)
        transpose_of_padding(of_padded, own, of_waveform[clips], recipe.settings)
    return of_waveform


def _without_padding(gradient: Tensor, ends: list[int], recipe: Recipe) -> Tensor:
    """Set the gradient of frames after the end of a clip to 0, if its group has computed them."""
    counts = [recipe.count(end) for end in ends]
    gradient = gradient[..., : max(counts)]
    if min(counts) == max(counts):
        return gradient
    gradient = gradient.clone()
    for clip, count in zip(gradient, counts, strict=True):
        clip[:, count:] = 0
    return gradient


def _gradient_of_frames(gradient: Tensor, piece: Piece, recipe: Recipe) -> Tensor:
    """Gradient of the frames of a piece ``(B, N, n)``."""
    if recipe.groups:
        of_bands = gradient.transpose(0, 1).reshape(recipe.n_rows, -1)
        if recipe.eps is not None:
            of_bands = of_bands / (piece.bands + recipe.eps)
        of_bins = spread_bands(of_bands, recipe.groups, recipe.n_bins).view_as(piece.magnitudes)
    else:
        of_bins = (
            gradient.mT / (piece.magnitudes + recipe.eps)
            if recipe.eps is not None
            else gradient.mT.contiguous()
        )
    factor = slope_of_magnitude(of_bins, piece.magnitudes, recipe.power)
    # An inverse FFT counts each bin twice, but not the first and the last.
    factor[..., 1:-1] *= 0.5
    n = recipe.window.shape[0]
    frames: Tensor = torch.fft.irfft(piece.spectrum * factor, n=n, norm="forward").mul_(recipe.window)
    return frames


def _overlap_add(total: Tensor, frames: Tensor, hop_length: int) -> None:
    """Add frames ``(B, N, n)`` to ``(B, T)``, one hop of all frames at a time."""
    count, n = frames.shape[1:]
    for first in range(0, n, hop_length):
        width = min(hop_length, n - first)
        samples = total[:, first : first + (count - 1) * hop_length + width]
        samples.unfold(-1, width, hop_length).add_(frames[..., first : first + width])
