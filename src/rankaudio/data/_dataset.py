"""Audio files as a PyTorch data set whose lengths are known beforehand."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Literal

import torch
from torch import Tensor
from torch.utils.data import Dataset

from rankaudio._checks import (
    check_choice,
    check_flag,
    check_instance,
    check_integer,
    check_number,
    check_path,
    check_paths,
    check_tensor,
    check_values,
    describe,
)
from rankaudio._random import below
from rankaudio.data._audio import audio_info, check_rates_of_file, load_audio, load_part
from rankaudio.data._tables import LabelTable
from rankaudio.resampling import resampled_length

__all__ = ["ClipDataset", "Crop"]

Crop = Literal["random", "start"]
_CROPS: tuple[Crop, ...] = ("random", "start")
_MOST_REPORTED = 10


class ClipDataset(Dataset[Tensor | tuple[Tensor, Tensor]]):
    """Audio files, with the labels of each file if they are known.

    Item ``i`` is ``(waveform, target)``, ``(T,)`` and ``(C,)`` float32, or the waveform alone. Every header
    is read when the data set is made. Missing and broken files are therefore found before training starts,
    and a :class:`LengthBucketSampler` knows the lengths.

    Random crops use PyTorch's global generator. Each worker of a :class:`~torch.utils.data.DataLoader` has
    its own generator, which the main process seeds in every epoch. Crops therefore differ between workers and
    epochs, and ``torch.manual_seed`` repeats them.

    Args:
        paths: the files, in any format of :func:`load_audio`.
        target: ``(N, C)`` real numbers, one row per path; None if labels are not known.
        sample_rate: samples per second; files of another rate are resampled.
        max_seconds: longer clips are cut to this length; None for no limit.
        crop: the part of a longer clip that is kept: ``"random"``, drawn at every access, or ``"start"``.
        cache: decode all files at once and keep them in memory, 4 bytes per sample. This helps if decoding is
            slow, as with compressed or resampled files. Without it, only the crop of a file is read.

    Attributes:
        paths: the files.
        target: ``(N, C)`` float32, or None.
        lengths: ``(N,)`` int64, in samples, after resampling and cutting.

    Raises:
        TypeError: if ``paths`` is not a list of paths, ``target`` is not a tensor, or a setting has a wrong
            type.
        ValueError: if there are no paths, the target does not have one row per path, or files cannot be used.
            The message lists up to 10 such files with the reason for each.
        ImportError: if a file needs soundfile, and soundfile cannot be imported.

    >>> import tempfile
    >>> from scipy.io import wavfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     wavfile.write(f"{folder}/a.wav", 8000, torch.zeros(400).numpy())
    ...     dataset = ClipDataset(
    ...         [f"{folder}/a.wav"], torch.tensor([[1, 0]]), sample_rate=16000
    ...     )
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
        longest = _most_samples(max_seconds, sample_rate)
        self._full = _measure(self.paths, self.sample_rate)
        self.lengths: Tensor = self._full if longest is None else self._full.clamp(max=longest)
        self._cache = (
            _decode_all(self.paths, self._full, self.sample_rate) if check_flag("cache", cache) else None
        )

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
        """Make a data set from a label table with the names of files in ``folder``.

        Args:
            folder: the folder of the files.
            table: names and labels, for example from :func:`read_labels`.
            sample_rate: as in :class:`ClipDataset`, like the settings below.
            max_seconds: the same.
            crop: the same.
            cache: the same.

        Raises:
            TypeError: if ``folder`` is not a path or ``table`` not a :class:`LabelTable`; else as in the
                class.
            ValueError: as in the class.

        >>> import tempfile
        >>> from scipy.io import wavfile
        >>> table = LabelTable(("a.wav",), ("Bark", "Meow"), torch.tensor([[True, False]]))
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     wavfile.write(f"{folder}/a.wav", 44100, torch.zeros(400).numpy())
        ...     ClipDataset.from_table(folder, table).lengths
        tensor([400])
        """
        check_instance("table", table, LabelTable)
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
        length, full = int(self.lengths[index]), int(self._full[index])
        start = self._draw_start(full - length)
        if self._cache is None:
            waveform = load_part(self.paths[index], self.sample_rate, start, length)
        else:
            waveform = self._cache[index]
            # A copy, because a view would send the memory of the whole clip from the worker.
            waveform = waveform[start : start + length].clone() if length < full else waveform
        return waveform if self.target is None else (waveform, self.target[index])

    def _draw_start(self, excess: int) -> int:
        return int(below(torch.tensor(excess + 1))) if excess and self.crop == "random" else 0


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
    return min(samples, 2**62)


def _measure(paths: Sequence[Path], sample_rate: int) -> Tensor:
    """Length of each file after resampling. All files are read before bad ones are reported."""
    lengths, problems = [], []
    for path in paths:
        try:
            info = audio_info(path)
            check_rates_of_file(path, info.sample_rate, sample_rate)
        except FileNotFoundError:
            link = f": a link to '{path.readlink()}'" if path.is_symlink() else ""
            problems.append(f"{path}: no such file{link}")
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
    """All waveforms, as views of one block of memory, which worker processes share until they write to it."""
    waveforms = torch.split(torch.empty(int(lengths.sum()), dtype=torch.float32), lengths.tolist())
    for waveform, path in zip(waveforms, paths, strict=True):
        waveform.copy_(load_audio(path, sample_rate=sample_rate))
    return waveforms
