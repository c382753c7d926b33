"""Cutting the silence before and after a sound."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor

from rankaudio._checks import check_choice, check_integer, check_number, check_waveform
from rankaudio.lengths import frame_lengths, length_mask
from rankaudio.spectral._padding import pad_ends

_EXTENSIONS = ("reflect", "constant")


def trim_silence(
    waveform: Tensor,
    lengths: Tensor | None = None,
    *,
    top_db: float = 60.0,
    frame_length: int = 2048,
    hop_length: int = 512,
    amin: float = 1e-10,
    pad_mode: Literal["reflect", "constant"] = "reflect",
    min_length: int = 1,
) -> tuple[Tensor, Tensor]:
    r"""Cut each clip to the part between its first and its last loud frame.

    .. math::

        r_j = \frac1n \sum_{t = jH - n/2}^{jH + n/2 - 1} x_t^2, \qquad
        j \text{ is loud if } 10 \log_{10}
        \frac{\max(r_j, \mathit{amin})}{\max(\max_i r_i, \mathit{amin})} > -\mathit{top\_db}

    for a clip's own :math:`\lfloor \ell_b / H \rfloor + 1` frames. If f is the first and l the last loud
    frame, samples :math:`f H` to :math:`\min(\ell_b, (l + 1) H)` are kept.

    A shorter part than ``min_length`` is extended on both sides to a window of that length around the
    sound's middle, which is moved where it would leave the clip. A clip that is shorter as a whole comes to
    stand in the middle of zeros.

    Args:
        waveform: ``(B, T)`` floating point, mono.
        lengths: ``(B,)`` integers, samples of each clip; ``None`` is all of it.
        top_db: decibels below the loudest frame that count as silence, above 0.
        frame_length: :math:`n`, even; samples in a frame.
        hop_length: :math:`H`, samples from one frame to the next.
        amin: the smallest power; everything below counts as this power. So a clip stays whole if its loudest
            frame is less than ``top_db`` above it.
        pad_mode: beyond its two ends a clip goes on as its mirror image (``"reflect"``) or as zeros
            (``"constant"``). With zeros, frames at the ends are up to 3 dB quieter.
        min_length: shortest length of a result, in samples.

    Returns:
        The clips, moved to the start of their rows and zero beyond their new lengths, as
        ``(B, max(T, min_length))`` in the dtype of the waveform, and the lengths ``(B,)``. The width does not
        depend on the values, so that no accelerator waits for them; ``waveform[:, : lengths.max()]`` cuts it.
        Digital silence stays whole.

    Raises:
        TypeError: if the waveform is not floating point, or lengths or a setting have another type.
        ValueError: if shapes or devices disagree, or a setting is out of range.

    Reference:
        ``librosa.effects.trim``, which reflects in version 0.6 and pads with zeros since 0.10. The
        first-place system of Freesound Audio Tagging 2019 has a shortest length of 0.5 s. It cuts the
        window of a short sound at a wrong place, and the sound may be lost.

    >>> clip = torch.cat([torch.zeros(8192), torch.ones(4096), torch.zeros(8192)])[None]
    >>> trimmed, lengths = trim_silence(clip)
    >>> lengths, trimmed.sum()
    (tensor([5632]), tensor(4096.))
    >>> trim_silence(torch.zeros(1, 300), min_length=1000)[1]
    tensor([1000])
    """
    samples, ends = check_waveform(waveform, lengths)
    _check_settings(top_db=top_db, frame_length=frame_length, amin=amin, pad_mode=pad_mode)
    check_integer("hop_length", hop_length)
    check_integer("min_length", min_length)
    padded = pad_ends(samples, ends, frame_length // 2, pad_mode)
    power = padded.square().unfold(-1, frame_length, hop_length).mean(-1)
    if ends is None:
        ends = torch.full((samples.shape[0],), samples.shape[1], device=samples.device)
    start, stop = _loud_part(power, ends, top_db=top_db, amin=amin, hop_length=hop_length)

    # A window around the middle, inside the clip.
    kept = torch.minimum((stop - start).clamp(min=min_length), ends)
    middle = (start + stop).div(2, rounding_mode="floor")
    around = torch.minimum((middle - kept.div(2, rounding_mode="floor")).clamp(min=0), ends - kept)
    start = torch.where(kept == stop - start, start, around)
    return _move(waveform, start, kept, min_length=min_length)


def _check_settings(*, top_db: object, frame_length: object, amin: object, pad_mode: object) -> None:
    if check_number("top_db", top_db, 0) == 0:
        raise ValueError("top_db: wanted a number above 0, got 0")
    if check_integer("frame_length", frame_length, 2) % 2:
        raise ValueError(f"frame_length: wanted an even integer, got {frame_length!r}")
    check_number("amin", amin, 1e-30)
    check_choice("pad_mode", pad_mode, _EXTENSIONS)


def _loud_part(
    power: Tensor, ends: Tensor, *, top_db: float, amin: float, hop_length: int
) -> tuple[Tensor, Tensor]:
    """From the start of the first loud frame's hop to the end of the last one's, in samples."""
    frames = frame_lengths(ends, hop_length=hop_length)
    power = power.masked_fill(~length_mask(frames, power.shape[1]), 0).clamp(min=amin)
    loud = power > power.amax(1, keepdim=True) * 10 ** (-top_db / 10)
    loud = loud & length_mask(frames, power.shape[1])
    number = torch.arange(power.shape[1], device=power.device)
    first = number.where(loud, power.shape[1]).amin(1)
    last = number.where(loud, -1).amax(1)
    return first * hop_length, torch.minimum((last + 1) * hop_length, ends)


def _move(waveform: Tensor, start: Tensor, kept: Tensor, *, min_length: int) -> tuple[Tensor, Tensor]:
    """The samples from ``start`` on at the start of the row, or in the middle of the shortest length."""
    new_lengths = kept.clamp(min=min_length)
    before = (new_lengths - kept).div(2, rounding_mode="floor")[:, None]
    place = torch.arange(max(waveform.shape[1], min_length), device=waveform.device) - before
    inside = (place >= 0) & (place < kept[:, None])
    source = (place + start[:, None]).clamp(0, waveform.shape[1] - 1)
    return waveform.gather(1, source).masked_fill(~inside, 0), new_lengths
