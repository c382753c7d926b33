"""The shard plan: which windows of which files one shard has. It depends on the list of files only."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from archive.listing import Header
from archive.tables import as_bytes, read_table
from rankaudio.data import write_bytes

# The most files in a shard: short clips have few samples, but each takes time to open.
MOST_FILES = 1000
COLUMNS = ("shard", "fname", "first", "windows", "total")


@dataclass(frozen=True)
class Grid:
    """The windows of a recording, in samples, as :func:`rankaudio.inference.predict_long` cuts them."""

    rate: int
    window: int
    hop: int

    def count(self, total: int) -> int:
        """Return the number of windows of a recording with so many samples."""
        last = -(-max(0, total - self.window) // self.hop)
        return min(last + 1, -(-total // self.hop))

    def fit(self, samples: int) -> int:
        """Return the number of windows that so many samples hold, at least one."""
        return max(1, (samples - self.window) // self.hop + 1)


@dataclass(frozen=True)
class Part:
    """Windows of one file that follow each other.

    Attributes:
        fname: name of the file.
        first: number of the first window.
        windows: how many windows.
        total: samples of the whole file at the rate of the model.
    """

    fname: str
    first: int
    windows: int
    total: int

    def span(self, grid: Grid) -> tuple[int, int]:
        """Return the first sample, and the sample after the last one."""
        begin = self.first * grid.hop
        return begin, min(begin + (self.windows - 1) * grid.hop + grid.window, self.total)

    def is_whole(self, grid: Grid) -> bool:
        """Whether these are all windows of the file."""
        return self.windows == grid.count(self.total)

    def new_samples(self, grid: Grid) -> int:
        """Return the samples that no earlier part has, so that the parts of a file sum to its length."""
        last = self.first + self.windows == grid.count(self.total)
        return (self.total if last else (self.first + self.windows) * grid.hop) - self.first * grid.hop


@dataclass(frozen=True)
class Shard:
    """Parts that are scored and written together."""

    number: int
    parts: tuple[Part, ...]

    def new_samples(self, grid: Grid) -> int:
        """Return the samples that no other shard has."""
        return sum(part.new_samples(grid) for part in self.parts)


def plan_shards(
    headers: Iterable[Header], grid: Grid, *, most_samples: int, most_files: int = MOST_FILES, number: int = 0
) -> list[Shard]:
    """Put files into shards, in their order.

    A shard has at most ``most_samples`` samples and ``most_files`` files. A longer file is cut into several
    shards, which have nothing of another file. If its parts can only be decoded from its start, it is one
    shard, and its samples are never in memory together.

    Args:
        headers: of readable files.
        grid: the windows.
        most_samples: at least one window.
        most_files: of a shard.
        number: of the first shard.
    """
    groups: list[list[Part]] = []
    room, files = 0, 0
    for header in headers:
        count = grid.count(header.total)
        if header.total > most_samples:
            step = count if header.from_start else grid.fit(most_samples)
            cuts = ((first, min(step, count - first)) for first in range(0, count, step))
            groups += [[Part(header.name, first, windows, header.total)] for first, windows in cuts]
            room = 0
            continue
        if header.total > room or files == most_files:
            groups.append([])
            room, files = most_samples, 0
        groups[-1].append(Part(header.name, 0, count, header.total))
        room, files = room - header.total, files + 1
    return [Shard(number + k, tuple(parts)) for k, parts in enumerate(groups)]


def split_files(shards: Iterable[Shard], grid: Grid) -> Iterator[list[Shard]]:
    """Yield the shards of each file that is in several ones."""
    group: list[Shard] = []
    for shard in shards:
        if shard.parts[0].is_whole(grid):
            continue
        if group and group[0].parts[0].fname != shard.parts[0].fname:
            yield group
            group = []
        group.append(shard)
    if group:
        yield group


def write_plan(path: Path, shards: Iterable[Shard]) -> None:
    """Write the plan as a table with a row for each part."""
    rows = [
        (shard.number, part.fname, part.first, part.windows, part.total)
        for shard in shards
        for part in shard.parts
    ]
    columns = zip(*rows, strict=True) if rows else [[] for _ in COLUMNS]
    write_bytes(path, as_bytes(dict(zip(COLUMNS, map(list, columns), strict=True))))


def read_plan(path: Path) -> list[Shard]:
    """Read what :func:`write_plan` wrote; without a file, the plan is empty.

    Raises:
        ValueError: if the file is damaged.
    """
    if not path.exists():
        return []
    table = read_table(path, COLUMNS)
    parts: dict[int, list[Part]] = {}
    for row in table.to_pylist():
        parts.setdefault(row.pop("shard"), []).append(Part(**row))
    return [Shard(number, tuple(parts[number])) for number in parts]


def to_row(shard: Shard) -> dict[str, Any]:
    """Return a shard as a row of a Ray data set."""
    return {"shard": shard.number, **{name: [getattr(p, name) for p in shard.parts] for name in COLUMNS[1:]}}


def from_row(row: dict[str, Any]) -> Shard:
    """Return the shard of a row."""
    columns = [row[name] for name in COLUMNS[1:]]
    return Shard(row["shard"], tuple(Part(*cells) for cells in zip(*columns, strict=True)))
