"""Scores for many clips of many lengths, and for the windows of a long recording."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence, Sized
from contextlib import contextmanager
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset

from rankaudio._checks import check_floating, check_integer, check_number, check_tensor, describe
from rankaudio.data import LengthBucketSampler, pad_collate

__all__ = ["WindowScores", "predict", "predict_long"]


def predict(
    tagger: nn.Module,
    clips: Sequence[Tensor] | Dataset[Any],
    *,
    lengths: Sequence[int] | None = None,
    max_samples: int = 60 * 44_100,
    workers: int = 0,
    progress: Callable[[int, int], None] | None = None,
    on_error: Callable[[int, Exception], None] | None = None,
) -> Tensor:
    """Score clips of any lengths, in batches of similar length, in the order they came.

    Sorted by length, a batch has next to no padding, and none of it reaches a score, so the batches
    change the time that this takes and nothing else. The longest clips go first: should memory not
    suffice, that is known at once.

    Args:
        tagger: a :class:`Tagger`, or any Module of waveform ``(B, T)`` and lengths ``(B,)``. It is run
            in eval mode, on the device of its parameters, and left in the mode that it was in.
        clips: waveforms ``(T,)``, or a dataset of them or of (waveform, target), as :class:`ClipDataset` is.
        lengths: samples of each clip, to sort by. None: ``clips.lengths`` where there is such a
            thing, else the clips are looked at.
        max_samples: padded samples in a batch, which bounds the memory; by default a minute at 44.1 kHz. A
            longer clip goes alone. With many clips or a large accelerator, more is quicker.
        workers: processes that read clips; 0: this one.
        progress: called after each batch with the number of clips done and of all.
        on_error: called with the index of a clip that cannot be read, and why; its row is NaN and the
            others are scored. None: the error is raised.

    Returns:
        ``(len(clips), C)`` float32 on the CPU, row i being clip i. No clips: ``(0, C)``, C being 0
        unless ``tagger.backbone.n_classes`` tells.

    Raises:
        TypeError: if a setting has the wrong type.
        ValueError: if there are not as many lengths as clips, or a clip is not ``(T,)``.

    >>> tagger = Tagger(LogMel(), CNN2d(2, base_depth=8))
    >>> predict(tagger, [torch.randn(44100), torch.randn(4410)]).shape
    torch.Size([2, 2])
    """
    check_integer("max_samples", max_samples)
    check_integer("workers", workers, 0)
    readable = _Readable(clips, reraise=on_error is None)
    sizes = _sizes(clips, lengths, len(readable))
    parameter = next(tagger.parameters(), None)
    device = torch.device("cpu") if parameter is None else parameter.device
    batches = _batches(sizes, max_samples)
    loader = DataLoader(readable, batch_sampler=batches, collate_fn=list, num_workers=workers)

    scores = torch.full((len(sizes), _n_classes(tagger)), torch.nan)
    done = 0
    with _evaluating(tagger):
        for items in loader:
            good = [(index, clip) for index, clip in items if isinstance(clip, Tensor)]
            for index, clip in items:
                if isinstance(clip, Exception) and on_error is not None:
                    on_error(index, clip)
            if good:
                rows = _score(tagger, [clip for _, clip in good], device)
                if scores.shape[1] != rows.shape[1]:
                    scores = torch.full((len(sizes), rows.shape[1]), torch.nan)
                scores[[index for index, _ in good]] = rows
            done += len(items)
            if progress is not None:
                progress(done, len(sizes))
    return scores


class WindowScores(NamedTuple):
    """What :func:`predict_long` returns, on the CPU: scores, and what they are scores of.

    >>> WindowScores(torch.zeros(2, 5), torch.tensor([0.0, 0.5])).starts[1]
    tensor(0.5000)
    """

    scores: Tensor
    """``(n_windows, C)`` float32, raw scores."""
    starts: Tensor
    """``(n_windows,)`` float64, where each window begins, in seconds."""


def predict_long(
    tagger: nn.Module,
    waveform: Tensor,
    *,
    window: float,
    hop: float,
    sample_rate: int | None = None,
    max_samples: int = 60 * 44_100,
    progress: Callable[[int, int], None] | None = None,
) -> WindowScores:
    r"""Score a long recording window by window.

    Of :math:`T` samples, with a window of :math:`w` and a hop of :math:`h` samples, window :math:`k` is

    .. math:: x[k h], \, \dots, \, x[\min(k h + w, T) - 1], \qquad
        0 \le k \le \Bigl\lceil \frac{\max(0, T - w)}{h} \Bigr\rceil, \quad k h < T

    so nothing is left over: the last window may be shorter than the others, is scored as the short clip
    that it is, and never dropped. A recording no longer than a window is one window. The scores are those of
    :func:`predict` with the windows as clips. They are cut when their batch is due, so beyond the recording
    itself the memory is that of a batch.

    Args:
        tagger: as for :func:`predict`. Windows as long as the clips that it was trained on suit it best.
        waveform: ``(T,)`` floating point, at least one sample.
        window: seconds of a window, rounded to samples.
        hop: seconds from the start of a window to that of the next, rounded to samples. Beyond ``window``,
            what lies between two windows is not heard.
        sample_rate: of the waveform, in Hz. None: ``tagger.sample_rate``.
        max_samples: samples in a batch, as for :func:`predict`.
        progress: called after each batch with the number of windows done and of all.

    Returns:
        Scores and start times of the windows, in their order. A score is one of its whole window, so a
        timeline puts it best at the middle.

    Raises:
        TypeError: if the waveform is not floating point, or a setting has the wrong type.
        ValueError: if the waveform is not ``(T,)`` with a sample, a window or a hop has none, or no sample
            rate is known.

    >>> tagger = Tagger(LogMel(), CNN2d(2, base_depth=8))
    >>> scores, starts = predict_long(tagger, torch.randn(100_000), window=1.0, hop=0.5)
    >>> scores.shape, starts.tolist()
    (torch.Size([4, 2]), [0.0, 0.5, 1.0, 1.5])
    """
    check_floating("waveform", waveform, ndim=(1,))
    if len(waveform) == 0:
        raise ValueError(f"waveform: wanted shape (T,) with T from 1, got {describe(waveform)}")
    rate = getattr(tagger, "sample_rate", None) if sample_rate is None else sample_rate
    if rate is None:
        raise ValueError(f"sample_rate: wanted one, for {type(tagger).__name__} has none, got None")
    check_integer("sample_rate", rate)
    windows = _Windows(waveform, _samples("window", window, rate), _samples("hop", hop, rate))
    scores = predict(tagger, windows, lengths=windows.lengths, max_samples=max_samples, progress=progress)
    return WindowScores(scores, torch.tensor(windows.starts, dtype=torch.float64) / rate)


class _Windows(Dataset[Tensor]):
    """Windows of a waveform, cut when they are asked for."""

    def __init__(self, waveform: Tensor, window: int, hop: int) -> None:
        total = len(waveform)
        last = -(-max(0, total - window) // hop)
        self.waveform = waveform
        # Where the hop is beyond the window, the last start may lie behind the end.
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
    """All clips, in this process: where several run together, the sampler would deal out the batches."""
    if not sizes:
        return []
    return list(LengthBucketSampler(sizes, max_samples=max_samples, shuffle=False, rank=0, world_size=1))


def _score(tagger: nn.Module, clips: list[Tensor], device: torch.device) -> Tensor:
    batch = pad_collate(clips)
    # Clips of one length need no masks, and that is known here without asking an accelerator.
    padded = bool((batch.lengths < batch.waveform.shape[1]).any())
    lengths = (batch.lengths.to(device),) if padded else ()
    scores: Tensor = tagger(batch.waveform.to(device), *lengths)
    return scores.float().cpu()


class _Readable(Dataset[tuple[int, "Tensor | Exception"]]):
    """Clips with their index; an error becomes an item, so that it can cross from a worker."""

    def __init__(self, clips: Sequence[Tensor] | Dataset[Any], *, reraise: bool) -> None:
        if not isinstance(clips, Sized):
            raise TypeError(f"clips: wanted waveforms or a dataset with a length, got {describe(clips)}")
        self.clips, self.reraise = clips, reraise

    def __len__(self) -> int:
        return len(self.clips)

    def __getitem__(self, index: int) -> tuple[int, Tensor | Exception]:
        try:
            item = self.clips[index]
            clip = check_tensor(f"clips[{index}]", item[0] if isinstance(item, tuple | list) else item)
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
        sizes = [int(length) for length in lengths]
    if len(sizes) != count:
        raise ValueError(f"lengths: wanted {count}, one for each clip, got {len(sizes)}")
    return sizes


def _n_classes(tagger: nn.Module) -> int:
    return int(getattr(getattr(tagger, "backbone", tagger), "n_classes", 0))


@contextmanager
def _evaluating(module: nn.Module) -> Iterator[None]:
    """Eval mode and no gradients, and afterwards every submodule's own mode again."""
    modes = [(part, part.training) for part in module.modules()]
    module.eval()
    try:
        with torch.inference_mode():
            yield
    finally:
        for part, mode in modes:
            part.training = mode
