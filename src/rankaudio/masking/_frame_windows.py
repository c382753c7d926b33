"""Windows of a fixed number of frames that cover each clip evenly."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from rankaudio._checks import check_integer
from rankaudio._clips import check_clips, gather_steps, per_clip
from rankaudio._fill import Fill, check_fill, fill_values


class FrameWindows(NamedTuple):
    """The result of :func:`frame_windows`: the windows of all clips, one after the other.

    >>> FrameWindows(
    ...     torch.zeros(3, 128, 256), torch.tensor([0, 0, 1]), torch.tensor([-4, 124, 0])
    ... ).clip
    tensor([0, 0, 1])
    """

    windows: Tensor
    """``(W, F, window)``, or ``(W, K, F, window)`` for spectrograms with channels."""
    clip: Tensor
    """``(W,)`` int64, the row of each window's clip, in ascending order."""
    start: Tensor
    """``(W,)`` int64, the first frame of each window in its clip. It is negative where padding begins."""


def frame_windows(
    spectrogram: Tensor,
    lengths: Tensor | None = None,
    *,
    window: int = 256,
    hop: int = 128,
    fill: Fill = "minimum",
) -> FrameWindows:
    r"""Cut each clip into windows of one size, with equal padding at both ends.

    A clip of :math:`\ell` frames gets the fewest windows of :math:`w` frames that cover it with a hop of
    :math:`h` frames. The frames that are missing for this are split between the two ends. The extra frame of
    an odd number is behind the clip. Window :math:`k` of :math:`n` starts at frame

    .. math:: k h - \left\lfloor \frac{w + (n - 1) h - \ell}{2} \right\rfloor, \qquad
        n = 1 + \left\lceil \frac{\max(0, \, \ell - w)}{h} \right\rceil

    Args:
        spectrogram: ``(B, F, N)`` or ``(B, K, F, N)`` floating point.
        lengths: ``(B,)`` integers, frames of each clip; None: every clip fills its row.
        window: :math:`w`, frames of a window.
        hop: :math:`h`, frames from one start to the next, at most ``window``.
        fill: value of the padding: a number, or ``"minimum"`` or ``"mean"`` of the clip itself, or of each of
            its channels.

    Returns:
        A :class:`FrameWindows`. A clip of at most ``window`` frames has one window, which is that of
        :func:`centre_crop`. The number of windows depends on the lengths, so an accelerator has to wait.

    Raises:
        TypeError: if the spectrogram is not floating point, or lengths or settings are not integers.
        ValueError: if shapes or devices disagree, or a setting is out of range.

    Reference:
        The prediction of the first-place system of Freesound Audio Tagging 2019 (256 frames, a hop of 128 for
        test clips and 64 for out-of-fold scores).

    >>> cut = frame_windows(torch.arange(8.0).reshape(1, 1, 8), window=4, hop=3)
    >>> cut.start
    tensor([-1,  2,  5])
    >>> cut.windows[0]
    tensor([[0., 0., 1., 2.]])
    """
    real = check_clips(spectrogram, lengths, name="spectrogram", ndim=(3, 4))
    clip, start = window_starts(real, window=window, hop=hop)
    values = fill_values(spectrogram, real, check_fill(fill))
    windows = cut_windows(spectrogram[clip], real[clip], values[clip], start, window)
    return FrameWindows(windows, clip, start)


def window_starts(real: Tensor, *, window: int, hop: int) -> tuple[Tensor, Tensor]:
    """Return the clip and the first frame of each window, for clips of these lengths ``(B,)``."""
    check_integer("window", window)
    check_integer("hop", hop, 1, window)
    count = 1 - (window - real).clamp(max=0).div(hop, rounding_mode="floor")
    clip = torch.arange(len(real), device=real.device).repeat_interleave(count)
    number = torch.arange(len(clip), device=real.device) - (count.cumsum(0) - count)[clip]
    before = (window + (count - 1) * hop - real).div(2, rounding_mode="floor")
    return clip, number * hop - before[clip]


def cut_windows(clips: Tensor, real: Tensor, values: Tensor, start: Tensor, window: int) -> Tensor:
    """Cut one window ``(W, ..., window)`` of each clip; ``values`` fill the frames that the clip lacks."""
    step = torch.arange(window, device=start.device) + start[:, None]
    own = (step >= 0) & (step < real[:, None])
    frames = gather_steps(clips, step.clamp(min=0).minimum(real[:, None] - 1))
    return torch.where(per_clip(own, frames), frames, values)
