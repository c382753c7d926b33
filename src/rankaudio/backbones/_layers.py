"""Layers in one and two dimensions whose outputs do not depend on padding.

Time is the last axis. ``lengths`` are the frames of each clip, ``(B,)`` integers, or the places of clips in a
packed batch. None: no frame is padding. A clip has the same result alone and in any batch, because:

- a convolution sees zeros after the end of each clip, as it does at the end of a batch;
- pooling by two rounds each clip's own length down, but never below one frame;
- the statistics of batch norm, maxima and recurrent states do not include padding.
"""

from __future__ import annotations

from typing import TypeVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from rankaudio._checks import check_floating, describe
from rankaudio.backbones._evaluation import has_long_rows, max_of_rows
from rankaudio.backbones._packing import Packed, pack
from rankaudio.lengths import halved, time_mask, zero_beyond

Lengths = Tensor | Packed | None
AnyLengths = TypeVar("AnyLengths", bound=Lengths)


def with_channels(spectrogram: Tensor, in_channels: int) -> Tensor:
    """Check a spectrogram ``(B, F, N)`` or ``(B, in_channels, F, N)``, and return it with channels."""
    x = check_floating("spectrogram", spectrogram, ndim=(3, 4))
    if x.ndim == 3:
        x = x.unsqueeze(1)
    if x.shape[1] != in_channels or 0 in x.shape[2:]:
        raise ValueError(
            f"spectrogram: wanted (B, {in_channels}, F, N) with F and N from 1"
            f"{' or (B, F, N)' if in_channels == 1 else ''}, got {describe(spectrogram)}"
        )
    return x


def pad_to(x: Tensor, lengths: Tensor | None, size: int) -> tuple[Tensor, Tensor | None]:
    """Pad a batch to at least ``size`` frames, so that it can be halved log2(size) times.

    An exported program takes any number of frames, and a branch on that number would fix it. So the program
    pads always, to a maximum of two numbers. PyTorch also branches on sizes of 1, so the maximum leaves two
    frames after the last halving.
    """
    exporting = getattr(torch.compiler, "is_exporting", torch.compiler.is_compiling)
    time = x.shape[-1]
    if not exporting() and time >= size:
        return x, lengths
    if lengths is None:
        lengths = torch.full((x.shape[0],), time, device=x.device)
    padding = 2 * size
    # Dynamo (strict export, the default in torch 2.7) turns a maximum into a branch.
    if not torch.compiler.is_dynamo_compiling():
        padding = torch.sym_max(time, padding) - time  # type: ignore[no-untyped-call]
    return F.pad(x, (0, padding)), lengths


def to_channels_last(x: Tensor) -> Tensor:
    """Store channels last on a CPU, where 2d convolutions are then twice as fast; the values are the same."""
    if x.ndim == 4 and x.device.type == "cpu":
        return x.contiguous(memory_format=torch.channels_last)
    return x


def pack_rows(x: Tensor, lengths: Tensor | None, size: int) -> tuple[Tensor, Lengths]:
    """Pack the clips of a batch into fewer and fuller rows on a CPU, if their lengths differ enough.

    Graphs and accelerators get the padded batch, because the rows depend on the values of the lengths.
    """
    packed = None
    if lengths is not None and x.device.type == "cpu" and not torch.compiler.is_compiling():
        packed = pack(x, lengths, size)
    return (x, lengths) if packed is None else packed


def finite_padding(x: Tensor, lengths: Lengths) -> Tensor:
    """Replace the padding by zeros. Packed rows have zeros there already."""
    return x if isinstance(lengths, Packed) else zero_beyond(x, lengths)


def real_steps(x: Tensor, lengths: Lengths) -> Tensor | None:
    """Return ``(B, 1, ..., N)``, true in the clips of ``x``, or None without lengths."""
    return lengths.mask(x) if isinstance(lengths, Packed) else time_mask(x, lengths)


def lengths_after_pooling(lengths: Lengths) -> Lengths:
    """Halve lengths and round them down, but never below one."""
    if isinstance(lengths, Packed):
        return lengths.pooled()
    return None if lengths is None else halved(lengths)


