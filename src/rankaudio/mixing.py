"""Mixing the clips of a batch with each other, on the device, the whole batch at once."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn

from rankaudio import _random
from rankaudio._checks import (
    check_floating,
    check_lengths,
    check_number,
    check_range,
    check_same_device,
    check_tensor,
    describe,
)
from rankaudio.lengths import zero_beyond

__all__ = ["ORMixup", "ORMixupDraw", "apply_or_mixup", "draw_or_mixup", "or_mixup"]


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
        generator: where the numbers come from; None: PyTorch's global CPU generator.

    Returns:
        The draw, on the device of ``lengths``. A batch of one clip has no partner: nothing is mixed.

    Raises:
        TypeError: if lengths are not integers, or a setting is not a number.
        ValueError: if ``p`` or ``gain`` lies outside [0, 1].

    >>> draw_or_mixup(torch.tensor([9, 5]), p=0.0)
    ORMixupDraw(partner=tensor([0, 1]), gain=tensor([1., 1.]), offset=tensor([0, 0]))
    """
    count, device = lengths.shape[0], lengths.device
    low, high = check_range("gain", gain, 0, 1)
    check_number("p", p, 0, 1)
    own = torch.arange(count, device=device)
    others = torch.full((count,), max(count - 1, 1), device=device)
    partner = (own + 1 + _random.below(others, generator=generator)) % max(count, 1)
    mixed = _random.uniform(count, 0.0, 1.0, device=device, generator=generator) < (p if count > 1 else 0.0)
    drawn_gain = _random.uniform(count, low, high, device=device, generator=generator)
    partner = torch.where(mixed, partner, own)
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
    dtype = waveform.dtype if waveform.dtype == torch.float64 else torch.float32
    gain = draw.gain.to(dtype)
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
    draw = draw_or_mixup(real, p=p, gain=gain, generator=generator)
    return apply_or_mixup(waveform, target, draw, lengths)


class ORMixup(nn.Module):
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
        super().__init__()
        self.p = check_number("p", p, 0, 1)
        self.gain = check_range("gain", gain, 0, 1)

    def forward(
        self,
        waveform: Tensor,
        target: Tensor,
        lengths: Tensor | None = None,
        *,
        generator: torch.Generator | None = None,
    ) -> tuple[Tensor, Tensor, Tensor | None]:
        """Return waveform, target and lengths of the mixed batch."""
        p = self.p if self.training else 0.0
        return or_mixup(waveform, target, lengths, p=p, gain=self.gain, generator=generator)

    def extra_repr(self) -> str:
        """Show the settings."""
        return f"p={self.p}, gain={self.gain}"


def _check_batch(waveform: Tensor, target: Tensor, lengths: Tensor | None) -> Tensor:
    """Refuse what is no batch of waveforms and targets; return its lengths."""
    check_floating("waveform", waveform, ndim=(2,))
    check_tensor("target", target)
    batch, samples = waveform.shape
    if target.ndim != 2 or target.shape[0] != batch:
        raise ValueError(f"target: wanted shape ({batch}, C), got {describe(target)}")
    check_same_device("target", target, "waveform", waveform)
    if lengths is None:
        return torch.full((batch,), samples, device=waveform.device)
    return check_lengths(lengths, batch=batch, longest=samples, like=waveform)
