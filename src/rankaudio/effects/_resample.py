"""Fractional resampling by the chirp z-transform, at the same cost for every factor.

The spectrum of a block is low-passed, and then summed at positions that are one factor apart. The sum is a
convolution with a chirp, which three FFTs compute (Bluestein 1970; Rabiner, Schafer and Rader 1969). So a
band-limited signal is read between its samples without the error of a kernel. Two real blocks share one
complex sum.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from rankaudio.effects._chunks import take_frames
from rankaudio.effects._fft import fft_rows, ifft_rows, rfft_rows
from rankaudio.effects._parameters import can_read
from rankaudio.effects._phasors import phasors

# The FFT of a sum. Longer ones cost short clips more than they save long ones.
_GRID = 1 << 12
# The filter's impulse response needs this many samples at each end of a block.
_EDGE = 256
# Bins of a line. The phases of a block are products of those of a line's first bin and of the bin's place.
_LINE = 128
# Pairs of blocks that a CPU computes together.
_PAIRS = 1 << 6
# Spread and half width of the filter's transition, in cycles per sample. At the ends of the transition the
# filter has -131 dB. Its impulse response decays to 1e-6 within _EDGE samples.
_SPREAD = 0.0031
_TRANSITION = 5 * _SPREAD


class _Sizes(NamedTuple):
    """The sizes of a sum."""

    block: int
    """Samples of the clip that the sum depends on, and twice its bins."""
    run: int
    """Samples of the result."""
    grid: int
    """Of the FFTs that convolve."""


class _Factors(NamedTuple):
    """What the values of a sum are multiplied by, for each clip."""

    bins: Tensor
    """A low-pass and the chirp, ``(B, 1, block - 1)``."""
    spectrum: Tensor
    """That of the conjugate chirp, ``(B, 1, grid)``."""
    result: Tensor
    """The chirp, ``(B, 1, run)``."""


def _sizes(fastest: float) -> _Sizes:
    """Choose the sizes, so that block and run fit into the grid, and the block contains the run."""
    grid = _GRID << max(0, math.ceil(math.log2(fastest / 2)))
    lines = int((grid * fastest + 2 * _EDGE) / (1 + fastest)) // (2 * _LINE)
    block = 2 * _LINE * lines
    return _Sizes(block, int((block - 2 * _EDGE - 2) / fastest), grid)


def resample(clips: Tensor, factor: Tensor, *, size: int, fastest: float) -> Tensor:
    """Compute ``y[n] = x(factor n)`` for n < size, ``(B, T)`` to ``(B, size)``.

    ``factor`` is ``(B,)``, and at most ``fastest``, which decides the blocks.
    """
    sizes = _sizes(fastest)
    pairs = -(-size // (2 * sizes.run))
    runs = torch.arange(2 * pairs, device=clips.device, dtype=factor.dtype)
    position = (runs * (factor * sizes.run)[:, None]).view(-1, pairs, 2)
    with torch.no_grad():
        factors = _factors(factor, sizes, clips.dtype)
    padded = F.pad(clips, (_EDGE, sizes.block))
    step = max(1, _PAIRS // max(1, len(clips))) if can_read(clips) else pairs
    parts = [_sums(padded, some, factors, sizes) for some in torch.split(position, step, 1)]
    return (parts[0] if len(parts) == 1 else torch.cat(parts, 1)).flatten(1)[:, :size]


def _sums(padded: Tensor, position: Tensor, factors: _Factors, sizes: _Sizes) -> Tensor:
    """Compute pairs of runs ``(B, pairs, 2, run)``, which start at ``position`` of the clip."""
    # A block after the clip's end is silent.
    first = position.floor()
    start = first.long().clamp_(max=padded.shape[1] - sizes.block)
    frames = take_frames(padded, start.flatten(1), sizes.block)
    half = sizes.block // 2
    values = rfft_rows(frames, sizes.block)[..., :half].view(*start.shape, -1, _LINE)
    for phase in _phases(position - first, sizes, padded.dtype):
        values = values.mul_(phase)
    one, other = values.flatten(-2).unbind(2)
    # The sum of one and i times the other, at negative and at positive frequencies.
    both = torch.cat([(one - other)[..., 1:].conj().flip(-1), one + other], -1)
    sums = ifft_rows(fft_rows(both.mul_(factors.bins), sizes.grid).mul_(factors.spectrum), sizes.grid)
    sums = sums[..., 2 * half - 2 : 2 * half - 2 + sizes.run].mul_(factors.result)
    return torch.view_as_real(sums).transpose(-1, -2)


def _phases(place: Tensor, sizes: _Sizes, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
    """Return what moves each block so that its first position is at 0; the second of a pair is times i.

    Two factors, ``(B, pairs, 2, lines, 1)`` and ``(B, pairs, 2, 1, _LINE)``.
    """
    turns = ((place + _EDGE) / sizes.block)[..., None]
    order = torch.arange(_LINE, device=place.device, dtype=place.dtype)  # no block has more lines
    quarter = 0.25 * torch.arange(2, device=place.device, dtype=place.dtype)[:, None]
    starts = phasors(turns * (_LINE * order[: sizes.block // 2 // _LINE]) + quarter, dtype)
    return starts[..., None], phasors(turns * order[:_LINE], dtype)[..., None, :]


def _factors(factor: Tensor, sizes: _Sizes, dtype: torch.dtype) -> _Factors:
    r"""Compute the factors from the chirp :math:`e^{i \pi f j^2 / N}`, where N is the block's size."""
    half = sizes.block // 2
    order = torch.arange(half + sizes.run, device=factor.device, dtype=factor.dtype)
    chirp = phasors(order.square() * (factor / (2 * sizes.block))[:, None], dtype)
    bins = chirp[:, :half] * _low_pass(order[:half] / sizes.block, factor).div_(sizes.block).to(dtype)
    both_signs = torch.cat([chirp[:, 1:half].flip(1), chirp], 1)
    return _Factors(
        torch.cat([bins[:, 1:].flip(1), bins], 1)[:, None],
        fft_rows(both_signs.conj(), sizes.grid)[:, None],
        chirp[:, None, : sizes.run],
    )


def _low_pass(frequency: Tensor, factor: Tensor) -> Tensor:
    """Compute the gain at frequencies in cycles per sample; both Nyquist frequencies are in the stopband."""
    edge = 0.5 / factor.clamp(min=1) - _TRANSITION
    gain: Tensor = torch.special.erfc((frequency - edge[:, None]) / (_SPREAD * math.sqrt(2))) / 2
    return gain
