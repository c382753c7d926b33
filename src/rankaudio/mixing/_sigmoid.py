"""A cross-fade from one clip into another."""

from __future__ import annotations

import torch
from torch import Tensor

from rankaudio import _random
from rankaudio._checks import check_number, check_range
from rankaudio._parts import Draw, Mixer, check_clips, check_target, computed_in, per_clip, take_fields
from rankaudio.lengths import zero_beyond


def sigmoid_concat_mixup(
    clips: Tensor,
    target: Tensor,
    lengths: Tensor | None = None,
    *,
    p: float = 0.5,
    radius: tuple[float, float] = (3.0, 12.0),
    position: tuple[float, float] = (0.5, 0.5),
    partners: Tensor | None = None,
    generator: torch.Generator | None = None,
) -> tuple[Tensor, Tensor, Tensor | None]:
    r"""Begin with another clip of the batch, and fade smoothly into the clip itself.

    .. math::

        m_b[t] = \sigma\bigl(2 r_b \, (t / L_b - c_b)\bigr), \quad L_b = \min(\ell_b, \ell_{b'}), \qquad
        y_b = m_b \, x_b + (1 - m_b) \, x_{b'}

    for :math:`t < \ell_b`, with zeros behind the end of the partner :math:`b'`. The radius :math:`r_b` is the
    sigmoid's argument at the ends of the part that both clips have, so a large one is a sudden change:
    10 to 90 % of the fade take :math:`2.2 / r_b` of that part, whatever its length. The position
    :math:`c_b` is where both are equally loud. The labels are added and clipped to 1.

    Args:
        clips: ``(B, T)`` waveforms or ``(B, F, N)`` spectrograms, floating point.
        target: ``(B, C)`` bool or numbers.
        lengths: ``(B,)`` integers, in steps of the last axis; None: all of it.
        p: probability that a clip is mixed.
        radius: lowest and highest :math:`r`, drawn uniformly.
        position: lowest and highest :math:`c`, drawn uniformly; 0 is the start, 1 the end.
        partners: ``(B,)`` bool, which clips may be mixed into others; None: all of them.
        generator: where the numbers come from; None: PyTorch's global CPU generator.

    Returns:
        New clips and target, of the dtypes of the input, and the lengths, which stay the same. What lies
        beyond them is zero. With ``p = 0`` the inputs themselves are returned. A clip that has no other to
        choose from is not mixed.

    Raises:
        TypeError: if clips are not floating point, lengths not integers, or ``partners`` not bool.
        ValueError: if shapes or devices disagree, or a setting is out of range.

    Reference:
        The first-place system of Freesound Audio Tagging 2019, which draws whole radii from 3 to 12 and has
        its position always in the middle, of crops that all have one length.

    >>> clips, target = torch.tensor([[0.0] * 5, [1.0] * 5]), torch.eye(2)
    >>> mixed, labels, _ = sigmoid_concat_mixup(clips, target, p=1.0, radius=(10.0, 10.0))
    >>> mixed[1]
    tensor([4.5398e-05, 2.4726e-03, 1.1920e-01, 8.8080e-01, 9.9753e-01])
    >>> labels
    tensor([[1., 1.],
            [1., 1.]])
    """
    real = check_clips(clips, lengths)
    check_target(clips, target)
    settings = check_range("radius", radius, 0), check_range("position", position, 0, 1)
    if check_number("p", p, 0, 1) == 0:
        return clips, target, lengths
    draw = _draw(real, p=p, settings=settings, partners=partners, generator=generator)
    return _apply(clips, target, lengths, fields=list(draw.values()), real=real)


class SigmoidConcatMixup(Mixer):
    """Module form of :func:`sigmoid_concat_mixup`, which holds the definition; in eval mode it does nothing.

    It draws ``partner`` (the clip itself where it is not mixed), ``radius`` and ``position``, each ``(B,)``.

    Args:
        p: probability that a clip is mixed.
        radius: lowest and highest argument of the sigmoid at the ends.
        position: lowest and highest place of the fade, from 0, the start, to 1, the end.

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
        self.radius: tuple[float, float] = check_range("radius", radius, 0)
        self.position: tuple[float, float] = check_range("position", position, 0, 1)

    def draw(
        self,
        clips: Tensor,
        lengths: Tensor | None = None,
        *,
        partners: Tensor | None = None,
        generator: torch.Generator | None = None,
    ) -> Draw:
        """Draw ``partner``, ``radius`` and ``position``."""
        real, settings = check_clips(clips, lengths), (self.radius, self.position)
        return _draw(real, p=self.p, settings=settings, partners=partners, generator=generator)

    def replay(
        self, clips: Tensor, target: Tensor, draw: Draw, lengths: Tensor | None = None
    ) -> tuple[Tensor, Tensor, Tensor | None]:
        """Apply what :meth:`draw` returned."""
        real = check_clips(clips, lengths)
        check_target(clips, target)
        fields = take_fields(draw, ("partner", "radius", "position"), clips)
        return _apply(clips, target, lengths, fields=fields, real=real)

    def extra_repr(self) -> str:
        """Show the settings."""
        return f"p={self.p}, radius={self.radius}, position={self.position}"


def _draw(
    lengths: Tensor,
    *,
    p: float,
    settings: tuple[tuple[float, float], tuple[float, float]],
    partners: Tensor | None,
    generator: torch.Generator | None,
) -> Draw:
    partner, _ = _random.draw_partners(lengths, p=p, partners=partners, generator=generator)
    radius, position = (
        _random.uniform(lengths.shape[0], low, high, device=lengths.device, generator=generator)
        for low, high in settings
    )
    return {"partner": partner, "radius": radius, "position": position}


def _apply(
    clips: Tensor, target: Tensor, lengths: Tensor | None, *, fields: list[Tensor], real: Tensor
) -> tuple[Tensor, Tensor, Tensor | None]:
    partner, radius, position = fields
    alone = partner == torch.arange(clips.shape[0], device=clips.device)
    dtype = computed_in(clips)
    time = torch.arange(clips.shape[-1], device=clips.device, dtype=dtype)
    shared = torch.minimum(real, real[partner]).to(dtype)
    distance = time / shared[:, None] - position.to(dtype)[:, None]
    own = torch.sigmoid(2 * radius.to(dtype)[:, None] * distance).masked_fill(alone[:, None], 1)
    own = per_clip(own, clips)
    silent_beyond = zero_beyond(clips, lengths)
    mixed = zero_beyond(silent_beyond * own + silent_beyond[partner] * (1 - own), lengths)
    labels = target.where(alone[:, None], _clipped_sum(target, target[partner]))
    return mixed.to(clips.dtype), labels, lengths


def _clipped_sum(first: Tensor, second: Tensor) -> Tensor:
    return first | second if first.dtype == torch.bool else (first + second).clamp(max=1)
