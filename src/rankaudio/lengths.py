"""Masks and frame counts: the one place that knows how lengths are passed on.

A batch of clips is padded to its longest clip, and ``lengths`` gives the real length of each row. Every part
of rankaudio takes lengths, and padding never has an influence on an output.
"""

from __future__ import annotations

from typing import Literal, TypeVar

import torch
from torch import Tensor

from rankaudio._checks import check_choice, check_integer, check_integers, check_values

__all__ = ["frame_lengths", "length_mask"]

PadMode = Literal["reflect", "constant", "same"]
PAD_MODES: tuple[PadMode, ...] = ("reflect", "constant", "same")
Samples = TypeVar("Samples", int, Tensor)


def length_mask(lengths: Tensor, size: int) -> Tensor:
    r"""Mark the real part of each row of a padded batch: true in the clip, false in the padding.

    .. math:: m_{b,t} = [\, t < \ell_b \,]

    Args:
        lengths: ``(B,)`` integers, the real length of each row.
        size: the padded length :math:`T`.

    Returns:
        ``(B, T)`` bool, on the device of ``lengths``. A length of 0 gives a row of False. A length above
        ``size`` gives a row of True.

    Raises:
        TypeError: if ``lengths`` is not a tensor of integers, or ``size`` is not an integer.
        ValueError: if ``lengths`` does not have exactly one axis, or ``size`` is negative.

    >>> length_mask(torch.tensor([1, 3]), 3)
    tensor([[ True, False, False],
            [ True,  True,  True]])
    """
    check_integers("lengths", lengths)
    if not isinstance(size, torch.SymInt):  # of torch.export
        check_integer("size", size, 0)
    return torch.arange(size, device=lengths.device) < lengths[:, None]


def frame_lengths(lengths: Tensor, *, hop_length: int, pad_mode: PadMode = "reflect") -> Tensor:
    r"""Count the frames that a short-time Fourier transform gives for clips of these lengths.

    .. math:: n_b = \lfloor \ell_b / h \rfloor + 1 \;\text{(centred frames)}, \qquad
        n_b = \lceil \ell_b / h \rceil \;\text{(the rule "same")}

    Args:
        lengths: ``(B,)`` integers, in samples.
        hop_length: :math:`h`, samples from one frame to the next.
        pad_mode: as in :func:`log_mel`. Frames are centred unless it is ``"same"``.

    Returns:
        ``(B,)`` integers, in frames: at least 1.

    Raises:
        TypeError: if ``lengths`` is not a tensor of integers, or ``hop_length`` is not an integer.
        ValueError: if a length is below 1 (checked on the CPU), ``hop_length`` is below 1, or ``pad_mode`` is
            unknown.

    >>> frame_lengths(torch.tensor([1, 1023, 1024]), hop_length=1024)
    tensor([1, 1, 2])
    >>> frame_lengths(torch.tensor([1, 1024, 1025]), hop_length=1024, pad_mode="same")
    tensor([1, 1, 2])
    """
    check_integers("lengths", lengths)
    check_values("lengths", lengths, lengths >= 1, "values from 1")
    check_choice("pad_mode", pad_mode, PAD_MODES)
    return count_frames(lengths, check_integer("hop_length", hop_length), pad_mode)


def count_frames(samples: Samples, hop_length: int, pad_mode: PadMode) -> Samples:
    """Apply the formula of :func:`frame_lengths` to lengths that are checked, or to one Python integer."""
    return (samples - 1 if pad_mode == "same" else samples) // hop_length + 1


def halved(lengths: Tensor) -> Tensor:
    """Return lengths after pooling by two. They are rounded down, but never below one."""
    return (lengths // 2).clamp(min=1)


def zero_beyond(values: Tensor, lengths: Tensor | None, *, fill: float = 0.0) -> Tensor:
    """Replace the padding on the last axis of ``values`` ``(B, ..., T)`` by ``fill``.

    The padding is replaced and not multiplied by 0, because it may hold NaN, and 0 x NaN is NaN.
    """
    mask = time_mask(values, lengths)
    return values if mask is None else values.masked_fill(~mask, fill)


def time_mask(values: Tensor, lengths: Tensor | None) -> Tensor | None:
    """Return ``(B, 1, ..., T)``, true within each length of ``values``, or None without lengths."""
    if lengths is None:
        return None
    mask = length_mask(lengths, values.shape[-1])
    return mask.reshape(mask.shape[0], *(1,) * (values.ndim - 2), mask.shape[1])
