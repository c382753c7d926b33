"""FFTs whose result for a row does not depend on the number of rows."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor


def rfft_rows(rows: Tensor, size: int) -> Tensor:
    """Compute the FFT of each row, ``(*, n)`` to ``(*, size / 2 + 1)``."""
    return _of_rows(torch.fft.rfft, rows, size)


def irfft_rows(spectrum: Tensor, size: int) -> Tensor:
    """Compute the inverse of :func:`rfft_rows`."""
    return _of_rows(torch.fft.irfft, spectrum, size)


def fft_rows(rows: Tensor, size: int) -> Tensor:
    """Compute the FFT of each complex row, ``(*, n)`` to ``(*, size)``."""
    return _of_rows(torch.fft.fft, rows, size)


def ifft_rows(spectrum: Tensor, size: int) -> Tensor:
    """Compute the inverse of :func:`fft_rows`."""
    return _of_rows(torch.fft.ifft, spectrum, size)


def _of_rows(transform: Callable[..., Tensor], rows: Tensor, size: int) -> Tensor:
    """Transform each row.

    For a single row, a CPU's library uses another algorithm. It is slower, and its last bit is different,
    which later steps can enlarge. Therefore a single row is computed twice.
    """
    # With torch 2.7, MKL refuses rows that share memory, or are not contiguous.
    if rows.shape[:-1].numel() == 1:
        return transform(torch.cat([rows, rows]), n=size)[:1]
    return transform(rows.contiguous(), n=size)


def fast_size(least: int) -> int:
    """Return the smallest even 2^a 3^b 5^c that is at least ``least``, because such FFTs are fast."""
    best, three = 1 << max(1, (least - 1).bit_length()), 1
    while three < best:
        odd = three
        while odd < best:
            best = min(best, odd << max(1, (-(-least // odd) - 1).bit_length()))
            odd *= 5
        three *= 3
    return best
