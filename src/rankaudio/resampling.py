"""Resampling to another sample rate: whole batches, on the device, differentiable."""

from __future__ import annotations

import math
from functools import lru_cache
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from rankaudio._autocast import full_precision
from rankaudio._checks import check_integer, check_waveform
from rankaudio.lengths import zero_beyond

__all__ = ["Resample", "resample"]

# The passband ends at this share of the lower Nyquist frequency: 20 kHz of 22.05 kHz. The stopband begins at
# the Nyquist frequency itself, so nothing folds back.
_PASSBAND = 20_000 / 22_050
# Attenuation of the stopband in dB, and what a Kaiser window needs for it (Kaiser 1974).
_ATTENUATION = 135.0
_BETA = 0.1102 * (_ATTENUATION - 8.7)
# A block has at least about this many samples. Longer blocks cost short clips more than they save long ones.
_BLOCK = 2048
# Samples that are transformed together on a CPU.
_CHUNK = 1 << 19


def resample(
    waveform: Tensor, lengths: Tensor | None = None, *, old_rate: int, new_rate: int
) -> tuple[Tensor, Tensor | None]:
    r"""Resample each clip from one sample rate to another.

    .. math:: y_b[n] = \sum_k x_b[k] \, h(n \, r_\text{old} / r_\text{new} - k), \qquad
        \ell'_b = \lceil \ell_b \, r_\text{new} / r_\text{old} \rceil

    where :math:`h` is a low-pass filter with a Kaiser window. Frequencies up to 0.907 of the lower Nyquist
    frequency pass unchanged (20 kHz at 44.1 kHz). Frequencies above the lower Nyquist frequency are
    attenuated by more than 130 dB. The filter is applied by FFT in blocks, so each pair of rates has the same
    cost for a sample.

    Args:
        waveform: ``(B, T)`` floating point.
        lengths: ``(B,)`` integers, in samples; None: every clip is T long.
        old_rate: sample rate of the waveform, in Hz.
        new_rate: wanted sample rate, in Hz.

    Returns:
        Waveform ``(B, T')`` with :math:`T' = \lceil T \, r_\text{new} / r_\text{old} \rceil`, zero after each
        new length, and the new lengths (None for None). A clip is preceded and followed by silence. Equal
        rates return the inputs themselves.

    Raises:
        TypeError: if the waveform is not floating point, or lengths or a rate are not integers.
        ValueError: if shapes or devices disagree, a length is out of range, or a rate is below 1.

    Reference:
        J. F. Kaiser, Nonrecursive digital filter design using the I0-sinh window function (1974).

    >>> waveform, lengths = resample(
    ...     torch.randn(2, 48_000),
    ...     torch.tensor([48_000, 100]),
    ...     old_rate=48_000,
    ...     new_rate=44_100,
    ... )
    >>> waveform.shape, lengths
    (torch.Size([2, 44100]), tensor([44100,    92]))
    """
    check_rates(old_rate, new_rate)
    clips, real = check_waveform(waveform, lengths)
    if old_rate == new_rate:
        return waveform, lengths
    # A compiler cannot look into a cache; it computes the response in its graph, once.
    build = _response.__wrapped__ if torch.compiler.is_compiling() else _response
    response = build(old_rate, new_rate, clips.device, clips.dtype)
    size = resampled_length(clips.shape[1], old_rate, new_rate)
    new = _in_blocks(zero_beyond(clips, real), response, _blocks(old_rate, new_rate), size)
    if real is None or lengths is None:
        return new.to(waveform.dtype), None
    new_lengths = -((-real * new_rate) // old_rate)
    return zero_beyond(new, new_lengths).to(waveform.dtype), new_lengths.to(lengths.dtype)


class Resample(nn.Module):
    """Module form of :func:`resample`, which has the definition.

    Args:
        old_rate: sample rate of the waveform, in Hz.
        new_rate: wanted sample rate, in Hz.

    >>> Resample(old_rate=48_000, new_rate=16_000)(torch.randn(2, 480))[0].shape
    torch.Size([2, 160])
    """

    def __init__(self, *, old_rate: int, new_rate: int) -> None:
        super().__init__()
        check_rates(old_rate, new_rate)
        self.old_rate: int = old_rate
        self.new_rate: int = new_rate

    def forward(self, waveform: Tensor, lengths: Tensor | None = None) -> tuple[Tensor, Tensor | None]:
        """Return the resampled waveform and the new lengths."""
        return resample(waveform, lengths, old_rate=self.old_rate, new_rate=self.new_rate)

    def extra_repr(self) -> str:
        """Show the settings."""
        return f"old_rate={self.old_rate}, new_rate={self.new_rate}"


def check_rates(old_rate: object, new_rate: object) -> None:
    """Refuse sample rates that are not positive integers."""
    check_integer("old_rate", old_rate)
    check_integer("new_rate", new_rate)


def resampled_length(samples: int, old_rate: int, new_rate: int) -> int:
    """Return how many samples :func:`resample` makes of ``samples``."""
    return -(-samples * new_rate // old_rate)


class Part(NamedTuple):
    """Samples from ``start`` to ``stop``; resampled, they contain the wanted part from ``new_first``."""

    start: int
    stop: int
    new_first: int


def part_to_resample(new_start: int, new_stop: int, old_rate: int, new_rate: int) -> Part:
    """Find what to resample to get a part of the result, bit for bit: whole blocks, and one before.

    ``stop`` may be after the end of the clip.
    """
    if old_rate == new_rate:
        return Part(new_start, new_stop, 0)
    blocks = _blocks(old_rate, new_rate)
    hop, new_hop = blocks.size - 2 * blocks.edge, blocks.new_size - 2 * blocks.new_edge
    first = max(0, new_start // new_hop - 1)
    stop = -(-new_stop // new_hop) * hop + blocks.edge
    return Part(first * hop, stop, new_start - first * new_hop)


class _Blocks(NamedTuple):
    """Sizes of the blocks that a pair of rates is resampled in."""

    size: int
    """Samples of a block before."""
    new_size: int
    """Samples of a block after."""
    edge: int
    """Samples at each end of a block that the circular convolution spoils."""
    new_edge: int
    """The same after resampling."""


def _blocks(old_rate: int, new_rate: int) -> _Blocks:
    """Choose blocks of a whole number of samples before and after, at least four times their edges."""
    common = math.gcd(old_rate, new_rate)
    down, up = old_rate // common, new_rate // common
    edge = -(-_half_width(old_rate, new_rate) // down) * down
    wanted = max(8 * edge, _BLOCK * down // max(down, up))
    units = 1 << max(1, math.ceil(math.log2(wanted / down)))
    return _Blocks(down * units, up * units, edge, edge // down * up)


def _half_width(old_rate: int, new_rate: int) -> int:
    """Return the samples of the filter on each side of its middle, at the old rate."""
    transition = math.pi * (1 - _PASSBAND) * min(old_rate, new_rate) / old_rate
    return math.ceil((_ATTENUATION - 7.95) / (2.285 * transition) / 2)


@lru_cache(maxsize=16)
def _response(old_rate: int, new_rate: int, device: torch.device, dtype: torch.dtype) -> Tensor:
    """Return the frequency response on a block's grid, ``(size / 2 + 1,)``, designed in float64."""
    blocks, half = _blocks(old_rate, new_rate), _half_width(old_rate, new_rate)
    n = torch.arange(-half, half + 1, dtype=torch.float64)
    # The middle of the transition band, as a share of the old rate.
    cutoff = (1 + _PASSBAND) / 2 * min(old_rate, new_rate) / old_rate
    window = torch.special.i0(_BETA * (1 - (n / half).square()).clamp(min=0).sqrt())
    taps = cutoff * torch.sinc(cutoff * n) * window / torch.special.i0(torch.tensor(_BETA).double())
    taps = taps / taps.sum() * (blocks.new_size / blocks.size)
    # The filter is symmetric, so with its middle at 0 the spectrum is real.
    centred = F.pad(taps, (0, blocks.size - taps.numel())).roll(-half)
    response: Tensor = torch.fft.rfft(centred).real.to(dtype).to(device)
    return response


def _in_blocks(clips: Tensor, response: Tensor, blocks: _Blocks, size: int) -> Tensor:
    """Cut clips ``(B, T)`` into overlapping blocks, and join the resampled blocks to ``(B, size)``."""
    if clips.shape[0] == 0:  # FFT libraries refuse an empty batch
        return _in_blocks(F.pad(clips, (0, 0, 0, 1)), response, blocks, size)[:0]
    hop, new_hop = blocks.size - 2 * blocks.edge, blocks.new_size - 2 * blocks.new_edge
    count = -(-size // new_hop)
    after = count * hop + blocks.edge - clips.shape[1]
    cut = F.pad(clips, (blocks.edge, after)).unfold(1, blocks.size, hop)
    with full_precision(clips.device):
        return torch.cat([_filter(some, response, blocks) for some in _split(cut)], dim=1).flatten(1)[
            :, :size
        ]


def _filter(cut: Tensor, response: Tensor, blocks: _Blocks) -> Tensor:
    """Resample blocks ``(B, n, size)``; return what their edges leave intact."""
    kept = min(blocks.size, blocks.new_size) // 2 + 1
    spectrum = torch.fft.rfft(cut)[..., :kept] * response[:kept]
    new: Tensor = torch.fft.irfft(spectrum, n=blocks.new_size)
    return new[..., blocks.new_edge : blocks.new_size - blocks.new_edge]


def _split(cut: Tensor) -> tuple[Tensor, ...]:
    """Take some blocks at a time on a CPU, to keep them in the cache and the memory flat."""
    batch, _, size = cut.shape
    if torch.compiler.is_compiling() or cut.device.type != "cpu":
        return (cut,)
    return torch.split(cut, max(1, _CHUNK // (max(batch, 1) * size)), dim=1)
