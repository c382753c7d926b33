"""OR-mixup: the mixture of two clips has the labels of both."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from rankaudio import _random
from rankaudio._checks import check_floating, check_lengths, check_number, check_range
from rankaudio._parts import Draw, Mixer, check_target, computed_in, take_fields
from rankaudio.lengths import zero_beyond


class ORMixupDraw(NamedTuple):
    """What OR-mixup drew for a batch; each field is ``(B,)``.

    Attributes:
        partner: index of the clip mixed in; a clip that is not mixed has itself.
        gain: factor of the clip; its partner's is the complement, ``1 - gain``.
        offset: samples from the start of the longer of the two to the start of the shorter.

    >>> ORMixupDraw(torch.tensor([1, 1]), torch.tensor([0.45, 1.0]), torch.tensor([7, 0])).partner
    tensor([1, 1])
    """

    partner: Tensor
    gain: Tensor
    offset: Tensor


def draw_or_mixup(
    lengths: Tensor,
    *,
    p: float = 0.5,
    gain: tuple[float, float] = (0.4, 0.6),
    partners: Tensor | None = None,
    generator: torch.Generator | None = None,
) -> ORMixupDraw:
    r"""Draw partners, gains and offsets for :func:`apply_or_mixup`.

    With probability ``p`` a clip gets a partner, uniform among the others, a gain from U(gain), and
    an offset uniform over every place where the shorter of the two lies inside the longer,
    :math:`\{0, \dots, |\ell_b - \ell_{\mathrm{partner}(b)}|\}`.

    Args:
        lengths: ``(B,)`` integers, in samples.
        p: probability that a clip is mixed.
        gain: lowest and highest gain of the clip itself.
        partners: ``(B,)`` bool, which clips may be mixed into others; None: all of them.
        generator: where the numbers come from; None: PyTorch's global CPU generator.

    Returns:
        The draw, on the device of ``lengths``. A clip that has no other to choose from is not mixed.

    Raises:
        TypeError: if lengths are not integers, ``partners`` not bool, or a setting is not a number.
        ValueError: if ``p`` or ``gain`` lies outside [0, 1].

    >>> draw_or_mixup(torch.tensor([9, 5]), p=0.0)
    ORMixupDraw(partner=tensor([0, 1]), gain=tensor([1., 1.]), offset=tensor([0, 0]))
    """
    low, high = check_range("gain", gain, 0, 1)
    partner, mixed = _random.draw_partners(lengths, p=p, partners=partners, generator=generator)
    drawn_gain = _random.uniform(lengths.shape[0], low, high, device=lengths.device, generator=generator)
    room = (lengths - lengths[partner]).abs()
    return ORMixupDraw(
        partner=partner,
        gain=torch.where(mixed, drawn_gain, 1.0).float(),
        offset=_random.below(room + 1, generator=generator),
    )


def apply_or_mixup(
    waveform: Tensor, target: Tensor, draw: ORMixupDraw, lengths: Tensor | None = None
) -> tuple[Tensor, Tensor, Tensor | None]:
    r"""Add each clip's partner to it, and give the result the labels of both.

    .. math::

        y_b[t] = g_b \, x_b[t - o] + (1 - g_b) \, x_{b'}[t - o'], \qquad
        \text{label}_b = \text{label}_b \lor \text{label}_{b'}

    of the two offsets :math:`o, o'` the longer clip's is 0.

    Args:
        waveform: ``(B, T)`` floating point.
        target: ``(B, C)`` bool or numbers.
        draw: what :func:`draw_or_mixup` returned, or anything of that form.
        lengths: ``(B,)`` integers; None: every clip is T samples long.

    Returns:
        New waveform ``(B, T)``, target ``(B, C)`` and lengths ``(B,)`` (None for None), the length of a pair
        being that of its longer clip. Beyond it the waveform is zero. Dtypes are those of the input.

    Raises:
        TypeError: if the waveform is not floating point, or lengths are not integers.
        ValueError: if shapes or devices disagree.

    >>> draw = ORMixupDraw(torch.tensor([1, 1]), torch.tensor([0.5, 1.0]), torch.tensor([1, 0]))
    >>> wave, target, lengths = apply_or_mixup(
    ...     torch.tensor([[8.0, 8.0, 8.0], [2.0, 0.0, 0.0]]),
    ...     torch.tensor([[1, 0], [0, 1]]), draw, torch.tensor([3, 1]))
    >>> wave
    tensor([[4., 5., 4.],
            [2., 0., 0.]])
    >>> target
    tensor([[1, 1],
            [0, 1]])
    """
    real = _check_batch(waveform, target, lengths)
    partner, rows = draw.partner, torch.arange(waveform.shape[0], device=waveform.device)
    partner_is_longer = real[partner] > real
    longer = torch.where(partner_is_longer, partner, rows)
    shorter = torch.where(partner_is_longer, rows, partner)
    gain = draw.gain.to(computed_in(waveform))
    longer_gain = torch.where(partner_is_longer, 1 - gain, gain)[:, None]

    time = torch.arange(waveform.shape[1], device=waveform.device) - draw.offset[:, None]
    inside = (time >= 0) & (time < real[shorter, None])
    placed = waveform[shorter].gather(1, time.clamp(0, max(waveform.shape[1] - 1, 0)))
    mixed = zero_beyond(waveform, lengths)[longer] * longer_gain
    mixed = mixed + placed.masked_fill(~inside, 0) * (1 - longer_gain)
    new_lengths = None if lengths is None else torch.maximum(real, real[partner]).to(lengths.dtype)
    return mixed.to(waveform.dtype), torch.maximum(target, target[partner]), new_lengths


def or_mixup(
    waveform: Tensor,
    target: Tensor,
    lengths: Tensor | None = None,
    *,
    p: float = 0.5,
    gain: tuple[float, float] = (0.4, 0.6),
    partners: Tensor | None = None,
    generator: torch.Generator | None = None,
) -> tuple[Tensor, Tensor, Tensor | None]:
    r"""Mix clips of a batch in pairs; the mixture has the labels of both, unweighted.

    Whoever hears a dog and a bell hears a dog and a bell, whichever is louder: the label rule is OR,
    where mixup (Zhang et al. 2018) would weigh the labels by the gains. The shorter clip is put at a
    random place inside the longer one. :func:`draw_or_mixup` says what is drawn and
    :func:`apply_or_mixup` what is computed; this is the one after the other.

    Args:
        waveform: ``(B, T)`` floating point.
        target: ``(B, C)`` bool or numbers.
        lengths: ``(B,)`` integers, in samples; None: every clip is T long.
        p: probability that a clip is mixed.
        gain: lowest and highest gain of the clip itself; its partner's is the complement.
        partners: ``(B,)`` bool, which clips may be mixed into others (the curated ones, say); None: all
            of them.
        generator: where the numbers come from; None: PyTorch's global CPU generator.

    Returns:
        Waveform, target and lengths of the new batch. The inputs are left as they are; with
        ``p = 0`` they are what is returned.

    Raises:
        TypeError: if the waveform is not floating point, or lengths are not integers.
        ValueError: if shapes or devices disagree, or ``p`` or ``gain`` lies outside [0, 1].

    Reference:
        The third-place system of Freesound Audio Tagging 2019.

    >>> generator = torch.Generator().manual_seed(0)
    >>> _, target, _ = or_mixup(torch.randn(3, 100), torch.eye(3), p=1.0, generator=generator)
    >>> target.sum(-1)
    tensor([2., 2., 2.])
    """
    real = _check_batch(waveform, target, lengths)
    if check_number("p", p, 0, 1) == 0:
        check_range("gain", gain, 0, 1)
        return waveform, target, lengths
    draw = draw_or_mixup(real, p=p, gain=gain, partners=partners, generator=generator)
    return apply_or_mixup(waveform, target, draw, lengths)


class ORMixup(Mixer):
    """Module form of :func:`or_mixup`, which holds the definition; in eval mode it does nothing.

    Args:
        p: probability that a clip is mixed.
        gain: lowest and highest gain of the clip itself.

    >>> mixup = ORMixup(p=1.0).eval()
    >>> waveform, target, lengths = mixup(torch.randn(2, 100), torch.eye(2))
    >>> target
    tensor([[1., 0.],
            [0., 1.]])
    """

    def __init__(self, *, p: float = 0.5, gain: tuple[float, float] = (0.4, 0.6)) -> None:
        super().__init__(p=p)
        self.gain: tuple[float, float] = check_range("gain", gain, 0, 1)

    def draw(
        self,
        waveform: Tensor,
        lengths: Tensor | None = None,
        *,
        partners: Tensor | None = None,
        generator: torch.Generator | None = None,
    ) -> Draw:
        """Draw the fields of an :class:`ORMixupDraw`, by name."""
        real = _real_lengths(waveform, lengths)
        draw = draw_or_mixup(real, p=self.p, gain=self.gain, partners=partners, generator=generator)
        # Not _asdict(), which the compiler of torch 2.7 cannot follow.
        return {"partner": draw.partner, "gain": draw.gain, "offset": draw.offset}

    def replay(
        self, waveform: Tensor, target: Tensor, draw: Draw, lengths: Tensor | None = None
    ) -> tuple[Tensor, Tensor, Tensor | None]:
        """Apply what :meth:`draw` returned, by :func:`apply_or_mixup`."""
        fields = take_fields(draw, ORMixupDraw._fields, waveform)
        return apply_or_mixup(waveform, target, ORMixupDraw(*fields), lengths)

    def forward(
        self,
        waveform: Tensor,
        target: Tensor,
        lengths: Tensor | None = None,
        *,
        partners: Tensor | None = None,
        generator: torch.Generator | None = None,
    ) -> tuple[Tensor, Tensor, Tensor | None]:
        """Return waveform, target and lengths of the mixed batch."""
        p = self.p if self.training else 0.0
        return or_mixup(
            waveform, target, lengths, p=p, gain=self.gain, partners=partners, generator=generator
        )

    def extra_repr(self) -> str:
        """Show the settings."""
        return f"p={self.p}, gain={self.gain}"


def _check_batch(waveform: Tensor, target: Tensor, lengths: Tensor | None) -> Tensor:
    """Refuse what is no batch of waveforms and targets; return its lengths."""
    real = _real_lengths(waveform, lengths)
    check_target(waveform, target, name="waveform")
    return real


def _real_lengths(waveform: Tensor, lengths: Tensor | None) -> Tensor:
    check_floating("waveform", waveform, ndim=(2,))
    batch, samples = waveform.shape
    if lengths is None:
        return torch.full((batch,), samples, device=waveform.device)
    return check_lengths(lengths, batch=batch, longest=samples, like=waveform)
