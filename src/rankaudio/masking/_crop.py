"""A random segment of each clip."""

from __future__ import annotations

import torch
from torch import Tensor

from rankaudio import _random
from rankaudio._checks import check_integer, check_values, describe
from rankaudio._clips import check_clips, gather_steps
from rankaudio._draws import check_part, take_fields
from rankaudio.augmentation import Augmentation, Draw
from rankaudio.lengths import zero_beyond


def random_crop(
    clips: Tensor,
    lengths: Tensor | None = None,
    *,
    size: int | tuple[int, int],
    p: float = 1.0,
    generator: torch.Generator | None = None,
) -> tuple[Tensor, Tensor | None]:
    """Functional form of :class:`RandomCrop`, which has the definition.

    It takes clips ``(B, T)`` or ``(B, F, N)`` and lengths ``(B,)``, and returns the cut clips and their
    lengths.

    >>> generator = torch.Generator().manual_seed(0)
    >>> clips = torch.arange(10.0).repeat(2, 1)
    >>> random_crop(clips, torch.tensor([10, 3]), size=4, generator=generator)
    (tensor([[4., 5., 6., 7.],
            [0., 1., 2., 0.]]), tensor([4, 3]))
    """
    return RandomCrop(size=size, p=p)(clips, lengths, generator=generator)


class RandomCrop(Augmentation):
    r"""Keep a random segment of each clip that is longer than the segment.

    The segment is ``size`` steps long, or a number of steps uniform over {low, ..., high}. Its start is
    uniform over :math:`\{0, \dots, \ell_b - \mathrm{size}_b\}`. A clip that is not longer stays whole.

    :meth:`draw` returns ``start`` and ``length`` of the segment. Each is ``(B,)``.

    Args:
        size: length of the segment in steps, or its lowest and highest value.
        p: probability that a clip is cut.

    Shapes:
        Clips are ``(B, T)`` or ``(B, F, N)`` floating point. Lengths ``(B,)`` are integers, in steps of the
        last axis; None: every clip fills its row. The last axis of the result has min(T, high) steps, or T
        steps if ``p`` is below 1, and zeros after each length. If no lengths are given and every clip still
        fills its row, the new lengths are None.

    Raises:
        TypeError: if clips are not floating point, or lengths or ``size`` are not integers.
        ValueError: if shapes or devices disagree, or a setting is out of range.

    >>> RandomCrop(size=(2, 4))(torch.randn(3, 10))[0].shape
    torch.Size([3, 4])
    """

    def __init__(self, *, size: int | tuple[int, int], p: float = 1.0) -> None:
        super().__init__(p=p)
        self.size: tuple[int, int] = _check_sizes(size)

    def draw(
        self, clips: Tensor, lengths: Tensor | None = None, *, generator: torch.Generator | None = None
    ) -> Draw:
        """Draw ``start`` and ``length``."""
        real, (low, high) = check_clips(clips, lengths), self.size
        chosen = _random.choose(real.shape[0], self.p, device=real.device, generator=generator)
        wanted = low + _random.below(torch.full_like(real, high - low + 1), generator=generator)
        length = torch.where(chosen, torch.minimum(wanted, real), real)
        return {"start": _random.below(real - length + 1, generator=generator), "length": length}

    def replay(
        self, clips: Tensor, draw: Draw, lengths: Tensor | None = None
    ) -> tuple[Tensor, Tensor | None]:
        """Apply what :meth:`draw` returned."""
        real = check_clips(clips, lengths)
        start, length = take_fields(draw, ("start", "length"), clips)
        longest, (low, high) = clips.shape[-1], self.size
        good = (length >= real.clamp(max=low)) & (length <= high)
        good = good if self.p == 1 else good | (length == real)
        check_values("draw", length, good, f"lengths of {self.size}, or of clips that are shorter")
        check_part(start, length, real, what="length")
        columns = torch.arange(min(longest, high) if self.p == 1 else longest, device=clips.device)
        source = (start[:, None] + columns).clamp(max=longest - 1)
        result = zero_beyond(gather_steps(clips, source), length)
        if lengths is not None:
            return result, length.to(lengths.dtype)
        all_full = longest <= low or (self.p == 1 and low == high)
        return result, None if all_full else length

    def extra_repr(self) -> str:
        """Show the settings."""
        return f"size={self.size}, p={self.p}"


def _check_sizes(size: object) -> tuple[int, int]:
    if not isinstance(size, (tuple, list)):  # torch 2.7 cannot compile tuple | list
        return (check_integer("size", size),) * 2
    if len(size) != 2:
        raise TypeError(f"size: wanted an integer or two (low, high), got {describe(size)}")
    low = check_integer("size", size[0])
    return low, check_integer("size", size[1], low)
