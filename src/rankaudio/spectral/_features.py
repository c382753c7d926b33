"""Spectrograms as functions of a batch of clips."""

from __future__ import annotations

import torch
from torch import Tensor

from rankaudio._checks import check_waveform
from rankaudio.spectral._bands import MelScale, Norm, mel_filterbank
from rankaudio.spectral._stft import (
    PadMode,
    Transform,
    check_eps,
    check_settings,
    dft_stages,
    spectrogram,
)


def log_mel(
    waveform: Tensor,
    lengths: Tensor | None = None,
    *,
    sample_rate: int = 44100,
    n_fft: int = 2048,
    hop_length: int = 1024,
    n_mels: int = 128,
    f_min: float = 5.0,
    f_max: float | None = None,
    mel_scale: MelScale = "slaney",
    norm: Norm = "slaney",
    power: float = 1.0,
    eps: float | None = 1e-4,
    pad_mode: PadMode = "reflect",
    transform: Transform = "fft",
) -> Tensor:
    r"""Log-mel spectrogram: the natural logarithm of what each mel band holds.

    .. math:: y_{m,j} = \log\Bigl(\varepsilon + \sum_k w_{m,k} \lvert X_{k,j} \rvert^p\Bigr), \qquad
        X_{k,j} = \sum_{t=0}^{n-1} h_t \, x_{jH + t - n/2} \, e^{-2 \pi i k t / n}

    with the periodic Hann window :math:`h` and the bands :math:`w` of :func:`mel_filterbank`. Beyond
    its two ends a clip goes on as its mirror image, or as zeros; with ``lengths``, beyond its own end.

    Args:
        waveform: ``(B, T)`` floating point, mono.
        lengths: ``(B,)`` integers, samples of each clip; ``None`` is all of it.
        sample_rate: in Hz.
        n_fft: :math:`n`, even; samples in a frame.
        hop_length: :math:`H`, samples from one frame to the next.
        n_mels: :math:`F`, number of bands.
        f_min: lower end of the lowest band, in Hz.
        f_max: upper end of the highest band, in Hz; ``None`` is half the sample rate.
        mel_scale: ``"slaney"`` or ``"htk"``.
        norm: ``"slaney"`` (bands of equal area) or ``"none"`` (of height 1).
        power: :math:`p`, 1 for magnitude or 2 for power.
        eps: :math:`\varepsilon`, added before the logarithm; ``None`` takes no logarithm, which is
            what :func:`power_to_db` wants.
        pad_mode: ``"reflect"`` or ``"constant"`` (zeros).
        transform: how :math:`X` is summed: ``"fft"``, or ``"matmul"``, products of real matrices, for
            programs exported to where there are no complex numbers. The same numbers but for rounding, in
            about three times the time.

    Returns:
        ``(B, F, N)`` with :math:`N = \lfloor T / H \rfloor + 1` frames; float64 for a float64
        waveform, else float32. Frames beyond those of a clip's length are those of digital silence,
        ``log(eps)``, or 0 without logarithm. A clip shorter than the window is mirrored again and
        again; the mirror image of a single sample is itself. At digital silence the gradient is 0.
        In float32 the window is that of ``torch.hann_window``, 2e-7 off the exact one, because the
        published models were trained on it; in float64 it is exact.

    Raises:
        TypeError: if the waveform is not floating point, or a setting has another type.
        ValueError: if the waveform is not ``(B, T)`` with at least one sample, lengths do not fit
            it, or a setting is out of range (see :func:`mel_filterbank`).

    Reference:
        The third-place system of Freesound Audio Tagging 2019, whose settings are the defaults.

    >>> log_mel(torch.zeros(2, 44100)).shape
    torch.Size([2, 128, 44])
    """
    waveform, lengths = check_waveform(waveform, lengths)
    check_settings(n_fft=n_fft, hop_length=hop_length, power=power, pad_mode=pad_mode, transform=transform)
    filterbank = mel_filterbank(
        sample_rate=sample_rate,
        n_fft=n_fft,
        n_mels=n_mels,
        f_min=f_min,
        f_max=f_max,
        mel_scale=mel_scale,
        norm=norm,
        device=waveform.device,
        dtype=waveform.dtype,
    )
    return spectrogram(
        waveform,
        lengths,
        window=torch.hann_window(n_fft, device=waveform.device, dtype=waveform.dtype),
        filterbank=filterbank,
        hop_length=hop_length,
        power=power,
        eps=None if eps is None else check_eps(eps),
        pad_mode=pad_mode,
        stages=dft_stages(transform, n_fft, device=waveform.device, dtype=waveform.dtype),
    )


def log_stft(
    waveform: Tensor,
    lengths: Tensor | None = None,
    *,
    n_fft: int = 256,
    hop_length: int = 128,
    power: float = 1.0,
    eps: float | None = 1e-4,
    pad_mode: PadMode = "reflect",
    transform: Transform = "fft",
) -> Tensor:
    r"""Logarithm of a short-time Fourier transform, every bin for itself.

    .. math:: y_{k,j} = \log\bigl(\varepsilon + \lvert X_{k,j} \rvert^p\bigr)

    with :math:`X` as in :func:`log_mel`. With a short window it keeps the fine structure in time
    that mel bands smear, and is the input of one-dimensional convolutions over its bins.

    Args:
        waveform: ``(B, T)`` floating point, mono.
        lengths: ``(B,)`` integers, samples of each clip; ``None`` is all of it.
        n_fft: :math:`n`, even; samples in a frame.
        hop_length: :math:`H`, samples from one frame to the next.
        power: :math:`p`, 1 for magnitude or 2 for power.
        eps: :math:`\varepsilon`, added before the logarithm; ``None`` takes no logarithm.
        pad_mode: ``"reflect"`` or ``"constant"`` (zeros).
        transform: ``"fft"`` or ``"matmul"``, as in :func:`log_mel`.

    Returns:
        ``(B, n / 2 + 1, N)``, else as for :func:`log_mel`.

    Raises:
        TypeError: if the waveform is not floating point, or a setting has another type.
        ValueError: if the waveform is not ``(B, T)`` with at least one sample, lengths do not fit
            it, or a setting is out of range.

    Reference:
        The third-place system of Freesound Audio Tagging 2019, whose settings are the defaults.

    >>> log_stft(torch.zeros(2, 44100)).shape
    torch.Size([2, 129, 345])
    """
    waveform, lengths = check_waveform(waveform, lengths)
    check_settings(n_fft=n_fft, hop_length=hop_length, power=power, pad_mode=pad_mode, transform=transform)
    return spectrogram(
        waveform,
        lengths,
        window=torch.hann_window(n_fft, device=waveform.device, dtype=waveform.dtype),
        hop_length=hop_length,
        power=power,
        eps=None if eps is None else check_eps(eps),
        pad_mode=pad_mode,
        stages=dft_stages(transform, n_fft, device=waveform.device, dtype=waveform.dtype),
    )
