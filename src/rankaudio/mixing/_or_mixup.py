"""OR-mixup: the mixture of two clips has the labels of both."""

from __future__ import annotations

import torch
from torch import Tensor

from rankaudio import _random
from rankaudio._checks import check_range, check_values
from rankaudio._clips import can_loop_over_rows, check_clips, check_target, computation_dtype
from rankaudio._draws import take_fields
from rankaudio._silence import silence
from rankaudio.augmentation import Draw, Mixer
from rankaudio.lengths import zero_beyond
from rankaudio.mixing._partners import draw_partners


def or_mixup(
    waveform: Tensor,
    target: Tensor,
    lengths: Tensor | None = None,
    *,
    p: float = 0.5,
    gain: tuple[float, float] = (0.4, 0.6),
    partners: Tensor | None = None,
    groups: Tensor | None = None,
    generator: torch.Generator | None = None,
) -> tuple[Tensor, Tensor, Tensor | None]:
    """Functional form of :class:`ORMixup`, which has the definition.

    It takes a waveform ``(B, T)``, a target ``(B, C)`` and lengths ``(B,)``, and returns the three of the
    mixed batch in the same shapes.

    >>> generator = torch.Generator().manual_seed(0)
    >>> _, target, _ = or_mixup(
    ...     torch.randn(3, 100), torch.eye(3), p=1.0, generator=generator
    ... )
    >>> target.sum(-1)
    tensor([2., 2., 2.])
    """
    return ORMixup(p=p, gain=gain)(
        waveform, target, lengths, partners=partners, groups=groups, generator=generator
    )


