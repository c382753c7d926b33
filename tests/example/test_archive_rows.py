"""The rows of an archive: what the processes write, without Ray around them."""

import shutil

import numpy as np
import pytest
import torch

pytest.importorskip("pyarrow", exc_type=ImportError, reason="the extra ray is not installed")
pytest.importorskip("pandas", exc_type=ImportError, reason="the extra ray is not installed")

import pandas as pd
import pyarrow as pa
from pyarrow import dataset

from archive import run as archive_run
from archive import shard as shard_work
from archive.event_tables import classes_of, limits_of
from archive.machine import Machine
from archive.plan import split_files, write_plan
from archive.store import MOST_TRIES
from archive.workers import Done
from archive_without_ray import Archive
from rankaudio import CNN2d, LogMel, Tagger, load_audio
from rankaudio.events import events
from rankaudio.inference import predict_long
from tiny_archive import CLASSES, HOP, RATE, WINDOW, make_archive, tiny_tagger

THRESHOLD = 0.004


def new_archive(folder, **settings):
    given = {"window": WINDOW, "hop": HOP, "shard_seconds": 1.2, "threshold": THRESHOLD}
    return Archive(folder, **given | settings)


@pytest.fixture
def archive(tmp_path):
    make_archive(tmp_path, short=5)
    return new_archive(tmp_path)


def same_as_predict_long(table, audio, column=None):
    """Each file has the rows of predict_long, in the order of time."""
    tagger = tiny_tagger()
    for name, rows in table.groupby("fname", sort=False):
        expected = predict_long(tagger, audio / name, window=WINDOW, hop=HOP, embed=column is not None)
        assert rows["start"].tolist() == expected.starts.tolist()
        assert rows["end"].tolist() == expected.ends.tolist()
        cells = rows[list(CLASSES)].to_numpy() if column is None else np.stack(rows[column])
        torch.testing.assert_close(torch.tensor(cells), expected.scores, rtol=1e-5, atol=1e-6)


def test_rows_are_those_of_predict_long(archive):
    shards = archive.plan()
    done = archive.tag(shards)
    table = archive.table("scores")
    assert list(table.columns) == ["fname", "start", "end", *CLASSES]
    assert table.dtypes[list(CLASSES)].astype(str).tolist() == ["float32"] * 3
    assert [one.rows for one in done] == [sum(part.windows for part in shard.parts) for shard in shards]
    assert not table.duplicated(["fname", "start"]).any()
    assert set(table["fname"]) == {part.fname for shard in shards for part in shard.parts}
    assert len(set(table["fname"])) == 8
    same_as_predict_long(table, archive.audio)
    assert not list((archive.store.folder / "tries").iterdir())
    assert not list((archive.store.folder / "unreadable").iterdir())


def test_events_are_those_of_whole_recordings_also_over_borders_of_shards(archive):
    shards = archive.plan()
    archive.tag(shards)
    groups = list(split_files(shards, archive.grid))
    assert [len(group) for group in groups] == [6, 4]
    assert not {group[0].number for group in groups} & archive.store.with_events()
    assert archive.join(shards) == [Done(group[0].number) for group in groups]
    table, tagger, several = archive.table("events"), tiny_tagger(), 0
    assert list(table.columns) == ["fname", "start", "end", "label", "peak", "mean"]
    for name in {part.fname for shard in shards for part in shard.parts}:
        windows = predict_long(tagger, archive.audio / name, window=WINDOW, hop=HOP)
        expected = events(windows, THRESHOLD, classes=CLASSES)
        rows = table[table["fname"] == name]
        assert rows["label"].tolist() == [event.label for event in expected]
        for column in ("start", "end", "peak", "mean"):
            found = torch.tensor(rows[column].tolist())
            torch.testing.assert_close(found, torch.tensor([getattr(e, column) for e in expected]))
        several += any(event.end - event.start > 1.2 for event in expected)
    assert several


def test_embeddings_come_with_scores_and_decoders_change_nothing(tmp_path):
    make_archive(tmp_path, short=3)
    archive = new_archive(tmp_path, embeddings=True)
    archive.tag(archive.plan(), apart=True)
    table = archive.table("scores")
    assert list(table.columns) == ["fname", "start", "end", *CLASSES, "embedding"]
    same_as_predict_long(table, archive.audio)
    same_as_predict_long(table, archive.audio, "embedding")
    assert pa.types.is_fixed_size_list(
        dataset.dataset(archive.store.folder / "scores").schema.field("embedding").type
    )


