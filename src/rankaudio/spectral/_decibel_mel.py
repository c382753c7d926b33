"""Mel spectrograms in decibels, as function and as frontend."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Literal

import torch
from torch import Tensor

from rankaudio._checks import check_choice, check_number
from rankaudio.lengths import PadMode, frame_lengths
from rankaudio.spectral._decibels import power_to_db
from rankaudio.spectral._dft import Transform
from rankaudio.spectral._filterbank import MelScale, Norm
from rankaudio.spectral._log_mel import LogMel, log_mel

DecibelReference = float | Literal["max"]


def decibel_mel(
    waveform: Tensor,
    lengths: Tensor | None = None,
    *,
    sample_rate: int = 44100,
    n_fft: int = 2560,
    hop_length: int = 690,
    n_mels: int = 128,
    f_min: float = 20.0,
    f_max: float | None = None,
    mel_scale: MelScale = "slaney",
    norm: Norm = "slaney",
    ref: DecibelReference = 1.0,
    amin: float = 1e-10,
    top_db: float | None = 80.0,
    scale: float = 1.0,
    pad_mode: PadMode = "reflect",
    transform: Transform = "fft",
) -> Tensor:
    r"""Mel spectrogram in decibels, cut off at a distance below each clip's own maximum.

    .. math:: y = c \, \max\Bigl(z, \; \max z - \mathit{top\_db}\Bigr), \qquad
        z = 10 \log_{10} \frac{\max(x, \mathit{amin})}{\max(\mathit{ref}, \mathit{amin})}

    with the power :math:`x_{m,j} = \sum_k w_{m,k} \lvert X_{k,j} \rvert^2` of :func:`log_mel`. With
    ``lengths``, the maximum is over the clip's own frames, and the reflection is at the clip's own end.

    Args:
        waveform: ``(B, T)`` floating point, mono.
        lengths: ``(B,)`` integers, samples of each clip; ``None`` is all of it.
        sample_rate: in Hz.
        n_fft: even; samples in a frame.
        hop_length: samples from one frame to the next.
        n_mels: :math:`F`, number of bands.
        f_min: lower end of the lowest band, in Hz.
        f_max: upper end of the highest band, in Hz; ``None`` is half the sample rate.
        mel_scale: ``"slaney"`` or ``"htk"``.
        norm: ``"slaney"`` (bands of equal area) or ``"none"`` (of height 1).
        ref: the power that is 0 dB, or ``"max"`` for the maximum of each clip.
        amin: the smallest power; everything below counts as this power.
        top_db: decibels kept below the maximum of the clip; ``None`` keeps all.
        scale: :math:`c`, a factor of the result.
        pad_mode: ``"reflect"``, ``"constant"`` (zeros) or ``"same"``, as in :func:`log_mel`.
        transform: ``"fft"`` or ``"matmul"``, as in :func:`log_mel`.

    Returns:
        ``(B, F, N)`` with N as for :func:`log_mel`; float64 for a float64 waveform, else float32. Frames
        beyond those of a clip's length hold what silence has there, the lowest value that a clip with this
        maximum can show. Digital silence is constant, and its gradient is 0. With ``ref="max"``, a clip
        without any power above ``amin`` has no maximum to refer to. All of it is at the floor,
        ``-scale * top_db``, because nothing in it is loud. Without ``top_db`` it is
        ``scale * 10 * log10(amin)``.

    Raises:
        TypeError: if the waveform is not floating point, or a setting has another type.
        ValueError: if the waveform is not ``(B, T)`` with at least one sample, lengths do not fit it, or a
            setting is out of range.

    Reference:
        The first-place system of Freesound Audio Tagging 2019, whose settings are the defaults. That system
        divides by 100, which is ``scale=0.01``. The second-place system has ``n_fft=1024``,
        ``hop_length=512``, ``n_mels=64``, ``f_min=0``, ``ref="max"`` and ``pad_mode="same"``. Its silence
        is 0 dB, as loud as the loudest sound.

    >>> decibel_mel(torch.zeros(1, 44100)).unique()
    tensor([-100.])
    >>> decibel_mel(torch.randn(2, 44100), ref="max").amax((1, 2))
    tensor([0., 0.])
    >>> decibel_mel(torch.zeros(1, 44100), ref="max").unique()
    tensor([-80.])
    """
    _check_decibels(ref=ref, amin=amin, top_db=top_db, scale=scale)
    power = log_mel(
        waveform,
        lengths,
        sample_rate=sample_rate,
        n_fft=n_fft,
        hop_length=hop_length,
        n_mels=n_mels,
        f_min=f_min,
        f_max=f_max,
        mel_scale=mel_scale,
        norm=norm,
        power=2.0,
        eps=None,
        pad_mode=pad_mode,
        transform=transform,
    )
    frames = None if lengths is None else frame_lengths(lengths, hop_length=hop_length, pad_mode=pad_mode)
    return _decibels(power, frames, ref=ref, amin=amin, top_db=top_db, scale=scale)


@dataclass(eq=False, repr=False, kw_only=True)
class DecibelMel(LogMel):
    """Module form of :func:`decibel_mel`, which holds the definition and the shapes.

    Args:
        sample_rate: as in the function.
        n_fft: as in the function.
        hop_length: as in the function.
        pad_mode: as in the function.
        transform: as in the function.
        n_mels: as in the function.
        f_min: as in the function.
        f_max: as in the function.
        mel_scale: as in the function.
        norm: as in the function.
        ref: as in the function.
        amin: as in the function.
        top_db: as in the function.
        scale: as in the function.

    >>> frontend = DecibelMel(scale=0.01)
    >>> frontend(torch.zeros(2, 44100)).shape, frontend.descriptor
    (torch.Size([2, 128, 64]), 'mel_2560_690_128')
    >>> frontend.frame_lengths(torch.tensor([44100, 1]))
    tensor([64,  1])
    >>> frontend.settings()["top_db"]
    80.0
    """

    n_fft: int = 2560
    hop_length: int = 690
    f_min: float = 20.0
    power: float = field(default=2.0, init=False)
    eps: float | None = field(default=None, init=False)
    ref: DecibelReference = 1.0
    amin: float = 1e-10
    top_db: float | None = 80.0
    scale: float = 1.0

    def __post_init__(self) -> None:
        super().__post_init__()
        _check_decibels(ref=self.ref, amin=self.amin, top_db=self.top_db, scale=self.scale)

    def forward(self, waveform: Tensor, lengths: Tensor | None = None) -> Tensor:
        """Return the spectrogram ``(B, F, N)`` of clips ``(B, T)``."""
        power = super().forward(waveform, lengths)
        frames = None if lengths is None else self.frame_lengths(lengths)
        return _decibels(power, frames, ref=self.ref, amin=self.amin, top_db=self.top_db, scale=self.scale)


def _check_decibels(*, ref: object, amin: object, top_db: object, scale: object) -> None:
    if isinstance(ref, str):
        check_choice("ref", ref, ("max",))
    else:
        check_number("ref", ref, 0)
    check_number("amin", amin, 1e-30)
    if top_db is not None:
        check_number("top_db", top_db, 0)
    check_number("scale", scale)


def _decibels(
    power: Tensor,
    frames: Tensor | None,
    *,
    ref: DecibelReference,
    amin: float,
    top_db: float | None,
    scale: float,
) -> Tensor:
    if ref != "max":
        return scale * power_to_db(power, frames, ref=float(ref), amin=amin, top_db=top_db)
    db = power_to_db(power, frames, amin=amin, top_db=top_db)
    highest = db.amax((1, 2), keepdim=True)
    # The floor of a clip in which nothing is above the smallest power. NaN is no silence.
    silence = 10 * math.log10(amin) if top_db is None else -top_db
    return scale * torch.where(power.amax((1, 2), keepdim=True) <= amin, silence, db - highest)
