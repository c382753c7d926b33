"""The work on an archive: list and plan files, tag what is not done, join events, name what is unusable."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

from archive import machine as machines
from archive import stages
from archive.event_tables import EventWriter, classes_of, limits_of
from archive.listing import Header, Listing, list_archive, look_at
from archive.machine import Machine
from archive.plan import Shard, plan_shards, read_plan, split_files, write_plan
from archive.progress import Progress, count_of
from archive.settings import Settings
from archive.store import Problem, Store
from archive.workers import Work
from freesound.locks import lock
from rankaudio import Tagger

READER_DIED = (
    "the worker of its shard was killed each time, perhaps because the memory was full, or because a file of "
    "the shard breaks its decoder; start again, or choose another --out with a lower --shard-seconds"
)


def log(line: str) -> None:
    """Print a line of progress, or a problem."""
    print(line, file=sys.stderr, flush=True)


@dataclass
class Archive:
    """An archive that is tagged.

    Attributes:
        work: the model, the folder, and what is written.
        listing: the files.
        problems: files whose header cannot be used.
        failed: shards whose worker always died.
    """

    work: Work
    listing: Listing
    problems: list[Problem]
    failed: list[int]

    @property
    def store(self) -> Store:
        """The folder of results."""
        return self.work.events.store


def tag_archive(
    audio: Path, model: Path, tagger: Tagger, out: Path, *, settings: Settings, machine: Machine
) -> int:
    """Do what is not done, and return the exit status: 1 if a file could not be used.

    Args:
        audio: a folder or a list.
        model: file of the tagger, for the processes.
        tagger: what the file has.
        out: folder of results.
        settings: what decides the rows.
        machine: where to work.
    """
    store = Store(out.resolve())
    events = EventWriter(store, settings, classes_of(tagger), limits_of(tagger, settings.threshold))
    listing = list_archive(audio)
    _ = settings.grid  # refuses what cannot be, before anything is written
    store.folder.mkdir(parents=True, exist_ok=True)
    with lock(store.folder / ".lock", log=log), contextlib.ExitStack() as stack:
        settings.keep(store.settings)
        store.prepare()
        archive = Archive(Work(model.resolve(), listing.folder, events, machine), listing, [], [])
        connection = _Connection(stack, archive)
        shards = _planned(archive, connection)
        progress = _tag(archive, connection, shards)
        _join(archive, connection, shards)
        store.remove_left()
    return _finish(archive, shards, progress)


@dataclass
class _Connection:
    """Starts Ray when it is needed first, so that nothing starts if all is done."""

    stack: contextlib.ExitStack
    archive: Archive
    started: ModuleType | None = None

    def __call__(self) -> ModuleType:
        if self.started is None:
            work = self.archive.work
            self.started = self.stack.enter_context(machines.connected(work.machine, stages.store_here(work)))
        return self.started


def _planned(archive: Archive, connection: _Connection) -> list[Shard]:
    """Return the plan. Files that it does not have get shards at its end."""
    shards = read_plan(archive.store.plan)
    known = {part.fname for shard in shards for part in shard.parts}
    new = [name for name in archive.listing.names if name not in known]
    if not new:
        return shards
    headers = _headers(archive, connection, new)
    archive.problems = [Problem(h.name, h.problem) for h in headers if h.problem]
    usable = [header for header in headers if header.total]
    others = len(headers) - len(archive.problems) - len(usable)
    if others:
        log(f"{archive.listing.folder}: left out {count_of(others, 'file')} without audio")
    if usable:
        settings = archive.work.events.settings
        number = shards[-1].number + 1 if shards else 0
        more = plan_shards(usable, settings.grid, most_samples=settings.shard_samples, number=number)
        if shards:
            log(f"{count_of(len(usable), 'new file')} in {count_of(len(more), 'shard')}")
        shards += more
        write_plan(archive.store.plan, shards)
    return shards


def _headers(archive: Archive, connection: _Connection, names: Sequence[str]) -> list[Header]:
    """Read headers on Ray. A table cannot hold some names, whose headers are looked at here."""
    listing, rate = archive.listing, archive.work.grid.rate
    good = [name for name in names if _is_text(name)]
    odd = look_at(listing.folder, sorted(set(names) - set(good)), rate, listed=listing.listed)
    found = stages.headers_of(connection(), listing.folder, good, rate, listed=listing.listed) if good else []
    return sorted([*odd, *found], key=lambda header: header.name)


def _is_text(name: str) -> bool:
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True


def _tag(archive: Archive, connection: _Connection, shards: Sequence[Shard]) -> Progress:
    """Tag the shards that are not done."""
    grid, done = archive.work.grid, archive.store.done()
    seconds = {
        shard.number: shard.new_samples(grid) / grid.rate for shard in shards if shard.number not in done
    }
    progress = Progress(len(seconds), sum(seconds.values()), log)
    if not seconds:
        return progress
    ray = connection()
    pool = machines.pool_of(machines.nodes_of(ray), archive.work.machine)
    log(_begin_line(shards, len(seconds), pool))
    todo = [shard for shard in shards if shard.number in seconds]
    for one in stages.tag(ray, todo, archive.work, pool):
        if one.failed:
            archive.failed.append(one.shard)
        else:
            progress.add(seconds=seconds[one.shard], rows=one.rows)
    return progress


def _begin_line(shards: Sequence[Shard], todo: int, pool: machines.Pool) -> str:
    before = f", of which {len(shards) - todo:,} are done" if todo < len(shards) else ""
    share = f" with {pool.gpus:g} GPU each" if pool.gpus else ""
    reading = f", {count_of(pool.decoders, 'decoder')}" if pool.decoders else ""
    return f"{count_of(len(shards), 'shard')}{before}; {count_of(pool.scorers, 'scorer')}{share}{reading}"


def _join(archive: Archive, connection: _Connection, shards: Sequence[Shard]) -> None:
    """Write the events of files in several shards, if all of these are done."""
    if archive.work.events.limits is None:
        return
    done, there = archive.store.done(), archive.store.with_events()
    files = [
        group
        for group in split_files(shards, archive.work.grid)
        if group[0].number not in there and done.issuperset(shard.number for shard in group)
    ]
    if files:
        stages.join_events(connection(), files, archive.work)


def _finish(archive: Archive, shards: Sequence[Shard], progress: Progress) -> int:
    """Write the table of files that could not be used, say what was done, and return the exit status."""
    failed = [shard for shard in shards if shard.number in archive.failed]
    died = [Problem(part.fname, READER_DIED) for shard in failed for part in shard.parts]
    count = archive.store.collect_problems([*archive.problems, *died])
    files = count_of(len({part.fname for shard in shards for part in shard.parts}), "file")
    log(f"{archive.store.folder}: {files} in {count_of(len(shards), 'shard')}; {progress.end()}")
    if count:
        log(f"{count_of(count, 'file')} could not be used: {archive.store.unreadable} has the reasons")
    return 1 if count else 0
