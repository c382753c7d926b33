"""Frames, spectra and bands of a padded batch: the computation of every spectrogram.

Each clip is extended at its own end, so that its frames are the same alone and in any batch. Spectra are real
numbers, and the square root never gets a zero. So every gradient is finite at digital silence.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor

from rankaudio._autocast import full_precision
from rankaudio._checks import check_choice, check_number, describe
from rankaudio._chunks import rows_per_chunk
from rankaudio.lengths import PAD_MODES, PadMode, frame_lengths, length_mask, zero_beyond
from rankaudio.spectral._filterbank import check_frames, target_and_work_device

Transform = Literal["fft", "matmul"]
TRANSFORMS: tuple[Transform, ...] = ("fft", "matmul")

# Samples in a chunk of a batch on a CPU. Larger chunks need new pages of memory for each step. Smaller
# chunks spend too much time on starting threads.
_CHUNK_SAMPLES = 1 << 19

# Groups of bands that are summed apart on a CPU, and samples from which that is faster than one product.
_GROUPS, _MANY_SAMPLES = 8, 1 << 18

# Terms of a sum in a transform by matrices. With more terms there are fewer stages, but float32 then loses
# more of a quiet bin next to a loud one than an FFT does.
_TERMS = 16
# A square is at most this share of the largest number, so that the sum over a band is finite.
_LARGEST_SHARE = 2.0**-12


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
    :func:`dft_stages` no step uses complex numbers.
    """

    def of_frames(frames: Tensor) -> Tensor:
        bins = _spectrum(frames * window.to(frames.dtype), power, stages).mT
        # With the filterbank on the left, the product is (B, F, N) in memory too, without a copy.
        if filterbank is None:
            return bins.contiguous()
        bands = [group @ bins[:, used] for used, group in groups]
        return bands[0] if len(bands) == 1 else torch.cat(bands, dim=1)

    def of_chunk(clips: Tensor, ends: Tensor | None) -> Tensor:
        frames = _frames(clips, ends, window.shape[0], hop_length, pad_mode)
        pieces = [of_frames(piece) for piece in _pieces(frames, hop_length)]
        bins = pieces[0] if len(pieces) == 1 else torch.cat(pieces, dim=-1)
        if ends is not None:
            bins = zero_beyond(bins, frame_lengths(ends, hop_length=hop_length, pad_mode=pad_mode))
        return bins if eps is None else (bins + eps).log()

    with full_precision(waveform.device):
        groups = [] if filterbank is None else _groups_of_bands(filterbank, waveform)
        if waveform.shape[0] == 0:  # FFT libraries refuse an empty batch
            return of_chunk(F.pad(waveform, (0, 0, 0, 1)), None)[:0]
        return _in_chunks(of_chunk, waveform, lengths)


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


def _pieces(frames: Tensor, hop_length: int) -> Sequence[Tensor]:
    """Cut the frames of long clips into pieces on a CPU, so that a piece stays in the cache."""
    if torch.compiler.is_compiling() or frames.device.type != "cpu":
        return [frames]
    return torch.split(frames, rows_per_chunk(frames.shape[0] * hop_length, _CHUNK_SAMPLES), dim=1)


def _groups_of_bands(filterbank: Tensor, waveform: Tensor) -> list[tuple[slice, Tensor]]:
    """Return groups of bands and the bins that they use, so that a product leaves out most of the zeros."""
    filterbank = filterbank.to(waveform.dtype)
    if torch.compiler.is_compiling() or waveform.device.type != "cpu" or waveform.numel() < _MANY_SAMPLES:
        return [(slice(None), filterbank)]
    groups = []
    for group in filterbank.chunk(_GROUPS):
        used = group.detach().any(0).nonzero()
        bins = slice(int(used[0]), int(used[-1]) + 1) if len(used) else slice(0, 1)
        groups.append((bins, group[:, bins]))
    return groups


