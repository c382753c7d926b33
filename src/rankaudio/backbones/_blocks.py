"""Building blocks in one and two dimensions that never let padding reach an output.

Time is the last axis. ``frames`` is ``(B,)``, how many frames of each clip are real, or None when all
are. The rules that keep a clip the same alone and in any batch:

- a convolution sees zeros beyond the end of each clip, as it does beyond the end of a batch;
- pooling halves rounding down, so the frame it drops is the clip's own last one; a single frame stays;
- statistics of batch normalisation, maxima and recurrent states never include padding.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from rankaudio.backbones._norm import MaskedBatchNorm
from rankaudio.lengths import length_mask

CONV: dict[int, type[nn.Conv1d | nn.Conv2d]] = {1: nn.Conv1d, 2: nn.Conv2d}


def frame_mask(x: Tensor, frames: Tensor | None) -> Tensor | None:
    """``(B, 1, ..., N)``, true on real frames; None when all are real."""
    if frames is None:
        return None
    mask = length_mask(frames, x.shape[-1])
    return mask.reshape(mask.shape[0], *(1,) * (x.ndim - 2), mask.shape[1])


def with_room(x: Tensor, frames: Tensor | None, shortest: int) -> tuple[Tensor, Tensor | None]:
    """Padding, so that a batch of clips shorter than ``shortest`` frames can be halved all the way.

    An exported program has to serve any length, and a branch on the length would nail it to the lengths of
    one side, so there it is a maximum. Sizes of 1 are such a branch inside PyTorch, hence room for two
    frames after the last halving.
    """
    exporting = getattr(torch.compiler, "is_exporting", torch.compiler.is_compiling)
    time = x.shape[-1]
    if not exporting() and time >= shortest:
        return x, frames
    if frames is None:
        frames = torch.full((x.shape[0],), time, device=x.device)
    room = 2 * shortest
    # Where bytecode is traced (strict export, the rule in torch 2.7) a maximum would be a branch after all.
    if not torch.compiler.is_dynamo_compiling():
        room = torch.sym_max(time, room) - time  # type: ignore[no-untyped-call]
    return F.pad(x, (0, room)), frames


def in_quick_order(x: Tensor) -> Tensor:
    """The same values with channels last in memory on a CPU, whose convolutions are twice as quick then."""
    if x.ndim == 4 and x.device.type == "cpu":
        return x.contiguous(memory_format=torch.channels_last)
    return x


def halve(x: Tensor, frames: Tensor | None) -> tuple[Tensor, Tensor | None]:
    """Max pooling by 2 over every axis after the channels, rounding down but never to nothing."""
    if frames is not None:
        # The pair (0, 1) of a clip of one frame reaches into padding: hold the frame instead.
        single = frames == 1
        # Looking makes an accelerator wait; a CPU is spared a copy of everything.
        if x.device.type != "cpu" or torch.compiler.is_compiling() or bool(single.any()):
            x = torch.where(single.reshape(-1, *(1,) * (x.ndim - 1)), x[..., :1], x)
        frames = (frames // 2).clamp(min=1)
    if x.ndim == 3:
        # max_pool1d cannot be exported for a time axis of any length; one bin in two dimensions can.
        return F.max_pool2d(x.unsqueeze(2), (1, 2)).squeeze(2), frames
    return F.max_pool2d(x, (min(x.shape[2], 2), 2)), frames


class Bottleneck(nn.Module):
    """Residual bottleneck of constant depth: Conv 1, Conv 3, Conv 1, each with normalisation."""

    def __init__(self, depth: int, *, dims: int) -> None:
        super().__init__()
        conv = CONV[dims]
        self.conv1, self.norm1, self.act1 = conv(depth, depth, 1), MaskedBatchNorm(depth), nn.PReLU(depth)
        self.conv2 = conv(depth, depth, 3, padding=1)
        self.norm2, self.act2 = MaskedBatchNorm(depth), nn.PReLU(depth)
        self.conv3, self.norm3, self.act3 = conv(depth, depth, 1), MaskedBatchNorm(depth), nn.PReLU(depth)

    def forward(self, x: Tensor, mask: Tensor | None) -> Tensor:
        """Return ``(B, depth, ..., N)``, zero in the padding as ``x`` is."""
        y = self.norm1(self.conv1(x), mask, act=self.act1)
        y = self.norm2(self.conv2(y), mask, act=self.act2)
        out: Tensor = self.act3(x + self.norm3(self.conv3(y), mask))
        return out


class ConvBlock(nn.Module):
    """BatchNorm, Conv 3, MaxPool 2, BatchNorm, PReLU and a residual bottleneck."""

    def __init__(self, in_depth: int, depth: int, *, dims: int) -> None:
        super().__init__()
        self.norm_in = MaskedBatchNorm(in_depth)
        self.conv = CONV[dims](in_depth, depth, 3, padding=1)
        self.norm, self.act = MaskedBatchNorm(depth), nn.PReLU(depth)
        self.residual = Bottleneck(depth, dims=dims)

    def forward(self, x: Tensor, frames: Tensor | None) -> tuple[Tensor, Tensor | None]:
        """Return features at half the size, and their frames."""
        mask = frame_mask(x, frames)
        x = self.conv(self.norm_in(x, mask))
        x, frames = halve(x, frames)
        mask = frame_mask(x, frames)
        return self.residual(self.norm(x, mask, act=self.act), mask), frames


class MaxAggregate(nn.Module):
    """Maximum over time and frequency: ``(B, depth, ..., N)`` to ``(B, depth)``."""

    def forward(self, x: Tensor, frames: Tensor | None) -> Tensor:
        """Return the maximum over real frames."""
        mask = frame_mask(x, frames)
        if mask is not None:
            x = x.masked_fill(~mask, torch.finfo(x.dtype).min)
        highest: Tensor = x.flatten(2).amax(-1)
        return highest


class GRUAggregate(nn.Module):
    """Bidirectional GRU over the mean over frequency: ``(B, depth, ..., N)`` to ``(B, 2 * units)``.

    Two one-way GRUs rather than one of both ways: the backward one has to start at each clip's own
    end, and packing sequences for that would make an accelerator wait for the lengths.
    """

    def __init__(self, depth: int, *, units: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(depth)
        self.forwards = nn.GRU(depth, units, batch_first=True)
        self.backwards = nn.GRU(depth, units, batch_first=True)

    def forward(self, x: Tensor, frames: Tensor | None) -> Tensor:
        """Return the final state of each direction at each clip's own end."""
        if x.ndim == 4:
            x = x.mean(2)
        x = self.norm(x.transpose(1, 2))
        if frames is None:
            ends = [gru(y)[1][0] for gru, y in ((self.forwards, x), (self.backwards, x.flip(1)))]
            return torch.cat(ends, dim=-1)
        last = frames[:, None] - 1
        time = torch.arange(x.shape[1], device=x.device)
        backward_time = (last - time).clamp(min=0)[..., None].expand_as(x)
        states = [self.forwards(x)[0], self.backwards(x.gather(1, backward_time))[0]]
        at_end = last[..., None].expand(-1, 1, states[0].shape[2])
        return torch.cat([state.gather(1, at_end).squeeze(1) for state in states], dim=-1)
