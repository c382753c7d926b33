"""The chunks of a clip in random order."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from rankaudio import _random
from rankaudio._checks import check_integer, check_values
from rankaudio._clips import can_loop_over_rows, check_clips, gather_steps
from rankaudio._draws import take_fields
from rankaudio._silence import silence
from rankaudio.augmentation import Augmentation, Draw
from rankaudio.lengths import zero_beyond


def shuffle_chunks(
    clips: Tensor,
    lengths: Tensor | None = None,
    *,
    chunk_length: int = 22_050,
    p: float = 0.5,
    generator: torch.Generator | None = None,
) -> tuple[Tensor, Tensor | None]:
    """Functional form of :class:`ShuffleChunks`, which has the definition.

    It takes clips ``(B, T)`` or ``(B, F, N)`` and lengths ``(B,)``, and returns both in the same shapes.

    >>> generator = torch.Generator().manual_seed(2)
    >>> shuffle_chunks(torch.arange(8.0)[None], chunk_length=3, p=1.0, generator=generator)
    (tensor([[3., 4., 5., 6., 7., 0., 1., 2.]]), None)
    """
    return ShuffleChunks(chunk_length=chunk_length, p=p)(clips, lengths, generator=generator)


class ShuffleChunks(Augmentation):
    r"""Cut each clip into chunks, and join them in random order.

    A clip of :math:`\ell_b` steps has :math:`n_b = \lceil \ell_b / L \rceil` chunks. Chunk :math:`k` starts
    at :math:`k L`, and the last chunk may be shorter. With probability ``p`` the chunks are joined in an
    order that is uniform over all :math:`n_b!` orders. The shorter chunk is moved like the others, so nothing
    is lost and the length stays the same. A clip of one chunk stays unchanged.

    :meth:`draw` returns ``order`` ``(B, K)``: for each position, the number of the chunk that goes there.
    Numbers of chunks that a clip does not have come last, in ascending order.

    Args:
        chunk_length: :math:`L`, in steps of the last axis; 22,050 samples are 0.5 s at 44.1 kHz.
        p: probability that a clip is shuffled.

    Shapes:
        Clips are ``(B, T)`` or ``(B, F, N)`` floating point. Lengths ``(B,)`` are integers, in steps of the
        last axis; None: every clip fills its row. The result has the same shapes, and zeros after each
        length.

    Raises:
        TypeError: if clips are not floating point, or lengths or ``chunk_length`` are not integers.
        ValueError: if shapes or devices disagree, or a setting is out of range.

    Reference:
        The third-place system of Freesound Audio Tagging 2019.

    >>> shuffle = ShuffleChunks(chunk_length=3, p=1.0)
    >>> shuffle.draw(torch.zeros(1, 8), generator=torch.Generator().manual_seed(2))
    {'order': tensor([[1, 2, 0]])}
    """

    def __init__(self, *, chunk_length: int = 22_050, p: float = 0.5) -> None:
        super().__init__(p=p)
        self.chunk_length: int = check_integer("chunk_length", chunk_length)

    def draw(
        self, clips: Tensor, lengths: Tensor | None = None, *, generator: torch.Generator | None = None
    ) -> Draw:
        """Draw ``order``."""
        real = check_clips(clips, lengths)
        batch, device = clips.shape[0], clips.device
        number = torch.arange(-(-clips.shape[-1] // self.chunk_length), device=device)
        keys = _random.uniform(batch * number.numel(), 0.0, 1.0, device=device, generator=generator)
        chosen = _random.choose(batch, self.p, device=device, generator=generator)
        # The order of independent random keys is a uniform permutation. Chunks that a clip does not have get
        # keys from 1 on, so they come last.
        shuffled = chosen[:, None] & (number * self.chunk_length < real[:, None])
        keys = torch.where(shuffled, keys.reshape(batch, number.numel()), 1 + number)
        return {"order": keys.argsort(dim=1, stable=True)}

    def replay(
        self, clips: Tensor, draw: Draw, lengths: Tensor | None = None
    ) -> tuple[Tensor, Tensor | None]:
        """Apply what :meth:`draw` returned."""
        real = check_clips(clips, lengths)
        (order,) = take_fields(draw, ("order",), clips)
        first = self._check_order(order, real) * self.chunk_length
        sizes = (real[:, None] - first).clamp(0, self.chunk_length)
        if can_loop_over_rows(clips):
            return _join_chunks(clips, first, sizes), lengths
        source = _source_steps(first, sizes, clips.shape[-1])
        return zero_beyond(gather_steps(clips, source), lengths), lengths

    def _check_order(self, order: Tensor, real: Tensor) -> Tensor:
        """Return the order with chunks that a clip does not have at its end.

        Other chunks are missing if the draw was made for clips of other lengths.
        """
        count = order.shape[1]
        each_once = order.sort(dim=1).values == torch.arange(count, device=order.device)
        check_values("draw", order, each_once, "each chunk once")
        enough = real <= count * self.chunk_length
        check_values("draw", real, enough, "clips that have no more chunks than the order")
        missing = order * self.chunk_length >= real[:, None]
        return order.gather(1, missing.byte().argsort(dim=1, stable=True))

    def extra_repr(self) -> str:
        """Show the settings."""
        return f"chunk_length={self.chunk_length}, p={self.p}"


def _join_chunks(clips: Tensor, first: Tensor, sizes: Tensor) -> Tensor:
    """Copy the chunks ``(B, K)`` one after the other; the rest of each row is zero."""
    joined = silence(clips, *clips.shape)
    for row, (starts, lengths) in enumerate(zip(first.tolist(), sizes.tolist(), strict=True)):
        place = 0
        for start, length in zip(starts, lengths, strict=True):
            joined[row, ..., place : place + length] = clips[row, ..., start : start + length]
            place += length
    return joined


def _source_steps(first: Tensor, sizes: Tensor, steps: int) -> Tensor:
    """Return the source ``(B, steps)`` of each step, from first step and size of the chunks ``(B, K)``."""
    starts = sizes.cumsum(1) - sizes
    # The source advances by 1 from step to step, except at the first step of each chunk. A running sum of
    # these differences is much faster than a division for every step. Chunks that a clip does not have are
    # empty. Their start is at most one step after the end of the batch, so there is room for one more step.
    moves = torch.ones(first.shape[0], steps + 1, dtype=torch.long, device=first.device)
    moves.scatter_(1, starts, first - F.pad((first + sizes - 1)[:, :-1], (1, 0)))
    return moves.cumsum_(1)[:, :-1].clamp_(0, steps - 1)
