"""Speed: time and pitch change together."""

from __future__ import annotations

import math
from functools import partial

import torch
from torch import Tensor

from rankaudio._checks import check_integer, check_waveform
from rankaudio.effects._base import RandomEffect, change_padded, silence_padding
from rankaudio.effects._chunks import in_chunks
from rankaudio.effects._parameters import Range, check_parameters, largest
from rankaudio.effects._resample import resample

LIMITS = {"factor": (0.1, 10.0)}


def speed(
    waveform: Tensor,
    lengths: Tensor | None = None,
    *,
    factor: Tensor | float,
    size: int | None = None,
) -> tuple[Tensor, Tensor]:
    r"""Play each clip faster or slower. The pitch changes too, as with a tape.

    .. math:: y_b[n] = x_b(f_b\, n), \qquad \ell'_b = \max(1, \lfloor \ell_b / f_b + \tfrac12 \rfloor)

    where :math:`x(t)` is the band-limited signal through the samples. A low-pass filter prevents aliasing.
    The chirp z-transform sums the spectrum of each block at positions that are :math:`f_b` apart, so tones
    are right to -118 dB, and aliases are below -127 dB. Each ratio costs the same.

    Args:
        waveform: ``(B, T)`` floating point.
        lengths: ``(B,)`` integers, in samples; None: every clip is T long.
        factor: :math:`f`, 0.1 to 10, one number for all clips or a tensor ``(B,)``; 1.1 is a tenth faster.
        size: samples of the result; longer clips are cut. None: the longest new length. For a tensor on an
            accelerator the host then has to wait, and ``torch.compile`` needs a number.

    Returns:
        New waveform ``(B, size)``, zero after each new length, and new lengths ``(B,)``.

    Raises:
        TypeError: if the waveform is not floating point, lengths are not integers, or ``factor`` is not a
            number.
        ValueError: if shapes or devices disagree, or a value is out of range.

    Reference:
        The definition is that of ``sox speed``. The method is that of L. R. Rabiner, R. W. Schafer and C. M.
        Rader, The chirp z-transform algorithm (1969).

    >>> faster, lengths = speed(
    ...     torch.randn(2, 1000), torch.tensor([1000, 500]), factor=1.25
    ... )
    >>> faster.shape, lengths
    (torch.Size([2, 800]), tensor([800, 400]))
    """
    clips, real = check_waveform(waveform, lengths)
    parameters = check_parameters({"factor": factor}, LIMITS, clips)
    fastest = largest(factor if size is not None else _on_host(factor), LIMITS["factor"][1])
    size = size_after(clips, factor, size)
    result = change_padded(
        lambda some, ends, drawn: change_speed(some, ends, **drawn, fastest=fastest, size=size),
        clips,
        real,
        parameters,
        size=size,
    )
    new = lengths_after(clips, real, **parameters, size=size)
    return result.to(waveform.dtype), new if lengths is None else new.to(lengths.dtype)


class Speed(RandomEffect):
    """Module form of :func:`speed`, which holds the definition; in eval mode it does nothing.

    The size of the new batch does not depend on the draw, so no step waits for the device. It is the size
    that the slowest factor of the range needs. The new lengths tell which part of each row is real.

    Args:
        p: probability that a clip gets the effect.
        factor: lowest and highest factor, drawn for each clip.

    >>> Speed(p=1.0, factor=(0.8, 1.0))(torch.randn(2, 4000))[0].shape
    torch.Size([2, 5000])
    """

    def __init__(self, *, p: float = 0.5, factor: Range = (0.9, 1.1)) -> None:
        super().__init__({"factor": factor}, LIMITS, p=p)

    def _change(
        self, clips: Tensor, lengths: Tensor | None, parameters: dict[str, Tensor]
    ) -> tuple[Tensor, Tensor | None]:
        size, fastest = self._samples_after(clips.shape[1]), self.ranges["factor"][1]
        return change_speed(clips, lengths, **parameters, fastest=fastest, size=size)

    def _samples_after(self, samples: int) -> int:
        return largest_size(samples, slowest=self.ranges["factor"][0], p=self.p)


def change_speed(
    clips: Tensor, lengths: Tensor | None, *, factor: Tensor, fastest: float, size: int
) -> tuple[Tensor, Tensor]:
    """Apply the effect to clips that are checked and masked, and return clips and new lengths.

    No factor is above ``fastest``. If values can be read, the result ends with its longest clip and not at
    ``size``.
    """
    new_lengths = lengths_after(clips, lengths, factor=factor, size=size)
    size = int(largest(new_lengths, size))
    result = in_chunks(partial(resample, size=size, fastest=fastest), clips, factor)
    return silence_padding(result, new_lengths), new_lengths


def _on_host(factor: Tensor | float) -> Tensor | float:
    """Return the factors on the CPU. Without a size, the host waits for them anyway."""
    return factor.cpu() if isinstance(factor, Tensor) else factor


def size_after(clips: Tensor, factor: Tensor | float, size: int | None) -> int:
    """Return the samples of the result: ``size``, or those of the longest clip at the slowest factor."""
    if size is not None:
        return check_integer("size", size)
    slowest = float(factor.min()) if isinstance(factor, Tensor) and factor.numel() else factor
    return 1 if isinstance(slowest, Tensor) else largest_size(clips.shape[1], slowest=slowest)


def largest_size(samples: int, *, slowest: float, p: float = 1.0) -> int:
    """Return the samples of a batch that is played at the slowest factor, or with ``p`` below 1 unchanged."""
    size = max(1, math.floor(samples / slowest + 0.5))
    return size if p == 1 else max(size, samples)


def lengths_after(clips: Tensor, lengths: Tensor | None, *, factor: Tensor, size: int) -> Tensor:
    """Return the lengths of clips that are played ``factor`` times as fast."""
    if lengths is None:
        lengths = torch.full(clips.shape[:1], clips.shape[1], device=clips.device)
    return torch.floor(lengths / factor + 0.5).long().clamp(1, size)
