"""FFTs whose result for a row does not depend on the number of rows."""

from __future__ import annotations

import torch
from torch import Tensor


def rfft_rows(rows: Tensor, size: int) -> Tensor:
    """Compute the FFT of each row, ``(R, n)`` to ``(R, size / 2 + 1)``.

    For a single row, a CPU's library uses another algorithm. It is slower, and its last bit is different,
    which later steps can enlarge. Therefore a single row is computed twice.
    """
    single = rows.shape[0] == 1
    # With torch 2.7, MKL refuses rows that share memory.
    spectrum: Tensor = torch.fft.rfft(torch.cat([rows, rows]) if single else rows, n=size)
    return spectrum[:1] if single else spectrum


def irfft_rows(spectrum: Tensor, size: int) -> Tensor:
    """Compute the inverse of :func:`rfft_rows`, in the same way."""
    single = spectrum.shape[0] == 1
    # With torch 2.7, MKL refuses rows that are not contiguous.
    rows: Tensor = torch.fft.irfft((spectrum.expand(2, -1) if single else spectrum).contiguous(), n=size)
    return rows[:1] if single else rows


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
