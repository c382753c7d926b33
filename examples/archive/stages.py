"""The stages of an archive on Ray Data: look at headers, tag shards, and join the events of long files."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

import pyarrow as pa
import torch

from archive.listing import Header
from archive.machine import Pool
from archive.plan import Shard, to_row
from archive.workers import Decode, Done, Tag, Work, join, look
from freesound.pipeline import OBJECT_STORE

# Names whose headers one task reads.
NAMES_OF_A_TASK = 500


def headers_of(
    ray: ModuleType, folder: Path, names: Sequence[str], rate: int, *, listed: bool
) -> list[Header]:
    """Read the headers of files in parallel, and return them in the order of the names."""
    tables = [
        pa.table({"name": names[k : k + NAMES_OF_A_TASK]}) for k in range(0, len(names), NAMES_OF_A_TASK)
    ]
    given = {"folder": folder, "rate": rate, "listed": listed}
    found = ray.data.from_arrow(tables).map_batches(
        look, fn_kwargs=given, batch_size=None, batch_format="pyarrow"
    )
    return sorted((Header(**row) for row in _rows(found)), key=lambda header: header.name)


def tag(ray: ModuleType, shards: Sequence[Shard], work: Work, pool: Pool) -> Iterator[Done]:
    """Tag shards, and yield each one when it is done.

    Ray Data starts a worker again if it is killed, and gives it the shards that it had.
    """
    data = ray.data.from_arrow([_shard_table(shard) for shard in shards])
    if pool.decoders:
        _limit_memory(ray, work, pool)
        data = data.map_batches(
            Decode,
            fn_constructor_args=(work,),
            batch_size=1,
            batch_format="pyarrow",
            compute=ray.data.ActorPoolStrategy(size=min(pool.decoders, len(shards))),
            num_cpus=1,
        )
    data = data.map_batches(
        Tag,
        fn_constructor_args=(work, bool(pool.gpus)),
        batch_size=1,
        batch_format="pyarrow",
        compute=ray.data.ActorPoolStrategy(size=min(pool.scorers, len(shards))),
        num_cpus=work.machine.threads,
        num_gpus=pool.gpus,
    )
    yield from _results(data)


def _limit_memory(ray: ModuleType, work: Work, pool: Pool) -> None:
    """Bound the samples that wait between decoders and scorers."""
    options = ray.data.DataContext.get_current().execution_options
    limit = 2 * (pool.scorers + pool.decoders) * shard_bytes(work)
    options.resource_limits = options.resource_limits.copy(object_store_memory=limit)


def shard_bytes(work: Work) -> int:
    """Return the bytes of the samples of a shard."""
    return 4 * work.events.settings.shard_samples


def store_here(work: Work) -> int:
    """Return the size of the object store of this machine, if Ray is started here."""
    machine = work.machine
    on_gpus = machine.gpus != 0 and torch.cuda.is_available()
    reads_apart = on_gpus if machine.decoders is None else machine.decoders > 0
    return OBJECT_STORE + (4 * machine.cpus * shard_bytes(work) if reads_apart else 0)


def join_events(ray: ModuleType, files: Sequence[Sequence[Shard]], work: Work) -> None:
    """Write the events of files that are in several shards."""
    tables = [pa.concat_tables([_shard_table(shard) for shard in shards]) for shards in files]
    joined = ray.data.from_arrow(tables).map_batches(
        join, fn_kwargs={"events": work.events}, batch_size=None, batch_format="pyarrow"
    )
    for _ in _results(joined):
        pass


def _results(data: Any) -> Iterator[Done]:
    """Yield what the processes say, and stop at an error.

    Raises:
        OSError: if nothing can be written, or the memory of a device is full.
    """
    for row in _rows(data):
        done = Done(**row)
        if done.error:
            raise OSError(done.error)
        yield done


def _rows(data: Any) -> Iterator[dict[str, Any]]:
    for batch in data.iter_batches(batch_size=None, batch_format="pyarrow"):
        yield from batch.to_pylist()


def _shard_table(shard: Shard) -> pa.Table:
    return pa.Table.from_pylist([to_row(shard)])
