"""A rectangle of a spectrogram, stretched to the size of the whole."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from rankaudio import _random
from rankaudio._checks import check_range
from rankaudio._clips import check_clips, computation_dtype, gather_steps, per_clip
from rankaudio._draws import check_part, take_fields
from rankaudio.augmentation import Augmentation, Draw
from rankaudio.lengths import zero_beyond

_FIELDS = ("bottom", "height", "start", "width")
_ATTEMPTS = 10


def random_resized_crop(
    spectrogram: Tensor,
    lengths: Tensor | None = None,
    *,
    scale: tuple[float, float] = (0.8, 1.0),
    ratio: tuple[float, float] = (1.7, 2.3),
    p: float = 0.33,
    generator: torch.Generator | None = None,
) -> tuple[Tensor, Tensor | None]:
    """Functional form of :class:`RandomResizedCrop`, which has the definition.

    It takes a spectrogram ``(B, F, N)`` and lengths ``(B,)``, and returns both in the same shapes.

    >>> random_resized_crop(torch.randn(2, 128, 256), p=1.0)[0].shape
    torch.Size([2, 128, 256])
    """
    return RandomResizedCrop(scale=scale, ratio=ratio, p=p)(spectrogram, lengths, generator=generator)


class RandomResizedCrop(Augmentation):
    r"""Cut out a rectangle, and stretch it to the size of the whole clip.

    With probability ``p`` a clip of F bins and :math:`\ell_b` frames gets an area
    :math:`A = a F \ell_b`, a from U(scale). It also gets a ratio of width to height q, log q from
    U(log ratio). The rectangle has :math:`w = \mathrm{round}\sqrt{A q}` frames and
    :math:`h = \mathrm{round}\sqrt{A / q}` bins, and its place inside the clip is uniform.

    The first of 10 such draws that fits into the clip is used. If none fits, the clip stays unchanged. This
    happens with clips that are much shorter or longer than the ratio allows. The rectangle is stretched
    bilinearly, like ``torch.nn.functional.interpolate(mode="bilinear", align_corners=False)``.

    :meth:`draw` returns ``bottom`` and ``height`` in bins, and ``start`` and ``width`` in frames. Each is
    ``(B,)``. The rectangle of an unchanged clip is the whole clip.

    Args:
        scale: smallest and largest area, as a fraction of the clip's area.
        ratio: lowest and highest ratio of frames to bins.
        p: probability that a clip is cut.

    Shapes:
        The spectrogram is ``(B, F, N)`` or ``(B, K, F, N)`` floating point. Lengths ``(B,)`` are integers, in
        frames; None: all frames. The result has the same shapes, and zeros after each length.

    Raises:
        TypeError: if the spectrogram is not floating point, or lengths are not integers.
        ValueError: if shapes or devices disagree, or a setting is out of range.

    Reference:
        The first-place system of Freesound Audio Tagging 2019, on 128 bins and 256 frames. There nearly
        every clip gets a draw that fits. If none fits, that system takes a rectangle from the middle.

    >>> RandomResizedCrop(p=1.0)(torch.randn(2, 128, 256))[0].shape
    torch.Size([2, 128, 256])
    """

    def __init__(
        self,
        *,
        scale: tuple[float, float] = (0.8, 1.0),
        ratio: tuple[float, float] = (1.7, 2.3),
        p: float = 0.33,
    ) -> None:
        super().__init__(p=p)
        self.scale: tuple[float, float] = check_range("scale", scale, 0, 1)
        self.ratio: tuple[float, float] = check_range("ratio", ratio, 0)
        if ratio[0] == 0:
            raise ValueError(f"ratio: wanted numbers above 0, got {ratio!r}")

    def draw(
        self, spectrogram: Tensor, lengths: Tensor | None = None, *, generator: torch.Generator | None = None
    ) -> Draw:
        """Draw the rectangle of each clip."""
        real = check_clips(spectrogram, lengths, name="spectrogram", ndim=(3, 4))
        bins = torch.full_like(real, spectrogram.shape[-2])
        chosen = _random.choose(real.shape[0], self.p, device=real.device, generator=generator)
        heights, widths = self._draw_sizes(bins * real, generator=generator)
        fits = (widths >= 1) & (widths <= real[:, None]) & (heights >= 1) & (heights <= bins[:, None])
        first, cut = fits.int().argmax(1, keepdim=True), chosen & fits.any(1)
        width = torch.where(cut, widths.gather(1, first)[:, 0], real)
        height = torch.where(cut, heights.gather(1, first)[:, 0], bins)
        bottom = _random.below(bins - height + 1, generator=generator)
        start = _random.below(real - width + 1, generator=generator)
        return dict(zip(_FIELDS, (bottom, height, start, width), strict=True))

    def _draw_sizes(self, area: Tensor, *, generator: torch.Generator | None) -> tuple[Tensor, Tensor]:
        """Draw heights and widths of all attempts, ``(B, attempts)``."""
        low, high = self.ratio
        share, log_ratio = (
            _random.uniform(area.shape[0] * _ATTEMPTS, *limits, device=area.device, generator=generator)
            for limits in (self.scale, (math.log(low), math.log(high)))
        )
        areas, ratios = share.reshape(-1, _ATTEMPTS) * area[:, None], log_ratio.reshape(-1, _ATTEMPTS).exp()
        return (areas / ratios).sqrt().round().long(), (areas * ratios).sqrt().round().long()

    def replay(
        self, spectrogram: Tensor, draw: Draw, lengths: Tensor | None = None
    ) -> tuple[Tensor, Tensor | None]:
        """Apply what :meth:`draw` returned."""
        real = check_clips(spectrogram, lengths, name="spectrogram", ndim=(3, 4))
        bottom, height, start, width = take_fields(draw, _FIELDS, spectrogram)
        bins = torch.full_like(real, spectrogram.shape[-2])
        check_part(bottom, height, bins, what="height")
        check_part(start, width, real, what="width")
        # Bilinear interpolation is linear interpolation along one axis, then along the other.
        columns = spectrogram.mT.to(computation_dtype(spectrogram))
        stretched = _stretch(columns, bottom, height, bins).mT
        stretched = _stretch(stretched, start, width, real).to(spectrogram.dtype)
        return zero_beyond(stretched, lengths), lengths

    def extra_repr(self) -> str:
        """Show the settings."""
        return f"scale={self.scale}, ratio={self.ratio}, p={self.p}"


def _stretch(values: Tensor, start: Tensor, size: Tensor, new_size: Tensor) -> Tensor:
    """Stretch steps ``start`` to ``start + size`` of the last axis linearly to ``new_size`` steps."""
    # float32 has 2^24 steps. This is not enough for positions between the frames of a long recording.
    exact = torch.float32 if values.device.type == "mps" else torch.float64
    position = torch.arange(values.shape[-1], device=values.device, dtype=exact) + 0.5
    position = position * (size.to(exact) / new_size)[:, None] - 0.5
    position = torch.minimum(position.clamp(min=0), (size - 1)[:, None])
    before = position.long()
    after = torch.minimum(before + 1, (size - 1)[:, None])
    share = per_clip((position - before).to(values.dtype), values)
    index = torch.stack([before, after]) + start[:, None]
    low, high = (gather_steps(values, i) for i in index)
    return low * (1 - share) + high * share
