"""Cutting clips to a length, and padding them to one."""

from __future__ import annotations

import torch
from torch import Tensor

from rankaudio import _random
from rankaudio._checks import check_integer, check_number, describe
from rankaudio._parts import (
    Augmentation,
    Draw,
    Fill,
    check_clips,
    check_fill,
    fill_values,
    per_clip,
    take,
    take_fields,
)
from rankaudio.lengths import zero_beyond


def random_crop(
    clips: Tensor,
    lengths: Tensor | None = None,
    *,
    size: int | tuple[int, int],
    p: float = 1.0,
    generator: torch.Generator | None = None,
) -> tuple[Tensor, Tensor | None]:
    r"""Keep a random segment of each clip that is longer than that.

    The segment is ``size`` steps long, or a number of steps uniform over {low, ..., high}, and begins
    anywhere in :math:`\{0, \dots, \ell_b - \mathrm{size}_b\}`. A clip that is not longer is kept whole.

    Args:
        clips: ``(B, T)`` waveforms or ``(B, F, N)`` spectrograms, floating point.
        lengths: ``(B,)`` integers, in steps of the last axis; None: all of it.
        size: length of the segment in steps, or its lowest and highest.
        p: probability that a clip is cut.
        generator: where the numbers come from; None: PyTorch's global CPU generator.

    Returns:
        Clips and their new lengths ``(B,)``; what lies beyond is zero. The last axis has min(T, high) steps;
        with ``p`` below 1, T of them. Lengths are None for None where every clip fills its row still. With
        ``p = 0`` the inputs themselves are returned.

    Raises:
        TypeError: if clips are not floating point, or lengths or ``size`` not integers.
        ValueError: if shapes or devices disagree, or a setting is out of range.

    >>> generator = torch.Generator().manual_seed(0)
    >>> clips = torch.arange(10.0).repeat(2, 1)
    >>> random_crop(clips, torch.tensor([10, 3]), size=4, generator=generator)
    (tensor([[4., 5., 6., 7.],
            [0., 1., 2., 0.]]), tensor([4, 3]))
    """
    real, sizes = check_clips(clips, lengths), _check_sizes(size)
    if check_number("p", p, 0, 1) == 0:
        return clips, lengths
    start, kept = _draw_segment(real, sizes=sizes, p=p, generator=generator)
    return _cut(clips, lengths, start=start, kept=kept, sizes=sizes, p=p)


