"""A batch as tables that a CPU reads in long stretches, a few rows at a time."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

# Values in a chunk: 1 MB of float32. A chunk and its results nearly fit into the second cache of a core.
_CHUNK_VALUES = 2**18

Cut = Callable[[Tensor], Tensor]


class NormGrid:
    """Tensors of a batch as tables ``(B, R, L)``, and numbers of the channels that broadcast with them.

    With channels last a row is a bin, and its columns are all channels of all steps. Then the mask is a
    factor of the columns, and costs no pass over the values. Otherwise a row is a channel.

    Args:
        x: the batch, ``(B, C, ...)``.
        mask: false in the padding; it broadcasts to ``x``.
    """

    def __init__(self, x: Tensor, mask: Tensor | None) -> None:
        self.channels_last = x.ndim == 4 and x.is_contiguous(memory_format=torch.channels_last)
        self.format = torch.channels_last if self.channels_last else torch.contiguous_format
        self.channels, self.steps = x.shape[1], x.shape[-1]
        self.dtype = torch.promote_types(x.dtype, torch.float32)
        self._shape = self._table(x).shape
        # 1 and 0 of each step of a clip with channels last, (B, 1, N, 1), else of each column, (B, 1, L).
        self._real: Tensor | None = None
        if mask is not None:
            real = mask.to(self.dtype)
            shape = (-1, 1, self.steps, 1) if self.channels_last else (-1, 1, self._shape[2])
            self._real = (real if self.channels_last else real.expand(-1, 1, *x.shape[2:])).reshape(shape)

    def empty_like(self, x: Tensor) -> Tensor:
        """Return new memory in the format of the batch."""
        return torch.empty_like(x, memory_format=self.format)

    def columns(self, values: Tensor) -> Tensor:
        """Return numbers of the channels ``(C,)`` as ``(1, 1, L)`` or ``(1, C, 1)``."""
        if self.channels_last:
            return values.expand(self.steps, self.channels).reshape(1, 1, -1)
        return values[None, :, None]

    def masked(self, values: Tensor) -> Tensor:
        """Return :meth:`columns`, which are zero in the padding with channels last."""
        if not self.channels_last or self._real is None:
            return self.columns(values)
        return (self._real * values).view(self._shape[0], 1, -1)

    def without_padding(self, z: Tensor, cut: Cut) -> Tensor:
        """Set the padding to zero in place, if :meth:`masked` numbers have not done so."""
        return z if self.channels_last or self._real is None else z.mul_(cut(self._real))

    def prelu(self, z: Tensor, slopes: Tensor) -> Tensor:
        """Apply PReLU with the :meth:`columns` of slopes."""
        if self.channels_last:
            return F.prelu(z.flatten(0, 1), slopes.flatten()).view_as(z)
        return F.prelu(z, slopes.flatten())

    def partial(self, chunk: Tensor, cut: Cut | None = None) -> Tensor:
        """Sum a chunk as far as one operation does. Without ``cut``, its padding is zero already."""
        if self.channels_last:
            return chunk.sum(1)
        masked = cut is not None and self._real is not None
        return (chunk * cut(self._real) if masked else chunk).sum(-1)  # type: ignore[misc, arg-type]

    def totals(self, *partials: list[Tensor]) -> tuple[Tensor, ...]:
        """Sum the :meth:`partial` sums of all chunks to ``(C,)`` each, without the padding."""
        sums = torch.stack([torch.cat(each) if len(each) > 1 else each[0] for each in partials])
        if not self.channels_last:
            return sums.sum(1).unbind()
        if sums.shape[1] > self._shape[0]:  # several chunks of each clip
            sums = sums.view(len(partials), self._shape[0], -1, sums.shape[-1]).sum(2)
        # Not a product of matrices, which PyTorch may be told to compute in bfloat16.
        sums = sums.view(len(partials), -1, self.steps, self.channels)
        return (sums if self._real is None else sums * self._real[:, 0]).sum((1, 2)).unbind()

    def chunks(self, x: Tensor, *others: Tensor | None) -> Iterator[tuple[Any, ...]]:
        """Iterate over a few rows at a time.

        The first value cuts numbers of the columns to the clips of the chunk. The others are the parts of the
        tensors.
        """
        tables = [None if value is None else self._table(value) for value in (x, *others)]
        clips, rows, columns = self._shape
        if clips * rows * columns <= _CHUNK_VALUES:
            yield _all, *tables
            return
        at_once = max(1, _CHUNK_VALUES // columns)
        some_clips, some_rows = max(1, at_once // rows), min(at_once, rows) if self.channels_last else rows
        for first in range(0, clips, some_clips):
            part = slice(first, first + some_clips)

            def cut(values: Tensor, part: slice = part) -> Tensor:
                return values[part] if values.shape[0] == clips else values

            for row in range(0, rows, some_rows):
                some = slice(row, row + some_rows)
                yield cut, *(None if table is None else table[part, some] for table in tables)

    def statistics(self, x: Tensor, count: Tensor) -> tuple[Tensor, Tensor]:
        """Return mean and variance of each channel.

        The sums are those of the distance from values that are near the mean. So one pass is enough, and the
        difference of two large numbers does not cost the digits of the variance.
        """
        near = self._near_mean(x)
        columns = self.columns(near)
        sums: list[Tensor] = []
        squares: list[Tensor] = []
        for cut, chunk in self.chunks(x):
            distance = chunk - columns
            sums.append(self.partial(distance, cut))
            squares.append(self.partial(distance.mul_(distance), cut))
        offset, square = (total / count for total in self.totals(sums, squares))
        return near + offset, square.addcmul_(offset, offset, value=-1).clamp_(min=0)

    def _near_mean(self, x: Tensor) -> Tensor:
        """Return the mean of each channel in the first clip, or in the first bin of it."""
        row = self._table(x)[0].to(self.dtype)
        row = row[0].view(self.steps, self.channels).mT if self.channels_last else row
        if self._real is None:
            return row.mean(-1)
        real = self._real[0].flatten()
        return torch.mv(row, real).div_(real.sum().clamp_(min=1))

    def _table(self, x: Tensor) -> Tensor:
        """Return ``(B, R, L)``, which is a view if ``x`` has the format of the batch."""
        x = x.contiguous(memory_format=self.format)
        if self.channels_last:
            x = x.permute(0, 2, 3, 1)
        return x.view(*x.shape[:2], -1)


def _all(values: Tensor) -> Tensor:
    return values