class ORMixup(Mixer):
    r"""Mix clips of a batch in pairs; the mixture has the labels of both, unweighted.

    .. math::

        y_b[t] = g_b \, x_b[t - o_b] + (1 - g_b) \, x_{b'}[t - o'_b], \qquad
        \text{label}_b = \text{label}_b \lor \text{label}_{b'}

    A mixture of a dog and a bell contains both sounds, and which one is louder does not matter. Therefore the
    label rule is OR. Mixup (Zhang et al. 2018) weights the labels by the gains instead.

    With probability ``p`` a clip gets a partner :math:`b'`, uniform among the other clips, and a gain
    :math:`g_b` from U(gain). The shorter of the two clips starts at a random place inside the longer one:
    the longer clip's offset is 0, and the other offset is uniform over
    :math:`\{0, \dots, |\ell_b - \ell_{b'}|\}`. A clip without a possible partner is not mixed.

    :meth:`draw` returns ``partner``, ``gain`` and ``offset``, each ``(B,)``. The partner of a clip that is
    not mixed is the clip itself. The gain is that of the clip itself. The offset is in samples, from the
    start of the longer clip to the start of the shorter one.

    Args:
        p: probability that a clip is mixed.
        gain: lowest and highest gain of the clip itself; its partner's gain is ``1 - gain``.

    Shapes:
        The waveform is ``(B, T)`` floating point, and the target ``(B, C)`` bool or numbers. Lengths,
        partners and groups are those of :class:`Mixer`. The result has the same shapes and dtypes. A mixture
        is as long as its longer clip, and zero after that.

    Raises:
        TypeError: if the waveform is not floating point, lengths are not integers, ``partners`` is not bool,
            or a setting is not a number.
        ValueError: if shapes or devices disagree, or ``p`` or ``gain`` is outside [0, 1].

    Reference:
        The third-place system of Freesound Audio Tagging 2019.

    >>> mixup = ORMixup(p=1.0)
    >>> draw = {
    ...     "partner": torch.tensor([1, 1]),
    ...     "gain": torch.tensor([0.5, 1.0]),
    ...     "offset": torch.tensor([1, 0]),
    ... }
    >>> waveform, target, lengths = mixup.replay(
    ...     torch.tensor([[8.0, 8.0, 8.0], [2.0, 0.0, 0.0]]),
    ...     torch.tensor([[1, 0], [0, 1]]),
    ...     draw,
    ...     torch.tensor([3, 1]),
    ... )
    >>> waveform
    tensor([[4., 5., 4.],
            [2., 0., 0.]])
    >>> target
    tensor([[1, 1],
            [0, 1]])
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
        groups: Tensor | None = None,
        generator: torch.Generator | None = None,
    ) -> Draw:
        """Draw ``partner``, ``gain`` and ``offset``."""
        real = check_clips(waveform, lengths, name="waveform", ndim=(2,))
        partner, mixed = draw_partners(real, p=self.p, partners=partners, groups=groups, generator=generator)
        gain = _random.uniform(real.shape[0], *self.gain, device=real.device, generator=generator)
        offsets = (real - real[partner]).abs() + 1
        return {
            "partner": partner,
            "gain": torch.where(mixed, gain, 1.0).float(),
            "offset": _random.below(offsets, generator=generator),
        }

    def replay(
        self, waveform: Tensor, target: Tensor, draw: Draw, lengths: Tensor | None = None
    ) -> tuple[Tensor, Tensor, Tensor | None]:
        """Apply what :meth:`draw` returned."""
        real = check_clips(waveform, lengths, name="waveform", ndim=(2,))
        check_target(waveform, target, name="waveform")
        partner, gain, offset = take_fields(draw, ("partner", "gain", "offset"), waveform)
        check_values("draw", gain, (gain >= 0) & (gain <= 1), "gains from 0 to 1")
        inside = (offset >= 0) & (offset <= (real - real[partner]).abs())
        check_values("draw", offset, inside, "offsets inside the longer clip")
        # The loop over rows reads clips alone, and no padding.
        clips = waveform if can_loop_over_rows(waveform) else zero_beyond(waveform, lengths)
        mixed = _add_pairs(clips, real, partner=partner, gain=gain, offset=offset)
        new_lengths = None if lengths is None else torch.maximum(real, real[partner]).to(lengths.dtype)
        return mixed, torch.maximum(target, target[partner]), new_lengths

    def extra_repr(self) -> str:
        """Show the settings."""
        return f"p={self.p}, gain={self.gain}"


def _add_pairs(clips: Tensor, real: Tensor, *, partner: Tensor, gain: Tensor, offset: Tensor) -> Tensor:
    own = torch.arange(clips.shape[0], device=clips.device)
    partner_is_longer = real[partner] > real
    longer = torch.where(partner_is_longer, partner, own)
    shorter = torch.where(partner_is_longer, own, partner)
    gain = gain.to(computation_dtype(clips))
    longer_gain = torch.where(partner_is_longer, 1 - gain, gain)[:, None]
    if can_loop_over_rows(clips):
        return _add_rows(clips, longer, shorter, longer_gain=longer_gain, offset=offset, real=real)
    time = torch.arange(clips.shape[1], device=clips.device) - offset[:, None]
    inside = (time >= 0) & (time < real[shorter, None])
    moved = clips[shorter].gather(1, time.clamp(0, clips.shape[1] - 1)).masked_fill(~inside, 0)
    return (clips[longer] * longer_gain + moved * (1 - longer_gain)).to(clips.dtype)


def _add_rows(
    clips: Tensor, longer: Tensor, shorter: Tensor, *, longer_gain: Tensor, offset: Tensor, real: Tensor
) -> Tensor:
    """Return the same sums, but read and write only samples of clips."""
    mixed = silence(longer_gain, *clips.shape)
    sizes, starts = real.tolist(), offset.tolist()
    for row, (long, short) in enumerate(zip(longer.tolist(), shorter.tolist(), strict=True)):
        gain = longer_gain[row]
        new = mixed[row, : sizes[long]]
        new.copy_(clips[long, : sizes[long]] * gain)
        if gain != 1:
            new[starts[row] : starts[row] + sizes[short]] += clips[short, : sizes[short]] * (1 - gain)
    return mixed.to(clips.dtype)
