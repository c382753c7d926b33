"""Scores for many clips of many lengths."""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterator, Sequence, Sized
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset

from rankaudio._checks import (
    check_flag,
    check_floating,
    check_instance,
    check_integer,
    check_ordered,
    describe,
)
from rankaudio.data import LengthBucketSampler, pad_collate

__all__ = ["predict"]

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

    The result is raw scores, also if the tagger has thresholds or a calibration. ``tagger.decide(scores)``
    and ``tagger.probabilities(scores)`` turn them into decisions and probabilities, as
    :meth:`~rankaudio.tagger.Tagger.set_decisions` says.

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
        clip i. A clip with NaN has scores of NaN, and the others are not affected. Without clips, C is
        ``n_classes`` of the backbone and d its ``n_features``, or 0 if unknown.

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
    check_instance("tagger", tagger, nn.Module)
    _check_hooks(progress, on_error)
    run = _embedder(tagger) if check_flag("embed", embed) else tagger
    readable = _Readable(clips, reraise=on_error is None)
    sizes = _sizes(clips, lengths, len(readable))
    parameter = next(tagger.parameters(), None)
    device = torch.device("cpu") if parameter is None else parameter.device
    batches = _batches(sizes, max_samples)
    loader = DataLoader(readable, batch_sampler=batches, collate_fn=list, num_workers=workers)

    scores = torch.full((len(sizes), _n_columns(tagger, embed=embed)), torch.nan)
    done = 0
    with evaluating(tagger):
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


def _check_hooks(progress: object, on_error: object) -> None:
    for name, function in (("progress", progress), ("on_error", on_error)):
        if function is not None and not callable(function):
            raise TypeError(f"{name}: wanted a function or None, got {describe(function)}")


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
            clip = check_floating(f"clips[{index}]", item[0] if isinstance(item, (tuple, list)) else item)
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
        sizes = [max(len(item[0] if isinstance(item, (tuple, list)) else item), 1) for item in items]
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
def evaluating(module: nn.Module) -> Iterator[None]:
    """Switch to eval mode without gradients, and restore the mode of every submodule afterwards."""
    modes = [(part, part.training) for part in module.modules()]
    module.eval()
    try:
        with torch.inference_mode():
            yield
    finally:
        for part, mode in modes:
            part.training = mode
