"""Masks over frequency bands and time spans of a spectrogram."""

from __future__ import annotations

import torch
from torch import Tensor

from rankaudio import _random
from rankaudio._checks import check_integer, check_number
from rankaudio._clips import check_clips
from rankaudio._draws import check_part, take_fields
from rankaudio._fill import Fill, check_fill, fill_values
from rankaudio.augmentation import Augmentation, Draw
from rankaudio.lengths import zero_beyond

_FIELDS = ("frequency_start", "frequency_width", "time_start", "time_width")


def spec_augment(
    spectrogram: Tensor,
    lengths: Tensor | None = None,
    *,
    masks: int = 2,
    frequency: float = 0.15,
    time: float = 0.2,
    fill: Fill = "minimum",
    p: float = 0.5,
    generator: torch.Generator | None = None,
) -> tuple[Tensor, Tensor | None]:
    """Functional form of :class:`SpecAugment`, which has the definition.

    It takes a spectrogram ``(B, F, N)`` and lengths ``(B,)``, and returns both in the same shapes.

    >>> generator = torch.Generator().manual_seed(0)
    >>> settings = {"masks": 1, "frequency": 0.9, "time": 0.9, "fill": 0.0, "p": 1.0}
    >>> spec_augment(torch.ones(1, 3, 6), **settings, generator=generator)[0]
    tensor([[[1., 1., 1., 0., 0., 0.],
             [1., 1., 1., 0., 0., 0.],
             [0., 0., 0., 0., 0., 0.]]])
    """
    module = SpecAugment(masks=masks, frequency=frequency, time=time, fill=fill, p=p)
    return module(spectrogram, lengths, generator=generator)


class SpecAugment(Augmentation):
    r"""Mask frequency bands and time spans of a spectrogram.

    With probability ``p`` a clip gets from 1 to ``masks`` masks on each axis, the same number on both. On an
    axis of n steps, a mask is :math:`\lfloor u n \rfloor` steps wide, u from U(0, fraction). Its start is
    uniform over :math:`\{0, \dots, n - \mathrm{width}\}`. On the time axis n is the clip's own length.

    :meth:`draw` returns ``frequency_start``, ``frequency_width``, ``time_start`` and ``time_width``. Each is
    ``(B, masks)``. Masks that a clip does not get have width 0.

    Args:
        masks: largest number of masks on each axis.
        frequency: largest width of a frequency mask, as a fraction of the bins.
        time: largest width of a time mask, as a fraction of the clip's frames.
        fill: a number, or ``"minimum"`` or ``"mean"`` of the clip itself, or of each of its channels.
        p: probability that a clip is masked.

    Shapes:
        The spectrogram is ``(B, F, N)`` or ``(B, K, F, N)`` floating point. Lengths ``(B,)`` are integers, in
        frames; None: all frames. The result has the same shapes, and zeros after each length. All channels
        have the same masks.

    Raises:
        TypeError: if the spectrogram is not floating point, or lengths or ``masks`` are not integers.
        ValueError: if shapes or devices disagree, or a setting is out of range.

    Reference:
        Park et al., *SpecAugment* (2019), as used by the first-place system of Freesound Audio Tagging 2019.
        That system never draws the last start.

    >>> SpecAugment(p=1.0)(torch.randn(2, 128, 256))[0].shape
    torch.Size([2, 128, 256])
    """

    def __init__(
        self,
        *,
        masks: int = 2,
        frequency: float = 0.15,
        time: float = 0.2,
        fill: Fill = "minimum",
        p: float = 0.5,
    ) -> None:
        super().__init__(p=p)
        self.masks: int = check_integer("masks", masks)
        self.frequency: float = check_number("frequency", frequency, 0, 1)
        self.time: float = check_number("time", time, 0, 1)
        self.fill: Fill = check_fill(fill)

    def draw(
        self, spectrogram: Tensor, lengths: Tensor | None = None, *, generator: torch.Generator | None = None
    ) -> Draw:
        """Draw start and width of the masks."""
        real = check_clips(spectrogram, lengths, name="spectrogram", ndim=(3, 4))
        batch, device = real.shape[0], real.device
        chosen = _random.choose(batch, self.p, device=device, generator=generator)
        count = 1 + _random.below(torch.full_like(real, self.masks), generator=generator)
        used = chosen[:, None] & (torch.arange(self.masks, device=device) < count[:, None])
        bins, drawn = torch.full_like(real, spectrogram.shape[-2]), []
        for fraction, steps in ((self.frequency, bins), (self.time, real)):
            share = _random.uniform(batch * self.masks, 0.0, fraction, device=device, generator=generator)
            width = (share.reshape(batch, self.masks) * steps[:, None]).long().masked_fill(~used, 0)
            drawn += [_random.below(steps[:, None] - width + 1, generator=generator), width]
        return dict(zip(_FIELDS, drawn, strict=True))

    def replay(
        self, spectrogram: Tensor, draw: Draw, lengths: Tensor | None = None
    ) -> tuple[Tensor, Tensor | None]:
        """Apply what :meth:`draw` returned."""
        real = check_clips(spectrogram, lengths, name="spectrogram", ndim=(3, 4))
        frequency_start, frequency_width, time_start, time_width = take_fields(draw, _FIELDS, spectrogram)
        for start, width, axis in ((frequency_start, frequency_width, -2), (time_start, time_width, -1)):
            check_part(start, width, spectrogram.shape[axis], least=0, what="width")
        bins = _masked_steps(frequency_start, frequency_width, spectrogram.shape[-2])
        frames = _masked_steps(time_start, time_width, spectrogram.shape[-1])
        hidden = bins[:, :, None] | frames[:, None, :]
        hidden = hidden if spectrogram.ndim == 3 else hidden[:, None]
        masked = torch.where(hidden, fill_values(spectrogram, real, self.fill), spectrogram)
        return zero_beyond(masked, lengths), lengths

    def extra_repr(self) -> str:
        """Show the settings."""
        return (
            f"masks={self.masks}, frequency={self.frequency}, time={self.time}, "
            f"fill={self.fill!r}, p={self.p}"
        )


def _masked_steps(start: Tensor, width: Tensor, size: int) -> Tensor:
    """Return ``(B, size)`` bool: the steps that at least one of the masks ``(B, masks)`` covers."""
    step = torch.arange(size, device=start.device)
    return ((step >= start[..., None]) & (step < (start + width)[..., None])).any(1)
