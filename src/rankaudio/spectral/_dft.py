"""A discrete Fourier transform from products of real matrices."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor

from rankaudio.spectral._filterbank import target_and_work_device

Transform = Literal["fft", "matmul"]
TRANSFORMS: tuple[Transform, ...] = ("fft", "matmul")

# Terms of a sum in a transform by matrices. With more terms there are fewer stages, but float32 then loses
# more of a quiet bin next to a loud one than an FFT does.
_TERMS = 16


def dft_stages(
    transform: Transform, n: int, *, device: torch.device | None, dtype: torch.dtype
) -> list[Tensor]:
    r"""Return real matrices for a discrete Fourier transform of n samples by :func:`_dft`; none for an FFT.

    Each stage sums P terms at a time. Before the stage there are K frequencies k, each with a sum of P R
    terms. After the stage there are K P frequencies with R terms:

    .. math:: Y'_{k + K k', r} = \sum_{p=0}^{P-1} Y_{k, R p + r} \, e^{-2 \pi i p (k + K k') / (K P)}

    The matrix of k holds the factors, with a complex number as a pair of real numbers. Its shape is
    ``(K, 2 P, 2 P)``. The first stage has real input and the shape ``(1, 2 P, P)``.
    """
    if transform == "fft":
        return []
    target, work = target_and_work_device(device)
    known = 1
    stages: list[Tensor] = []
    for terms in _factors(n):
        p = torch.arange(terms, device=work)
        frequency = torch.arange(known, device=work)[:, None] + known * p
        # Whole turns are dropped, because they would cost digits of the angle.
        turns = (frequency[..., None] * p) % (known * terms)
        angle = turns.to(torch.float64) * (2 * math.pi / (known * terms))
        real, imaginary = angle.cos(), -angle.sin()
        matrix = torch.cat([real, imaginary], dim=1)
        if stages:
            matrix = torch.cat([matrix, torch.cat([-imaginary, real], dim=1)], dim=2)
        stages.append(matrix.to(target, dtype))
        known *= terms
    return stages


def _factors(n: int) -> list[int]:
    """Return factors of n. None is above ``_TERMS``, except for prime factors."""
    factors = []
    while n > 1:
        least = next((d for d in range(2, math.isqrt(n) + 1) if n % d == 0), n)
        factors.append(max([d for d in range(2, _TERMS + 1) if n % d == 0], default=least))
        n //= factors[-1]
    return factors


def dft(frames: Tensor, stages: Sequence[Tensor]) -> Tensor:
    """Return half of the Fourier transform without complex numbers, as ``(..., n / 2 + 1, 2)``."""
    # shape.numel() would fix the batch size of an exported program.
    n, count = frames.shape[-1], math.prod(frames.shape[:-1])
    y = frames.reshape(count, n).T
    for stage in stages:
        known, pairs, terms = stage.shape
        y = stage.to(y.dtype) @ y.reshape(known, terms, -1)
        y = y.reshape(known, 2, pairs // 2, -1).permute(2, 0, 1, 3).flatten(0, 1)
    return y[: n // 2 + 1].permute(2, 0, 1).reshape(*frames.shape[:-1], n // 2 + 1, 2)
