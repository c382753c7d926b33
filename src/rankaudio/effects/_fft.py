"""FFTs whose result for a row does not depend on the number of rows."""

from __future__ import annotations

from bisect import bisect_left

import torch
from torch import Tensor


def rfft_rows(rows: Tensor, size: int) -> Tensor:
    """Compute the FFT of each row, ``(R, n)`` to ``(R, size / 2 + 1)``.

    For a single row, a CPU's library uses another algorithm. It is slower, and its last bit is different,
    which later steps can enlarge. Therefore a single row is computed twice.
    """
    single = rows.shape[0] == 1
    spectrum: Tensor = torch.fft.rfft(rows.expand(2, -1) if single else rows, n=size)
    return spectrum[:1] if single else spectrum


def irfft_rows(spectrum: Tensor, size: int) -> Tensor:
    """Compute the inverse of :func:`rfft_rows`, in the same way."""
    single = spectrum.shape[0] == 1
    # With torch 2.7, MKL refuses rows that are not contiguous.
    rows: Tensor = torch.fft.irfft((spectrum.expand(2, -1) if single else spectrum).contiguous(), n=size)
    return rows[:1] if single else rows


# The even 2^a 3^b 5^c in order. FFTs of these sizes are fast.
_LARGEST = 1 << 40
_ODD = [3**b * 5**c for b in range(26) for c in range(18) if 3**b * 5**c <= _LARGEST // 2]
_FAST = sorted(odd << a for odd in _ODD for a in range(1, (_LARGEST // odd).bit_length()))


def fast_size(least: int) -> int:
    """Return the smallest even 2^a 3^b 5^c that is at least ``least``, at most 2^40."""
    size: int = _FAST[bisect_left(_FAST, least)]
    return size