def test_a_shard_that_is_there_is_not_done_again(archive, monkeypatch):
    shards = archive.plan()[:2]
    archive.tag(shards)
    before = {path: path.stat().st_mtime_ns for path in archive.store.folder.rglob("*.parquet")}
    monkeypatch.setattr("archive.workers.read_parts", None)
    assert archive.tag(shards) == [Done(shard.number) for shard in shards]
    assert before == {path: path.stat().st_mtime_ns for path in archive.store.folder.rglob("*.parquet")}


def test_scores_are_written_last(archive, monkeypatch):
    """A shard counts as done by its scores, so nothing may be missing when they are there."""
    order, write = [], shard_work.write_bytes

    def note(path, content):
        order.append(path.parent.name)
        write(path, content)

    for module in ("shard", "event_tables", "store"):
        monkeypatch.setattr(f"archive.{module}.write_bytes", note)
    (archive.audio / "a" / "0.wav").unlink()
    shards = archive.plan()
    shards = [shard for shard in shards if shard.parts[0].is_whole(archive.grid)][:1]
    (archive.audio / shards[0].parts[0].fname).unlink()
    archive.tag(shards)
    assert order == ["unreadable", "events", "scores"]


@pytest.mark.parametrize("apart", [False, True])
def test_files_that_fail_later_are_named_and_the_others_are_done(archive, monkeypatch, apart):
    shards = archive.plan()
    names = [part.fname for shard in shards for part in shard.parts if part.is_whole(archive.grid)]
    gone, changed, crashing, *others = names
    (archive.audio / gone).unlink()
    shutil.copy(archive.audio / "long1.wav", archive.audio / changed)
    read = shard_work.load_audio

    def crash(path, **settings):
        if path.name == crashing.split("/")[-1]:
            raise RuntimeError  # a decoder may raise anything, and may say nothing
        return read(path, **settings)

    monkeypatch.setattr(shard_work, "load_audio", crash)
    archive.tag(shards, apart=apart)
    assert archive.store.done() == {shard.number for shard in shards}
    assert set(archive.table("scores")["fname"]) == {*others, "long0.wav", "long1.wav"}
    assert archive.store.collect_problems([]) == 3
    found = pd.read_csv(archive.store.unreadable).set_index("fname")["message"]
    assert "No such file" in found[gone]
    assert "got 3.000 s: the file has changed; tag it with another --out" in found[changed]
    assert found[crashing] == "RuntimeError"


def test_a_shard_without_a_readable_file_is_an_empty_table(archive):
    shard = archive.plan()[0]
    for part in shard.parts:
        (archive.audio / part.fname).unlink()
    assert archive.tag([shard]) == [Done(shard.number)]
    assert list(archive.table("scores").columns) == ["fname", "start", "end", *CLASSES]
    assert len(archive.table("events")) == 0


def test_scores_that_are_not_finite_are_named(archive, monkeypatch):
    shard = next(shard for shard in archive.plan() if len(shard.parts) > 1)
    bad = shard.parts[1].fname
    read = shard_work.load_audio

    def spoil(path, **settings):
        return read(path, **settings) * (np.nan if path == archive.audio / bad else 1)

    monkeypatch.setattr(shard_work, "load_audio", spoil)
    archive.tag([shard])
    assert bad not in set(archive.table("scores")["fname"])
    assert archive.table("unreadable").to_numpy().tolist() == [[bad, "wanted finite scores, got others"]]


@pytest.mark.parametrize("apart", [False, True])
def test_a_shard_whose_worker_died_too_often_is_given_up(archive, apart):
    shard = archive.plan()[0]
    for _ in range(MOST_TRIES):
        archive.store.count_try(shard.number, "decode" if apart else "tag")
    assert archive.tag([shard], apart=apart) == [Done(shard.number, failed=True)]
    assert archive.store.done() == set()


def test_a_full_disk_is_said_and_not_thrown(archive, monkeypatch):
    """Ray changes the text of errors, so a process returns it."""

    def full(path, content):
        raise OSError(28, "No space left on device", str(path))

    monkeypatch.setattr(shard_work, "write_bytes", full)
    (done,) = archive.tag(archive.plan()[:1])
    assert "No space left on device" in done.error
    assert "scores" in done.error


