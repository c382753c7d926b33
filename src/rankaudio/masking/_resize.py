"""Cutting a rectangle out of a spectrogram and stretching it to the size of the whole."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from rankaudio import _random
from rankaudio._checks import check_number, check_range
from rankaudio._parts import Augmentation, Draw, check_clips, computed_in, take_fields
from rankaudio.lengths import zero_beyond

_FIELDS = ("bottom", "height", "start", "width")
_ATTEMPTS = 10

_Settings = tuple[tuple[float, float], tuple[float, float]]


def random_resized_crop(
    spectrogram: Tensor,
    lengths: Tensor | None = None,
    *,
    scale: tuple[float, float] = (0.8, 1.0),
    ratio: tuple[float, float] = (1.7, 2.3),
    p: float = 0.33,
    generator: torch.Generator | None = None,
) -> tuple[Tensor, Tensor | None]:
    r"""Cut out a rectangle and stretch it to the size of the whole clip.

    With probability ``p`` a clip of F bins and :math:`\ell_b` frames gets an area
    :math:`A = a F \ell_b`, a from U(scale), and a ratio of width to height q, log q from U(log ratio); the
    rectangle has :math:`w = \mathrm{round}\sqrt{A q}` frames and :math:`h = \mathrm{round}\sqrt{A / q}` bins,
    and lies anywhere within the clip. Out of 10 such draws the first that fits is taken; where none fits, as
    in clips much shorter or longer than the ratio allows for, the clip stays as it is. It is stretched
    bilinearly, as ``torch.nn.functional.interpolate(mode="bilinear", align_corners=False)`` does.

    Args:
        spectrogram: ``(B, F, N)`` floating point.
        lengths: ``(B,)`` integers, in frames; None: all of them.
        scale: smallest and largest area, as a fraction of the clip's.
        ratio: lowest and highest ratio of frames to bins.
        p: probability that a clip is cut.
        generator: where the numbers come from; None: PyTorch's global CPU generator.

    Returns:
        A new spectrogram, zero beyond the lengths, and the lengths, which stay the same. With ``p = 0`` the
        inputs themselves are returned.

    Raises:
        TypeError: if the spectrogram is not floating point, or lengths are not integers.
        ValueError: if shapes or devices disagree, or a setting is out of range.

    Reference:
        The first-place system of Freesound Audio Tagging 2019, on 128 bins and 256 frames, where nearly every
        draw fits in the end. If none does, it takes a rectangle from the middle.

    >>> random_resized_crop(torch.randn(2, 128, 256), p=1.0)[0].shape
    torch.Size([2, 128, 256])
    """
    real = check_clips(spectrogram, lengths, name="spectrogram", ndim=(3,))
    settings = _check_settings(scale, ratio)
    if check_number("p", p, 0, 1) == 0:
        return spectrogram, lengths
    draw = _draw(spectrogram, real, settings=settings, p=p, generator=generator)
    return _apply(spectrogram, lengths, fields=list(draw.values()), real=real), lengths


class RandomResizedCrop(Augmentation):
    """Module form of :func:`random_resized_crop`, which holds the definition; in eval mode it does nothing.

    It draws ``bottom`` and ``height`` in bins, ``start`` and ``width`` in frames, each ``(B,)``; a clip that
    stays as it is has the whole of itself.

    Args:
        scale: smallest and largest area, as a fraction of the clip's.
        ratio: lowest and highest ratio of frames to bins.
        p: probability that a clip is cut.

    >>> RandomResizedCrop(p=1.0)(torch.randn(2, 128, 256))[0].shape
    torch.Size([2, 128, 256])
    """

    scale: tuple[float, float]
    ratio: tuple[float, float]

    def __init__(
        self,
        *,
        scale: tuple[float, float] = (0.8, 1.0),
        ratio: tuple[float, float] = (1.7, 2.3),
        p: float = 0.33,
    ) -> None:
        super().__init__(p=p)
        self.scale, self.ratio = _check_settings(scale, ratio)

    def draw(
        self, spectrogram: Tensor, lengths: Tensor | None = None, *, generator: torch.Generator | None = None
    ) -> Draw:
        """Draw the rectangle of each clip."""
        real = check_clips(spectrogram, lengths, name="spectrogram", ndim=(3,))
        settings = self.scale, self.ratio
        return _draw(spectrogram, real, settings=settings, p=self.p, generator=generator)

    def replay(
        self, spectrogram: Tensor, draw: Draw, lengths: Tensor | None = None
    ) -> tuple[Tensor, Tensor | None]:
        """Apply what :meth:`draw` returned."""
        real = check_clips(spectrogram, lengths, name="spectrogram", ndim=(3,))
        return _apply(
            spectrogram, lengths, fields=take_fields(draw, _FIELDS, spectrogram), real=real
        ), lengths

    def extra_repr(self) -> str:
        """Show the settings."""
        return f"scale={self.scale}, ratio={self.ratio}, p={self.p}"


def _check_settings(scale: tuple[float, float], ratio: tuple[float, float]) -> _Settings:
    ratio = check_range("ratio", ratio, 0)
    if ratio[0] == 0:
        raise ValueError(f"ratio: wanted numbers above 0, got {ratio!r}")
    return check_range("scale", scale, 0, 1), ratio


def _draw(
    spectrogram: Tensor,
    real: Tensor,
    *,
    settings: _Settings,
    p: float,
    generator: torch.Generator | None,
) -> Draw:
    (smallest, largest), (narrow, wide) = settings
    batch, bins = real.numel(), torch.full_like(real, spectrogram.shape[1])
    chosen = _random.uniform(batch, 0.0, 1.0, device=real.device, generator=generator) < p
    area, log_ratio = (
        _random.uniform(batch * _ATTEMPTS, low, high, device=real.device, generator=generator).reshape(
            batch, _ATTEMPTS
        )
        for low, high in ((smallest, largest), (math.log(narrow), math.log(wide)))
    )
    area, ratio = area * (bins * real)[:, None], log_ratio.exp()
    widths, heights = (area * ratio).sqrt().round().long(), (area / ratio).sqrt().round().long()
    fits = (widths >= 1) & (widths <= real[:, None]) & (heights >= 1) & (heights <= bins[:, None])
    first, cut = fits.int().argmax(1, keepdim=True), chosen & fits.any(1)
    width = torch.where(cut, widths.gather(1, first)[:, 0], real)
    height = torch.where(cut, heights.gather(1, first)[:, 0], bins)
    bottom = _random.below(bins - height + 1, generator=generator)
    start = _random.below(real - width + 1, generator=generator)
    return dict(zip(_FIELDS, (bottom, height, start, width), strict=True))


def _apply(spectrogram: Tensor, lengths: Tensor | None, *, fields: list[Tensor], real: Tensor) -> Tensor:
    bottom, height, start, width = fields
    dtype = computed_in(spectrogram)
    bins = torch.full_like(real, spectrogram.shape[1])
    # Bilinear is linear along one axis after the other.
    stretched = _stretch(spectrogram.transpose(1, 2).to(dtype), bottom, height, bins).transpose(1, 2)
    stretched = _stretch(stretched, start, width, real)
    return zero_beyond(stretched.to(spectrogram.dtype), lengths)


def _stretch(values: Tensor, start: Tensor, size: Tensor, wanted: Tensor) -> Tensor:
    """Steps ``start`` to ``start + size`` of the last axis, stretched linearly to ``wanted`` steps."""
    # float32 has 2^24 steps: too few for the place between two frames of a long recording.
    exact = torch.float32 if values.device.type == "mps" else torch.float64
    place = torch.arange(values.shape[-1], device=values.device, dtype=exact) + 0.5
    place = place * (size.to(exact) / wanted)[:, None] - 0.5
    place = torch.minimum(place.clamp(min=0), (size - 1)[:, None])
    before = place.long()
    after = torch.minimum(before + 1, (size - 1)[:, None])
    share = (place - before).to(values.dtype)[:, None]
    index = torch.stack([before, after]) + start[:, None]
    low, high = (values.gather(-1, i[:, None].expand_as(values)) for i in index)
    return low * (1 - share) + high * share
