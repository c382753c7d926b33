"""Pitch shift: the pitch changes, and the length stays."""

from __future__ import annotations

import math

from torch import Tensor

from rankaudio._checks import check_waveform
from rankaudio.effects._base import Parameters, RandomEffect, change_padded, silence_padding
from rankaudio.effects._chunks import in_chunks
from rankaudio.effects._parameters import Range, check_parameters, largest, smallest
from rankaudio.effects._resample import resample
from rankaudio.effects._speed import lengths_after
from rankaudio.effects._vocoder import check_n_fft, stretch

LIMITS = {"cents": (-2400.0, 2400.0)}


def pitch_shift(
    waveform: Tensor,
    lengths: Tensor | None = None,
    *,
    cents: Tensor | float,
    n_fft: int = 1536,
) -> tuple[Tensor, Tensor | None]:
    r"""Raise or lower the pitch of each clip; the length stays.

    This is :func:`speed` by :math:`2^{c / 1200}`, then :func:`tempo` by the inverse factor.

    Args:
        waveform: ``(B, T)`` floating point.
        lengths: ``(B,)`` integers, in samples; None: every clip is T long.
        cents: :math:`c`, -2400 to 2400 hundredths of a semitone, one number for all clips or a tensor
            ``(B,)``.
        n_fft: samples of a frame, as in :func:`tempo`.

    Returns:
        New waveform ``(B, T)``, zero after each length, and the same ``lengths``.

    Raises:
        TypeError: if the waveform is not floating point, lengths are not integers, or ``cents`` is not a
            number.
        ValueError: if shapes or devices disagree, or a value is out of range.

    >>> tone = torch.sin(torch.arange(44100) * (2 * torch.pi * 440 / 44100))[None]
    >>> octave, _ = pitch_shift(tone, cents=1200)
    >>> torch.fft.rfft(octave).abs().argmax()
    tensor(880)
    """
    clips, real = check_waveform(waveform, lengths)
    each = check_parameters({"cents": cents}, LIMITS, clips)
    check_n_fft(n_fft)
    low, high = LIMITS["cents"]
    limits = smallest(cents, low), largest(cents, high)

    def change(some: Tensor, ends: Tensor | None, drawn: Parameters) -> tuple[Tensor, Tensor | None]:
        return shift_pitch(some, ends, cents=drawn["cents"], limits=limits, n_fft=n_fft), ends

    shifted = change_padded(change, clips, real, each, size=clips.shape[1])
    return shifted.to(waveform.dtype), lengths


class PitchShift(RandomEffect):
    """Module form of :func:`pitch_shift`, which holds the definition; in eval mode it does nothing.

    Args:
        p: probability that a clip gets the effect.
        cents: lowest and highest shift, drawn for each clip.
        n_fft: samples of a frame.

    >>> PitchShift(p=1.0)(torch.randn(2, 4000))[0].shape
    torch.Size([2, 4000])
    """

    def __init__(self, *, p: float = 0.5, cents: Range = (-300.0, 300.0), n_fft: int = 1536) -> None:
        super().__init__({"cents": cents}, LIMITS, p=p)
        self.n_fft: int = check_n_fft(n_fft)

    def _change(
        self, clips: Tensor, lengths: Tensor | None, parameters: dict[str, Tensor]
    ) -> tuple[Tensor, Tensor | None]:
        return shift_pitch(
            clips, lengths, **parameters, limits=self.ranges["cents"], n_fft=self.n_fft
        ), lengths

    def extra_repr(self) -> str:
        """Show the settings."""
        return f"{super().extra_repr()}, n_fft={self.n_fft}"


def shift_pitch(clips: Tensor, lengths: Tensor | None, *, cents: Tensor, limits: Range, n_fft: int) -> Tensor:
    """Apply the effect to clips that are checked and masked. All shifts are within ``limits``."""
    factor: Tensor = 2 ** (cents / 1200)
    slowest, fastest = (2 ** (limit / 1200) for limit in (smallest(cents, limits[0]), limits[1]))
    samples = clips.shape[1]
    most_samples = math.ceil(samples / slowest) + 1

    def shift(chunk: Tensor, f: Tensor, ends: Tensor) -> Tensor:
        # The filter rings on after the end. A longer batch would cut this at another place.
        played = silence_padding(resample(chunk, f, size=most_samples, fastest=fastest), ends)
        return stretch(played, 1 / f, size=samples, n_fft=n_fft)

    ends = lengths_after(clips, lengths, factor=factor, size=most_samples)
    return silence_padding(in_chunks(shift, clips, factor, ends), lengths)
