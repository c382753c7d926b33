"""Mixup with weighted labels."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from rankaudio import _random
from rankaudio._checks import check_number, check_range
from rankaudio._parts import Draw, Mixer, check_clips, check_target, computed_in, per_clip, take_fields
from rankaudio.lengths import zero_beyond


def weighted_mixup(
    clips: Tensor,
    target: Tensor,
    lengths: Tensor | None = None,
    *,
    p: float = 0.5,
    alpha: float | tuple[float, float] | None = None,
    beta: float | None = None,
    partners: Tensor | None = None,
    generator: torch.Generator | None = None,
) -> tuple[Tensor, Tensor, Tensor | None]:
    r"""Mix clips of a batch in pairs, and their labels with the same weights.

    .. math::

        y_b = (1 - \alpha_b) \, x_b + \alpha_b \, x_{b'}, \qquad
        \text{label}_b = (1 - \alpha_b) \, \text{label}_b + \alpha_b \, \text{label}_{b'}

    Both clips start at 0, and the shorter one is followed by zeros. With probability ``p`` a clip gets a
    partner :math:`b'`, uniform among the others, and a weight :math:`\alpha_b` of its own: a fixed one, one
    from U(low, high), or one from Beta(beta, beta).

    Args:
        clips: ``(B, T)`` waveforms or ``(B, F, N)`` spectrograms, floating point.
        target: ``(B, C)`` bool or numbers.
        lengths: ``(B,)`` integers, in steps of the last axis; None: all of it.
        p: probability that a clip is mixed.
        alpha: weight of the partner, or its lowest and highest; None without ``beta``: (0, 0.5).
        beta: both parameters of the beta distribution that the weight comes from, above 0; instead of alpha.
        partners: ``(B,)`` bool, which clips may be mixed into others; None: all of them.
        generator: where the numbers come from; None: PyTorch's global CPU generator.

    Returns:
        Clips, target and lengths (None for None) of the new batch; a pair is as long as its longer clip, and
        what lies beyond is zero. A target of integers or bool becomes float32. With ``p = 0`` the inputs
        themselves are returned. A clip that has no other to choose from is not mixed.

    Raises:
        TypeError: if clips are not floating point, lengths not integers, or ``partners`` not bool.
        ValueError: if shapes or devices disagree, a setting is out of range, or both ``alpha`` and ``beta``
            are given.

    Reference:
        Zhang et al., *mixup: Beyond Empirical Risk Minimization* (2018). The second-place system of
        Freesound Audio Tagging 2019 has a fixed weight of 0.3, the first-place system U(0, 0.5).

    >>> clips, target = torch.tensor([[0.0, 8.0], [4.0, 4.0]]), torch.eye(2)
    >>> weighted_mixup(clips, target, p=1.0, alpha=0.25)[:2]
    (tensor([[1., 7.],
            [3., 5.]]), tensor([[0.7500, 0.2500],
            [0.2500, 0.7500]]))
    """
    real = check_clips(clips, lengths)
    check_target(clips, target)
    setting = _check_weight(alpha, beta)
    if check_number("p", p, 0, 1) == 0:
        return clips, target, lengths
    draw = _draw(real, p=p, weight=setting, partners=partners, generator=generator)
    return _apply(clips, target, lengths, partner=draw["partner"], alpha=draw["alpha"], real=real)


class WeightedMixup(Mixer):
    """Module form of :func:`weighted_mixup`, which holds the definition; in eval mode it does nothing.

    It draws ``partner`` (the clip itself where it is not mixed) and ``alpha``, each ``(B,)``.

    Args:
        p: probability that a clip is mixed.
        alpha: weight of the partner, or its lowest and highest; None without ``beta``: (0, 0.5).
        beta: both parameters of the beta distribution that the weight comes from; instead of alpha.

    >>> WeightedMixup(p=1.0, alpha=0.25)(torch.zeros(2, 9), torch.eye(2))[1]
    tensor([[0.7500, 0.2500],
            [0.2500, 0.7500]])
    """

    def __init__(
        self,
        *,
        p: float = 0.5,
        alpha: float | tuple[float, float] | None = None,
        beta: float | None = None,
    ) -> None:
        super().__init__(p=p)
        self._weight = _check_weight(alpha, beta)

    def draw(
        self,
        clips: Tensor,
        lengths: Tensor | None = None,
        *,
        partners: Tensor | None = None,
        generator: torch.Generator | None = None,
    ) -> Draw:
        """Draw ``partner`` and ``alpha``."""
        real = check_clips(clips, lengths)
        return _draw(real, p=self.p, weight=self._weight, partners=partners, generator=generator)

    def replay(
        self, clips: Tensor, target: Tensor, draw: Draw, lengths: Tensor | None = None
    ) -> tuple[Tensor, Tensor, Tensor | None]:
        """Apply what :meth:`draw` returned."""
        real = check_clips(clips, lengths)
        check_target(clips, target)
        partner, alpha = take_fields(draw, ("partner", "alpha"), clips)
        return _apply(clips, target, lengths, partner=partner, alpha=alpha, real=real)

    def extra_repr(self) -> str:
        """Show the settings."""
        alpha, beta = self._weight
        return f"p={self.p}, " + (f"alpha={alpha}" if beta is None else f"beta={beta}")


_Weight = tuple[tuple[float, float], float | None]


def _check_weight(alpha: float | tuple[float, float] | None, beta: float | None) -> _Weight:
    """Return the range of the weight, and the beta distribution's parameter if that is what it comes from."""
    if beta is not None:
        if alpha is not None:
            raise ValueError(f"alpha: wanted None where beta is given, got {alpha!r}")
        if check_number("beta", beta, 0) == 0:
            raise ValueError("beta: wanted a number above 0, got 0")
        return (0.0, 1.0), beta
    if alpha is None:
        return (0.0, 0.5), None
    if isinstance(alpha, tuple | list):
        return check_range("alpha", alpha, 0, 1), None
    return (check_number("alpha", alpha, 0, 1),) * 2, None


def _draw(
    lengths: Tensor,
    *,
    p: float,
    weight: _Weight,
    partners: Tensor | None,
    generator: torch.Generator | None,
) -> Draw:
    partner, mixed = _random.draw_partners(lengths, p=p, partners=partners, generator=generator)
    (low, high), beta = weight
    if beta is None:
        alpha = _random.uniform(lengths.shape[0], low, high, device=lengths.device, generator=generator)
    else:
        alpha = _symmetric_beta(lengths, beta, generator=generator)
    return {"partner": partner, "alpha": alpha.masked_fill(~mixed, 0)}


def _symmetric_beta(lengths: Tensor, beta: float, *, generator: torch.Generator | None) -> Tensor:
    """Beta(beta, beta) from two uniform numbers (Devroye 1996), with nothing to reject.

    T = sqrt(2a (U^(-1/a) - 1)) cos(2 pi V) has Student's distribution with 2a degrees of freedom (Bailey's
    polar method), and 1/2 + T / (2 sqrt(2a + T^2)) is Beta(a, a).
    """
    count, device = lengths.shape[0], lengths.device
    radius = _random.uniform(count, 0.0, 1.0, device=device, generator=generator)
    turn = _random.uniform(count, 0.0, 2 * math.pi, device=device, generator=generator).cos()
    # 1 - U is never 0, so the power is finite unless beta is tiny; then T is infinite, and the ratio 1.
    square = torch.expm1(-torch.log1p(-radius) / beta) * turn.square()
    return 0.5 + 0.5 * turn.sign() * (1 + 1 / square).rsqrt()


def _apply(
    clips: Tensor, target: Tensor, lengths: Tensor | None, *, partner: Tensor, alpha: Tensor, real: Tensor
) -> tuple[Tensor, Tensor, Tensor | None]:
    weight = per_clip(alpha.to(computed_in(clips)), clips)
    silent_beyond = zero_beyond(clips, lengths)
    mixed = silent_beyond * (1 - weight) + silent_beyond[partner] * weight
    labels = target if target.is_floating_point() else target.float()
    label_weight = alpha.to(computed_in(labels))[:, None]
    labels = (labels * (1 - label_weight) + labels[partner] * label_weight).to(labels.dtype)
    new_lengths = None if lengths is None else torch.maximum(real, real[partner]).to(lengths.dtype)
    return mixed.to(clips.dtype), labels, new_lengths
