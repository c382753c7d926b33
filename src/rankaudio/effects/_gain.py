"""Gain: the level of a clip."""

from __future__ import annotations

import torch
from torch import Tensor

from rankaudio._silence import silence
from rankaudio.effects._base import RandomEffect, check_and_mask
from rankaudio.effects._parameters import Range, check_parameters

LIMITS = {"decibels": (-200.0, 200.0)}


def gain(
    waveform: Tensor, lengths: Tensor | None = None, *, decibels: Tensor | float
) -> tuple[Tensor, Tensor | None]:
    r"""Make each clip louder or softer by a number of decibels.

    .. math:: y_b[t] = 10^{g_b / 20}\, x_b[t]

    Args:
        waveform: ``(B, T)`` floating point.
        lengths: ``(B,)`` integers, in samples; None: every clip is T long.
        decibels: :math:`g`, -200 to 200 dB, one number for all clips or a tensor ``(B,)``.

    Returns:
        New waveform ``(B, T)``, zero after each length, and the same ``lengths``. Nothing is clipped.

    Raises:
        TypeError: if the waveform is not floating point, lengths are not integers, or ``decibels`` is not a
            number.
        ValueError: if shapes or devices disagree, or a value is out of range.

    >>> gain(torch.ones(2, 2), decibels=torch.tensor([20.0, -20.0]))[0]
    tensor([[10.0000, 10.0000],
            [ 0.1000,  0.1000]])
    """
    clips, _ = check_and_mask(waveform, lengths)
    parameters = check_parameters({"decibels": decibels}, LIMITS, clips)
    return _amplify(clips, **parameters).to(waveform.dtype), lengths


class Gain(RandomEffect):
    """Module form of :func:`gain`, which holds the definition; in eval mode it does nothing.

    Args:
        p: probability that a clip gets the effect.
        decibels: lowest and highest gain, drawn for each clip, uniform in decibels.

    >>> Gain(decibels=(-6.0, -6.0), p=1.0)(torch.ones(1, 3))[0]
    tensor([[0.5012, 0.5012, 0.5012]])
    """

    def __init__(self, *, p: float = 0.5, decibels: Range = (-6.0, 6.0)) -> None:
        super().__init__({"decibels": decibels}, LIMITS, p=p)

    def _change(
        self, clips: Tensor, lengths: Tensor | None, parameters: dict[str, Tensor]
    ) -> tuple[Tensor, Tensor | None]:
        return _amplify(clips, **parameters), lengths

    def _change_chosen(
        self, clips: Tensor, lengths: Tensor | None, chosen: Tensor, parameters: dict[str, Tensor]
    ) -> tuple[Tensor, Tensor | None]:
        """Multiply each clip by a number, 1 for clips that are not chosen, without any copy."""
        decibels = torch.where(chosen, parameters["decibels"], 0.0)
        if lengths is None:
            return _amplify(clips, decibels=decibels), None
        factors = (10 ** (decibels / 20)).to(clips.dtype)
        result = silence(clips, *clips.shape)
        for row, (end, factor) in enumerate(zip(lengths.tolist(), factors, strict=True)):
            part = result[row, :end]
            if clips.requires_grad:
                part.copy_(clips[row, :end] * factor)
            else:
                torch.mul(clips[row, :end], factor, out=part)
        return result, lengths


def _amplify(clips: Tensor, *, decibels: Tensor) -> Tensor:
    factor: Tensor = 10 ** (decibels / 20)
    return clips * factor.to(clips.dtype)[:, None]
