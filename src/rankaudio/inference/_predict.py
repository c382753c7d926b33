"""Scores for many clips of many lengths, and for the windows of a long recording."""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterator, Sequence, Sized
from contextlib import contextmanager
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset

from rankaudio._checks import (
    check_callable,
    check_flag,
    check_floating,
    check_instance,
    check_integer,
    check_number,
    check_ordered,
    describe,
)
from rankaudio.data import LengthBucketSampler, pad_collate

__all__ = ["WindowScores", "predict", "predict_long"]

# Each worker is a process. A number above this one would stop the machine.
_MOST_WORKERS = 1024


def predict(
    tagger: nn.Module,
    clips: Sequence[Tensor] | Dataset[Any],
    *,
    lengths: Sequence[int] | None = None,
    embed: bool = False,
    max_samples: int = 60 * 44_100,
    workers: int = 0,
    progress: Callable[[int, int], None] | None = None,
    on_error: Callable[[int, Exception], None] | None = None,
) -> Tensor:
    """Score clips of any lengths, in batches of similar length. The rows are in the order of the clips.

    Batches of similar length have little padding, and padding has no influence on a score. So batches change
    the time only. The longest clips are scored first, so a batch that needs too much memory fails at once.

    Args:
        tagger: a :class:`Tagger`, a :class:`WindowedTagger`, or any Module of waveform ``(B, T)`` and lengths
            ``(B,)``. It runs in eval mode, on the device of its parameters. Afterwards it is in its former
            mode.
        clips: waveforms ``(T,)``, or a dataset of waveforms or of (waveform, target), such as
            :class:`ClipDataset`.
        lengths: samples of each clip, for sorting. None: ``clips.lengths`` if it exists, else each clip is
            read once for its length.
        embed: return embeddings by ``tagger.embed`` in place of scores, as
            :meth:`~rankaudio.tagger.Tagger.embed` does.
        max_samples: padded samples in a batch, which bounds the memory; by default a minute at 44.1 kHz. A
            longer clip is a batch alone. With many clips or a large accelerator, larger values are faster.
        workers: processes that read clips; 0: this process.
        progress: called after each batch with the number of finished clips and of all clips.
        on_error: called with the index of an unreadable clip and its error. The row of that clip is NaN, and
            the others are scored. None: the error is raised.

    Returns:
        ``(len(clips), C)`` float32 on the CPU, or ``(len(clips), d)`` with ``embed``. Row i is
        clip i. Without clips, C is ``n_classes`` of the backbone and d its ``n_features``, or 0 if unknown.

    Raises:
        TypeError: if a setting has the wrong type, or a tagger without the method ``embed`` shall embed.
        ValueError: if the number of lengths is not the number of clips, or a clip is not ``(T,)``.

    >>> tagger = Tagger(LogMel(), CNN2d(2, base_depth=8))
    >>> predict(tagger, [torch.randn(44100), torch.randn(4410)]).shape
    torch.Size([2, 2])
    >>> predict(tagger, [torch.randn(44100), torch.randn(4410)], embed=True).shape
    torch.Size([2, 97])
    """
    check_integer("max_samples", max_samples)
    check_integer("workers", workers, 0, _MOST_WORKERS)
    for name, function in (("progress", progress), ("on_error", on_error)):
        if function is not None:
            check_callable(name, function)
    check_instance("tagger", tagger, nn.Module)
    check_flag("embed", embed)
    run = _embedder(tagger) if embed else tagger
    readable = _Readable(clips, reraise=on_error is None)
    sizes = _sizes(clips, lengths, len(readable))
    parameter = next(tagger.parameters(), None)
    device = torch.device("cpu") if parameter is None else parameter.device
    batches = _batches(sizes, max_samples)
    loader = DataLoader(readable, batch_sampler=batches, collate_fn=list, num_workers=workers)

    scores = torch.full((len(sizes), _n_columns(tagger, embed=embed)), torch.nan)
    done = 0
    with _evaluating(tagger):
        for items in loader:
            good = [(index, clip) for index, clip in items if isinstance(clip, Tensor)]
            for index, clip in items:
                if isinstance(clip, Exception) and on_error is not None:
                    on_error(index, clip)
            if good:
                rows = _score(run, [clip for _, clip in good], device)
                if scores.shape[1] != rows.shape[1]:
                    scores = torch.full((len(sizes), rows.shape[1]), torch.nan)
                scores[[index for index, _ in good]] = rows
            done += len(items)
            if progress is not None:
                progress(done, len(sizes))
    return scores


