"""Events of an archive, from the tables of its scores."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import pyarrow as pa
import torch
from torch import Tensor

from archive.plan import Shard
from archive.settings import Settings
from archive.store import Store
from archive.tables import as_bytes, read_table
from rankaudio import Tagger
from rankaudio.data import write_bytes
from rankaudio.data._csv import FILE_NAME
from rankaudio.events import events
from rankaudio.events._event_files import EVENT_COLUMNS
from rankaudio.inference import WindowScores

TIMES = ("start", "end")
EMBEDDING = "embedding"


@dataclass(frozen=True)
class EventWriter:
    """Writes the events of files.

    Attributes:
        store: the folder of results.
        settings: of the archive.
        classes: names of the columns with scores.
        limits: thresholds; None: no events are written.
    """

    store: Store
    settings: Settings
    classes: tuple[str, ...]
    limits: float | Tensor | None

    def write(self, number: int, table: pa.Table, names: Sequence[str]) -> None:
        """Write the events of files, given all rows of their windows, which are in the order of the names."""
        if self.limits is None:
            return
        rows = _rows_of_names(table.column(FILE_NAME).to_pylist())
        values = torch.stack([_column(table, name) for name in self.classes], 1)
        starts, ends = (_column(table, name) for name in TIMES)
        gaps = {"min_gap": self.settings.min_gap, "min_duration": self.settings.min_duration}
        found = []
        for name in names:
            if name in rows:
                windows = WindowScores(values[rows[name]], starts[rows[name]], ends[rows[name]])
                some = events(windows, self.limits, classes=self.classes, **gaps)
                found += [(name, *event) for event in some]
        write_bytes(self.store.table("events", number), as_bytes(_event_table(found)))

    def join(self, shards: Sequence[Shard]) -> None:
        """Write the events of a file that is in several shards, from their scores."""
        columns = [FILE_NAME, *TIMES, *self.classes]
        tables = [read_table(self.store.table("scores", shard.number), some=columns) for shard in shards]
        self.write(shards[0].number, pa.concat_tables(tables), [shards[0].parts[0].fname])


def _rows_of_names(names: Sequence[str]) -> dict[str, slice]:
    """Return the rows of each name. They follow each other."""
    first: dict[str, int] = {}
    last: dict[str, int] = {}
    for k, name in enumerate(names):
        first.setdefault(name, k)
        last[name] = k + 1
    return {name: slice(first[name], last[name]) for name in first}


def _column(table: pa.Table, name: str) -> Tensor:
    return torch.from_numpy(table.column(name).to_numpy().copy())


def _event_table(rows: Sequence[tuple[object, ...]]) -> pa.Table:
    names = (FILE_NAME, *EVENT_COLUMNS)
    texts = (FILE_NAME, "label")
    columns = zip(*rows, strict=True) if rows else [()] * len(names)
    return pa.table(
        {
            name: pa.array(list(cells), pa.string() if name in texts else pa.float64())
            for name, cells in zip(names, columns, strict=True)
        }
    )


def classes_of(tagger: Tagger) -> tuple[str, ...]:
    """Return the names of the classes, or numbers if the model has none.

    Raises:
        ValueError: if a class has the name of another column.
    """
    classes = tagger.classes or tuple(map(str, range(tagger.backbone.n_classes)))
    taken = sorted({FILE_NAME, *TIMES, EMBEDDING} & set(classes))
    if taken:
        raise ValueError(
            f"--model: wanted classes that are named unlike the other columns, got {', '.join(taken)}"
        )
    return classes


def limits_of(tagger: Tagger, threshold: float | str | None) -> float | Tensor | None:
    """Return the thresholds of events.

    Raises:
        ValueError: if the saved ones are wanted, and the model has none.
    """
    if threshold is None or isinstance(threshold, float):
        return threshold
    if tagger.thresholds is None:
        raise ValueError("--threshold: wanted a model that was saved with thresholds, got one without")
    return tagger.thresholds.cpu()
