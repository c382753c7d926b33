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
# Taps to either side of the middle one.
_REACH = 2
_SHARPNESS = 2.3 * (2 * _REACH + 1)
# The kernel, tap by tap from the middle to the right, as polynomials of where between its samples a point is:
# interpolated at the Chebyshev points of -0.5 to 0.5. They take a fraction of the kernel's time, and
# suppress images as well.
_POLYNOMIALS = (
    (1, 0, -0.9181716202, 0, 0.3568200562),
    (0.3828638249, 0.7678439199, 0.3126062901, -0.3023716637, -0.233903642),
    (0.01005183574, 0.06225243036, 0.1469132287, 0.1524492213, 0.05423376187),
)
# Spread and half width of the filter's transition, in cycles per sample: -72 dB at its ends, and an
# impulse response that is over, 1e-6 of the whole, after _EDGE samples.
_SPREAD = 0.0031
_TRANSITION = 3.5 * _SPREAD


def resample(clips: Tensor, factor: Tensor, *, size: int) -> Tensor:
    """``y[n] = x(factor n)`` for n < size, ``(B, T)`` to ``(B, size)``; ``factor`` is ``(B,)``."""
    dense = _oversample(clips, factor)
    with torch.no_grad():
        order = torch.arange(size, device=clips.device, dtype=factor.dtype)
        # The signal starts at the sample _EDGE.
        position = (order * (factor * _OVERSAMPLING)[:, None]).add_(_EDGE * _OVERSAMPLING)
        position = position.clamp_(max=dense.shape[1] - 1 - _REACH)
        nearest = position.round()
        place = position.sub_(nearest).to(clips.dtype)
        first = nearest.long().sub_(_REACH)
        even, odd = _weights(place)
    taps = [dense[:, k:].gather(1, first) for k in range(2 * _REACH + 1)]
    total: Tensor = taps[_REACH] * even[0]
    for k in range(1, _REACH + 1):
        left, right = taps[_REACH - k], taps[_REACH + k]
        total = torch.addcmul(torch.addcmul(total, right + left, even[k]), right - left, odd[k])
    return total


def _weights(place: Tensor) -> tuple[list[Tensor], list[Tensor]]:
    """Weights of the taps for points at ``place``, -0.5 to 0.5, right of the middle one.

    The tap k to the right weighs even[k] + odd[k], that to the left even[k] - odd[k].
    """
    square = place * place
    even, odd = [], []
    for c0, c1, c2, c3, c4 in _POLYNOMIALS:
        even.append((square * c4).add_(c2).mul_(square).add_(c0))
        odd.append((square * c3).add_(c1).mul_(place))
    return even, odd


def _bump(place: Tensor) -> Tensor:
    """Kernel over -1 .. 1 with hardly any spectrum beyond its main lobe: exp(b (sqrt(1 - x^2) - 1))."""
    return torch.exp(((1 - place * place).clamp(min=0).sqrt() - 1) * _SHARPNESS)


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
    width = _REACH + 0.5
    waves = torch.cos(frequency[:, None] * (2 * math.pi * width / _OVERSAMPLING) * x)
    spectrum = (waves * _bump(x)).sum(-1) * (2 * width / steps)
    gain: Tensor = passed * (_OVERSAMPLING / spectrum)
    return gain.to(dtype)
