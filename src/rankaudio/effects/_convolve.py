"""Convolution with a response of each clip, in blocks."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor

from rankaudio.effects._fft import irfft_rows, rfft_rows

# FFTs of twice this size fill half of a core's second cache.
_LARGEST_BLOCK = 1 << 13
_SMALLEST_BLOCK = 1 << 10


def block_size(samples: int) -> int:
    """Return the block for a clip: a power of two, and a quarter of the clip if that is in the limits."""
    quarter = 1 << max(0, (samples - 1).bit_length() - 2)
    return min(max(quarter, _SMALLEST_BLOCK), _LARGEST_BLOCK)


def add_convolved(clips: Tensor, response: Tensor, *, block: int) -> Tensor:
    """Add to clips ``(B, T)`` the first T samples of their convolution with ``response`` ``(B, L)``.

    Clip and response are cut into blocks. The spectrum of a block of the result is the sum of the products
    of the blocks that end there. All FFTs have one size, so many of them run at once.
    """
    batch, samples = clips.shape
    cut = F.pad(clips, (0, -samples % block)).view(batch, -1, block)
    parts = F.pad(response, (0, -response.shape[1] % block)).view(batch, -1, block)
    spectra, filters = _spectra(cut), _spectra(parts)
    total = spectra * filters[:, :1]
    for k in range(1, filters.shape[1]):  # no more parts than blocks
        total[:, k:].addcmul_(spectra[:, :-k], filters[:, k : k + 1])
    halves = irfft_rows(total.flatten(0, 1), 2 * block).view(batch, -1, 2, block)
    wet = halves[:, :, 0].clone()
    wet[:, 1:] += halves[:, :-1, 1]
    return wet.view(batch, -1)[:, :samples] + clips


def _spectra(blocks: Tensor) -> Tensor:
    """Compute the spectrum of each block, followed by as many zeros."""
    batch, count, block = blocks.shape
    return rfft_rows(blocks.flatten(0, 1), 2 * block).view(batch, count, block + 1)
