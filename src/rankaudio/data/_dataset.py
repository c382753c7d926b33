"""Clips as a PyTorch data set, and batches of them with their lengths."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Literal, NamedTuple

import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence
from torch.utils.data import Dataset

from rankaudio._checks import (
    check_choice,
    check_floating,
    check_integer,
    check_number,
    check_tensor,
    check_values,
    describe,
)
from rankaudio._random import below
from rankaudio.data._audio import audio_info, load_audio, resampled_length
from rankaudio.data._tables import LabelTable, check_path, check_paths

__all__ = ["Batch", "ClipDataset", "Crop", "pad_collate"]

Crop = Literal["random", "start"]
_CROPS: tuple[Crop, ...] = ("random", "start")
_MOST_REPORTED = 10


class ClipDataset(Dataset[Tensor | tuple[Tensor, Tensor]]):
    """Audio files, and the labels of each where there are any.

    Item ``i`` is ``(waveform, target)``, ``(T,)`` and ``(C,)`` float32, or the waveform alone. Every
    header is read when the data set is made, so a file that is missing or broken is found before training and
    not in the middle of it, and the lengths are known to a :class:`LengthBucketSampler`.

    Random crops come from PyTorch's global generator. In a :class:`~torch.utils.data.DataLoader` that is the
    worker's own, seeded anew each epoch from the main process, so they differ from worker to worker and
    from epoch to epoch, and ``torch.manual_seed`` repeats them.

    Args:
        paths: the files, in any format of :func:`load_audio`.
        target: ``(N, C)`` real numbers, one row per path; None where labels are not known.
        sample_rate: samples per second; files of another rate are resampled.
        max_seconds: longer clips are cut to this; None for no limit.
        crop: which part of a longer clip is kept: ``"random"``, another one each time, or ``"start"``.
        cache: decode all files at once and keep them in memory, 4 bytes per sample. Worth it where decoding
            is slow (compressed or resampled files); a WAV file is read faster than it is trained on.

    Attributes:
        paths: the files.
        target: ``(N, C)`` float32, or None.
        lengths: ``(N,)`` int64, in samples, after resampling and cutting.

    Raises:
        TypeError: if ``paths`` is not a list of paths, ``target`` no tensor, or a setting of another type.
        ValueError: if there are no paths, the target has not one row for each, or files cannot be used;
            the message lists up to 10 of them and says what is wrong with each.
        ImportError: if a file needs soundfile, and soundfile cannot be imported.

    >>> import tempfile
    >>> from scipy.io import wavfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     wavfile.write(f"{folder}/a.wav", 8000, torch.zeros(400).numpy())
    ...     dataset = ClipDataset([f"{folder}/a.wav"], torch.tensor([[1, 0]]), sample_rate=16000)
    ...     waveform, target = dataset[0]
    >>> dataset.lengths, waveform.shape, target
    (tensor([800]), torch.Size([800]), tensor([1., 0.]))
    """

    def __init__(
        self,
        paths: Iterable[str | Path],
        target: Tensor | None = None,
        *,
        sample_rate: int = 44100,
        max_seconds: float | None = None,
        crop: Crop = "random",
        cache: bool = False,
    ) -> None:
        self.paths: tuple[Path, ...] = check_paths("paths", paths)
        self.target: Tensor | None = None if target is None else _check_target(target, len(self.paths))
        self.sample_rate: int = check_integer("sample_rate", sample_rate)
        self.crop: Crop = check_choice("crop", crop, _CROPS)
        self._longest = _most_samples(max_seconds, sample_rate)
        full = _measure(self.paths, self.sample_rate)
        self.lengths: Tensor = full if self._longest is None else full.clamp(max=self._longest)
        self._cache = _decode_all(self.paths, full, self.sample_rate) if cache else None

    @classmethod
    def from_table(
        cls,
        folder: str | Path,
        table: LabelTable,
        *,
        sample_rate: int = 44100,
        max_seconds: float | None = None,
        crop: Crop = "random",
        cache: bool = False,
    ) -> ClipDataset:
        """Make the data set of a label table, whose names are those of files in ``folder``.

        Args:
            folder: where the files are.
            table: their names and labels, such as :func:`read_labels` gives.
            sample_rate: as in :class:`ClipDataset`, like all that follow.
            max_seconds: the same.
            crop: the same.
            cache: the same.

        Raises:
            TypeError: if ``folder`` is no path or ``table`` no :class:`LabelTable`; else as the class does.
            ValueError: as the class does.

        >>> import tempfile
        >>> from scipy.io import wavfile
        >>> table = LabelTable(("a.wav",), ("Bark", "Meow"), torch.tensor([[True, False]]))
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     wavfile.write(f"{folder}/a.wav", 44100, torch.zeros(400).numpy())
        ...     ClipDataset.from_table(folder, table).lengths
        tensor([400])
        """
        if not isinstance(table, LabelTable):
            raise TypeError(f"table: wanted a LabelTable, got {describe(table)}")
        folder = check_path("folder", folder)
        return cls(
            [folder / name for name in table.names],
            table.target,
            sample_rate=sample_rate,
            max_seconds=max_seconds,
            crop=crop,
            cache=cache,
        )

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, index: int) -> Tensor | tuple[Tensor, Tensor]:
        if self._cache is None:
            waveform = load_audio(self.paths[index], sample_rate=self.sample_rate)
        else:
            waveform = self._cache[index]
        waveform = self._cut(waveform)
        return waveform if self.target is None else (waveform, self.target[index])

    def _cut(self, waveform: Tensor) -> Tensor:
        surplus = 0 if self._longest is None else len(waveform) - self._longest
        if surplus <= 0:
            return waveform
        start = int(below(torch.tensor(surplus + 1))) if self.crop == "random" else 0
        # A copy, so that what leaves a worker is the crop and not the whole clip behind it.
        return waveform[start : start + len(waveform) - surplus].clone()


class Batch(NamedTuple):
    """Clips of several lengths in one tensor.

    Attributes:
        waveform: ``(B, T)``, zero beyond the end of each clip.
        target: ``(B, C)``, or None.
        lengths: ``(B,)`` int64, in samples.

    >>> waveform, target, lengths = pad_collate([torch.ones(2), torch.ones(3)])
    >>> target is None, lengths
    (True, tensor([2, 3]))
    """

    waveform: Tensor
    target: Tensor | None
    lengths: Tensor


def pad_collate(items: Sequence[Tensor | tuple[Tensor, Tensor]]) -> Batch:
    """Pad clips to the longest with zeros; the ``collate_fn`` for a :class:`ClipDataset`.

    Args:
        items: waveforms ``(T,)``, or pairs of a waveform and its target ``(C,)``. At least one.

    Returns:
        A :class:`Batch`.

    Raises:
        TypeError: if an item is something else, or only some have a target.
        ValueError: if there is no item, a waveform has no samples, or targets have different shapes.

    >>> batch = pad_collate([torch.ones(2), torch.ones(3)])
    >>> batch.waveform, batch.lengths
    (tensor([[1., 1., 0.],
            [1., 1., 1.]]), tensor([2, 3]))
    """
    if not items:
        raise ValueError("items: wanted at least one clip, got none")
    pairs = [_as_pair(index, item) for index, item in enumerate(items)]
    waveforms = [waveform for waveform, _ in pairs]
    targets = [target for _, target in pairs if target is not None]
    if targets and len(targets) < len(pairs):
        raise TypeError(
            f"items: wanted a target with every clip or with none, got {len(targets)} of {len(pairs)}"
        )
    for index, target in enumerate(targets):
        if target.shape != targets[0].shape:
            wanted = f"the shape of the first target, {tuple(targets[0].shape)}"
            raise ValueError(f"items[{index}]: wanted {wanted}, got {describe(target)}")
    lengths = torch.tensor([len(waveform) for waveform in waveforms])
    return Batch(
        pad_sequence(waveforms, batch_first=True), torch.stack(targets) if targets else None, lengths
    )


def _as_pair(index: int, item: object) -> tuple[Tensor, Tensor | None]:
    waveform, target = item if isinstance(item, tuple | list) and len(item) == 2 else (item, None)
    name = f"items[{index}]"
    tensor = check_floating(name, waveform, ndim=(1,))
    if len(tensor) == 0:
        raise ValueError(f"{name}: wanted at least one sample, got {describe(tensor)}")
    return tensor, None if target is None else check_tensor(name, target)


def _check_target(target: object, rows: int) -> Tensor:
    tensor = check_tensor("target", target)
    if tensor.ndim != 2 or len(tensor) != rows or tensor.is_complex():
        raise ValueError(f"target: wanted ({rows}, C) real numbers, one row per path, got {describe(tensor)}")
    check_values("target", tensor, tensor.isfinite(), "finite numbers")
    return tensor.detach().float()


def _most_samples(seconds: float | None, sample_rate: int) -> int | None:
    if seconds is None:
        return None
    samples = round(check_number("max_seconds", seconds, 0) * sample_rate)
    if samples < 1:
        raise ValueError(f"max_seconds: wanted at least one sample, got {describe(seconds)}")
    return samples


def _measure(paths: Sequence[Path], sample_rate: int) -> Tensor:
    """Length of each file after resampling; every bad file is met before the complaint."""
    lengths, problems = [], []
    for path in paths:
        try:
            info = audio_info(path)
        except FileNotFoundError:
            problems.append(f"{path}: no such file")
        except (OSError, ValueError) as error:
            problems.append(str(error))
        else:
            lengths.append(resampled_length(info.frames, info.sample_rate, sample_rate))
    if problems:
        more = [f"... and {len(problems) - _MOST_REPORTED} more"] if len(problems) > _MOST_REPORTED else []
        listed = "\n  ".join(problems[:_MOST_REPORTED] + more)
        raise ValueError(f"paths: {len(problems)} of {len(paths)} files cannot be used:\n  {listed}")
    return torch.tensor(lengths)


def _decode_all(paths: Sequence[Path], lengths: Tensor, sample_rate: int) -> tuple[Tensor, ...]:
    """All waveforms, as pieces of one block of memory that workers share until they write to it."""
    pieces = torch.split(torch.empty(int(lengths.sum()), dtype=torch.float32), lengths.tolist())
    for piece, path in zip(pieces, paths, strict=True):
        piece.copy_(load_audio(path, sample_rate=sample_rate))
    return pieces
