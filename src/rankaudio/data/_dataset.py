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
    check_names,
    check_number,
    check_path,
    check_tensor,
    check_values,
    describe,
)
from rankaudio._random import below
from rankaudio.data._audio import check_rates_of_file, find_part, load_part
from rankaudio.data._decode import read_header
from rankaudio.data._source import AudioData, Source, check_sources
from rankaudio.data._tables import LabelTable

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
        paths: the files, in any format of :func:`load_audio`: paths, ``bytes``, or open binary files. Open
            files are read at once, and their bytes are kept, because worker processes cannot share them.
        target: ``(N, C)`` real numbers, one row per path; None if labels are not known.
        sample_rate: samples per second; files of another rate are resampled.
        max_seconds: longer clips are cut to this length; None for no limit.
        crop: the part of a longer clip that is kept: ``"random"``, drawn at every access, or ``"start"``.
        cache: decode all files at once and keep them in memory, 4 bytes per sample. This helps if decoding is
            slow, as with compressed or resampled files. Without it, only the crop of a file is read.
        start: seconds to leave out at the start of each file: one number for all, or a list with one for each
            path. So several clips can be parts of one long file.
        seconds: length of each clip after its start, in the same way; None: all that follows. A clip may end
            earlier with its file.
        names: names that error messages use for bytes and open files; None: the name of an open file, or
            the position, such as ``paths[3]``. A path always has its own name.

    Attributes:
        paths: the files, as paths or bytes.
        target: ``(N, C)`` float32, or None.
        lengths: ``(N,)`` int64, in samples, after resampling and cutting.

    Raises:
        TypeError: if ``paths`` is not a list of paths, ``target`` is not a tensor, or a setting has a wrong
            type.
        ValueError: if there are no paths, or there is not one row of the target and one name per path. Also
            if files cannot be used or end before their ``start``. The message lists up to 10 such files with
            the reason for each.
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
        paths: Iterable[AudioData],
        target: Tensor | None = None,
        *,
        sample_rate: int = 44100,
        max_seconds: float | None = None,
        crop: Crop = "random",
        cache: bool = False,
        start: float | Sequence[float] = 0.0,
        seconds: float | Sequence[float] | None = None,
        names: Sequence[str] | None = None,
    ) -> None:
        shown_as = None if names is None else check_names("names", names)
        self._sources: tuple[Source, ...] = check_sources("paths", paths, shown_as)
        self.paths: tuple[Path | bytes, ...] = tuple(
            source if isinstance(source, Path) else source.read() for source in self._sources
        )
        self.target: Tensor | None = None if target is None else _check_target(target, len(self.paths))
        self.sample_rate: int = check_integer("sample_rate", sample_rate)
        self.crop: Crop = check_choice("crop", crop, _CROPS)
        longest = _most_samples(max_seconds, sample_rate)
        starts = _one_for_each("start", start, len(self.paths))
        parts = [None] * len(starts) if seconds is None else _one_for_each("seconds", seconds, len(starts))
        self._first, self._full = _measure(self._sources, self.sample_rate, starts, parts)
        self.lengths: Tensor = self._full if longest is None else self._full.clamp(max=longest)
        self._cache = (
            _decode_all(self._sources, self._first, self._full, self.sample_rate)
            if check_flag("cache", cache)
            else None
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
        start: float | Sequence[float] = 0.0,
        seconds: float | Sequence[float] | None = None,
    ) -> ClipDataset:
        """Make a data set from a label table with the names of files in ``folder``.

        Args:
            folder: the folder of the files.
            table: names and labels, for example from :func:`read_labels`.
            sample_rate: as in :class:`ClipDataset`, like the settings below.
            max_seconds: the same.
            crop: the same.
            cache: the same.
            start: the same; a list has one number for each row of the table.
            seconds: the same.

        Raises:
            TypeError: if ``folder`` is not a path or ``table`` not a :class:`LabelTable`; else as in the
                class.
            ValueError: as in the class.

        >>> import tempfile
        >>> from scipy.io import wavfile
        >>> table = LabelTable(("a.wav",), ("Bark", "Meow"), torch.tensor([[True, False]]))
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     wavfile.write(f"{folder}/a.wav", 44100, torch.zeros(400).numpy())
        ...     ClipDataset.from_table(folder, table, start=0.005).lengths
        tensor([180])
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
            start=start,
            seconds=seconds,
        )

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, index: int) -> Tensor | tuple[Tensor, Tensor]:
        length, full = int(self.lengths[index]), int(self._full[index])
        start = self._draw_start(full - length)
        if self._cache is None:
            first = int(self._first[index]) + start
            waveform = load_part(self._sources[index], self.sample_rate, first, length)
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


def _one_for_each(name: str, value: object, clips: int) -> Sequence[float]:
    """Return a number from 0 for each clip; one number is that of all clips."""
    if not isinstance(value, (list, tuple)):
        return (check_number(name, value, 0),) * clips
    numbers = [check_number(f"{name}[{i}]", each, 0) for i, each in enumerate(value)]
    if len(numbers) != clips:
        raise ValueError(f"{name}: wanted a number, or one for each of the {clips} paths, got {len(numbers)}")
    return numbers


def _measure(
    paths: Sequence[Source], sample_rate: int, starts: Sequence[float], seconds: Sequence[float | None]
) -> tuple[Tensor, Tensor]:
    """First sample and length of each clip after resampling. Bad files are reported after all are read."""
    parts, problems = [], []
    for path, start, duration in zip(paths, starts, seconds, strict=True):
        try:
            header = read_header(path)
            check_rates_of_file(path, header.sample_rate, sample_rate)
            parts.append(find_part(path, header, sample_rate, start, duration))
        except FileNotFoundError:
            link = f": a link to '{path.readlink()}'" if isinstance(path, Path) and path.is_symlink() else ""
            problems.append(f"{path}: no such file{link}")
        except (OSError, ValueError) as error:
            problems.append(str(error))
    if problems:
        more = [f"... and {len(problems) - _MOST_REPORTED} more"] if len(problems) > _MOST_REPORTED else []
        listed = "\n  ".join(problems[:_MOST_REPORTED] + more)
        raise ValueError(f"paths: {len(problems)} of {len(paths)} files cannot be used:\n  {listed}")
    first, lengths = torch.tensor(parts).unbind(1)
    return first, lengths.contiguous()


def _decode_all(
    paths: Sequence[Source], first: Tensor, lengths: Tensor, sample_rate: int
) -> tuple[Tensor, ...]:
    """All waveforms, as views of one block of memory, which worker processes share until they write to it."""
    waveforms = torch.split(torch.empty(int(lengths.sum()), dtype=torch.float32), lengths.tolist())
    for waveform, path, start in zip(waveforms, paths, first.tolist(), strict=True):
        waveform.copy_(load_part(path, sample_rate, start, len(waveform)))
    return waveforms
