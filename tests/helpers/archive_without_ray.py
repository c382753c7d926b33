"""The work of `tag_archive.py` in this process, without Ray around it."""

import pyarrow as pa
from pyarrow import dataset

from archive.event_tables import EventWriter, classes_of, limits_of
from archive.listing import look_at
from archive.machine import Machine
from archive.plan import plan_shards, split_files, to_row
from archive.settings import Settings, digest
from archive.store import Store
from archive.workers import Decode, Done, Tag, Work, join
from rankaudio import Tagger


class Archive:
    """An archive in a folder: its files in ``audio``, the model in ``model.pt``, and tables in ``out``."""

    def __init__(self, folder, *, audio="audio", **settings):
        self.audio, self.model = folder / audio, folder / "model.pt"
        self.store = Store(folder / "out")
        self.store.prepare()
        tagger = Tagger.load(self.model)
        self.settings = Settings(str(self.audio), digest(self.model), tagger.sample_rate, **settings)
        limits = limits_of(tagger, self.settings.threshold)
        writer = EventWriter(self.store, self.settings, classes_of(tagger), limits)
        self.work = Work(self.model, self.audio, writer, Machine(batch=3.0))
        self.grid = self.settings.grid

    def plan(self):
        names = sorted(path.relative_to(self.audio).as_posix() for path in self.audio.rglob("*.wav"))
        headers = [h for h in look_at(self.audio, names, self.grid.rate, listed=False) if h.total]
        return plan_shards(headers, self.grid, most_samples=self.settings.shard_samples)

    def tag(self, shards, *, apart=False):
        tag, decode = Tag(self.work, on_gpu=False), Decode(self.work) if apart else lambda batch: batch
        return [_outcome(tag(decode(_batch([shard])))) for shard in shards]

    def join(self, shards):
        return [_outcome(join(_batch(group), self.work.events)) for group in split_files(shards, self.grid)]

    def table(self, kind):
        return dataset.dataset(self.store.folder / kind).to_table().to_pandas()


def _batch(shards):
    return pa.Table.from_pylist([to_row(shard) for shard in shards])


def _outcome(batch):
    (row,) = batch.to_pylist()
    return Done(**row)