def _frames(
    waveform: Tensor, lengths: Tensor | None, n_fft: int, hop_length: int, pad_mode: PadMode
) -> Tensor:
    """Cut clips ``(B, T)`` into overlapping frames ``(B, N, n_fft)``."""
    if pad_mode == "same":
        padded = _pad_same(waveform, lengths, n_fft, hop_length)
    else:
        padded = pad_ends(waveform, lengths, n_fft // 2, pad_mode)
    return padded.unfold(-1, n_fft, hop_length)


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
        return F.pad(waveform[:, None], (width, width), mode="reflect")[:, 0]
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


def _spectrum(frames: Tensor, power: float, stages: Sequence[Tensor]) -> Tensor:
    """Magnitude or power of the spectrum, ``(..., n)`` to ``(..., n / 2 + 1)``."""
    squares = (_dft(frames, stages) if stages else torch.view_as_real(torch.fft.rfft(frames))).square()
    squared = squares[..., 0] + squares[..., 1]
    info = torch.finfo(squared.dtype)
    most = info.max * _LARGEST_SHARE
    if power == 2:
        return squared.clamp(max=most)
    # The slope of the root is infinite at 0. The smallest normal number changes the value by only 1e-19 in
    # float32, and the clamp sets the gradient to 0.
    return squared.clamp(min=info.tiny, max=most).sqrt()


def dft_stages(
    transform: Transform, n: int, *, device: torch.device | None, dtype: torch.dtype
) -> list[Tensor]:
    r"""Return real matrices for a discrete Fourier transform of n samples by :func:`_dft`; none for an FFT.

    Each stage sums P terms at a time. Before the stage there are K frequencies k, each with a sum of P R
    terms. After the stage there are K P frequencies with R terms:

    .. math:: Y'_{k + K k', r} = \sum_{p=0}^{P-1} Y_{k, R p + r} \, e^{-2 \pi i p (k + K k') / (K P)}

    The matrix of k holds the factors, with a complex number as a pair of real numbers. Its shape is
    ``(K, 2 P, 2 P)``. The first stage has real input and the shape ``(1, 2 P, P)``.
    """
    if transform == "fft":
        return []
    target, work = target_and_work_device(device)
    known = 1
    stages: list[Tensor] = []
    for terms in _factors(n):
        p = torch.arange(terms, device=work)
        frequency = torch.arange(known, device=work)[:, None] + known * p
        # Whole turns are dropped, because they would cost digits of the angle.
        turns = (frequency[..., None] * p) % (known * terms)
        angle = turns.to(torch.float64) * (2 * math.pi / (known * terms))
        real, imaginary = angle.cos(), -angle.sin()
        matrix = torch.cat([real, imaginary], dim=1)
        if stages:
            matrix = torch.cat([matrix, torch.cat([-imaginary, real], dim=1)], dim=2)
        stages.append(matrix.to(target, dtype))
        known *= terms
    return stages


def _factors(n: int) -> list[int]:
    """Return factors of n. None is above ``_TERMS``, except for prime factors."""
    factors = []
    while n > 1:
        least = next((d for d in range(2, math.isqrt(n) + 1) if n % d == 0), n)
        factors.append(max([d for d in range(2, _TERMS + 1) if n % d == 0], default=least))
        n //= factors[-1]
    return factors


def _dft(frames: Tensor, stages: Sequence[Tensor]) -> Tensor:
    """Return half of the Fourier transform without complex numbers, as ``(..., n / 2 + 1, 2)``."""
    # shape.numel() would fix the batch size of an exported program.
    n, count = frames.shape[-1], math.prod(frames.shape[:-1])
    y = frames.reshape(count, n).T
    for stage in stages:
        known, pairs, terms = stage.shape
        y = stage.to(y.dtype) @ y.reshape(known, terms, -1)
        y = y.reshape(known, 2, pairs // 2, -1).permute(2, 0, 1, 3).flatten(0, 1)
    return y[: n // 2 + 1].permute(2, 0, 1).reshape(*frames.shape[:-1], n // 2 + 1, 2)
