"""What the processes of Ray do with a shard."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import torch
from numpy.typing import NDArray

from archive.event_tables import EventWriter
from archive.listing import look_at
from archive.machine import Machine
from archive.plan import Grid, Shard, from_row
from archive.shard import Scorer, Sound, read_parts
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

    def read(
        self, shard: Shard, known: tuple[list[Sound], list[Problem]] = ([], [])
    ) -> tuple[list[Sound], list[Problem]]:
        """Read the parts of a shard that are not known, and return them with those that are."""
        names = {sound.part.fname for sound in known[0]} | {problem.fname for problem in known[1]}
        parts = [part for part in shard.parts if part.fname not in names]
        sounds, problems = read_parts(self.folder, parts, self.grid, self.events.settings.shard_samples)
        return [*known[0], *sounds], [*known[1], *problems]


@dataclass(frozen=True)
class Done:
    """A shard that has been worked on.

    Attributes:
        shard: its number.
        rows: windows.
        failed: whether its worker always died.
        error: why nothing can be written, or nothing scored; empty if all is well.
    """

    shard: int
    rows: int = 0
    failed: bool = False
    error: str = ""


def look(batch: pa.Table, folder: Path, rate: int, *, listed: bool) -> pa.Table:
    """Read the headers of files."""
    headers = look_at(folder, batch.column("name").to_pylist(), rate, listed=listed)
    return pa.table(
        {
            "name": [header.name for header in headers],
            "total": pa.array([header.total for header in headers], pa.int64()),
            "problem": [header.problem for header in headers],
            "from_start": [header.from_start for header in headers],
        }
    )


def join(batch: pa.Table, events: EventWriter) -> pa.Table:
    """Write the events of one file that is in several shards."""
    shards = [from_row(row) for row in batch.to_pylist()]
    number = shards[0].number

    def work() -> Done:
        events.join(shards)
        return Done(number)

    return _as_row(_or_error(number, work))


class Decode:
    """Reads the samples of shards, for scorers in other processes."""

    def __init__(self, work: Work) -> None:
        self.work = work

    def __call__(self, batch: pa.Table) -> pa.Table:
        """Add the samples to the row of a shard."""
        shard = from_row(batch.to_pylist()[0])
        may_begin = _may_begin(self.work, shard, "decode")
        sounds, problems = self.work.read(shard) if may_begin else ([], [])
        sounds = [sound for sound in sounds if isinstance(sound.source, torch.Tensor)]
        samples = [sound.source.numpy() for sound in sounds]
        more = {
            "samples": _one_binary(np.concatenate([np.zeros(0, np.float32), *samples])),
            "sizes": pa.array([[len(some) for some in samples]], pa.list_(pa.int64())),
            "read": pa.array([[shard.parts.index(sound.part) for sound in sounds]], pa.list_(pa.int64())),
            "unreadable": pa.array([[p.fname for p in problems]], pa.list_(pa.string())),
            "messages": pa.array([[p.message for p in problems]], pa.list_(pa.string())),
            "gave_up": pa.array([not may_begin]),
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
        shard = from_row(_plain_row(batch))
        return _as_row(_or_error(shard.number, lambda: self._tag(shard, batch)))

    def _tag(self, shard: Shard, batch: pa.Table) -> Done:
        store = self.work.events.store
        if store.is_done(shard.number):  # a worker that was killed had written it
            return Done(shard.number)
        row = _plain_row(batch)
        if row.get("gave_up") or not _may_begin(self.work, shard, "tag"):
            return Done(shard.number, failed=True)
        decoded = _decoded(batch, row, shard) if "samples" in batch.column_names else ([], [])
        sounds, problems = self.work.read(shard, decoded)
        rows = self.scorer.write(shard, sounds, problems)
        store.forget_tries(shard.number)
        return Done(shard.number, rows)


def _or_error(number: int, work: Callable[[], Done]) -> Done:
    """Return what the work returns, or an error that the user can correct. Ray would change its text."""
    try:
        return work()
    except (OSError, torch.OutOfMemoryError) as error:
        return Done(number, error=str(error).strip() or type(error).__name__)


def _as_row(done: Done) -> pa.Table:
    return pa.Table.from_pylist([vars(done)])


def _may_begin(work: Work, shard: Shard, stage: str) -> bool:
    """Count a try. A file that kills its worker must not stop the archive for ever."""
    return work.events.store.count_try(shard.number, stage) <= MOST_TRIES


def _one_binary(values: NDArray[np.float32]) -> pa.Array:
    """Return a column with one cell, whose bytes are those of the array and not copied."""
    ends = pa.py_buffer(np.array([0, values.nbytes], np.int64))
    return pa.Array.from_buffers(pa.large_binary(), 1, [None, ends, pa.py_buffer(values)])


def _plain_row(batch: pa.Table) -> dict[str, Any]:
    """Return the row without its samples, which would become a Python object."""
    return batch.select([name for name in batch.column_names if name != "samples"]).to_pylist()[0]


def _decoded(batch: pa.Table, row: dict[str, Any], shard: Shard) -> tuple[list[Sound], list[Problem]]:
    """Return what :class:`Decode` has read. It leaves out parts that are too long."""
    samples = np.frombuffer(batch.column("samples")[0].as_buffer(), np.float32).copy()
    pieces = torch.from_numpy(samples).split(row["sizes"]) if row["sizes"] else ()
    sounds = [Sound(shard.parts[k], piece) for k, piece in zip(row["read"], pieces, strict=True)]
    problems = [Problem(*cells) for cells in zip(row["unreadable"], row["messages"], strict=True)]
    return sounds, problems