def hidden_steps(x: Tensor, lengths: Tensor | Packed) -> Tensor | None:
    """Return where the step after a clip of one step is, because a pair of steps would include it."""
    if isinstance(lengths, Packed):
        return lengths.hidden(x)
    single = lengths == 1
    # Reading `single` makes an accelerator wait. On a CPU it saves a copy of the batch.
    if x.device.type == "cpu" and not torch.compiler.is_compiling() and not bool(single.any()):
        return None
    second = torch.arange(x.shape[-1], device=x.device) == 1
    return (single[:, None] & second).reshape(-1, *(1,) * (x.ndim - 2), x.shape[-1])


def max_pool_by_two(x: Tensor, lengths: Lengths) -> tuple[Tensor, Lengths]:
    """Take the maximum of pairs on every axis after the channels. An axis of one keeps its size."""
    hidden = None if lengths is None else hidden_steps(x, lengths)
    if hidden is not None:
        x = x.masked_fill(hidden, torch.finfo(x.dtype).min)
    lengths = lengths_after_pooling(lengths)
    if x.ndim == 3:
        # max_pool1d cannot be exported with a dynamic time axis; max_pool2d with one bin can.
        return F.max_pool2d(x.unsqueeze(2), (1, 2)).squeeze(2), lengths
    return F.max_pool2d(x, (min(x.shape[2], 2), 2)), lengths


def maximum_of_bins(x: Tensor) -> Tensor:
    """Return ``(B, depth, N)``, the maximum over frequency of ``(B, depth, F, N)``.

    Pooling keeps the index of the maximum. The gradient of ``amax`` compares all values with the maximum.
    That takes ten times as long with channels last. It finds no equal value if a compiler rounds to bfloat16
    between the two.
    """
    if not torch.is_grad_enabled() and has_long_rows(x):
        return max_of_rows(x)
    return F.max_pool2d(x, (x.shape[2], 1)).squeeze(2)


class GlobalMaxPool(nn.Module):
    """Maximum over time and frequency: ``(B, depth, ..., N)`` to ``(B, depth)``."""

    def forward(self, x: Tensor, lengths: Lengths) -> Tensor:
        """Return the maximum over the frames that are not padding."""
        x, lengths = _unpacked(x if x.ndim == 3 else maximum_of_bins(x), lengths)
        return zero_beyond(x, lengths, fill=torch.finfo(x.dtype).min).max(-1).values


class GRUPool(nn.Module):
    """Final states of a bidirectional GRU: ``(B, depth, ..., N)`` to ``(B, 2 * units)``.

    The GRU gets the mean over frequency. It is two GRUs of one direction, because the backward one starts at
    each clip's own end. Packed sequences would do that too, but make an accelerator wait for the lengths.
    """

    def __init__(self, depth: int, *, units: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(depth)
        self.forwards = nn.GRU(depth, units, batch_first=True)
        self.backwards = nn.GRU(depth, units, batch_first=True)

    def forward(self, x: Tensor, lengths: Lengths) -> Tensor:
        """Return the final state of each direction, the forward one at each clip's own end."""
        x, lengths = _unpacked(x if x.ndim == 3 else x.mean(2), lengths)
        x = self.norm(x.transpose(1, 2))
        if lengths is None:
            ends = [gru(y)[1][0] for gru, y in ((self.forwards, x), (self.backwards, x.flip(1)))]
            return torch.cat(ends, dim=-1)
        last = lengths[:, None] - 1
        time = torch.arange(x.shape[1], device=x.device)
        backward_time = (last - time).clamp(min=0)[..., None].expand_as(x)
        states = [self.forwards(x)[0], self.backwards(x.gather(1, backward_time))[0]]
        at_end = last[..., None].expand(-1, 1, states[0].shape[2])
        return torch.cat([state.gather(1, at_end).squeeze(1) for state in states], dim=-1)


def _unpacked(x: Tensor, lengths: Lengths) -> tuple[Tensor, Tensor | None]:
    """Return features ``(B, depth, N)`` with one clip in each row, and their lengths."""
    return (lengths.unpack(x), lengths.lengths) if isinstance(lengths, Packed) else (x, lengths)
