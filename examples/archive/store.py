"""The folder of results: where each file is, and which shards are done."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from archive.tables import as_bytes, read_table
from rankaudio.data import write_bytes
from rankaudio.data._csv import FILE_NAME, write_csv

UNREADABLE = (FILE_NAME, "message")
# A shard is tried so often at one start. Each try but the last one ended with the death of its worker.
MOST_TRIES = 3
STAGES = ("decode", "tag")
TABLES = ("scores", "events", "unreadable")


@dataclass(frozen=True)
class Problem:
    """A file that could not be used."""

    fname: str
    message: str


@dataclass(frozen=True)
class Store:
    """Files in the folder ``--out``.

    A shard has up to three files with its number as name. That in ``scores`` is written last, so the shard is
    done if it exists.
    """

    folder: Path

    @property
    def settings(self) -> Path:
        """What the archive was begun with."""
        return self.folder / "settings.json"

    @property
    def plan(self) -> Path:
        """The shard of each file."""
        return self.folder / "plan.parquet"

    @property
    def unreadable(self) -> Path:
        """The table of files that could not be used."""
        return self.folder / "unreadable.csv"

    def table(self, kind: str, number: int) -> Path:
        """Return the file of a shard."""
        return self.folder / kind / f"{number:08d}.parquet"

    def is_done(self, number: int) -> bool:
        """Whether a shard is done."""
        return self.table("scores", number).exists()

    def done(self) -> set[int]:
        """Return the numbers of the shards that are done."""
        return self._numbers("scores")

    def with_events(self) -> set[int]:
        """Return the numbers of the files of events."""
        return self._numbers("events")

    def prepare(self) -> None:
        """Make the folders, and remove what an earlier start left."""
        for kind in (*TABLES, "tries"):
            (self.folder / kind).mkdir(parents=True, exist_ok=True)
        self.remove_left()

    def remove_left(self) -> None:
        """Remove what killed processes left: parts of files, and counts of tries."""
        left = [part for kind in TABLES for part in (self.folder / kind).glob(".*.part")]
        for path in [*left, *(self.folder / "tries").iterdir()]:
            path.unlink(missing_ok=True)

    def count_try(self, number: int, stage: str) -> int:
        """Return how often a stage of a shard was begun at this start, this time included.

        The file says which processes began it.
        """
        path = self._tries(number, stage)
        with path.open("a", encoding="utf-8") as file:
            file.write(f"{os.getpid()} on {socket.gethostname()}\n")
        return len(path.read_text(encoding="utf-8").splitlines())

    def forget_tries(self, number: int) -> None:
        """Remove the count of a shard that is done."""
        for stage in STAGES:
            self._tries(number, stage).unlink(missing_ok=True)

    def write_problems(self, number: int, problems: Iterable[Problem]) -> None:
        """Write the files of a shard that could not be used, or remove the table of an earlier time."""
        path = self.table("unreadable", number)
        rows = [(problem.fname, problem.message) for problem in problems]
        if not rows:
            path.unlink(missing_ok=True)
            return
        columns = zip(UNREADABLE, map(list, zip(*rows, strict=True)), strict=True)
        write_bytes(path, as_bytes(dict(columns)))

    def collect_problems(self, more: Iterable[Problem]) -> int:
        """Write the table of all files that could not be used, and return their number."""
        rows = [(problem.fname, problem.message) for problem in more]
        for number in sorted(self._numbers("unreadable") & self.done()):
            table = read_table(self.table("unreadable", number), UNREADABLE)
            rows += [tuple(row.values()) for row in table.to_pylist()]
        write_csv(self.unreadable, [UNREADABLE, *sorted(set(rows))])
        return len({fname for fname, _ in rows})

    def _tries(self, number: int, stage: str) -> Path:
        return self.folder / "tries" / f"{number:08d}.{stage}"

    def _numbers(self, kind: str) -> set[int]:
        return {int(path.stem) for path in (self.folder / kind).glob("[0-9]*.parquet")}
