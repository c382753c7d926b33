"""Scores for the windows of a long recording."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.utils.data import Dataset

from rankaudio._checks import check_floating, check_instance, check_integer, check_number, describe
from rankaudio.data._audio_stream import AudioStream
from rankaudio.inference._predict import predict

__all__ = ["WindowScores", "predict_long"]


class WindowScores(NamedTuple):
    """Scores of the windows of one recording, on the CPU, with the start and the end of each window.

    It is the result of :func:`predict_long` and of :meth:`~rankaudio.inference.FramewiseTagger.score`, and
    :func:`rankaudio.events.events` takes it.

    >>> starts = torch.tensor([0.0, 0.5])
    >>> WindowScores(torch.zeros(2, 5), starts, starts + 1.0).ends
    tensor([1.0000, 1.5000])
    """

    scores: Tensor
    """``(n_windows, C)`` float32, raw scores; with ``embed=True`` embeddings ``(n_windows, d)``."""
    starts: Tensor
    """``(n_windows,)`` float64, the start of each window in seconds."""
    ends: Tensor
    """``(n_windows,)`` float64, the end of each window in seconds. The last one ends with the recording."""


def predict_long(
    tagger: nn.Module,
    waveform: Tensor | str | Path,
    *,
    window: float,
    hop: float,
    sample_rate: int | None = None,
    embed: bool = False,
    max_samples: int = 60 * 44_100,
    progress: Callable[[int, int], None] | None = None,
) -> WindowScores:
    r"""Score a long recording window by window.

    With :math:`T` samples, windows of :math:`w` samples and a hop of :math:`h` samples, window :math:`k` is

    .. math:: x[k h], \, \dots, \, x[\min(k h + w, T) - 1], \qquad
        0 \le k \le \Bigl\lceil \frac{\max(0, T - w)}{h} \Bigr\rceil, \quad k h < T

    The windows reach the end of the recording. The last one may be shorter than the others; it is scored as a
    short clip. A recording no longer than a window is one window. The scores equal those of :func:`predict`
    with the windows as clips. A window is cut when its batch is due, so the memory is that of the recording
    and one batch. A file is read from its start to its end at the same time, so its length does not matter.

    Args:
        tagger: as for :func:`predict`. The best windows are as long as the clips of its training.
        waveform: ``(T,)`` floating point, at least one sample; or the path of an audio file, as for
            :func:`rankaudio.load_audio`. The scores of a file equal those of the loaded waveform.
        window: seconds of a window, rounded to samples.
        hop: seconds from the start of a window to the next start, rounded to samples. With a hop longer than
            ``window``, the sound between two windows is ignored.
        sample_rate: of the waveform, in Hz. A file is resampled to it. None: ``tagger.sample_rate``.
        embed: return embeddings in place of scores, as for :func:`predict`.
        max_samples: samples in a batch, as for :func:`predict`.
        progress: called after each batch with the number of finished windows and of all windows.

    Returns:
        Scores, start times and end times of the windows, in the order of time. A score belongs to its whole
        window, so a timeline shows it best at the middle of the window.

    Raises:
        TypeError: if the waveform is neither floating point nor a path, or a setting has the wrong type.
        ValueError: if the waveform is not ``(T,)`` with a sample, a window or a hop is shorter than a sample,
            or no sample rate is known. For a file also as :func:`rankaudio.load_audio`, which has the other
            errors of files too.

    >>> tagger = Tagger(LogMel(), CNN2d(2, base_depth=8))
    >>> scores, starts, ends = predict_long(
    ...     tagger, torch.randn(110_250), window=1.0, hop=0.5
    ... )
    >>> scores.shape, starts.tolist(), ends.tolist()
    (torch.Size([4, 2]), [0.0, 0.5, 1.0, 1.5], [1.0, 1.5, 2.0, 2.5])
    """
    check_instance("tagger", tagger, nn.Module)
    if not isinstance(waveform, (str, os.PathLike)):
        check_recording(waveform)
    rate = rate_of(tagger, sample_rate)
    window_and_hop = seconds_to_samples("window", window, rate), seconds_to_samples("hop", hop, rate)
    if isinstance(waveform, Tensor):
        windows = _Windows(_slices(waveform), len(waveform), *window_and_hop)
    else:
        file = AudioStream(Path(waveform), rate)
        windows = _Windows(file.read, file.length, *window_and_hop)
    scores = predict(
        tagger,
        windows,
        lengths=windows.lengths,
        embed=embed,
        max_samples=max_samples,
        progress=progress,
    )
    starts, lengths = (torch.tensor(x, dtype=torch.float64) for x in (windows.starts, windows.lengths))
    return WindowScores(scores, starts / rate, (starts + lengths) / rate)


class _Windows(Dataset[Tensor]):
    """Windows of a recording, each read when its batch is due: in the order of time, because batches are."""

    def __init__(self, read: Callable[[int, int], Tensor], total: int, window: int, hop: int) -> None:
        last = -(-max(0, total - window) // hop)
        self.read = read
        # If the hop is longer than the window, the last start may be after the end.
        self.starts = [k * hop for k in range(last + 1) if k * hop < total]
        self.lengths = [min(window, total - start) for start in self.starts]

    def __len__(self) -> int:
        return len(self.starts)

    def __getitem__(self, index: int) -> Tensor:
        return self.read(self.starts[index], self.lengths[index])


def check_recording(waveform: object) -> None:
    """Refuse what is not a waveform ``(T,)`` with at least one sample."""
    if not isinstance(waveform, Tensor):
        raise TypeError(f"waveform: wanted a torch.Tensor or a path, got {describe(waveform)}")
    check_floating("waveform", waveform, ndim=(1,))
    if len(waveform) == 0:
        raise ValueError(f"waveform: wanted shape (T,) with T from 1, got {describe(waveform)}")


def _slices(waveform: Tensor) -> Callable[[int, int], Tensor]:
    return lambda first, count: waveform[first : first + count]


def rate_of(tagger: nn.Module, sample_rate: int | None) -> int:
    """Return the given sample rate, or that of the tagger."""
    rate = getattr(tagger, "sample_rate", None) if sample_rate is None else sample_rate
    if rate is None:
        raise ValueError(f"sample_rate: wanted a number, as {type(tagger).__name__} has none, got None")
    return check_integer("sample_rate", rate)


def seconds_to_samples(name: str, seconds: float, rate: int) -> int:
    """Round seconds to samples, and refuse a time below one sample."""
    samples = round(check_number(name, seconds, 0) * rate)
    if samples < 1:
        raise ValueError(f"{name}: wanted at least one sample of 1/{rate} s, got {seconds!r}")
    return samples
