"""What all effects have in common: clips with lengths, one parameter per clip, pieces of a batch."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

from rankaudio._autocast import full_precision
from rankaudio._checks import (
    check_number,
    check_shape,
    check_tensor,
    check_values,
    check_waveform,
    describe,
)
from rankaudio.lengths import zero_beyond

# Samples in a piece of a batch on a CPU: what lies between the steps of one long clip fills the cache.
PIECE = 1 << 19


def check_clips(waveform: object, lengths: Tensor | None) -> tuple[Tensor, Tensor | None]:
    """Check clips and lengths; half precision becomes float32, what lies beyond a length becomes 0."""
    work, lengths = check_waveform(waveform, lengths)
    return zero_beyond(work, lengths), lengths


def check_parameter(
    name: str, value: object, clips: Tensor, low: float = -math.inf, high: float = math.inf
) -> Tensor:
    """One value per clip, ``(B,)`` float64, from a tensor of that shape or from one number for all."""
    # Delays and positions are counted in samples: float32 cannot count those of a long recording.
    dtype = torch.float32 if clips.device.type == "mps" else torch.float64
    if not isinstance(value, Tensor):
        return torch.full(
            clips.shape[:1], check_number(name, value, low, high), dtype=dtype, device=clips.device
        )
    tensor = check_shape(name, check_tensor(name, value), clips.shape[:1], like=clips)
    if tensor.is_complex() or tensor.dtype == torch.bool:
        raise TypeError(f"{name}: wanted a number or a tensor of real numbers, got {describe(tensor)}")
    good = (tensor >= low) & (tensor <= high)
    check_values(name, tensor, good, f"finite values from {low:g} to {high:g}")
    # Parameters are settings: gradients flow to the waveform only.
    return tensor.detach().to(dtype)


def bound(value: Tensor | float, worst: float, *, largest: bool = True) -> float:
    """The largest (or smallest) parameter of a batch where looking is free, else the worst there is."""
    if not isinstance(value, Tensor):
        return value
    if value.device.type != "cpu" or torch.compiler.is_compiling() or value.numel() == 0:
        return worst
    return float(value.max() if largest else value.min())


def in_pieces(function: Callable[..., Tensor], *values: Tensor, samples: int | None = None) -> Tensor:
    """Some clips at a time: on a CPU for the cache's sake, elsewhere an eighth, to keep memory low.

    ``samples`` are those that the function works on for a clip; None: as many as the first value has. No
    clip's result depends on which others share its piece. A batch of none is a piece of one that is
    dropped again: FFT libraries refuse to transform nothing.
    """
    device, batch = values[0].device, values[0].shape[0]
    samples = values[0].shape[1] if samples is None else samples
    with full_precision(device):
        if batch == 0:
            return function(*(F.pad(v, (0,) * (2 * v.ndim - 1) + (1,), value=1.0) for v in values))[:0]
        rows = max(1, PIECE // samples) if device.type == "cpu" else -(-batch // 8)
        if torch.compiler.is_compiling() or batch <= rows:
            return function(*values)
        pieces = zip(*(torch.split(value, rows) for value in values), strict=True)
        return torch.cat([function(*piece) for piece in pieces])


def rfft_rows(rows: Tensor, size: int) -> Tensor:
    """FFT of each row, ``(R, n)`` to ``(R, size / 2 + 1)``.

    A CPU's library takes another way for a row alone, slower and different in the last bit, which what
    follows may make larger; so there are always two.
    """
    alone = rows.shape[0] == 1
    spectrum: Tensor = torch.fft.rfft(rows.expand(2, -1) if alone else rows, n=size)
    return spectrum[:1] if alone else spectrum


def irfft_rows(spectrum: Tensor, size: int) -> Tensor:
    """The inverse of :func:`rfft_rows`, likewise."""
    alone = spectrum.shape[0] == 1
    # MKL beside torch 2.7 refuses rows that do not lie next to each other.
    rows: Tensor = torch.fft.irfft((spectrum.expand(2, -1) if alone else spectrum).contiguous(), n=size)
    return rows[:1] if alone else rows


def smooth_size(least: int) -> int:
    """The smallest even 2^a 3^b 5^c that is not below ``least``: FFTs of such sizes are quick."""
    best = 1 << max(1, math.ceil(math.log2(max(least, 2))))
    for three_five in (3**b * 5**c for b in range(40) for c in range(28) if 3**b * 5**c < best):
        doublings = max(1, math.ceil(math.log2(max(least / three_five, 2))))
        size = three_five << doublings
        best = min(best, size) if size >= least else best
    return best
