"""A cross-fade from one clip into another."""

from __future__ import annotations

import torch
from torch import Tensor

from rankaudio import _random
from rankaudio._checks import check_range, check_values
from rankaudio._clips import check_clips, check_target, computation_dtype, per_clip
from rankaudio._draws import take_fields
from rankaudio.augmentation import Draw, Mixer
from rankaudio.lengths import zero_beyond
from rankaudio.mixing._partners import draw_partners

# With a larger one, products of float32 overflow, and the middle of a clip becomes NaN.
_LARGEST_RADIUS = 1e6


def sigmoid_concat_mixup(
    clips: Tensor,
    target: Tensor,
    lengths: Tensor | None = None,
    *,
    p: float = 0.5,
    radius: tuple[float, float] = (3.0, 12.0),
    position: tuple[float, float] = (0.5, 0.5),
    partners: Tensor | None = None,
    groups: Tensor | None = None,
    generator: torch.Generator | None = None,
) -> tuple[Tensor, Tensor, Tensor | None]:
    """Functional form of :class:`SigmoidConcatMixup`, which has the definition.

    It takes clips ``(B, T)`` or ``(B, F, N)``, a target ``(B, C)`` and lengths ``(B,)``, and returns the
    three of the mixed batch in the same shapes.

    >>> clips, target = torch.tensor([[0.0] * 5, [1.0] * 5]), torch.eye(2)
    >>> mixed, labels, _ = sigmoid_concat_mixup(clips, target, p=1.0, radius=(10.0, 10.0))
    >>> mixed[1]
    tensor([4.5398e-05, 2.4726e-03, 1.1920e-01, 8.8080e-01, 9.9753e-01])
    >>> labels
    tensor([[1., 1.],
            [1., 1.]])
    """
    mixer = SigmoidConcatMixup(p=p, radius=radius, position=position)
    return mixer(clips, target, lengths, partners=partners, groups=groups, generator=generator)


class SigmoidConcatMixup(Mixer):
    r"""Start with another clip of the batch, and fade smoothly into the clip itself.

    .. math::

        m_b[t] = \sigma\bigl(2 r_b \, (t / L_b - c_b)\bigr), \quad L_b = \min(\ell_b, \ell_{b'}), \qquad
        y_b = m_b \, x_b + (1 - m_b) \, x_{b'}

    for :math:`t < \ell_b`, with zeros after the end of the partner :math:`b'`. With probability ``p`` a clip
    gets a partner, uniform among the other clips. A clip without a possible partner is not mixed.

    The radius :math:`r_b` is the sigmoid's argument at both ends of the part that the two clips share. A
    large radius is a sudden change: the fade from 10 to 90 % takes :math:`2.2 / r_b` of that part. At the
    position :math:`c_b` both clips are equally loud. The labels are added and clipped to 1.

    :meth:`draw` returns ``partner`` (the clip itself where it is not mixed), ``radius`` and ``position``.
    Each is ``(B,)``.

    Args:
        p: probability that a clip is mixed.
        radius: lowest and highest :math:`r`, at most 1e6, drawn uniformly.
        position: lowest and highest :math:`c`, drawn uniformly; 0 is the start, 1 the end.

    Shapes:
        Clips are ``(B, T)``, ``(B, F, N)`` or ``(B, K, F, N)`` floating point, and the target ``(B, C)`` bool
        or numbers. Lengths, partners and groups are those of :class:`Mixer`. The result has the same shapes
        and dtypes. Lengths stay the same, and the padding is zero.

    Raises:
        TypeError: if clips are not floating point, lengths are not integers, ``partners`` is not bool, or a
            setting is not a number.
        ValueError: if shapes or devices disagree, or a setting is out of range.

    Reference:
        The first-place system of Freesound Audio Tagging 2019. It draws integer radii from 3 to 12, and its
        position is always the middle. All its clips have one length.

    >>> SigmoidConcatMixup(p=1.0)(torch.zeros(2, 9), torch.eye(2))[1]
    tensor([[1., 1.],
            [1., 1.]])
    """

    def __init__(
        self,
        *,
        p: float = 0.5,
        radius: tuple[float, float] = (3.0, 12.0),
        position: tuple[float, float] = (0.5, 0.5),
    ) -> None:
        super().__init__(p=p)
        self.radius: tuple[float, float] = check_range("radius", radius, 0, _LARGEST_RADIUS)
        self.position: tuple[float, float] = check_range("position", position, 0, 1)

    def draw(
        self,
        clips: Tensor,
        lengths: Tensor | None = None,
        *,
        partners: Tensor | None = None,
        groups: Tensor | None = None,
        generator: torch.Generator | None = None,
    ) -> Draw:
        """Draw ``partner``, ``radius`` and ``position``."""
        real = check_clips(clips, lengths)
        partner, _ = draw_partners(real, p=self.p, partners=partners, groups=groups, generator=generator)
        radius, position = (
            _random.uniform(real.shape[0], low, high, device=real.device, generator=generator)
            for low, high in (self.radius, self.position)
        )
        return {"partner": partner, "radius": radius, "position": position}

    def replay(
        self, clips: Tensor, target: Tensor, draw: Draw, lengths: Tensor | None = None
    ) -> tuple[Tensor, Tensor, Tensor | None]:
        """Apply what :meth:`draw` returned."""
        real = check_clips(clips, lengths)
        check_target(clips, target)
        partner, radius, position = take_fields(draw, ("partner", "radius", "position"), clips)
        check_values("draw", radius, (radius >= 0) & (radius <= _LARGEST_RADIUS), "a radius from 0 to 1e6")
        check_values("draw", position, (position >= 0) & (position <= 1), "positions from 0 to 1")
        mixed = _fade(zero_beyond(clips, lengths), real, partner=partner, radius=radius, position=position)
        alone = partner == torch.arange(clips.shape[0], device=clips.device)
        labels = target.where(alone[:, None], _clipped_sum(target, target[partner]))
        return zero_beyond(mixed, lengths), labels, lengths

    def extra_repr(self) -> str:
        """Show the settings."""
        return f"p={self.p}, radius={self.radius}, position={self.position}"


def _fade(clips: Tensor, real: Tensor, *, partner: Tensor, radius: Tensor, position: Tensor) -> Tensor:
    dtype = computation_dtype(clips)
    alone = partner == torch.arange(clips.shape[0], device=clips.device)
    time = torch.arange(clips.shape[-1], device=clips.device, dtype=dtype)
    shared = torch.minimum(real, real[partner]).to(dtype)
    distance = time / shared[:, None] - position.to(dtype)[:, None]
    own = torch.sigmoid(2 * radius.to(dtype)[:, None] * distance).masked_fill(alone[:, None], 1)
    own = per_clip(own, clips)
    return (clips * own + clips[partner] * (1 - own)).to(clips.dtype)


def _clipped_sum(first: Tensor, second: Tensor) -> Tensor:
    return first | second if first.dtype == torch.bool else (first + second).clamp(max=1)
