"""Level and distortion: gain, overdrive."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from rankaudio.effects._batch import check_clips, check_parameter, in_pieces
from rankaudio.lengths import zero_beyond

__all__ = ["gain", "overdrive"]

_POLE = 0.995
_BLOCK = 64


def gain(
    waveform: Tensor, lengths: Tensor | None = None, *, decibels: Tensor | float
) -> tuple[Tensor, Tensor | None]:
    r"""Make each clip louder or softer by so many decibels.

    .. math:: y_b[t] = 10^{g_b / 20}\, x_b[t]

    Args:
        waveform: ``(B, T)`` floating point.
        lengths: ``(B,)`` integers, in samples; None: every clip is T long.
        decibels: :math:`g`, -200 to 200 dB, one number for all or a tensor ``(B,)``.

    Returns:
        New waveform ``(B, T)``, zero beyond each length, and ``lengths`` as they came. Nothing is clipped.

    Raises:
        TypeError: if the waveform is not floating point, lengths no integers, or ``decibels`` is no number.
        ValueError: if shapes or devices disagree, or a value lies outside its range.

    >>> gain(torch.ones(2, 2), decibels=torch.tensor([20.0, -20.0]))[0]
    tensor([[10.0000, 10.0000],
            [ 0.1000,  0.1000]])
    """
    clips, _ = check_clips(waveform, lengths)
    factor = 10 ** (check_parameter("decibels", decibels, clips, -200, 200) / 20)
    return (clips * factor.to(clips.dtype)[:, None]).to(waveform.dtype), lengths


def overdrive(
    waveform: Tensor,
    lengths: Tensor | None = None,
    *,
    decibels: Tensor | float = 20.0,
    colour: Tensor | float = 20.0,
) -> tuple[Tensor, Tensor | None]:
    r"""Distort as an overdriven valve amplifier does; this is ``sox overdrive``.

    .. math::

        d[t] &= s(10^{g / 20} x[t] + c / 200), \qquad
        s(v) = v - v^3 / 3 \text{ for } |v| \le 1, \text{ else } \tfrac23 \operatorname{sign} v \\
        e[t] &= d[t] - d[t - 1] + 0.995\, e[t - 1] \\
        y[t] &= \operatorname{clip}(0.5\, x[t] + 0.75\, e[t], -1, 1)

    The recursion, which takes out the constant part, is computed in blocks as products with a
    triangular matrix: exact, and nothing waits for the sample before.

    Args:
        waveform: ``(B, T)`` floating point.
        lengths: ``(B,)`` integers, in samples; None: every clip is T long.
        decibels: :math:`g`, gain before the distortion, -100 to 100 dB. This and the next are one number for
            all, or a tensor ``(B,)``.
        colour: :math:`c`, 0 to 100, how many even harmonics there are: it moves the curve sideways.

    Returns:
        New waveform ``(B, T)`` within -1 to 1 and ``lengths`` as they came. Beyond each length it is
        zero. Silence does not stay silent at its start: the offset :math:`c` decays there, as in SoX.

    Raises:
        TypeError: if the waveform is not floating point, lengths are no integers, or a parameter no number.
        ValueError: if shapes or devices disagree, or a value lies outside its range.

    Reference:
        SoX 14.4.2, ``overdrive``.

    >>> overdrive(torch.tensor([[0.0, 0.1, 1.0]]), decibels=20.0, colour=0.0)[0]
    tensor([[0.0000, 0.5500, 0.9975]])
    """
    clips, real = check_clips(waveform, lengths)
    factor = 10 ** (check_parameter("decibels", decibels, clips, -100, 100) / 20)
    offset = check_parameter("colour", colour, clips, 0, 100) / 200
    driven = in_pieces(_overdrive, clips, factor, offset)
    return zero_beyond(driven, real).to(waveform.dtype), lengths


def _overdrive(clips: Tensor, factor: Tensor, offset: Tensor) -> Tensor:
    bent = torch.addcmul(offset.to(clips.dtype)[:, None], clips, factor.to(clips.dtype)[:, None]).clamp(-1, 1)
    bent = bent - bent * bent * bent / 3
    # e[t] = d[t] - 0.005 (d[t-1] + 0.995 d[t-2] + ...), for sums of small numbers lose less.
    recent = _decaying_sum(F.pad(bent[:, :-1], (1, 0)), _POLE)
    return (0.5 * clips + 0.75 * (bent - (1 - _POLE) * recent)).clamp(-1, 1)


def _decaying_sum(values: Tensor, pole: float) -> Tensor:
    """``y[t] = x[t] + pole y[t - 1]`` along the last axis of ``(B, T)``, without a loop over samples.

    Inside blocks a product with a triangular matrix; what each block hands to the next is the same sum
    over the blocks' ends, with the pole of a whole block.
    """
    batch, samples = values.shape
    blocks = -(-samples // _BLOCK)
    step = torch.arange(_BLOCK, device=values.device)
    age = step - step[:, None]
    weight = torch.where(age >= 0, float(pole) ** age.clamp(min=0).to(values.dtype), 0.0)
    inside = F.pad(values, (0, blocks * _BLOCK - samples)).view(batch, blocks, _BLOCK) @ weight
    if blocks > 1:
        before = _decaying_sum(inside[:, :-1, -1], pole**_BLOCK)
        fading = pole ** (step + 1).to(values.dtype)
        inside = inside + F.pad(before, (1, 0))[..., None] * fading
    return inside.reshape(batch, -1)[:, :samples]
