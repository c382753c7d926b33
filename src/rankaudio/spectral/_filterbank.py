"""Mel bands: the weights that sum the bins of a spectrum."""

from __future__ import annotations

import math
from typing import Literal

import torch
from torch import Tensor

from rankaudio._checks import check_choice, check_device, check_integer, check_number

MelScale = Literal["slaney", "htk"]
Norm = Literal["slaney", "none"]
SCALES: tuple[MelScale, ...] = ("slaney", "htk")
NORMS: tuple[Norm, ...] = ("slaney", "none")

# Six minutes at 44.1 kHz. A longer frame is a mistake, or a file that asks for any memory.
_LONGEST_FRAME = 2**24

# Slaney's scale is linear up to 1 kHz (3 mel per 200 Hz) and logarithmic above (27 mel per factor 6.4).
_HZ_PER_MEL = 200 / 3
_BREAK_HZ, _BREAK_MEL = 1000.0, 15.0
_LOG_STEP = math.log(6.4) / 27


def mel_filterbank(
    *,
    sample_rate: int = 44100,
    n_fft: int = 2048,
    n_mels: int = 128,
    f_min: float = 5.0,
    f_max: float | None = None,
    mel_scale: MelScale = "slaney",
    norm: Norm = "slaney",
    device: torch.device | str | None = None,
    dtype: torch.dtype = torch.float32,
) -> Tensor:
    r"""Return the weights that sum the bins of a Fourier transform into mel bands.

    .. math:: w_{m,k} = a_m \max\Bigl(0, \min\Bigl(\frac{f_k - c_{m}}{c_{m+1} - c_{m}},
        \frac{c_{m+2} - f_k}{c_{m+2} - c_{m+1}}\Bigr)\Bigr), \qquad f_k = \frac{k \, r}{n}

    The corners :math:`c_0, \dots, c_{M+1}` are evenly spaced on the mel scale from ``f_min`` to ``f_max``.
    The norm ``"slaney"`` gives every triangle the same area in Hz, :math:`a_m = 2 / (c_{m+2} - c_m)`.
    The norm ``"none"`` gives every triangle the height 1.

    Args:
        sample_rate: :math:`r`, in Hz.
        n_fft: :math:`n`, even; samples in a frame.
        n_mels: :math:`M`, number of bands.
        f_min: lower end of the lowest band, in Hz.
        f_max: upper end of the highest band, in Hz; ``None`` is half the sample rate.
        mel_scale: ``"slaney"`` (linear below 1 kHz) or ``"htk"``, :math:`2595 \log_{10}(1 + f/700)`.
        norm: ``"slaney"`` or ``"none"``.
        device: device of the result; ``None`` is PyTorch's default device.
        dtype: dtype of the result. The computation is in float64.

    Returns:
        ``(M, n / 2 + 1)``. A band between two bins is all zeros, so its energy is always 0. Many bands and a
        short frame have such bands; there is no warning.

    Raises:
        TypeError: if a setting has another type.
        ValueError: if a setting is out of range: an odd ``n_fft``, an unknown scale or norm, or an ``f_max``
            that is above half the sample rate or not above ``f_min``.

    Reference:
        Slaney, Auditory Toolbox, 1998; Young et al., The HTK Book. The same numbers as
        ``librosa.filters.mel``.

    >>> mel_filterbank(sample_rate=8000, n_fft=8, n_mels=2, f_min=0, norm="none")
    tensor([[0.0000, 0.7826, 0.0000, 0.0000, 0.0000],
            [0.0000, 0.2174, 0.9037, 0.4518, 0.0000]])
    """
    f_max = check_band(sample_rate=sample_rate, n_fft=n_fft, n_mels=n_mels, f_min=f_min, f_max=f_max)
    check_scale(mel_scale=mel_scale, norm=norm)
    target, work = target_and_work_device(device)
    if target.type == "meta":  # arange on meta would import torch._dynamo, which takes seconds
        return torch.empty(n_mels, n_fft // 2 + 1, device=target, dtype=dtype)

    to_mel, to_hz = (_slaney_mel, _slaney_hz) if mel_scale == "slaney" else (_htk_mel, _htk_hz)
    steps = torch.arange(n_mels + 2, dtype=torch.float64, device=work) / (n_mels + 1)
    low, high = to_mel(f_min), to_mel(f_max)
    corners = to_hz(low + (high - low) * steps)[:, None]
    bins = torch.arange(n_fft // 2 + 1, dtype=torch.float64, device=work) * (sample_rate / n_fft)

    left, top, right = corners[:-2], corners[1:-1], corners[2:]
    weights = torch.minimum((bins - left) / (top - left), (right - bins) / (right - top)).clamp(min=0)
    if norm == "slaney":
        weights = weights * (2 / (right - left))
    return weights.to(target, dtype)


def target_and_work_device(device: torch.device | str | None) -> tuple[torch.device, torch.device]:
    """Return the device of a constant, and the device that can compute the constant in float64."""
    # Before torch 2.8, get_default_device() does not see `with torch.device(...)`.
    target = torch.empty(0).device if device is None else check_device("device", device)
    # MPS has no float64.
    return target, torch.device("cpu") if target.type == "mps" else target


def check_frames(*, n_fft: object, hop_length: object) -> None:
    """Check the frame settings. A frame is centred on a sample, so its size is even."""
    if check_integer("n_fft", n_fft, 2, _LONGEST_FRAME) % 2:
        raise ValueError(f"n_fft: wanted an even integer, got {n_fft!r}")
    check_integer("hop_length", hop_length)


def check_band(
    *, sample_rate: object, n_fft: object, n_mels: object, f_min: object, f_max: float | None
) -> float:
    """Check the sizes and frequencies of a filterbank, and return its upper end in Hz."""
    nyquist = check_integer("sample_rate", sample_rate) / 2
    check_frames(n_fft=n_fft, hop_length=1)
    check_integer("n_mels", n_mels)
    low = check_number("f_min", f_min, 0, nyquist)
    high = nyquist if f_max is None else check_number("f_max", f_max, 0, nyquist)
    if low >= high:
        raise ValueError(f"f_max: wanted more than f_min, {low:g} Hz, got {high:g} Hz")
    return high


def check_scale(*, mel_scale: object, norm: object) -> None:
    """Check the names of the mel scale and the norm."""
    check_choice("mel_scale", mel_scale, SCALES)
    check_choice("norm", norm, NORMS)


def _slaney_mel(hz: float) -> float:
    if hz < _BREAK_HZ:
        return hz / _HZ_PER_MEL
    return _BREAK_MEL + math.log(hz / _BREAK_HZ) / _LOG_STEP


def _slaney_hz(mel: Tensor) -> Tensor:
    curved = _BREAK_HZ * torch.exp(_LOG_STEP * (mel - _BREAK_MEL))
    return torch.where(mel < _BREAK_MEL, _HZ_PER_MEL * mel, curved)


def _htk_mel(hz: float) -> float:
    return 2595 * math.log10(1 + hz / 700)


def _htk_hz(mel: Tensor) -> Tensor:
    return 700 * (10 ** (mel / 2595) - 1)
