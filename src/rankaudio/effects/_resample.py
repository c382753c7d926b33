"""Fractional resampling, at the same cost for every factor.

A block of the signal is low-passed and oversampled by FFT. Then it is read between its samples with a short
kernel. The low-pass filter also compensates the spectrum of the kernel. So the kernel only has to suppress
images, and a few taps are enough. This is the non-uniform FFT (Dutt and Rokhlin 1993, Barnett et al. 2019).
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from rankaudio.effects._cached import cached
from rankaudio.effects._fft import irfft_rows, rfft_rows
from rankaudio.effects._parameters import can_read

# A block has 2^13 samples. The filter's impulse response needs _EDGE of them at each end.
_BLOCK = 1 << 13
_EDGE = 256
_OVERSAMPLING = 2
# Samples that are read together on a CPU. Intermediate results stay in its second cache.
_PIECE = 1 << 16
# Taps on each side of the middle one.
_SIDE_TAPS = 2
_SHARPNESS = 2.3 * (2 * _SIDE_TAPS + 1)
# The taps of the kernel, from the middle to the right, as polynomials of the position between two samples.
# They interpolate the kernel at the Chebyshev points of -0.5 to 0.5. They are much faster than the kernel,
# and suppress images as well as it does.
_POLYNOMIALS = (
    (1, 0, -0.9181716202, 0, 0.3568200562),
    (0.3828638249, 0.7678439199, 0.3126062901, -0.3023716637, -0.233903642),
    (0.01005183574, 0.06225243036, 0.1469132287, 0.1524492213, 0.05423376187),
)
# Spread and half width of the filter's transition, in cycles per sample. At the ends of the transition the
# filter has -72 dB. Its impulse response decays to 1e-6 within _EDGE samples.
_SPREAD = 0.0031
_TRANSITION = 3.5 * _SPREAD


def resample(clips: Tensor, factor: Tensor, *, size: int) -> Tensor:
    """Compute ``y[n] = x(factor n)`` for n < size, ``(B, T)`` to ``(B, size)``; ``factor`` is ``(B,)``."""
    dense = _oversample(clips, factor)
    order = torch.arange(size, device=clips.device, dtype=factor.dtype)
    step = factor[:, None] * _OVERSAMPLING
    if not can_read(clips):
        return _read(dense, order, step)
    pieces = torch.split(order, max(1, _PIECE // max(1, len(clips))))
    return torch.cat([_read(dense, piece, step) for piece in pieces], dim=1)


def _read(dense: Tensor, order: Tensor, step: Tensor) -> Tensor:
    """Read each row at its positions ``step order``, between its samples."""
    with torch.no_grad():
        # The signal starts at sample _EDGE. Half a sample more makes the integer part the nearest sample.
        position = (order * step).add_(_EDGE * _OVERSAMPLING + 0.5)
        position = position.clamp_(max=dense.shape[1] - 1 - _SIDE_TAPS)
        first = position.long().sub_(_SIDE_TAPS)
        fraction = position.frac_().to(dense.dtype).sub_(0.5)
        square = fraction * fraction
        left, right = zip(*(_tap_weights(fraction, square, k) for k in range(1, _SIDE_TAPS + 1)), strict=True)
        middle = _even_part(square, 0)
    total = dense[:, _SIDE_TAPS:].gather(1, first) * middle
    for k in range(_SIDE_TAPS):
        total.addcmul_(dense[:, _SIDE_TAPS - 1 - k :].gather(1, first), left[k])
        total.addcmul_(dense[:, _SIDE_TAPS + 1 + k :].gather(1, first), right[k])
    return total


def _tap_weights(fraction: Tensor, square: Tensor, k: int) -> tuple[Tensor, Tensor]:
    """Compute the weights of the k-th tap to the left and to the right.

    The points are at ``fraction``, -0.5 to 0.5, right of the middle tap.
    """
    _, c1, _, c3, _ = _POLYNOMIALS[k]
    even, odd = _even_part(square, k), (square * c3).add_(c1).mul_(fraction)
    return even - odd, even.add_(odd)


def _even_part(square: Tensor, k: int) -> Tensor:
    c0, _, c2, _, c4 = _POLYNOMIALS[k]
    return (square * c4).add_(c2).mul_(square).add_(c0)


def _kernel(x: Tensor) -> Tensor:
    """Compute the kernel exp(b (sqrt(1 - x^2) - 1)) over -1 .. 1; its spectrum has tiny side lobes."""
    return torch.exp(((1 - x * x).clamp(min=0).sqrt() - 1) * _SHARPNESS)


def _oversample(clips: Tensor, factor: Tensor) -> Tensor:
    """Low-pass for ``factor`` and oversample, with _EDGE samples of silence before and after the clip."""
    hop = _BLOCK - 2 * _EDGE
    blocks = -(-(clips.shape[1] + 2 * _EDGE) // hop)
    padded = F.pad(clips, (2 * _EDGE, blocks * hop - clips.shape[1]))
    spectrum = rfft_rows(padded.unfold(-1, _BLOCK, hop).flatten(0, 1), _BLOCK)
    spectrum = spectrum.view(-1, blocks, _BLOCK // 2 + 1).mul_(_response(factor, clips.dtype)[:, None])
    dense = irfft_rows(spectrum.flatten(0, 1), _BLOCK * _OVERSAMPLING)
    kept = dense[:, _EDGE * _OVERSAMPLING : (_EDGE + hop) * _OVERSAMPLING]
    return kept.reshape(clips.shape[0], -1)


def _response(factor: Tensor, dtype: torch.dtype) -> Tensor:
    """Compute the gain of each bin, ``(B, _BLOCK / 2 + 1)``.

    It is a low-pass below both Nyquist frequencies, divided by the spectrum of the kernel.
    """
    frequency = torch.arange(_BLOCK // 2 + 1, device=factor.device, dtype=factor.dtype) / _BLOCK
    edge = 0.5 / factor.clamp(min=1) - _TRANSITION
    passed = torch.special.erfc(((frequency - edge[:, None]) / (_SPREAD * math.sqrt(2))).to(dtype))
    gain: Tensor = passed * _inverse_of_kernel(factor.device, factor.dtype).to(dtype)
    return gain


@cached
def _inverse_of_kernel(device: torch.device, dtype: torch.dtype) -> Tensor:
    """Compute 1/2 over the spectrum of the kernel, because erfc is twice the low-pass filter.

    This is a quadrature, because the kernel is even and almost 0 at its ends.
    """
    frequency = torch.arange(_BLOCK // 2 + 1, device=device, dtype=dtype) / _BLOCK
    steps = 64
    x = (torch.arange(steps, device=device, dtype=dtype) + 0.5) / steps
    width = _SIDE_TAPS + 0.5
    waves = torch.cos(frequency[:, None] * (2 * math.pi * width / _OVERSAMPLING) * x)
    inverse: Tensor = _OVERSAMPLING / 2 / ((waves * _kernel(x)).sum(-1) * (2 * width / steps))
    return inverse
