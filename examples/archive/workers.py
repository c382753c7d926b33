"""What the processes of Ray do with a shard."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import torch

from archive.event_tables import EventWriter
from archive.listing import look_at
from archive.machine import Machine
from archive.plan import Grid, Shard, from_row
from archive.shard import Scorer, Sound, read_shard
from archive.store import MOST_TRIES, Problem
from rankaudio import Tagger


@dataclass(frozen=True)
class Work:
    """What the processes need to know.

    Attributes:
        model: file of the model.
        folder: of the audio.
        events: what writes events, with the settings and the folder of results.
        machine: how much at once.
    """

    model: Path
    folder: Path
    events: EventWriter
    machine: Machine

    @property
    def grid(self) -> Grid:
        """The windows."""
        return self.events.settings.grid


@dataclass(frozen=True)
class Done:
    """A shard that has been worked on: its rows, its unusable files, and whether its worker always died."""

    shard: int
    rows: int
    unreadable: int
    failed: bool = False


def look(batch: pa.Table, folder: Path, rate: int, *, listed: bool) -> pa.Table:
    """Read the headers of files."""
    headers = look_at(folder, batch.column("name").to_pylist(), rate, listed=listed)
    return pa.table(
        {
            "name": [header.name for header in headers],
            "total": pa.array([header.total for header in headers], pa.int64()),
            "problem": [header.problem for header in headers],
        }
    )


def join(batch: pa.Table, events: EventWriter) -> pa.Table:
    """Write the events of one file that is in several shards."""
    events.join([from_row(row) for row in batch.to_pylist()])
    return batch.select(["shard"]).slice(0, 1)


class Decode:
    """Reads the samples of shards, for scorers in other processes."""

    def __init__(self, work: Work) -> None:
        self.work = work

    def __call__(self, batch: pa.Table) -> pa.Table:
        """Add the samples to the row of a shard."""
        shard = from_row(batch.to_pylist()[0])
        sounds, problems = [], []
        if _may_begin(self.work, shard, "decode"):
            sounds, problems = read_shard(self.work.folder, shard, self.work.grid)
        samples = np.concatenate([np.zeros(0, np.float32), *(sound.waveform.numpy() for sound in sounds)])
        sizes = [len(sound.waveform) for sound in sounds]
        read = [shard.parts.index(sound.part) for sound in sounds]
        more = {
            "samples": pa.array([pa.py_buffer(samples)], pa.large_binary()),
            "sizes": pa.array([sizes], pa.list_(pa.int64())),
            "read": pa.array([read], pa.list_(pa.int64())),
            "unreadable": pa.array([[p.fname for p in problems]], pa.list_(pa.string())),
            "messages": pa.array([[p.message for p in problems]], pa.list_(pa.string())),
        }
        for name, column in more.items():
            batch = batch.append_column(name, column)
        return batch


class Tag:
    """Scores shards and writes them. It keeps the model between shards."""

    def __init__(self, work: Work, on_gpu: bool) -> None:
        torch.set_num_threads(work.machine.threads)
        self.work = work
        tagger = Tagger.load(work.model, device="cuda" if on_gpu else "cpu")
        batch = round(work.machine.batch * work.grid.rate)
        self.scorer = Scorer(tagger, work.events, max_samples=max(1, batch))

    def __call__(self, batch: pa.Table) -> pa.Table:
        """Tag a shard, and return a row that says how it went."""
        done = self._tag(from_row(_plain_row(batch)), batch)
        return pa.Table.from_pylist([vars(done)])

    def _tag(self, shard: Shard, batch: pa.Table) -> Done:
        store = self.work.events.store
        if store.is_done(shard.number):  # a worker that was killed had written it
            return Done(shard.number, 0, 0)
        if not _may_begin(self.work, shard, "tag"):
            return Done(shard.number, 0, 0, failed=True)
        decoded = "samples" in batch.column_names
        sounds, problems = (
            _sounds(batch, shard) if decoded else read_shard(self.work.folder, shard, self.work.grid)
        )
        if not sounds and not problems:  # the decoder gave up
            return Done(shard.number, 0, 0, failed=True)
        rows, unreadable = self.scorer.write(shard, sounds, problems)
        store.forget_tries(shard.number)
        return Done(shard.number, rows, unreadable)


def _may_begin(work: Work, shard: Shard, stage: str) -> bool:
    """Count a try. A file that kills its worker must not stop the archive for ever."""
    return work.events.store.count_try(shard.number, stage) <= MOST_TRIES


def _plain_row(batch: pa.Table) -> dict[str, Any]:
    """Return the row without its samples, which would become a Python object."""
    return batch.select([name for name in batch.column_names if name != "samples"]).to_pylist()[0]


def _sounds(batch: pa.Table, shard: Shard) -> tuple[list[Sound], list[Problem]]:
    """Return what :class:`Decode` has read."""
    row = _plain_row(batch)
    samples = np.frombuffer(batch.column("samples")[0].as_buffer(), np.float32).copy()
    pieces = torch.from_numpy(samples).split(row["sizes"]) if row["sizes"] else ()
    sounds = [Sound(shard.parts[k], piece) for k, piece in zip(row["read"], pieces, strict=True)]
    problems = [Problem(*cells) for cells in zip(row["unreadable"], row["messages"], strict=True)]
    return sounds, problems
