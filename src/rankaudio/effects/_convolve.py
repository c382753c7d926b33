"""Convolution with a response of each clip, in blocks."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from rankaudio.effects._fft import irfft_rows, rfft_rows

# FFTs of twice this size fill half of a core's second cache.
_LARGEST_BLOCK = 1 << 13
_SMALLEST_BLOCK = 1 << 10


def block_size(samples: int) -> int:
    """Return the block for a clip: a power of two, and an eighth of the clip if that is in the limits.

    A smaller FFT takes less time to plan, and a larger one has fewer blocks to multiply.
    """
    eighth = 1 << max(0, (samples - 1).bit_length() - 3)
    return min(max(eighth, _SMALLEST_BLOCK), _LARGEST_BLOCK)


def add_convolved(clips: Tensor, response: Tensor, *, block: int) -> Tensor:
    """Add to clips ``(B, T)`` the first T samples of their convolution with ``response`` ``(B, L)``.

    The response is cut into blocks. A frame of the clip is two blocks, so the second half of its circular
    convolution with one block of the response is right. The spectrum of a frame of the result is the sum of
    the products of the blocks that end there. All FFTs have one size, and run at once.
    """
    batch, samples = clips.shape
    count, parts = -(-samples // block), -(-response.shape[1] // block)
    padded = F.pad(clips, (block, -samples % block))
    rows = F.pad(F.pad(response, (0, -response.shape[1] % block)).view(batch, parts, block), (0, block))
    rows = torch.cat([padded.unfold(1, 2 * block, block), rows], dim=1)
    spectra = rfft_rows(rows.flatten(0, 1), 2 * block).view(batch, count + parts, block + 1)
    frames, filters = spectra[:, :count], spectra[:, count:]
    total = frames * filters[:, :1]
    for k in range(1, parts):  # no more parts than blocks
        total[:, k:].addcmul_(frames[:, :-k], filters[:, k : k + 1])
    wet = irfft_rows(total.flatten(0, 1), 2 * block).view(batch, count, 2, block)[:, :, 1]
    return (wet + padded[:, block:].view(batch, count, block)).view(batch, -1)[:, :samples]
