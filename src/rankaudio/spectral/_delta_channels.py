"""Derivatives as channels, as a part of a chain of augmentations."""

from __future__ import annotations

import torch
from torch import Tensor

from rankaudio._checks import check_generator, check_integer
from rankaudio._clips import check_clips
from rankaudio._draws import take_fields
from rankaudio.augmentation import Augmentation, Draw
from rankaudio.spectral._deltas import Deltas, deltas


class DeltaChannels(Augmentation):
    r"""Derivatives along time as channels, for a :class:`Chain`; in eval mode it does nothing.

    .. math:: y = (x, \; \partial_t x, \; \partial_t^2 x)

    :func:`deltas` holds the definition. In training, derivatives belong after crops and masks, and before
    mixers whose weights change over time. Nothing is drawn. In eval mode a chain does nothing, and a network
    with the setting ``delta_width`` computes the channels itself.

    Args:
        width: frames in a window, odd, at least 3.
        orders: highest derivative, 1 or 2.

    Shapes:
        spectrogram ``(B, F, N)`` floating point, lengths ``(B,)`` integers in frames, the result
        ``(B, 1 + orders, F, N)``, zero beyond the lengths.

    Raises:
        TypeError: if a setting is not an integer, or the spectrogram is not floating point.
        ValueError: if a setting is out of range, or the spectrogram has other axes.

    Reference:
        The first-place system of Freesound Audio Tagging 2019.

    >>> DeltaChannels()(torch.randn(2, 128, 256))[0].shape
    torch.Size([2, 3, 128, 256])
    >>> DeltaChannels(orders=1).replay(torch.randn(2, 128, 256), {})[0].shape
    torch.Size([2, 2, 128, 256])
    >>> DeltaChannels().draw(torch.randn(2, 128, 256))
    {}
    """

    def __init__(self, *, width: int = 9, orders: int = 2) -> None:
        super().__init__(p=1.0)
        self.width: int = Deltas(width=width).width
        self.orders: int = check_integer("orders", orders, 1, 2)

    def draw(
        self,
        clips: Tensor,
        lengths: Tensor | None = None,
        *,
        generator: torch.Generator | None = None,
    ) -> Draw:
        """Return an empty draw."""
        check_clips(clips, lengths, ndim=(3,))
        check_generator(generator)
        return {}

    def replay(
        self,
        clips: Tensor,
        draw: Draw,
        lengths: Tensor | None = None,
    ) -> tuple[Tensor, Tensor | None]:
        """Return the spectrogram with its derivatives, and the lengths."""
        check_clips(clips, lengths, ndim=(3,))
        take_fields(draw, (), clips)
        channels = deltas(clips, lengths, width=self.width)[:, : 1 + self.orders]
        return channels.to(clips.dtype), lengths

    def extra_repr(self) -> str:
        """Show the settings."""
        return f"width={self.width}, orders={self.orders}"
