"""Overdrive: the distortion of SoX."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from rankaudio.effects._base import RandomEffect, check_and_mask, silence_padding
from rankaudio.effects._cached import cached
from rankaudio.effects._chunks import in_chunks
from rankaudio.effects._parameters import Range, check_parameters

LIMITS = {"decibels": (-100.0, 100.0), "colour": (0.0, 100.0)}

_POLE = 0.995
_BLOCK = 64
# Enough for 64^5 samples.
_LEVELS = 5


def overdrive(
    waveform: Tensor,
    lengths: Tensor | None = None,
    *,
    decibels: Tensor | float = 20.0,
    colour: Tensor | float = 20.0,
) -> tuple[Tensor, Tensor | None]:
    r"""Distort like an overdriven valve amplifier, exactly as ``sox overdrive`` does.

    .. math::

        d[t] &= s(10^{g / 20} x[t] + c / 200), \qquad
        s(v) = v - v^3 / 3 \text{ for } |v| \le 1, \text{ else } \tfrac23 \operatorname{sign} v \\
        e[t] &= d[t] - d[t - 1] + 0.995\, e[t - 1] \\
        y[t] &= \operatorname{clip}(0.5\, x[t] + 0.75\, e[t], -1, 1)

    The recursion removes the constant part. It is computed in blocks, as products with a triangular matrix.
    The result is exact, and no sample waits for the sample before it.

    Args:
        waveform: ``(B, T)`` floating point.
        lengths: ``(B,)`` integers, in samples; None: every clip is T long.
        decibels: :math:`g`, gain before the distortion, -100 to 100 dB. This and the next parameter are one
            number for all clips, or a tensor ``(B,)``.
        colour: :math:`c`, 0 to 100, the amount of even harmonics. It shifts the input of the curve.

    Returns:
        New waveform ``(B, T)`` within -1 to 1, zero after each length, and the same ``lengths``. Silence does
        not stay silent at its start, because the offset :math:`c` decays there, as in SoX.

    Raises:
        TypeError: if the waveform is not floating point, lengths are not integers, or a parameter is not a
            number.
        ValueError: if shapes or devices disagree, or a value is out of range.

    Reference:
        SoX 14.4.2, ``overdrive``.

    >>> overdrive(torch.tensor([[0.0, 0.1, 1.0]]), decibels=20.0, colour=0.0)[0]
    tensor([[0.0000, 0.5500, 0.9975]])
    """
    clips, real = check_and_mask(waveform, lengths)
    parameters = check_parameters({"decibels": decibels, "colour": colour}, LIMITS, clips)
    return distort(clips, real, **parameters).to(waveform.dtype), lengths


class Overdrive(RandomEffect):
    """Module form of :func:`overdrive`, which holds the definition; in eval mode it does nothing.

    Args:
        p: probability that a clip gets the effect.
        decibels: lowest and highest gain before the distortion. This and the next parameter are drawn for
            each clip.
        colour: lowest and highest amount of even harmonics.

    >>> Overdrive(p=1.0)(torch.zeros(1, 3))[0].abs().max() < 0.08
    tensor(True)
    """

    def __init__(self, *, p: float = 0.5, decibels: Range = (2.0, 9.0), colour: Range = (20.0, 20.0)) -> None:
        super().__init__({"decibels": decibels, "colour": colour}, LIMITS, p=p)

    def _change(
        self, clips: Tensor, lengths: Tensor | None, parameters: dict[str, Tensor]
    ) -> tuple[Tensor, Tensor | None]:
        return distort(clips, lengths, **parameters), lengths


def distort(clips: Tensor, lengths: Tensor | None, *, decibels: Tensor, colour: Tensor) -> Tensor:
    """Apply the effect to clips that are checked and masked."""
    return silence_padding(in_chunks(_distort, clips, 10 ** (decibels / 20), colour / 200), lengths)


def _distort(clips: Tensor, factor: Tensor, offset: Tensor) -> Tensor:
    samples = clips.shape[1]
    clips = F.pad(clips, (0, -samples % _BLOCK))
    shaped = torch.addcmul(offset.to(clips.dtype)[:, None], clips, factor.to(clips.dtype)[:, None])
    shaped = shaped.clamp_(-1, 1)
    shaped = torch.addcmul(shaped, shaped * shaped, shaped, value=-1 / 3)
    return _without_offset(shaped, clips).clamp_(-1, 1)[:, :samples]


def _without_offset(shaped: Tensor, clips: Tensor) -> Tensor:
    """Compute ``0.5 x + 0.75 e`` in blocks of _BLOCK samples, without a loop over samples.

    The recursion is e[t] = d[t] - 0.005 (d[t-1] + 0.995 d[t-2] + ...), because sums of small numbers lose
    less precision. Inside a block it is a product with a triangular matrix. What the earlier blocks add
    decays.
    """
    batch = shaped.shape[0]
    blocks = shaped.view(batch, -1, _BLOCK)
    inside, decay = _weights(shaped.device, shaped.dtype)
    before = _decaying_sum((blocks @ decay.flip(0))[:, :-1])
    carried = F.pad(before, (1, 0))[..., None] * (0.75 * (_POLE - 1) * decay)
    carried = torch.add(carried.view(batch, -1), clips, alpha=0.5).view(-1, _BLOCK)
    return carried.addmm_(blocks.flatten(0, 1), inside).view(batch, -1)


@cached
def _weights(device: torch.device, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
    """Return the matrix of a block, times 0.75, and the powers of the pole."""
    step = torch.arange(_BLOCK, device=device)
    age = step - step[:, None]
    late = torch.where(age > 0, (_POLE - 1) * _POLE ** (age - 1).clamp(min=0).to(dtype), 0.0)
    eye = torch.eye(_BLOCK, dtype=dtype, device=device)
    return 0.75 * (late + eye), _POLE ** step.to(dtype)


def _decaying_sum(values: Tensor, level: int = 1) -> Tensor:
    """Compute ``y[t] = x[t] + pole y[t - 1]`` along the last axis of ``(B, T)``, in the same way.

    The pole of a level is that of the level below to the power _BLOCK.
    """
    batch, samples = values.shape
    if samples <= 1:
        return values
    blocks, (weight, decay) = -(-samples // _BLOCK), _levels(values.device, values.dtype)[level]
    inside = F.pad(values, (0, blocks * _BLOCK - samples)).view(batch, blocks, _BLOCK) @ weight
    if blocks > 1:
        before = _decaying_sum(inside[:, :-1, -1], level + 1)
        inside = inside + F.pad(before, (1, 0))[..., None] * decay
    return inside.reshape(batch, -1)[:, :samples]


@cached
def _levels(device: torch.device, dtype: torch.dtype) -> list[tuple[Tensor, Tensor]]:
    """Return the triangular matrix of each level, and the powers of its pole from 1 on."""
    step = torch.arange(_BLOCK, device=device)
    age = step - step[:, None]
    levels = []
    for level in range(_LEVELS):
        pole = _POLE ** (_BLOCK**level)
        weight = torch.where(age >= 0, pole ** age.clamp(min=0).to(dtype), 0.0)
        levels.append((weight, pole ** (step + 1).to(dtype)))
    return levels
