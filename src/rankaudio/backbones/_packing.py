"""Several short clips one after the other in each row of a training batch, so that less padding is computed.

A clip starts at a multiple of the pooling grid, and at least one step of the coarsest grid is empty after
it. Convolutions see zeros there, as they do after the end of a batch. So features, statistics of batch norm
and gradients are those of the padded batch, except for rounding.
"""

from __future__ import annotations

import bisect
from dataclasses import dataclass

import torch
from torch import Tensor

from rankaudio.lengths import halved

# A packed batch must be smaller than the padded one by this factor, because packing takes time as well.
_SMALLER = 0.9


@dataclass(frozen=True)
class Packed:
    """Where the clips of a packed batch are.

    Attributes:
        row: row of each clip, ``(B,)``.
        start: first step of each clip in its row, ``(B,)``.
        lengths: steps of each clip, ``(B,)``.
        n_rows: number of rows R.
    """

    row: Tensor
    start: Tensor
    lengths: Tensor
    n_rows: int

    def mask(self, x: Tensor) -> Tensor:
        """Return ``(R, 1, ..., N)``, true where features ``(R, C, ..., N)`` belong to a clip."""
        time = torch.arange(x.shape[-1])
        of_clip = (time >= self.start[:, None]) & (time < (self.start + self.lengths)[:, None])
        inside = torch.zeros(self.n_rows, x.shape[-1], dtype=torch.int32)
        inside.index_add_(0, self.row, of_clip.to(torch.int32))
        return (inside > 0).reshape(self.n_rows, *(1,) * (x.ndim - 2), -1)

    def hidden(self, x: Tensor) -> Tensor | None:
        """Return where the step after a clip of one step is, because a pair of steps would include it."""
        single = self.lengths == 1
        if not bool(single.any()):
            return None
        after = torch.zeros(self.n_rows, x.shape[-1], dtype=torch.bool)
        after[self.row[single], self.start[single] + 1] = True
        return after.reshape(-1, *(1,) * (x.ndim - 2), x.shape[-1])

    def pooled(self) -> Packed:
        """Return the places after pooling by two, which rounds each length down to one step at least."""
        return Packed(self.row, self.start // 2, halved(self.lengths), self.n_rows)

    def unpack(self, x: Tensor) -> Tensor:
        """Return a padded batch ``(B, C, longest)`` from ``(R, C, N)``; its padding may hold anything."""
        steps = torch.arange(int(self.lengths.max()))
        places = (self.row * x.shape[-1] + self.start)[:, None] + steps
        flat = x.transpose(1, 2).flatten(0, 1)
        clips = flat.index_select(0, places.clamp(max=len(flat) - 1).flatten())
        return clips.view(*places.shape, x.shape[1]).transpose(1, 2)


def pack(x: Tensor, lengths: Tensor, grid: int) -> tuple[Tensor, Packed] | None:
    """Pack a padded batch ``(B, ..., N)`` into rows, or return None if that saves too little.

    Args:
        x: the batch; its padding may hold anything.
        lengths: steps of each clip, ``(B,)``, on the CPU.
        grid: the number of steps that pooling joins to one in the end.
    """
    real = lengths.tolist()
    plan = plan_rows(real, grid)
    if plan is None or plan.n_rows * plan.steps > _SMALLER * x.shape[0] * x.shape[-1]:
        return None
    rows = x.new_zeros(plan.n_rows, *x.shape[1:-1], plan.steps)
    for clip, (row, start, steps) in enumerate(zip(plan.row, plan.start, real, strict=True)):
        rows[row, ..., start : start + steps] = x[clip, ..., :steps]
    return rows, Packed(torch.tensor(plan.row), torch.tensor(plan.start), lengths, plan.n_rows)


@dataclass(frozen=True)
class RowPlan:
    """Row and start of each clip, the number of rows and their length."""

    row: list[int]
    start: list[int]
    n_rows: int
    steps: int


def plan_rows(lengths: list[int], grid: int) -> RowPlan | None:
    """Choose the row length with the fewest steps in all.

    A row is as long as the longest clip or up to twice as long. Its length is 2^k or 3 times 2^k steps of the
    coarsest grid. So most batches have a shape that was there before. PyTorch compiles CPU code for each new
    shape of a convolution, which takes a tenth of a training step of base depth 16.

    A clip needs its whole steps of the coarsest grid, at least one, and an empty one after them. The clips
    are placed from the longest to the shortest, each in the fullest row that has room.
    """
    if not lengths:
        return None
    needed = [grid * (max(length // grid, 1) + 1) for length in lengths]
    longest = max(needed)
    sizes = sorted(factor * grid << k for factor in (1, 3) for k in range((2 * longest).bit_length()))
    plans = (_fill_rows(needed, steps) for steps in sizes if longest <= steps <= 2 * longest)
    return min(plans, key=lambda plan: plan.n_rows * plan.steps)


def _fill_rows(needed: list[int], steps: int) -> RowPlan:
    row, start = [0] * len(needed), [0] * len(needed)
    room: list[tuple[int, int]] = []  # free steps and number of each row, sorted
    for clip in sorted(range(len(needed)), key=lambda clip: -needed[clip]):
        place = bisect.bisect_left(room, (needed[clip], -1))
        free, number = room.pop(place) if place < len(room) else (steps, len(room))
        row[clip], start[clip] = number, steps - free
        bisect.insort(room, (free - needed[clip], number))
    return RowPlan(row, start, len(room), steps)
