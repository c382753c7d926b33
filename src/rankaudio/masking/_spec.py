"""Masking bands and stretches of a spectrogram."""

from __future__ import annotations

import torch
from torch import Tensor

from rankaudio import _random
from rankaudio._checks import check_integer, check_number
from rankaudio._parts import Augmentation, Draw, Fill, check_clips, check_fill, fill_values, take_fields
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
    r"""Hide bands of frequency and stretches of time.

    With probability ``p`` a clip gets from 1 to ``masks`` masks on each axis, as many on one as on the other.
    Each is :math:`\lfloor u n \rfloor` steps wide, u from U(0, fraction), on an axis of n steps, and begins
    anywhere in :math:`\{0, \dots, n - \mathrm{width}\}`. On the time axis n is the clip's own length.

    Args:
        spectrogram: ``(B, F, N)`` floating point.
        lengths: ``(B,)`` integers, in frames; None: all of them.
        masks: most masks on each axis.
        frequency: widest mask, as a fraction of the bins.
        time: widest mask, as a fraction of the clip's frames.
        fill: a number, or ``"minimum"`` or ``"mean"`` of the clip itself.
        p: probability that a clip is masked.
        generator: where the numbers come from; None: PyTorch's global CPU generator.

    Returns:
        A new spectrogram, zero beyond the lengths, and the lengths, which stay the same. With ``p = 0`` the
        inputs themselves are returned.

    Raises:
        TypeError: if the spectrogram is not floating point, or lengths or ``masks`` are not integers.
        ValueError: if shapes or devices disagree, or a setting is out of range.

    Reference:
        Park et al., *SpecAugment* (2019), in the form of the first-place system of Freesound Audio Tagging
        2019, which never draws the last start.

    >>> generator = torch.Generator().manual_seed(0)
    >>> settings = {"masks": 1, "frequency": 0.9, "time": 0.9, "fill": 0.0, "p": 1.0}
    >>> spec_augment(torch.ones(1, 3, 6), **settings, generator=generator)[0]
    tensor([[[1., 1., 1., 0., 0., 0.],
             [1., 1., 1., 0., 0., 0.],
             [0., 0., 0., 0., 0., 0.]]])
    """
    real = check_clips(spectrogram, lengths, name="spectrogram", ndim=(3,))
    settings = _check_settings(masks, frequency, time)
    fill = check_fill(fill)
    if check_number("p", p, 0, 1) == 0:
        return spectrogram, lengths
    draw = _draw(spectrogram, real, settings=settings, p=p, generator=generator)
    return _apply(spectrogram, lengths, fields=list(draw.values()), real=real, fill=fill), lengths


class SpecAugment(Augmentation):
    """Module form of :func:`spec_augment`, which holds the definition; in eval mode it does nothing.

    It draws ``frequency_start``, ``frequency_width``, ``time_start`` and ``time_width``, each ``(B, masks)``;
    masks that a clip does not get are 0 wide.

    Args:
        masks: most masks on each axis.
        frequency: widest mask, as a fraction of the bins.
        time: widest mask, as a fraction of the clip's frames.
        fill: a number, or ``"minimum"`` or ``"mean"`` of the clip itself.
        p: probability that a clip is masked.

    >>> SpecAugment(p=1.0)(torch.randn(2, 128, 256))[0].shape
    torch.Size([2, 128, 256])
    """

    masks: int
    frequency: float
    time: float

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
        self.masks, self.frequency, self.time = _check_settings(masks, frequency, time)
        self.fill = check_fill(fill)

    def draw(
        self, spectrogram: Tensor, lengths: Tensor | None = None, *, generator: torch.Generator | None = None
    ) -> Draw:
        """Draw starts and widths of the masks."""
        real = check_clips(spectrogram, lengths, name="spectrogram", ndim=(3,))
        settings = self.masks, self.frequency, self.time
        return _draw(spectrogram, real, settings=settings, p=self.p, generator=generator)

    def replay(
        self, spectrogram: Tensor, draw: Draw, lengths: Tensor | None = None
    ) -> tuple[Tensor, Tensor | None]:
        """Apply what :meth:`draw` returned."""
        real = check_clips(spectrogram, lengths, name="spectrogram", ndim=(3,))
        fields = take_fields(draw, _FIELDS, spectrogram)
        return _apply(spectrogram, lengths, fields=fields, real=real, fill=self.fill), lengths

    def extra_repr(self) -> str:
        """Show the settings."""
        return (
            f"masks={self.masks}, frequency={self.frequency}, time={self.time}, "
            f"fill={self.fill!r}, p={self.p}"
        )


def _check_settings(masks: int, frequency: float, time: float) -> tuple[int, float, float]:
    fractions = check_number("frequency", frequency, 0, 1), check_number("time", time, 0, 1)
    return check_integer("masks", masks), *fractions


def _draw(
    spectrogram: Tensor,
    real: Tensor,
    *,
    settings: tuple[int, float, float],
    p: float,
    generator: torch.Generator | None,
) -> Draw:
    masks, frequency, time = settings
    batch, device = real.numel(), real.device
    chosen = _random.uniform(batch, 0.0, 1.0, device=device, generator=generator) < p
    count = 1 + _random.below(torch.full_like(real, masks), generator=generator)
    used = chosen[:, None] & (torch.arange(masks, device=device) < count[:, None])
    drawn = []
    for fraction, steps in ((frequency, torch.full_like(real, spectrogram.shape[1])), (time, real)):
        share = _random.uniform(batch * masks, 0.0, fraction, device=device, generator=generator)
        width = (share.reshape(batch, masks) * steps[:, None]).long().masked_fill(~used, 0)
        drawn += [_random.below(steps[:, None] - width + 1, generator=generator), width]
    return dict(zip(_FIELDS, drawn, strict=True))


def _apply(
    spectrogram: Tensor, lengths: Tensor | None, *, fields: list[Tensor], real: Tensor, fill: Fill
) -> Tensor:
    frequency_start, frequency_width, time_start, time_width = fields
    bins = _covered(frequency_start, frequency_width, spectrogram.shape[1])
    frames = _covered(time_start, time_width, spectrogram.shape[2])
    hidden = bins[:, :, None] | frames[:, None, :]
    masked = torch.where(hidden, fill_values(spectrogram, real, fill), spectrogram)
    return zero_beyond(masked, lengths)


def _covered(start: Tensor, width: Tensor, size: int) -> Tensor:
    """Which of ``size`` places lie under one of the masks ``(B, masks)``."""
    place = torch.arange(size, device=start.device)
    return ((place >= start[..., None]) & (place < (start + width)[..., None])).any(1)
