"""Clips of one length, by padding and cutting."""

from __future__ import annotations

import torch
from torch import Tensor

from rankaudio import _random
from rankaudio._checks import check_integer, check_number
from rankaudio._clips import check_clips, gather_steps, per_clip
from rankaudio._draws import check_part, take_fields
from rankaudio._fill import Fill, check_fill, fill_values
from rankaudio.augmentation import Augmentation, Draw


def pad_or_crop(
    clips: Tensor,
    lengths: Tensor | None = None,
    *,
    size: int,
    fill: Fill = 0.0,
    wrap: float = 0.0,
    generator: torch.Generator | None = None,
) -> tuple[Tensor, Tensor | None]:
    """Functional form of :class:`PadOrCrop`, which has the definition.

    It takes clips ``(B, T)`` or ``(B, F, N)`` and lengths ``(B,)``, and returns clips ``(B, size)`` or
    ``(B, F, size)`` and their lengths.

    >>> clips, lengths = torch.tensor([[1.0, 2.0, 3.0, 0.0]]), torch.tensor([3])
    >>> pad_or_crop(clips, lengths, size=6)
    (tensor([[0., 1., 2., 3., 0., 0.]]), tensor([6]))
    >>> pad_or_crop(clips, lengths, size=6, wrap=1.0)[0]
    tensor([[3., 1., 2., 3., 1., 2.]])
    """
    return PadOrCrop(size=size, fill=fill, wrap=wrap)(clips, lengths, generator=generator)


class PadOrCrop(Augmentation):
    r"""Give every clip the same length: cut a random part of the longer ones, pad the shorter ones.

    A shorter clip is placed in the middle, after :math:`\lfloor (\mathrm{size} - \ell_b) / 2 \rfloor` steps
    of padding. The padding is ``fill``, or with probability ``wrap`` the clip itself, repeated in both
    directions. In eval mode clips keep their lengths, as with every augmentation. :func:`centre_crop` is for
    validation.

    :meth:`draw` returns ``start``, the first step that is kept of a longer clip, and ``wrapped``. Each is
    ``(B,)``.

    Args:
        size: length of every clip of the result, in steps.
        fill: a number, or ``"minimum"`` or ``"mean"`` of the clip itself, or of each of its channels.
        wrap: probability that a shorter clip is padded with itself.

    Shapes:
        Clips are ``(B, T)``, ``(B, F, N)`` or ``(B, K, F, N)`` floating point. Lengths ``(B,)`` are integers,
        in steps of the last axis; None: every clip fills its row. The last axis of the result has ``size``
        steps, and the lengths are all ``size`` (None if no lengths are given).

    Raises:
        TypeError: if clips are not floating point, or lengths or ``size`` are not integers.
        ValueError: if shapes or devices disagree, or a setting is out of range.

    Reference:
        The first-place system of Freesound Audio Tagging 2019 (256 frames, wrapped half of the time,
        otherwise filled with the minimum).

    >>> PadOrCrop(size=256, fill="minimum", wrap=0.5)(torch.randn(2, 128, 300))[0].shape
    torch.Size([2, 128, 256])
    """

    def __init__(self, *, size: int, fill: Fill = 0.0, wrap: float = 0.0) -> None:
        super().__init__(p=1.0)
        self.size: int = check_integer("size", size)
        self.fill: Fill = check_fill(fill)
        self.wrap: float = check_number("wrap", wrap, 0, 1)

    def draw(
        self, clips: Tensor, lengths: Tensor | None = None, *, generator: torch.Generator | None = None
    ) -> Draw:
        """Draw ``start`` and ``wrapped``."""
        real = check_clips(clips, lengths)
        start = _random.below((real - self.size).clamp(min=0) + 1, generator=generator)
        wrapped = _random.choose(real.shape[0], self.wrap, device=real.device, generator=generator)
        return {"start": start, "wrapped": wrapped}

    def replay(
        self, clips: Tensor, draw: Draw, lengths: Tensor | None = None
    ) -> tuple[Tensor, Tensor | None]:
        """Apply what :meth:`draw` returned."""
        real = check_clips(clips, lengths)
        start, wrapped = take_fields(draw, ("start", "wrapped"), clips)
        check_part(start, real.clamp(max=self.size), real, what="crop")
        before = (self.size - real).clamp(min=0).div(2, rounding_mode="floor")
        source = torch.arange(self.size, device=clips.device) + (start - before)[:, None]
        kept = (source >= 0) & (source < real[:, None]) | wrapped[:, None]
        steps = gather_steps(clips, source % real[:, None])
        result = torch.where(per_clip(kept, clips), steps, fill_values(clips, real, self.fill))
        return result, None if lengths is None else torch.full_like(lengths, self.size)

    def extra_repr(self) -> str:
        """Show the settings."""
        return f"size={self.size}, fill={self.fill!r}, wrap={self.wrap}"


def centre_crop(
    clips: Tensor, lengths: Tensor | None = None, *, size: int, fill: Fill = 0.0
) -> tuple[Tensor, Tensor | None]:
    r"""Give every clip the same length: keep the middle of the longer ones, pad the shorter ones.

    A longer clip of :math:`\ell_b` steps is cut from step
    :math:`\lfloor (\ell_b - \mathrm{size}) / 2 \rfloor` on. A shorter clip is padded as :class:`PadOrCrop`
    does it.

    Args:
        clips: ``(B, T)``, ``(B, F, N)`` or ``(B, K, F, N)`` floating point.
        lengths: ``(B,)`` integers, in steps of the last axis; None: every clip fills its row.
        size: length of every clip of the result, in steps.
        fill: a number, or ``"minimum"`` or ``"mean"`` of the clip itself, or of each of its channels.

    Returns:
        Clips whose last axis has ``size`` steps, and lengths that are all ``size`` (None if no lengths are
        given).

    Raises:
        TypeError: if clips are not floating point, or lengths or ``size`` are not integers.
        ValueError: if shapes or devices disagree, or a setting is out of range.

    Reference:
        The validation of the first-place system of Freesound Audio Tagging 2019 (256 frames, filled with the
        minimum).

    >>> centre_crop(torch.arange(7.0)[None], size=4)[0]
    tensor([[1., 2., 3., 4.]])
    >>> centre_crop(
    ...     torch.tensor([[1.0, 2.0, 0.0]]), torch.tensor([2]), size=5, fill="minimum"
    ... )[0]
    tensor([[1., 1., 2., 1., 1.]])
    """
    module = PadOrCrop(size=size, fill=fill)
    real = check_clips(clips, lengths)
    start = (real - size).clamp(min=0).div(2, rounding_mode="floor")
    draw = {"start": start, "wrapped": torch.zeros_like(real, dtype=torch.bool)}
    return module.replay(clips, draw, lengths)
