"""Permuting the chunks of a clip."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from rankaudio import _random
from rankaudio._checks import check_integer, check_number
from rankaudio._parts import Augmentation, Draw, check_clips, take, take_fields
from rankaudio.lengths import zero_beyond


def shuffle_chunks(
    clips: Tensor,
    lengths: Tensor | None = None,
    *,
    chunk_length: int = 22_050,
    p: float = 0.5,
    generator: torch.Generator | None = None,
) -> tuple[Tensor, Tensor | None]:
    r"""Cut each clip into chunks and put them together in random order.

    A clip of :math:`\ell_b` steps has :math:`n_b = \lceil \ell_b / L \rceil` chunks: chunk :math:`k` begins
    at :math:`k L`, and the last one may be shorter. With probability ``p`` they are put end to end in an
    order uniform over all :math:`n_b!`, the short one among them, so nothing is lost and the length stays.

    Args:
        clips: ``(B, T)`` waveforms or ``(B, F, N)`` spectrograms, floating point.
        lengths: ``(B,)`` integers, in steps of the last axis; None: all of it.
        chunk_length: :math:`L`, in steps; 22,050 samples are 0.5 s at 44.1 kHz.
        p: probability that a clip is shuffled.
        generator: where the numbers come from; None: PyTorch's global CPU generator.

    Returns:
        New clips, zero beyond their lengths, and the lengths, which stay the same. A clip of one chunk stays
        as it is. With ``p = 0`` the inputs themselves are returned.

    Raises:
        TypeError: if clips are not floating point, or lengths or ``chunk_length`` not integers.
        ValueError: if shapes or devices disagree, or a setting is out of range.

    Reference:
        The third-place system of Freesound Audio Tagging 2019.

    >>> generator = torch.Generator().manual_seed(2)
    >>> shuffle_chunks(torch.arange(8.0)[None], chunk_length=3, p=1.0, generator=generator)
    (tensor([[3., 4., 5., 6., 7., 0., 1., 2.]]), None)
    """
    real = check_clips(clips, lengths)
    check_integer("chunk_length", chunk_length)
    if check_number("p", p, 0, 1) == 0:
        return clips, lengths
    order = _draw(clips, real, chunk_length=chunk_length, p=p, generator=generator)
    return _apply(clips, lengths, order=order, real=real, chunk_length=chunk_length), lengths


class ShuffleChunks(Augmentation):
    """Module form of :func:`shuffle_chunks`, which holds the definition; in eval mode it does nothing.

    It draws ``order`` ``(B, K)``: for each place, the number of the chunk that is put there. Numbers of
    chunks that a clip does not have come last, in their order.

    Args:
        chunk_length: in steps of the last axis; 22,050 samples are 0.5 s at 44.1 kHz.
        p: probability that a clip is shuffled.

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
        order = _draw(clips, real, chunk_length=self.chunk_length, p=self.p, generator=generator)
        return {"order": order}

    def replay(
        self, clips: Tensor, draw: Draw, lengths: Tensor | None = None
    ) -> tuple[Tensor, Tensor | None]:
        """Apply what :meth:`draw` returned."""
        real = check_clips(clips, lengths)
        (order,) = take_fields(draw, ("order",), clips)
        return _apply(clips, lengths, order=order, real=real, chunk_length=self.chunk_length), lengths

    def extra_repr(self) -> str:
        """Show the settings."""
        return f"chunk_length={self.chunk_length}, p={self.p}"


def _draw(
    clips: Tensor, real: Tensor, *, chunk_length: int, p: float, generator: torch.Generator | None
) -> Tensor:
    batch, device = clips.shape[0], clips.device
    number = torch.arange(-(-clips.shape[-1] // chunk_length), device=device)
    keys = _random.uniform(batch * number.numel(), 0.0, 1.0, device=device, generator=generator)
    chosen = _random.uniform(batch, 0.0, 1.0, device=device, generator=generator) < p
    # Sorting independent keys is a uniform permutation; keys of chunks that are not there sort behind.
    shuffled = chosen[:, None] & (number * chunk_length < real[:, None])
    keys = torch.where(shuffled, keys.reshape(batch, number.numel()), 1 + number)
    return keys.argsort(dim=1, stable=True)


def _apply(
    clips: Tensor, lengths: Tensor | None, *, order: Tensor, real: Tensor, chunk_length: int
) -> Tensor:
    first = order * chunk_length
    sizes = (real[:, None] - first).clamp(0, chunk_length)
    starts = sizes.cumsum(1) - sizes
    # From one step to the next the source moves on by one, but for the first step of each chunk. A running
    # sum of these moves is far quicker than a division for every step. Chunks that are not there have no
    # steps, and come to lie behind the clip: at most one step behind the whole batch.
    moves = torch.ones(clips.shape[0], clips.shape[-1] + 1, dtype=torch.long, device=clips.device)
    moves.scatter_(1, starts, first - F.pad((first + sizes - 1)[:, :-1], (1, 0)))
    source = moves.cumsum_(1)[:, :-1].clamp_(0, clips.shape[-1] - 1)
    return zero_beyond(take(clips, source), lengths)