def test_saved_thresholds_and_names_of_columns():
    tagger = Tagger(LogMel(), CNN2d(2, base_depth=4, n_blocks=2), classes=["Bark", "Meow"])
    assert limits_of(tagger, None) is None
    assert limits_of(tagger, -1.5) == -1.5
    with pytest.raises(ValueError, match="--threshold: wanted a model that was saved with thresholds"):
        limits_of(tagger, "saved")
    tagger.set_decisions(thresholds=torch.tensor([0.5, 1.0]))
    assert limits_of(tagger, "saved").tolist() == [0.5, 1.0]
    assert classes_of(tagger) == ("Bark", "Meow")
    assert classes_of(Tagger(LogMel(), CNN2d(2, base_depth=4, n_blocks=2))) == ("0", "1")
    tagger.classes = ("Bark", "end")
    with pytest.raises(ValueError, match="--model: wanted classes .* unlike the other columns, got end"):
        classes_of(tagger)


def test_nothing_is_started_if_all_is_done(archive, monkeypatch, capsys):
    """The second start needs no Ray, and new files would be the only work."""
    shards = archive.plan()
    archive.tag(shards)
    archive.join(shards)
    write_plan(archive.store.plan, shards)
    for name in ("broken.wav", "cut.wav", "notes.txt"):
        (archive.audio / name).unlink()
    monkeypatch.setattr(archive_run.machines, "connected", None)
    given = (archive.audio, archive.model, tiny_tagger(), archive.store.folder)
    assert archive_run.tag_archive(*given, settings=archive.settings, machine=Machine()) == 0
    assert capsys.readouterr().err == (
        f"{archive.store.folder}: 8 files in {len(shards)} shards; nothing was left to do\n"
    )
    assert archive.store.unreadable.read_text() == "fname,message\n"
    other = new_archive(archive.audio.parent, hop=0.1).settings
    with pytest.raises(ValueError, match="--hop: wanted 0.2, with which .* was begun, got 0.1"):
        archive_run.tag_archive(*given, settings=other, machine=Machine())


def test_a_part_of_a_file_is_read_as_in_the_whole(archive):
    whole = load_audio(archive.audio / "long0.wav", sample_rate=RATE)
    shards = [shard for shard in archive.plan() if shard.parts[0].fname == "long0.wav"]
    assert len(shards) > 1
    for shard in shards:
        (sound,), _ = archive.work.read(shard)
        begin, end = sound.part.span(archive.grid)
        assert torch.equal(sound.source, whole[begin:end])


@pytest.mark.parametrize("apart", [False, True])
@pytest.mark.parametrize(("suffix", "rate"), [("mp3", 32_000), ("opus", 48_000)])
def test_a_file_that_is_decoded_from_its_start_is_one_shard(tmp_path, apart, suffix, rate):
    """Reading parts of it would cost all that comes before, again and again."""
    soundfile = pytest.importorskip("soundfile")
    make_archive(tmp_path, short=2, long_seconds=(3.0,))
    archive = new_archive(tmp_path)
    samples = np.random.default_rng(0).uniform(-0.5, 0.5, 3 * rate).astype(np.float32)
    subtype = {"mp3": "MPEG_LAYER_III", "opus": "OPUS"}[suffix]
    form = {"mp3": "MP3", "opus": "OGG"}[suffix]
    soundfile.write(archive.audio / "radio.wav", samples, rate, format=form, subtype=subtype)
    shards = archive.plan()
    (radio,) = [shard for shard in shards if "radio.wav" in {part.fname for part in shard.parts}]
    assert [part.windows for part in radio.parts] == [14]
    assert sum(shard.parts[0].fname == "long0.wav" for shard in shards) == 4
    (source,) = [sound.source for sound in archive.work.read(radio)[0]]
    assert not isinstance(source, torch.Tensor)  # its samples are read when their batch is due
    archive.tag(shards, apart=apart)
    same_as_predict_long(archive.table("scores"), archive.audio)
    assert "radio.wav" in set(archive.table("events")["fname"])


def test_an_error_in_the_middle_of_a_long_file_is_named(tmp_path, monkeypatch):
    soundfile = pytest.importorskip("soundfile")
    make_archive(tmp_path, short=1, long_seconds=())
    archive = new_archive(tmp_path)
    samples = np.zeros(96_000, np.float32)
    soundfile.write(archive.audio / "radio.wav", samples, 32_000, format="MP3", subtype="MPEG_LAYER_III")

    def read(self, first, count):
        raise ValueError(f"{self.path}: truncated at {first}")

    monkeypatch.setattr(shard_work.AudioStream, "read", read)
    archive.tag([shard for shard in archive.plan() if shard.parts[0].fname == "radio.wav"])
    ((name, message),) = archive.table("unreadable").to_numpy().tolist()
    assert (name, message) == ("radio.wav", f"{archive.audio / 'radio.wav'}: truncated at 0")
    assert len(archive.table("scores")) == 0
