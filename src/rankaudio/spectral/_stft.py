"""Frames, spectra and bands of a padded batch: what every spectrogram here is made of.

Each clip is centred and reflected at its own end, so that its frames are the same alone and in any
batch. Spectra come as real numbers and the square root never sees a zero, which keeps every
gradient finite at digital silence.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor

from rankaudio._checks import check_choice, check_number, describe
from rankaudio._precision import full_precision
from rankaudio.lengths import frame_lengths, length_mask, zero_beyond
from rankaudio.spectral._bands import check_frames

PadMode = Literal["reflect", "constant"]
PAD_MODES: tuple[PadMode, ...] = ("reflect", "constant")
Transform = Literal["fft", "matmul"]
TRANSFORMS: tuple[Transform, ...] = ("fft", "matmul")

# Samples in a piece of a batch on a CPU. With more, what passes between the steps comes from fresh pages
# of memory each time; with fewer, starting the threads begins to show.
_PIECE = 1 << 19


# Terms of a sum in a transform by matrices. With more, one stage does the work of two, but float32 loses
# more of a quiet bin beside a loud one than it does in an FFT.
_TERMS = 16


def check_settings(
    *, n_fft: object, hop_length: object, power: object, pad_mode: object, transform: object
) -> None:
    """Check what is common to all spectrograms."""
    check_frames(n_fft=n_fft, hop_length=hop_length)
    if power not in (1, 2):
        raise ValueError(f"power: wanted 1 (magnitude) or 2 (power), got {describe(power)}")
    check_choice("pad_mode", pad_mode, PAD_MODES)
    check_choice("transform", transform, TRANSFORMS)


def check_eps(eps: object) -> float:
    """Refuse an eps that float32 cannot tell from the zero it is there to avoid."""
    return check_number("eps", eps, 1e-30)


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
    """Spectrogram ``(B, F, N)`` of checked clips, in bands and as logarithm if asked for.

    Frames beyond a clip's own are those of silence: 0, or ``log(eps)``. With the ``stages`` of
    :func:`dft_stages` there is no complex number on the way.
    """

    def some_clips(clips: Tensor, ends: Tensor | None) -> Tensor:
        frames = _pad(clips, ends, window.shape[0] // 2, pad_mode).unfold(-1, window.shape[0], hop_length)
        bins = _spectrum(frames * window.to(clips.dtype), power, stages).mT
        # Multiplied from the left, the bands need no copy to come out as (B, F, N) in memory too.
        bins = bins.contiguous() if filterbank is None else filterbank.to(clips.dtype) @ bins
        if ends is not None:
            bins = zero_beyond(bins, frame_lengths(ends, hop_length=hop_length))
        return bins if eps is None else (bins + eps).log()

    with full_precision(waveform.device):
        if waveform.shape[0] == 0:  # FFT libraries refuse to transform nothing
            return some_clips(F.pad(waveform, (0, 0, 0, 1)), None)[:0]
        return _in_pieces(some_clips, waveform, lengths)


def _in_pieces(
    function: Callable[[Tensor, Tensor | None], Tensor], waveform: Tensor, lengths: Tensor | None
) -> Tensor:
    """Some clips at a time on a CPU, which is two to three times faster there than all at once."""
    rows = max(1, _PIECE // waveform.shape[1])
    if torch.compiler.is_compiling() or waveform.device.type != "cpu" or waveform.shape[0] <= rows:
        return function(waveform, lengths)
    clips = torch.split(waveform, rows)
    ends = [None] * len(clips) if lengths is None else torch.split(lengths, rows)
    return torch.cat([function(*piece) for piece in zip(clips, ends, strict=True)])


def _pad(waveform: Tensor, lengths: Tensor | None, width: int, pad_mode: PadMode) -> Tensor:
    """Extend each clip by ``width`` samples on both sides, ``(B, T + 2 width)``, zeros after that."""
    batch, longest = waveform.shape
    if lengths is None and not torch.compiler.is_compiling() and pad_mode == "reflect" and longest > width:
        return F.pad(waveform[:, None], (width, width), mode="reflect")[:, 0]
    # What follows serves clips of any length, one sample included, in one graph.
    padded = F.pad(waveform, (width, width))
    if lengths is None:
        lengths = torch.full((batch,), longest, device=waveform.device)
    else:
        # In place on what was made here; a product would let NaN through.
        padded.masked_fill_(~length_mask(lengths + width, longest + 2 * width), 0)
    if pad_mode == "constant":
        return padded
    offset = torch.arange(width, device=waveform.device)
    end = lengths[:, None]
    position = torch.cat([(offset - width).expand(batch, width), end + offset], dim=1)
    return padded.scatter_(1, position + width, waveform.gather(1, _reflect(position, end)))


def _reflect(position: Tensor, end: Tensor) -> Tensor:
    """Which sample of 0 .. end - 1 a position outside shows, bouncing as often as it takes.

    A mirror without repeated edge has the period 2 (end - 1); with one sample there is only that.
    """
    period = (2 * end - 2).clamp(min=1)
    phase = position % period
    return torch.minimum(phase, period - phase)


def _spectrum(frames: Tensor, power: float, stages: Sequence[Tensor]) -> Tensor:
    """Magnitude or power of the spectrum, ``(..., n)`` to ``(..., n / 2 + 1)``."""
    squares = (_dft(frames, stages) if stages else torch.view_as_real(torch.fft.rfft(frames))).square()
    squared = squares[..., 0] + squares[..., 1]
    if power == 2:
        return squared
    # The slope of the root is infinite at 0. The smallest normal number is as good as 0 for the
    # value (1e-19 in float32), and clamping cuts the gradient.
    return squared.clamp(min=torch.finfo(squared.dtype).tiny).sqrt()


def dft_stages(
    transform: Transform, n: int, *, device: torch.device | None, dtype: torch.dtype
) -> list[Tensor]:
    r"""Real matrices that make a discrete Fourier transform of n samples, for :func:`_dft`; none for an FFT.

    With :math:`n = P R`, and where K frequencies k of a longer transform are known by then, the P R terms
    of its sum are taken P at a time:

    .. math:: Y'_{k + K k', r} = \sum_{p=0}^{P-1} Y_{k, R p + r} \, e^{-2 \pi i p (k + K k') / (K P)}

    which leaves K P frequencies and R terms. The matrix of k holds the factors, and a complex number is the
    pair of its parts: ``(K, 2 P, 2 P)``, but ``(1, 2 P, P)`` for the first, whose input is real.
    """
    if transform == "fft":
        return []
    # Not get_default_device(), and no float64 on MPS: see mel_filterbank.
    home = torch.empty(0).device if device is None else device
    work = torch.device("cpu") if home.type == "mps" else home
    known = 1
    stages: list[Tensor] = []
    for terms in _factors(n):
        p = torch.arange(terms, device=work)
        frequency = torch.arange(known, device=work)[:, None] + known * p
        # Turns, without the whole ones, which would cost digits of the angle.
        turns = (frequency[..., None] * p) % (known * terms)
        angle = turns.to(torch.float64) * (2 * math.pi / (known * terms))
        real, imaginary = angle.cos(), -angle.sin()
        matrix = torch.cat([real, imaginary], dim=1)
        if stages:
            matrix = torch.cat([matrix, torch.cat([-imaginary, real], dim=1)], dim=2)
        stages.append(matrix.to(home, dtype))
        known *= terms
    return stages


def _factors(n: int) -> list[int]:
    """Factors of n, none above ``_TERMS`` but where n has a larger prime."""
    factors = []
    while n > 1:
        least = next(d for d in range(2, n + 1) if n % d == 0)
        factors.append(max([d for d in range(2, _TERMS + 1) if n % d == 0], default=least))
        n //= factors[-1]
    return factors


def _dft(frames: Tensor, stages: Sequence[Tensor]) -> Tensor:
    """Half of the Fourier transform, ``(..., n)`` to ``(..., n / 2 + 1, 2)``, without complex numbers."""
    # Not shape.numel(), which would fix the batch in an exported program.
    n, count = frames.shape[-1], math.prod(frames.shape[:-1])
    y = frames.reshape(count, n).T
    for stage in stages:
        known, pairs, terms = stage.shape
        y = stage.to(y.dtype) @ y.reshape(known, terms, -1)
        y = y.reshape(known, 2, pairs // 2, -1).permute(2, 0, 1, 3).flatten(0, 1)
    return y[: n // 2 + 1].permute(2, 0, 1).reshape(*frames.shape[:-1], n // 2 + 1, 2)
