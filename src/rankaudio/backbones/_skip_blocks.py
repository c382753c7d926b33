"""Layers of the first-place networks that never let padding reach an output.

``lengths`` are the frames of each clip, ``(B,)`` integers. None: no frame is padding. Features are zero in
the padding before and after every layer.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from rankaudio.backbones._masked_norm import MaskedBatchNorm
from rankaudio.lengths import time_mask, zero_beyond


class ConvNormReLU(nn.Module):
    """Conv 3 without bias, batch normalisation, ReLU."""

    def __init__(self, in_depth: int, depth: int) -> None:
        super().__init__()
        self.conv: nn.Conv2d = nn.Conv2d(in_depth, depth, 3, padding=1, bias=False)
        self.norm: MaskedBatchNorm = MaskedBatchNorm(depth)

    def forward(self, x: Tensor, mask: Tensor | None) -> Tensor:
        """Return ``(B, depth, F, N)``, zero in the padding."""
        out: Tensor = self.norm(self.conv(x), mask, relu=True)
        return out


class SkipBlock(nn.Module):
    """Two convolutions and average pooling by 2."""

    def __init__(self, in_depth: int, depth: int) -> None:
        super().__init__()
        self.conv1, self.conv2 = ConvNormReLU(in_depth, depth), ConvNormReLU(depth, depth)
        for layer in (self.conv1, self.conv2):
            if (
                not layer.conv.weight.is_meta
            ):  # normal_ on meta would import torch._dynamo, which takes seconds
                nn.init.kaiming_normal_(layer.conv.weight)

    def forward(self, x: Tensor, lengths: Tensor | None) -> tuple[Tensor, Tensor | None]:
        """Return features at half the size, and their lengths."""
        mask = time_mask(x, lengths)
        return average_pool(self.conv2(self.conv1(x, mask), mask), lengths, size=2)


def average_pool(x: Tensor, lengths: Tensor | None, *, size: int) -> tuple[Tensor, Tensor | None]:
    """Means of ``size`` steps on both axes, rounding down.

    The steps that are left over at a clip's own end are dropped. A clip of fewer frames than ``size`` becomes
    one frame, the mean of those that it has; frequency likewise.
    """
    pooled = F.avg_pool2d(x, (min(x.shape[2], size), size))
    if lengths is None:
        return pooled, None
    # The padding of x is zero, so the mean of a short clip is too small by the padding's share of the window.
    missing = size / lengths.clamp(max=size).to(pooled.dtype)
    lengths = (lengths // size).clamp(min=1)
    return zero_beyond(pooled, lengths) * missing[:, None, None, None], lengths


def classifier(depth: int, hidden: int, n_classes: int, *, dropout: float) -> nn.Sequential:
    """From pooled features to scores."""
    return nn.Sequential(
        nn.Dropout(dropout),
        nn.Linear(depth, hidden),
        nn.PReLU(),
        MaskedBatchNorm(hidden),
        nn.Dropout(dropout / 2),
        nn.Linear(hidden, n_classes),
    )


class RecurrentPool(nn.Module):
    """Mean over frequency, an LSTM in each direction, a linear layer, and the mean over time.

    The backward LSTM starts at each clip's own end. Two one-way LSTMs make that possible without packed
    sequences, which would make an accelerator wait for the lengths.
    """

    def __init__(self, depth: int) -> None:
        super().__init__()
        self.forwards: nn.LSTM = nn.LSTM(depth, depth, batch_first=True)
        self.backwards: nn.LSTM = nn.LSTM(depth, depth, batch_first=True)
        self.embedding: nn.Linear = nn.Linear(2 * depth, depth)

    def forward(self, x: Tensor, lengths: Tensor | None) -> Tensor:
        """From ``(B, depth, F, N)`` to ``(B, depth)``."""
        x = x.mean(2).transpose(1, 2)
        if lengths is None:
            states = torch.cat([self.forwards(x)[0], self.backwards(x.flip(1))[0]], dim=-1)
            mean = states.mean(1)
        else:
            time = torch.arange(x.shape[1], device=x.device)
            from_end = (lengths[:, None] - 1 - time).clamp(min=0)[..., None].expand_as(x)
            states = torch.cat([self.forwards(x)[0], self.backwards(x.gather(1, from_end))[0]], dim=-1)
            mean = (zero_beyond(states.mT, lengths).sum(-1) / lengths[:, None]).to(x.dtype)
        # The mean does not depend on the order of the frames, and the linear layer commutes with it.
        embedded: Tensor = self.embedding(mean)
        return embedded