class WindowScores(NamedTuple):
    """The result of :func:`predict_long`, on the CPU: scores, and the start of each window.

    >>> WindowScores(torch.zeros(2, 5), torch.tensor([0.0, 0.5])).starts[1]
    tensor(0.5000)
    """

    scores: Tensor
    """``(n_windows, C)`` float32, raw scores; with ``embed=True`` embeddings ``(n_windows, d)``."""
    starts: Tensor
    """``(n_windows,)`` float64, the start of each window in seconds."""


def predict_long(
    tagger: nn.Module,
    waveform: Tensor,
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
    and one batch.

    Args:
        tagger: as for :func:`predict`. The best windows are as long as the clips of its training.
        waveform: ``(T,)`` floating point, at least one sample.
        window: seconds of a window, rounded to samples.
        hop: seconds from the start of a window to the next start, rounded to samples. With a hop longer than
            ``window``, the sound between two windows is ignored.
        sample_rate: of the waveform, in Hz. None: ``tagger.sample_rate``.
        embed: return embeddings in place of scores, as for :func:`predict`.
        max_samples: samples in a batch, as for :func:`predict`.
        progress: called after each batch with the number of finished windows and of all windows.

    Returns:
        Scores and start times of the windows, in the order of time. A score belongs to its whole window, so a
        timeline shows it best at the middle of the window.

    Raises:
        TypeError: if the waveform is not floating point, or a setting has the wrong type.
        ValueError: if the waveform is not ``(T,)`` with a sample, a window or a hop is shorter than a sample,
            or no sample rate is known.

    >>> tagger = Tagger(LogMel(), CNN2d(2, base_depth=8))
    >>> scores, starts = predict_long(tagger, torch.randn(100_000), window=1.0, hop=0.5)
    >>> scores.shape, starts.tolist()
    (torch.Size([4, 2]), [0.0, 0.5, 1.0, 1.5])
    """
    check_instance("tagger", tagger, nn.Module)
    check_floating("waveform", waveform, ndim=(1,))
    if len(waveform) == 0:
        raise ValueError(f"waveform: wanted shape (T,) with T from 1, got {describe(waveform)}")
    rate = getattr(tagger, "sample_rate", None) if sample_rate is None else sample_rate
    if rate is None:
        raise ValueError(f"sample_rate: wanted a number, as {type(tagger).__name__} has none, got None")
    check_integer("sample_rate", rate)
    windows = _Windows(waveform, _samples("window", window, rate), _samples("hop", hop, rate))
    scores = predict(
        tagger,
        windows,
        lengths=windows.lengths,
        embed=embed,
        max_samples=max_samples,
        progress=progress,
    )
    return WindowScores(scores, torch.tensor(windows.starts, dtype=torch.float64) / rate)


class _Windows(Dataset[Tensor]):
    """Windows of a waveform, each cut when it is read."""

    def __init__(self, waveform: Tensor, window: int, hop: int) -> None:
        total = len(waveform)
        last = -(-max(0, total - window) // hop)
        self.waveform = waveform
        # If the hop is longer than the window, the last start may be after the end.
        self.starts = [k * hop for k in range(last + 1) if k * hop < total]
        self.lengths = [min(window, total - start) for start in self.starts]

    def __len__(self) -> int:
        return len(self.starts)

    def __getitem__(self, index: int) -> Tensor:
        start = self.starts[index]
        return self.waveform[start : start + self.lengths[index]]


def _samples(name: str, seconds: float, rate: int) -> int:
    samples = round(check_number(name, seconds, 0) * rate)
    if samples < 1:
        raise ValueError(f"{name}: wanted at least one sample of 1/{rate} s, got {seconds!r}")
    return samples


def _batches(sizes: list[int], max_samples: int) -> list[list[int]]:
    """Batch all clips for this process; in distributed training too, each rank scores all of them."""
    if not sizes:
        return []
    return list(LengthBucketSampler(sizes, max_samples=max_samples, shuffle=False, rank=0, world_size=1))


def _embedder(tagger: nn.Module) -> Callable[..., Tensor]:
    method: Callable[..., Tensor] | None = getattr(tagger, "embed", None)
    if method is None:
        raise TypeError(f"tagger: wanted a Module with a method embed, got {type(tagger).__name__}")
    return method


def _score(run: Callable[..., Tensor], clips: list[Tensor], device: torch.device) -> Tensor:
    batch = pad_collate(clips)
    # Clips of one length need no masks. The check is on the CPU, so no accelerator has to wait.
    padded = bool((batch.lengths < batch.waveform.shape[1]).any())
    lengths = (batch.lengths.to(device),) if padded else ()
    return run(batch.waveform.to(device), *lengths).float().cpu()


class _Readable(Dataset[tuple[int, "Tensor | Exception"]]):
    """Clips with their index. An error is returned as an item, so that a worker can pass it on."""

    def __init__(self, clips: Sequence[Tensor] | Dataset[Any], *, reraise: bool) -> None:
        if not isinstance(clips, Sized) or not hasattr(clips, "__getitem__"):
            raise TypeError(f"clips: wanted waveforms or a dataset with a length, got {describe(clips)}")
        self.clips, self.reraise = clips, reraise

    def __len__(self) -> int:
        return len(self.clips)

    def __getitem__(self, index: int) -> tuple[int, Tensor | Exception]:
        try:
            item = self.clips[index]
            clip = check_floating(f"clips[{index}]", item[0] if isinstance(item, tuple | list) else item)
            if clip.ndim != 1 or len(clip) == 0:
                raise ValueError(f"clips[{index}]: wanted shape (T,) with T from 1, got {describe(clip)}")  # noqa: TRY301
        except Exception as error:
            if self.reraise:
                raise
            return index, error
        return index, clip


def _sizes(clips: object, lengths: Sequence[int] | None, count: int) -> list[int]:
    if lengths is None:
        lengths = getattr(clips, "lengths", None)
    if lengths is None:
        items = (clips[index] for index in range(count))  # type: ignore[index]
        sizes = [max(len(item[0] if isinstance(item, tuple | list) else item), 1) for item in items]
    else:
        sizes = _check_sizes(lengths)
    if len(sizes) != count:
        raise ValueError(f"lengths: wanted {count}, one for each clip, got {len(sizes)}")
    return sizes


def _check_sizes(lengths: object) -> list[int]:
    listed = lengths if isinstance(lengths, Tensor) else check_ordered("lengths", lengths, "integers")
    try:
        return [operator.index(length) for length in listed]  # type: ignore[arg-type]
    except TypeError as error:
        raise TypeError(f"lengths: wanted integers, got {describe(lengths)}") from error


def _n_columns(tagger: nn.Module, *, embed: bool) -> int:
    return int(getattr(getattr(tagger, "backbone", tagger), "n_features" if embed else "n_classes", 0))


@contextmanager
def _evaluating(module: nn.Module) -> Iterator[None]:
    """Switch to eval mode without gradients, and restore the mode of every submodule afterwards."""
    modes = [(part, part.training) for part in module.modules()]
    module.eval()
    try:
        with torch.inference_mode():
            yield
    finally:
        for part, mode in modes:
            part.training = mode
