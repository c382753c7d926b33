"""The work on one shard: read its samples, score its windows, and write its tables."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Sequence
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
from rankaudio.data import write_bytes
from rankaudio.data._audio_stream import AudioStream
from rankaudio.data._csv import FILE_NAME


@dataclass(frozen=True)
class Sound:
    """A part with its samples, or with what reads them from the file one after the other."""

    part: Part
    source: Tensor | AudioStream

    def samples(self, begin: int, count: int, grid: Grid) -> Tensor:
        """Return samples, counted from the start of the file."""
        if isinstance(self.source, AudioStream):
            return self.source.read(begin, count)
        own = begin - self.part.first * grid.hop
        return self.source[own : own + count]


def read_parts(
    folder: Path, parts: Iterable[Part], grid: Grid, most_samples: int
) -> tuple[list[Sound], list[Problem]]:
    """Read the samples of parts. Any error of a decoder is a problem of its file.

    A part of more than ``most_samples`` samples is a whole file, and is read later.
    """
    sounds, problems = [], []
    for part in parts:
        try:
            sounds.append(Sound(part, _source(folder / part.fname, part, grid, most_samples)))
        except Exception as error:  # noqa: BLE001
            problems.append(Problem(part.fname, _text(error)))
    return sounds, problems


def _source(path: Path, part: Part, grid: Grid, most_samples: int) -> Tensor | AudioStream:
    stream = AudioStream(path, grid.rate)
    if stream.length != part.total:
        raise ValueError(
            f"{path}: wanted {part.total / grid.rate:.3f} s as in plan.parquet, "
            f"got {stream.length / grid.rate:.3f} s: the file has changed; tag it with another --out"
        )
    begin, end = part.span(grid)
    if end - begin > most_samples:
        return stream
    return load_audio(path, sample_rate=grid.rate, start=begin / grid.rate, seconds=(end - begin) / grid.rate)


def _text(error: Exception) -> str:
    return str(error).strip() or type(error).__name__


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
        rows = [window for sound in sounds for window in _windows(sound, self.grid)]
        errors: dict[str, str] = {}
        values = predict(
            self._module,
            _Clips(rows, self.grid),
            lengths=[row.length for row in rows],
            max_samples=self._max_samples,
            on_error=lambda k, error: errors.setdefault(rows[k].fname, _text(error)),
        )
        for k in (~values.isfinite().all(1)).nonzero().flatten().tolist():
            errors.setdefault(rows[k].fname, "wanted finite scores, got others")
        found = [*problems, *itertools.starmap(Problem, sorted(errors.items()))]
        kept = [k for k, row in enumerate(rows) if row.fname not in errors]
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
    sound: Sound
    begin: int
    length: int

    @property
    def fname(self) -> str:
        return self.sound.part.fname


class _Clips(torch.utils.data.Dataset):
    """Windows, each cut or read when its batch is due."""

    def __init__(self, windows: Sequence[_Window], grid: Grid) -> None:
        self.windows, self.grid = windows, grid

    def __len__(self) -> int:
        return len(self.windows)

    def __getitem__(self, index: int) -> Tensor:
        window = self.windows[index]
        return window.sound.samples(window.begin, window.length, self.grid)


def _windows(sound: Sound, grid: Grid) -> Iterator[_Window]:
    part = sound.part
    for number in range(part.first, part.first + part.windows):
        begin = number * grid.hop
        yield _Window(sound, begin, min(grid.window, part.total - begin))
