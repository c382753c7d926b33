"""The work on one shard: read its samples, score its windows, and write its tables."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import torch
from torch import Tensor, nn

from archive.event_tables import EMBEDDING, EventWriter
from archive.plan import Grid, Part, Shard
from archive.store import Problem
from archive.tables import as_bytes
from rankaudio import Tagger, load_audio, predict
from rankaudio.data import audio_info, write_bytes
from rankaudio.data._csv import FILE_NAME
from rankaudio.resampling import resampled_length


@dataclass(frozen=True)
class Sound:
    """A part with its samples."""

    part: Part
    waveform: Tensor


def read_shard(folder: Path, shard: Shard, grid: Grid) -> tuple[list[Sound], list[Problem]]:
    """Read the samples of a shard. Any error of a decoder is a problem of its file."""
    sounds, problems = [], []
    for part in shard.parts:
        try:
            sounds.append(Sound(part, _read_part(folder / part.fname, part, grid)))
        except Exception as error:  # noqa: BLE001
            problems.append(Problem(part.fname, str(error).strip() or type(error).__name__))
    return sounds, problems


def _read_part(path: Path, part: Part, grid: Grid) -> Tensor:
    info = audio_info(path)
    total = resampled_length(info.frames, info.sample_rate, grid.rate)
    if total != part.total:
        raise ValueError(
            f"{path}: wanted {part.total / grid.rate:.3f} s as in plan.parquet, "
            f"got {total / grid.rate:.3f} s: the file has changed; tag it with another --out"
        )
    begin, end = part.span(grid)
    return load_audio(path, sample_rate=grid.rate, start=begin / grid.rate, seconds=(end - begin) / grid.rate)


class Scorer:
    """Scores the windows of shards, and writes their tables.

    Args:
        tagger: on its device.
        events: what writes events; its settings and its folder are those of the shards.
        max_samples: samples of a batch.
    """

    def __init__(self, tagger: Tagger, events: EventWriter, *, max_samples: int) -> None:
        self.events, self.store, self.grid = events, events.store, events.settings.grid
        self._embeds = events.settings.embeddings
        self._module = ScoresAndEmbedding(tagger) if self._embeds else tagger
        self._n_features = tagger.backbone.n_features if self._embeds else 0
        self._max_samples = max_samples

    def write(self, shard: Shard, sounds: Sequence[Sound], problems: Iterable[Problem]) -> int:
        """Score a shard and write it; return its number of rows."""
        rows = _windows(sounds, self.grid)
        values = predict(
            self._module, _Clips(rows), lengths=[row.length for row in rows], max_samples=self._max_samples
        )
        bad = {rows[k].fname for k in (~values.isfinite().all(1)).nonzero().flatten().tolist()}
        found = [*problems, *(Problem(name, "wanted finite scores, got others") for name in sorted(bad))]
        kept = [k for k, row in enumerate(rows) if row.fname not in bad]
        table = self._table([rows[k] for k in kept], values[kept])
        self.store.write_problems(shard.number, found)
        if shard.parts[0].is_whole(self.grid):  # a file in several shards has its events at the end
            self.events.write(shard.number, table, [part.fname for part in shard.parts])
        write_bytes(self.store.table("scores", shard.number), as_bytes(table))
        return len(kept)

    def _table(self, rows: Sequence[_Window], values: Tensor) -> pa.Table:
        classes = self.events.classes
        count = len(classes)
        values = values if len(rows) else torch.zeros(0, count + self._n_features)
        columns = {
            FILE_NAME: pa.array([row.fname for row in rows], pa.string()),
            "start": pa.array([row.begin / self.grid.rate for row in rows], pa.float64()),
            "end": pa.array([(row.begin + row.length) / self.grid.rate for row in rows], pa.float64()),
        }
        for k, name in enumerate(classes):
            columns[name] = pa.array(values[:, k].contiguous().numpy())
        if self._embeds:
            flat = pa.array(values[:, count:].contiguous().flatten().numpy())
            columns[EMBEDDING] = pa.FixedSizeListArray.from_arrays(flat, self._n_features)
        return pa.table(columns)


class ScoresAndEmbedding(nn.Module):
    """Scores and the embedding of each clip, side by side, from one pass through the network."""

    def __init__(self, tagger: Tagger) -> None:
        super().__init__()
        self.tagger = tagger

    def forward(self, waveform: Tensor, lengths: Tensor | None = None) -> Tensor:
        """Return ``(B, C + d)``."""
        features = self.tagger.embed(waveform, lengths)
        return torch.cat([self.tagger.backbone.classifier(features), features], 1)


@dataclass(frozen=True)
class _Window:
    fname: str
    begin: int
    waveform: Tensor

    @property
    def length(self) -> int:
        return len(self.waveform)


class _Clips(torch.utils.data.Dataset):
    def __init__(self, windows: Sequence[_Window]) -> None:
        self.windows = windows

    def __len__(self) -> int:
        return len(self.windows)

    def __getitem__(self, index: int) -> Tensor:
        return self.windows[index].waveform


def _windows(sounds: Iterable[Sound], grid: Grid) -> list[_Window]:
    """Cut windows, which are views of the samples."""
    return [
        _Window(
            sound.part.fname,
            (sound.part.first + k) * grid.hop,
            sound.waveform[k * grid.hop : k * grid.hop + grid.window],
        )
        for sound in sounds
        for k in range(sound.part.windows)
    ]
