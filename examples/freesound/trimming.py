"""Clips of audio files, from which silence may be cut where they are read."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor

from rankaudio import ClipDataset
from rankaudio.masking import trim_silence

SHORTEST = 0.5  # seconds that are left of every clip, as in the first-place system


class TrimmedClips(ClipDataset):
    """A :class:`rankaudio.ClipDataset` without the silence at both ends of each clip.

    ``lengths`` are those before the cut, because they are needed before any file is read. A clip that is
    still longer than ``max_seconds`` after the cut is cropped at a random place.
    """

    def __init__(
        self,
        paths: Sequence[Path],
        target: Tensor | None = None,
        *,
        sample_rate: int,
        top_db: float,
        max_seconds: float | None = None,
    ) -> None:
        super().__init__(paths, target, sample_rate=sample_rate)
        self.top_db = top_db
        self.longest = None if max_seconds is None else round(max_seconds * sample_rate)

    def __getitem__(self, index: int) -> Tensor | tuple[Tensor, Tensor]:
        item = super().__getitem__(index)
        waveform = self._cut(item if isinstance(item, Tensor) else item[0])
        return waveform if isinstance(item, Tensor) else (waveform, item[1])

    def _cut(self, waveform: Tensor) -> Tensor:
        shortest = round(SHORTEST * self.sample_rate)
        trimmed, lengths = trim_silence(waveform[None], top_db=self.top_db, min_length=shortest)
        length, start = int(lengths), 0
        if self.longest is not None and length > self.longest:
            start = int(torch.randint(length - self.longest + 1, ()))
            length = self.longest
        # A copy, because a view would send the memory of the whole clip from a worker.
        return trimmed[0, start : start + length].clone()


def open_clips(
    paths: Sequence[Path],
    target: Tensor | None = None,
    *,
    sample_rate: int,
    max_seconds: float | None = None,
    trim: float | None = None,
) -> ClipDataset:
    """Return the clips of some files.

    Args:
        paths: the files.
        target: labels, a row for each file; None if they are not known.
        sample_rate: files of another rate are resampled.
        max_seconds: longer clips are cropped at a random place; None: whole clips.
        trim: cut silence so many decibels below the loudest part of a clip; None: keep it.
    """
    if trim is None:
        return ClipDataset(paths, target, sample_rate=sample_rate, max_seconds=max_seconds, crop="random")
    return TrimmedClips(paths, target, sample_rate=sample_rate, top_db=trim, max_seconds=max_seconds)
