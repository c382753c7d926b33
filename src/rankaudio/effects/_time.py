"""Speed, tempo and pitch, with a ratio of its own for each clip."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from rankaudio._checks import check_integer
from rankaudio.effects._batch import bound, check_clips, check_parameter, in_pieces
from rankaudio.effects._rates import resample, stretch
from rankaudio.lengths import zero_beyond

__all__ = ["pitch_shift", "speed", "tempo"]

SLOWEST, FASTEST = 0.1, 10.0
MOST_CENTS = 2400.0


def speed(
    waveform: Tensor,
    lengths: Tensor | None = None,
    *,
    factor: Tensor | float,
    size: int | None = None,
) -> tuple[Tensor, Tensor]:
    r"""Play each clip faster or slower; pitch follows, as with a tape.

    .. math:: y_b[n] = x_b(f_b\, n), \qquad \ell'_b = \max(1, \lfloor \ell_b / f_b + \tfrac12 \rfloor)

    where :math:`x(t)` is the band-limited signal through the samples, low-passed where speeding up
    would alias. Every ratio costs the same: blocks are oversampled by FFT, then read at fractional
    positions with a kernel of five taps.

    Args:
        waveform: ``(B, T)`` floating point.
        lengths: ``(B,)`` integers, in samples; None: every clip is T long.
        factor: :math:`f`, 0.1 to 10, one number for all or a tensor ``(B,)``; 1.1 is a tenth faster.
        size: samples of the result; what is longer is cut. None: as many as the longest new length
            needs, which a tensor on an accelerator makes the host wait for, and a compiler cannot know.

    Returns:
        New waveform ``(B, size)``, zero beyond each new length, and new lengths ``(B,)``.

    Raises:
        TypeError: if the waveform is not floating point, lengths are no integers, or ``factor`` is no number.
        ValueError: if shapes or devices disagree, or a value lies outside its range.

    Reference:
        The definition is that of ``sox speed``; the method that of A. Dutt and V. Rokhlin, Fast Fourier
        transforms for nonequispaced data (1993).

    >>> faster, lengths = speed(torch.randn(2, 1000), torch.tensor([1000, 500]), factor=1.25)
    >>> faster.shape, lengths
    (torch.Size([2, 800]), tensor([800, 400]))
    """
    clips, real = check_clips(waveform, lengths)
    ratio = check_parameter("factor", factor, clips, SLOWEST, FASTEST)
    size = _new_size(clips, factor, size)
    result = in_pieces(lambda piece, f: resample(piece, f, size=size), clips, ratio)
    return _finish(result, waveform, lengths, _new_lengths(clips, real, ratio, size))


def tempo(
    waveform: Tensor,
    lengths: Tensor | None = None,
    *,
    factor: Tensor | float,
    n_fft: int = 1536,
    size: int | None = None,
) -> tuple[Tensor, Tensor]:
    r"""Play each clip faster or slower at the same pitch.

    A phase vocoder: frames of ``n_fft`` samples, :math:`h = \text{n\_fft} / 3` apart, have the magnitudes
    that the clip has there and phases that advance as the clip's do,

    .. math:: |Y_j| = |X(a_j)|, \qquad \arg Y_j - \arg Y_{j - 1} = \arg X(a_j) - \arg X(a_j - h), \qquad
        a_j = \mathrm{round}(\alpha j h)

    for the factor :math:`\alpha` and the transform :math:`X(t)` of the frame around sample :math:`t`. At an
    onset, where a band of a frame has four times the energy of the one before, phases start anew from the
    clip's own, so that a click stays a click. New lengths are those of :func:`speed`.

    Args:
        waveform: ``(B, T)`` floating point.
        lengths: ``(B,)`` integers, in samples; None: every clip is T long.
        factor: 0.1 to 10, one number for all or a tensor ``(B,)``; 1.1 is a tenth faster.
        n_fft: samples of a frame, a multiple of 6; tones closer than about four periods of it blend.
        size: samples of the result, see :func:`speed`.

    Returns:
        New waveform ``(B, size)``, zero beyond each new length, and new lengths ``(B,)``.

    Raises:
        TypeError: if the waveform is not floating point, lengths are no integers, or ``factor`` is no number.
        ValueError: if shapes or devices disagree, or a value lies outside its range.

    Reference:
        J. Laroche and M. Dolson, Improved phase vocoder time-scale modification of audio (1999);
        A. Röbel, A new approach to transient processing in the phase vocoder (2003), here per band.

    >>> slower, lengths = tempo(torch.randn(1, 8000), factor=0.8)
    >>> slower.shape, lengths
    (torch.Size([1, 10000]), tensor([10000]))
    """
    clips, real = check_clips(waveform, lengths)
    ratio = check_parameter("factor", factor, clips, SLOWEST, FASTEST)
    check_n_fft(n_fft)
    size = _new_size(clips, factor, size)
    result = in_pieces(lambda piece, f: stretch(piece, f, size=size, n_fft=n_fft), clips, ratio)
    return _finish(result, waveform, lengths, _new_lengths(clips, real, ratio, size))


def pitch_shift(
    waveform: Tensor,
    lengths: Tensor | None = None,
    *,
    cents: Tensor | float,
    n_fft: int = 1536,
) -> tuple[Tensor, Tensor | None]:
    r"""Raise or lower each clip's pitch; its length stays.

    :func:`speed` by :math:`2^{c / 1200}`, then :func:`tempo` back by the same factor.

    Args:
        waveform: ``(B, T)`` floating point.
        lengths: ``(B,)`` integers, in samples; None: every clip is T long.
        cents: :math:`c`, -2400 to 2400, hundredths of a semitone, one number for all or a tensor ``(B,)``.
        n_fft: samples of a frame, see :func:`tempo`.

    Returns:
        New waveform ``(B, T)``, zero beyond each length, and ``lengths`` as they came.

    Raises:
        TypeError: if the waveform is not floating point, lengths are no integers, or ``cents`` is no number.
        ValueError: if shapes or devices disagree, or a value lies outside its range.

    >>> tone = torch.sin(torch.arange(44100) * (2 * torch.pi * 440 / 44100))[None]
    >>> octave, _ = pitch_shift(tone, cents=1200)
    >>> torch.fft.rfft(octave).abs().argmax()
    tensor(880)
    """
    clips, real = check_clips(waveform, lengths)
    ratio = 2 ** (check_parameter("cents", cents, clips, -MOST_CENTS, MOST_CENTS) / 1200)
    check_n_fft(n_fft)
    samples = clips.shape[1]
    slowest = 2 ** (bound(cents, -MOST_CENTS, largest=False) / 1200)
    between = math.ceil(samples / slowest) + 1

    def some_clips(piece: Tensor, f: Tensor, ends: Tensor) -> Tensor:
        # What rings on after the end would be cut at another place in a longer batch.
        faster = zero_beyond(resample(piece, f, size=between), ends)
        return stretch(faster, 1 / f, size=samples, n_fft=n_fft)

    shifted = in_pieces(some_clips, clips, ratio, _new_lengths(clips, real, ratio, between))
    return zero_beyond(shifted, real).to(waveform.dtype), lengths


def _new_size(clips: Tensor, factor: Tensor | float, size: int | None) -> int:
    """Samples of the result: asked for, known from a number, or read from the factors."""
    if size is not None:
        return check_integer("size", size)
    smallest = float(factor.min()) if isinstance(factor, Tensor) and factor.numel() else factor
    return 1 if isinstance(smallest, Tensor) else max(1, math.floor(clips.shape[1] / smallest + 0.5))


def _new_lengths(clips: Tensor, lengths: Tensor | None, ratio: Tensor, size: int) -> Tensor:
    """Lengths of the clips when played ``ratio`` times as fast."""
    if lengths is None:
        lengths = torch.full(clips.shape[:1], clips.shape[1], device=clips.device)
    return torch.floor(lengths / ratio + 0.5).long().clamp(1, size)


def _finish(result: Tensor, waveform: Tensor, lengths: Tensor | None, new: Tensor) -> tuple[Tensor, Tensor]:
    new_lengths = new if lengths is None else new.to(lengths.dtype)
    return zero_beyond(result, new).to(waveform.dtype), new_lengths


def check_n_fft(n_fft: object) -> int:
    """Refuse frames that cannot be cut into halves and thirds."""
    size = check_integer("n_fft", n_fft, 16)
    if size % 6:
        raise ValueError(f"n_fft: wanted a multiple of 6, got {n_fft!r}")
    return size
