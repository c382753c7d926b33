"""Magnitudes of spectra, whose gradient is finite at silence."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from rankaudio.spectral._dft import dft

# A square is at most this share of the largest number, so that the sum over a band is finite.
_LARGEST_SHARE = 2.0**-12


def magnitudes(frames: Tensor, power: float, stages: Sequence[Tensor] = (), *, quiet: bool = False) -> Tensor:
    """Magnitude or power of the spectrum of each frame, ``(..., n)`` to ``(..., n / 2 + 1)``.

    With the ``stages`` of :func:`~rankaudio.spectral._dft.dft_stages` no step uses complex numbers. If all is
    ``quiet``, nothing records operations.
    """
    parts = dft(frames, stages) if stages else torch.view_as_real(torch.fft.rfft(frames))
    return magnitude(parts.square_() if quiet else parts.square(), power, quiet=quiet)


def magnitude(squares: Tensor, power: float, *, quiet: bool) -> Tensor:
    """Magnitude or power of complex numbers, from the squares of their parts ``(..., 2)``."""
    least, most = _limits(squares.dtype)
    real, imaginary = squares.unbind(-1)
    squared = real + imaginary
    if power == 2:
        return squared.clamp_(max=most) if quiet else squared.clamp(max=most)
    return squared.clamp_(min=least, max=most).sqrt_() if quiet else squared.clamp(min=least, max=most).sqrt()


def slope_of_magnitude(gradient: Tensor, result: Tensor, power: float) -> Tensor:
    """Factors of the spectrum in its gradient. The gradient of what :func:`_limits` cut off is 0."""
    least, most = torch.tensor(_limits(result.dtype), dtype=result.dtype).pow(power / 2).tolist()
    factor = 2 * gradient if power == 2 else gradient / result
    lowest, highest = result.aminmax()
    if power == 1 and not lowest.item() > least:
        factor = factor.masked_fill(result <= least, 0)
    if not highest.item() < most:
        factor = factor.masked_fill(result >= most, 0)
    return factor


def _limits(dtype: torch.dtype) -> tuple[float, float]:
    """Return the smallest and the largest square of a magnitude."""
    info = torch.finfo(dtype)
    # The slope of the root is infinite at 0. The smallest normal number changes the value by only 1e-19 in
    # float32, and the clamp sets the gradient to 0.
    return info.tiny, info.max * _LARGEST_SHARE
