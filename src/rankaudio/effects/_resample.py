"""Reading a signal at fractional positions, at the same cost for every ratio.

A block of the signal is low-passed and oversampled by FFT, then read between its samples with a short
kernel. The filter also takes back what the kernel does to the spectrum, so that the kernel needs to
suppress images only, and few taps do (Dutt & Rokhlin 1993, Barnett et al. 2019: the non-uniform FFT).
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor

# Blocks of 2^13 samples of which _EDGE at each end are there for the filter's memory.
_BLOCK = 1 << 13
_EDGE = 256
_OVERSAMPLING = 2
_TAPS = 5
_SHARPNESS = 2.3 * _TAPS
# Spread and half width of the filter's transition, in cycles per sample: -72 dB at its ends, and an
# impulse response that is over, 1e-6 of the whole, after _EDGE samples.
_SPREAD = 0.0031
_TRANSITION = 3.5 * _SPREAD


def resample(clips: Tensor, factor: Tensor, *, size: int) -> Tensor:
    """``y[n] = x(factor n)`` for n < size, ``(B, T)`` to ``(B, size)``; ``factor`` is ``(B,)``."""
    dense = _oversample(clips, factor)
    with torch.no_grad():
        position = torch.arange(size, device=clips.device, dtype=factor.dtype) * factor[:, None]
        # The signal starts at the sample _EDGE; the kernel reaches _TAPS / 2 to either side.
        position = (position + _EDGE) * _OVERSAMPLING - (_TAPS / 2 - 1)
        position = position.clamp(max=dense.shape[1] - _TAPS)
        first = position.floor()
        # In -1 .. 1 over the kernel's width, for its first tap.
        place = (first - position).to(clips.dtype).sub_(_TAPS / 2 - 1).mul_(2 / _TAPS)
        first = first.long()
    total: Tensor = dense.gather(1, first) * _kernel(place)
    for tap in range(1, _TAPS):
        total = torch.addcmul(total, dense.gather(1, first + tap), _kernel(place + 2 * tap / _TAPS))
    return total


def _kernel(place: Tensor) -> Tensor:
    """Bump over -1 .. 1 with hardly any spectrum beyond its main lobe: exp(b (sqrt(1 - x^2) - 1))."""
    return (1 - place * place).clamp_(min=0).sqrt_().sub_(1).mul_(_SHARPNESS).exp_()


def _oversample(clips: Tensor, factor: Tensor) -> Tensor:
    """Low-passed for ``factor`` and oversampled, _EDGE samples of silence before and after."""
    hop = _BLOCK - 2 * _EDGE
    blocks = -(-(clips.shape[1] + 2 * _EDGE) // hop)
    padded = F.pad(clips, (2 * _EDGE, blocks * hop - clips.shape[1]))
    spectrum = torch.fft.rfft(padded.unfold(-1, _BLOCK, hop))
    spectrum = spectrum * _response(factor, clips.dtype)[:, None]
    dense: Tensor = torch.fft.irfft(spectrum, n=_BLOCK * _OVERSAMPLING)
    kept = dense[..., _EDGE * _OVERSAMPLING : (_EDGE + hop) * _OVERSAMPLING]
    return kept.reshape(clips.shape[0], -1)


def _response(factor: Tensor, dtype: torch.dtype) -> Tensor:
    """Gain of each bin, ``(B, _BLOCK / 2 + 1)``: low-pass below either Nyquist, kernel taken back."""
    frequency = torch.arange(_BLOCK // 2 + 1, device=factor.device, dtype=factor.dtype) / _BLOCK
    edge = 0.5 / factor.clamp(min=1) - _TRANSITION
    passed = torch.special.erfc((frequency - edge[:, None]) / (_SPREAD * math.sqrt(2))) / 2
    # Spectrum of the kernel by quadrature: it is even, smooth, and as good as 0 at its ends.
    steps = 64
    x = (torch.arange(steps, device=factor.device, dtype=factor.dtype) + 0.5) / steps
    waves = torch.cos(frequency[:, None] * (math.pi * _TAPS / _OVERSAMPLING) * x)
    spectrum = (waves * _kernel(x)).sum(-1) * (_TAPS / steps)
    gain: Tensor = passed * (_OVERSAMPLING / spectrum)
    return gain.to(dtype)