class RandomCrop(Augmentation):
    """Module form of :func:`random_crop`, which holds the definition; in eval mode it does nothing.

    It draws ``start`` and ``length``, each ``(B,)``: the segment of each clip that is kept.

    Args:
        size: length of the segment in steps, or its lowest and highest.
        p: probability that a clip is cut.

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
        real = check_clips(clips, lengths)
        start, kept = _draw_segment(real, sizes=self.size, p=self.p, generator=generator)
        return {"start": start, "length": kept}

    def replay(
        self, clips: Tensor, draw: Draw, lengths: Tensor | None = None
    ) -> tuple[Tensor, Tensor | None]:
        """Apply what :meth:`draw` returned."""
        check_clips(clips, lengths)
        start, kept = take_fields(draw, ("start", "length"), clips)
        return _cut(clips, lengths, start=start, kept=kept, sizes=self.size, p=self.p)

    def extra_repr(self) -> str:
        """Show the settings."""
        return f"size={self.size}, p={self.p}"


def pad_or_crop(
    clips: Tensor,
    lengths: Tensor | None = None,
    *,
    size: int,
    fill: Fill = 0.0,
    wrap: float = 0.0,
    generator: torch.Generator | None = None,
) -> tuple[Tensor, Tensor | None]:
    r"""Give every clip the same length: cut a random part of the longer ones, pad the shorter ones.

    A shorter clip comes to stand in the middle, behind :math:`\lfloor (\mathrm{size} - \ell_b) / 2 \rfloor`
    steps of padding. That is ``fill``, or with probability ``wrap`` the clip itself, repeated in both
    directions.

    Args:
        clips: ``(B, T)`` waveforms or ``(B, F, N)`` spectrograms, floating point.
        lengths: ``(B,)`` integers, in steps of the last axis; None: all of it.
        size: length of every clip of the result, in steps.
        fill: a number, or ``"minimum"`` or ``"mean"`` of the clip itself, over all its bins.
        wrap: probability that a shorter clip is padded with itself.
        generator: where the numbers come from; None: PyTorch's global CPU generator.

    Returns:
        Clips ``(B, size)`` or ``(B, F, size)``, and lengths that are all ``size`` (None for None).

    Raises:
        TypeError: if clips are not floating point, or lengths or ``size`` not integers.
        ValueError: if shapes or devices disagree, or a setting is out of range.

    Reference:
        The first-place system of Freesound Audio Tagging 2019 (256 frames, wrapped half of the time,
        otherwise filled with the minimum).

    >>> clips, lengths = torch.tensor([[1.0, 2.0, 3.0, 0.0]]), torch.tensor([3])
    >>> pad_or_crop(clips, lengths, size=6)
    (tensor([[0., 1., 2., 3., 0., 0.]]), tensor([6]))
    >>> pad_or_crop(clips, lengths, size=6, wrap=1.0)[0]
    tensor([[3., 1., 2., 3., 1., 2.]])
    """
    real, fill = check_clips(clips, lengths), check_fill(fill)
    check_integer("size", size)
    start, wrapped = _draw_window(real, size=size, wrap=check_number("wrap", wrap, 0, 1), generator=generator)
    result = _fit(clips, real, start=start, wrapped=wrapped, size=size, fill=fill)
    return result, None if lengths is None else torch.full_like(lengths, size)


class PadOrCrop(Augmentation):
    """Module form of :func:`pad_or_crop`, which holds the definition; in eval mode it does nothing.

    Like every augmentation it rests in eval mode, where clips keep the lengths they have. It draws ``start``,
    the first step that is kept of a longer clip, and ``wrapped``, each ``(B,)``.

    Args:
        size: length of every clip of the result, in steps.
        fill: a number, or ``"minimum"`` or ``"mean"`` of the clip itself.
        wrap: probability that a shorter clip is padded with itself.

    >>> PadOrCrop(size=256, fill="minimum", wrap=0.5)(torch.randn(2, 128, 300))[0].shape
    torch.Size([2, 128, 256])
    """

    size: int
    fill: Fill

    def __init__(self, *, size: int, fill: Fill = 0.0, wrap: float = 0.0) -> None:
        super().__init__(p=1.0)
        self.size, self.fill = check_integer("size", size), check_fill(fill)
        self.wrap: float = check_number("wrap", wrap, 0, 1)

    def draw(
        self, clips: Tensor, lengths: Tensor | None = None, *, generator: torch.Generator | None = None
    ) -> Draw:
        """Draw ``start`` and ``wrapped``."""
        real = check_clips(clips, lengths)
        start, wrapped = _draw_window(real, size=self.size, wrap=self.wrap, generator=generator)
        return {"start": start, "wrapped": wrapped}

    def replay(
        self, clips: Tensor, draw: Draw, lengths: Tensor | None = None
    ) -> tuple[Tensor, Tensor | None]:
        """Apply what :meth:`draw` returned."""
        real = check_clips(clips, lengths)
        start, wrapped = take_fields(draw, ("start", "wrapped"), clips)
        result = _fit(clips, real, start=start, wrapped=wrapped, size=self.size, fill=self.fill)
        return result, None if lengths is None else torch.full_like(lengths, self.size)

    def extra_repr(self) -> str:
        """Show the settings."""
        return f"size={self.size}, fill={self.fill!r}, wrap={self.wrap}"


def _check_sizes(size: object) -> tuple[int, int]:
    if not isinstance(size, tuple | list):
        return (check_integer("size", size),) * 2
    if len(size) != 2:
        raise TypeError(f"size: wanted an integer or two (low, high), got {describe(size)}")
    low = check_integer("size", size[0])
    return low, check_integer("size", size[1], low)


def _draw_segment(
    real: Tensor, *, sizes: tuple[int, int], p: float, generator: torch.Generator | None
) -> tuple[Tensor, Tensor]:
    low, high = sizes
    chosen = _random.uniform(real.numel(), 0.0, 1.0, device=real.device, generator=generator) < p
    wanted = low + _random.below(torch.full_like(real, high - low + 1), generator=generator)
    kept = torch.where(chosen, torch.minimum(wanted, real), real)
    return _random.below(real - kept + 1, generator=generator), kept


def _cut(
    clips: Tensor, lengths: Tensor | None, *, start: Tensor, kept: Tensor, sizes: tuple[int, int], p: float
) -> tuple[Tensor, Tensor | None]:
    longest = clips.shape[-1]
    columns = torch.arange(min(longest, sizes[1]) if p == 1 else longest, device=clips.device)
    result = zero_beyond(take(clips, (start[:, None] + columns).clamp(max=longest - 1)), kept)
    if lengths is not None:
        return result, kept.to(lengths.dtype)
    all_full = longest <= sizes[0] or (p == 1 and sizes[0] == sizes[1])
    return result, None if all_full else kept


def _draw_window(
    real: Tensor, *, size: int, wrap: float, generator: torch.Generator | None
) -> tuple[Tensor, Tensor]:
    start = _random.below((real - size).clamp(min=0) + 1, generator=generator)
    return start, _random.uniform(real.numel(), 0.0, 1.0, device=real.device, generator=generator) < wrap


def _fit(clips: Tensor, real: Tensor, *, start: Tensor, wrapped: Tensor, size: int, fill: Fill) -> Tensor:
    before = (size - real).clamp(min=0).div(2, rounding_mode="floor")
    source = torch.arange(size, device=clips.device) + (start - before)[:, None]
    inside = (source >= 0) & (source < real[:, None])
    result = take(clips, source % real[:, None])
    return torch.where(per_clip(inside | wrapped[:, None], clips), result, fill_values(clips, real, fill))
