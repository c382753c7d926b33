"""Mel bands, decibels and deltas: what is made of the bins of a spectrum."""

from __future__ import annotations

import math
from typing import Literal

import torch
from torch import Tensor, nn

from rankaudio._checks import (
    check_choice,
    check_floating,
    check_integer,
    check_lengths,
    check_number,
    describe,
)
from rankaudio._precision import full_precision
from rankaudio.lengths import zero_beyond

MelScale = Literal["slaney", "htk"]
Norm = Literal["slaney", "none"]
SCALES: tuple[MelScale, ...] = ("slaney", "htk")
NORMS: tuple[Norm, ...] = ("slaney", "none")

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
    r"""Weights that sum the bins of a Fourier transform into mel bands.

    .. math:: w_{m,k} = a_m \max\Bigl(0, \min\Bigl(\frac{f_k - c_{m}}{c_{m+1} - c_{m}},
        \frac{c_{m+2} - f_k}{c_{m+2} - c_{m+1}}\Bigr)\Bigr), \qquad f_k = \frac{k \, r}{n}

    where :math:`c_0, \dots, c_{M+1}` lie evenly on the mel scale from ``f_min`` to ``f_max``. The
    norm ``"slaney"`` gives every triangle the same area in Hz, :math:`a_m = 2 / (c_{m+2} - c_m)`;
    ``"none"`` gives it the height 1.

    Args:
        sample_rate: :math:`r`, in Hz.
        n_fft: :math:`n`, even; samples in a frame.
        n_mels: :math:`M`, number of bands.
        f_min: lower end of the lowest band, in Hz.
        f_max: upper end of the highest band, in Hz; ``None`` is half the sample rate.
        mel_scale: ``"slaney"`` (linear below 1 kHz) or ``"htk"``, :math:`2595 \log_{10}(1 + f/700)`.
        norm: ``"slaney"`` or ``"none"``.
        device: where the result lies; ``None`` is PyTorch's default device.
        dtype: of the result; the computation is in float64.

    Returns:
        ``(M, n / 2 + 1)``. A band so narrow that it lies between two bins is all zeros: its energy
        is 0 whatever the sound. That happens, without a warning, with many bands and a short frame.

    Raises:
        TypeError: if a setting has another type.
        ValueError: if a setting is out of range: an odd ``n_fft``, ``f_max`` above half the sample
            rate or not above ``f_min``, a scale or norm that does not exist.

    Reference:
        Slaney, Auditory Toolbox, 1998; Young et al., The HTK Book. The same numbers as
        ``librosa.filters.mel``.

    >>> mel_filterbank(sample_rate=8000, n_fft=8, n_mels=2, f_min=0, norm="none")
    tensor([[0.0000, 0.7826, 0.0000, 0.0000, 0.0000],
            [0.0000, 0.2174, 0.9037, 0.4518, 0.0000]])
    """
    f_max = check_band(sample_rate=sample_rate, n_fft=n_fft, n_mels=n_mels, f_min=f_min, f_max=f_max)
    check_choice("mel_scale", mel_scale, SCALES)
    check_choice("norm", norm, NORMS)
    # Not get_default_device(): before torch 2.8 it does not know of `with torch.device(...)`.
    home = torch.empty(0).device if device is None else torch.device(device)
    # MPS has no float64, in which everything is computed.
    work = torch.device("cpu") if home.type == "mps" else home

    to_mel, to_hz = (_slaney_mel, _slaney_hz) if mel_scale == "slaney" else (_htk_mel, _htk_hz)
    steps = torch.arange(n_mels + 2, dtype=torch.float64, device=work) / (n_mels + 1)
    low, high = to_mel(f_min), to_mel(f_max)
    corners = to_hz(low + (high - low) * steps)[:, None]
    bins = torch.arange(n_fft // 2 + 1, dtype=torch.float64, device=work) * (sample_rate / n_fft)

    left, top, right = corners[:-2], corners[1:-1], corners[2:]
    weights = torch.minimum((bins - left) / (top - left), (right - bins) / (right - top)).clamp(min=0)
    if norm == "slaney":
        weights = weights * (2 / (right - left))
    return weights.to(home, dtype)


def check_frames(*, n_fft: object, hop_length: object) -> None:
    """A frame has an even number of samples, so that it has a middle to be centred on."""
    if check_integer("n_fft", n_fft, 2) % 2:
        raise ValueError(f"n_fft: wanted an even integer, got {n_fft!r}")
    check_integer("hop_length", hop_length)


def check_band(
    *, sample_rate: object, n_fft: object, n_mels: object, f_min: object, f_max: float | None
) -> float:
    """Check what a filterbank is made of, and return its upper end in Hz."""
    nyquist = check_integer("sample_rate", sample_rate) / 2
    check_frames(n_fft=n_fft, hop_length=1)
    check_integer("n_mels", n_mels)
    low = check_number("f_min", f_min, 0, nyquist)
    high = nyquist if f_max is None else check_number("f_max", f_max, 0, nyquist)
    if low >= high:
        raise ValueError(f"f_max: wanted more than f_min, {low:g} Hz, got {high:g} Hz")
    return high


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


def power_to_db(
    spectrogram: Tensor,
    lengths: Tensor | None = None,
    *,
    ref: float = 1.0,
    amin: float = 1e-10,
    top_db: float | None = 80.0,
) -> Tensor:
    r"""Power in decibels, cut off at a distance below each clip's own peak.

    .. math:: y = \max\Bigl(z, \; \max z - \mathit{top\_db}\Bigr), \qquad
        z = 10 \log_{10} \frac{\max(x, \mathit{amin})}{\max(\mathit{ref}, \mathit{amin})}

    Args:
        spectrogram: ``(B, F, N)`` floating point, power (not magnitude).
        lengths: ``(B,)`` integers, frames of each clip; ``None`` is all of them.
        ref: the power that is 0 dB.
        amin: the least power told from silence.
        top_db: decibels kept below the peak of the clip; ``None`` keeps all.

    Returns:
        ``(B, F, N)``; float64 for float64, else float32. Frames beyond a clip's length hold what
        silence has there, the lowest value a clip with this peak can show.

    Raises:
        TypeError: if the spectrogram is not floating point, or a setting has another type.
        ValueError: if it is not ``(B, F, N)``, is empty along F or N, or a setting is out of range.

    Reference:
        ``librosa.power_to_db``, for each clip by itself; the input of the first-place system of
        Freesound Audio Tagging 2019.

    >>> power_to_db(torch.tensor([[[1.0, 100.0, 0.0]]]))
    tensor([[[  0.,  20., -60.]]])
    """
    spectrogram, lengths = _check_spectrogram(spectrogram, lengths)
    amin = check_number("amin", amin, 1e-30)
    ref = max(check_number("ref", ref, 0), amin)
    db = 10 * (zero_beyond(spectrogram, lengths).clamp(min=amin) / ref).log10()
    if top_db is None:
        return db
    floor = db.amax(dim=(1, 2), keepdim=True) - check_number("top_db", top_db, 0)
    return torch.maximum(db, floor)


def deltas(spectrogram: Tensor, lengths: Tensor | None = None, *, width: int = 9) -> Tensor:
    r"""Append first and second derivatives along time, as channels.

    In each window of ``width`` frames a straight line and a parabola are fitted by least squares
    (Savitzky-Golay); the derivatives are the line's slope and the parabola's second derivative, per
    frame. The frames at either end take those of the nearest whole window, whose fit they are in.

    Args:
        spectrogram: ``(B, F, N)`` floating point.
        lengths: ``(B,)`` integers, frames of each clip; ``None`` is all of them.
        width: frames in a window, odd, at least 3.

    Returns:
        ``(B, 3, F, N)``: the spectrogram, its first and its second derivative; float64 for float64,
        else float32. A clip of fewer frames than ``width`` is continued with its last frame. Frames
        beyond a clip's length are 0 in all three channels.

    Raises:
        TypeError: if the spectrogram is not floating point, or ``width`` no integer.
        ValueError: if it is not ``(B, F, N)``, is empty along F or N, or ``width`` is even.

    Reference:
        ``librosa.feature.delta``; the input of the first-place system of Freesound Audio Tagging 2019.

    >>> deltas(torch.arange(9.0).reshape(1, 1, 9))[0, 1, 0, :3]
    tensor([1., 1., 1.])
    """
    spectrogram, lengths = _check_spectrogram(spectrogram, lengths)
    kernels = _fits(width, spectrogram)
    batch, bins, frames = spectrogram.shape
    ends = torch.full((batch,), frames, device=spectrogram.device) if lengths is None else lengths
    end = ends[:, None, None]
    index = torch.arange(frames + width - 1, device=spectrogram.device)
    # So many frames that every clip fills a window, whatever the batch is padded to.
    extended = spectrogram.gather(-1, index.minimum(end - 1).expand(-1, bins, -1))
    with full_precision(spectrogram.device):
        fitted = (extended.unfold(-1, width, 1) @ kernels).movedim(-1, 1)
    start = (index[:frames] - width // 2).clamp(min=0).minimum((end - width).clamp(min=0))
    derivatives = fitted.gather(-1, start[:, None].expand(-1, 2, bins, -1))
    return zero_beyond(torch.cat([spectrogram[:, None], derivatives], dim=1), lengths)


class Deltas(nn.Module):
    """Module form of :func:`deltas`, which holds the definition and the shapes.

    Args:
        width: as in the function.

    >>> Deltas()(torch.zeros(8, 128, 256)).shape
    torch.Size([8, 3, 128, 256])
    """

    def __init__(self, *, width: int = 9) -> None:
        super().__init__()
        self.width: int = _check_width(width)

    def forward(self, spectrogram: Tensor, lengths: Tensor | None = None) -> Tensor:
        """Return the spectrogram with its derivatives."""
        return deltas(spectrogram, lengths, width=self.width)

    def extra_repr(self) -> str:
        """Show the settings."""
        return f"width={self.width}"


def _fits(width: int, like: Tensor) -> Tensor:
    """Least squares over the offsets -h .. h: the weights ``(width, 2)`` of line and parabola."""
    half = _check_width(width) // 2
    offset = torch.arange(-half, half + 1, dtype=like.dtype, device=like.device)
    # What a parabola adds to a constant and a line, which its fit is orthogonal to.
    bend = offset.square() - offset.square().mean()
    return torch.stack([offset / offset.square().sum(), 2 * bend / bend.square().sum()], dim=-1)


def _check_width(width: object) -> int:
    number = check_integer("width", width, 3)
    if number % 2 == 0:
        raise ValueError(f"width: wanted an odd integer, got {number}")
    return number


def _check_spectrogram(spectrogram: object, lengths: Tensor | None) -> tuple[Tensor, Tensor | None]:
    tensor = check_floating("spectrogram", spectrogram, ndim=(3,))
    batch, bins, frames = tensor.shape
    if bins == 0 or frames == 0:
        raise ValueError(f"spectrogram: wanted at least one bin and one frame, got {describe(tensor)}")
    if lengths is not None:
        lengths = check_lengths(lengths, batch=batch, longest=frames, like=tensor)
    return tensor if tensor.dtype == torch.float64 else tensor.float(), lengths
