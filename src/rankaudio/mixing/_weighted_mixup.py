"""Mixup: the labels are mixed with the weights of the clips."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from rankaudio import _random
from rankaudio._checks import check_number, check_range, check_values
from rankaudio._clips import check_clips, check_target, computation_dtype, per_clip
from rankaudio._draws import take_fields
from rankaudio.augmentation import Draw, Mixer
from rankaudio.lengths import zero_beyond
from rankaudio.mixing._partners import draw_partners


def weighted_mixup(
    clips: Tensor,
    target: Tensor,
    lengths: Tensor | None = None,
    *,
    p: float = 0.5,
    alpha: float | tuple[float, float] | None = None,
    beta: float | None = None,
    partners: Tensor | None = None,
    groups: Tensor | None = None,
    generator: torch.Generator | None = None,
) -> tuple[Tensor, Tensor, Tensor | None]:
    """Functional form of :class:`WeightedMixup`, which has the definition.

    It takes clips ``(B, T)`` or ``(B, F, N)``, a target ``(B, C)`` and lengths ``(B,)``, and returns the
    three of the mixed batch in the same shapes.

    >>> clips, target = torch.tensor([[0.0, 8.0], [4.0, 4.0]]), torch.eye(2)
    >>> weighted_mixup(clips, target, p=1.0, alpha=0.25)[:2]
    (tensor([[1., 7.],
            [3., 5.]]), tensor([[0.7500, 0.2500],
            [0.2500, 0.7500]]))
    """
    mixer = WeightedMixup(p=p, alpha=alpha, beta=beta)
    return mixer(clips, target, lengths, partners=partners, groups=groups, generator=generator)


class WeightedMixup(Mixer):
    r"""Mix clips of a batch in pairs, and their labels with the same weights.

    .. math::

        y_b = (1 - \alpha_b) \, x_b + \alpha_b \, x_{b'}, \qquad
        \text{label}_b = (1 - \alpha_b) \, \text{label}_b + \alpha_b \, \text{label}_{b'}

    Both clips start at 0, and zeros follow the shorter one. With probability ``p`` a clip gets a partner
    :math:`b'`, uniform among the other clips, and its own weight :math:`\alpha_b`. The weight is fixed, or
    drawn from U(low, high) or from Beta(beta, beta). A clip without a possible partner is not mixed.

    :meth:`draw` returns ``partner`` (the clip itself where it is not mixed) and ``alpha``. Each is ``(B,)``.

    Args:
        p: probability that a clip is mixed.
        alpha: weight of the partner, or its lowest and highest value; None without ``beta``: (0, 0.5).
        beta: both parameters of the beta distribution of the weight, above 0; give it instead of ``alpha``.

    Shapes:
        Clips are ``(B, T)``, ``(B, F, N)`` or ``(B, K, F, N)`` floating point, and the target ``(B, C)`` bool
        or numbers. Lengths, partners and groups are those of :class:`Mixer`. The result has the same shapes.
        A target of integers or bool becomes float32. A mixture is as long as its longer clip, and zero after
        that.

    Raises:
        TypeError: if clips are not floating point, lengths are not integers, ``partners`` is not bool, or a
            setting is not a number.
        ValueError: if shapes or devices disagree, a setting is out of range, or both ``alpha`` and ``beta``
            are given.

    Reference:
        Zhang et al., *mixup: Beyond Empirical Risk Minimization* (2018). The second-place system of
        Freesound Audio Tagging 2019 uses a fixed weight of 0.3. The first-place system uses U(0, 0.5).

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
        self.alpha: tuple[float, float] = _check_weight(alpha, beta)
        self.beta: float | None = beta

    def draw(
        self,
        clips: Tensor,
        lengths: Tensor | None = None,
        *,
        partners: Tensor | None = None,
        groups: Tensor | None = None,
        generator: torch.Generator | None = None,
    ) -> Draw:
        """Draw ``partner`` and ``alpha``."""
        real = check_clips(clips, lengths)
        partner, mixed = draw_partners(real, p=self.p, partners=partners, groups=groups, generator=generator)
        if self.beta is None:
            alpha = _random.uniform(real.shape[0], *self.alpha, device=real.device, generator=generator)
        else:
            alpha = _symmetric_beta(real.shape[0], self.beta, device=real.device, generator=generator)
        return {"partner": partner, "alpha": alpha.masked_fill(~mixed, 0)}

    def replay(
        self, clips: Tensor, target: Tensor, draw: Draw, lengths: Tensor | None = None
    ) -> tuple[Tensor, Tensor, Tensor | None]:
        """Apply what :meth:`draw` returned."""
        real = check_clips(clips, lengths)
        check_target(clips, target)
        partner, alpha = take_fields(draw, ("partner", "alpha"), clips)
        check_values("draw", alpha, (alpha >= 0) & (alpha <= 1), "weights from 0 to 1")
        labels = target if target.is_floating_point() else target.float()
        new_lengths = None if lengths is None else torch.maximum(real, real[partner]).to(lengths.dtype)
        mixed = _weighted_sum(zero_beyond(clips, lengths), partner, alpha)
        return mixed, _weighted_sum(labels, partner, alpha), new_lengths

    def extra_repr(self) -> str:
        """Show the settings."""
        return f"p={self.p}, " + (f"alpha={self.alpha}" if self.beta is None else f"beta={self.beta}")


def _check_weight(alpha: float | tuple[float, float] | None, beta: float | None) -> tuple[float, float]:
    """Check both settings, and return the range of the weight."""
    if beta is not None:
        if alpha is not None:
            raise ValueError(f"alpha: wanted None where beta is given, got {alpha!r}")
        if check_number("beta", beta, 0) == 0:
            raise ValueError("beta: wanted a number above 0, got 0")
        return 0.0, 1.0
    if alpha is None:
        return 0.0, 0.5
    if isinstance(alpha, (tuple, list)):  # torch 2.7 cannot compile tuple | list
        return check_range("alpha", alpha, 0, 1)
    return (check_number("alpha", alpha, 0, 1),) * 2


def _symmetric_beta(
    count: int, beta: float, *, device: torch.device, generator: torch.Generator | None
) -> Tensor:
    """Draw from Beta(beta, beta), from two uniform numbers and without rejection (Devroye 1996).

    T = sqrt(2a (U^(-1/a) - 1)) cos(2 pi V) has Student's distribution with 2a degrees of freedom (Bailey's
    polar method). Then 1/2 + T / (2 sqrt(2a + T^2)) is Beta(a, a).
    """
    radius = _random.uniform(count, 0.0, 1.0, device=device, generator=generator)
    cosine = _random.uniform(count, 0.0, 2 * math.pi, device=device, generator=generator).cos()
    # 1 - U is never 0, so the power is finite unless beta is tiny. Then T is infinite, and the ratio is 1.
    square = torch.expm1(-torch.log1p(-radius) / beta) * cosine.square()
    return 0.5 + 0.5 * cosine.sign() * (1 + 1 / square).rsqrt()


def _weighted_sum(values: Tensor, partner: Tensor, alpha: Tensor) -> Tensor:
    """Mix each row with its partner's row, where ``alpha`` is the weight of the partner."""
    weight = per_clip(alpha.to(computation_dtype(values)), values)
    return (values * (1 - weight) + values[partner] * weight).to(values.dtype)
