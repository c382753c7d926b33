"""An archive before any sound is decoded: its list of files, the shard plan, settings and processes."""

import hashlib
import json
import re
import sys
from dataclasses import replace
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st

pytest.importorskip("pyarrow", exc_type=ImportError, reason="the extra ray is not installed")

import tag_archive
from archive.command import machine_of, settings_of
from archive.listing import Header, list_archive, look_at
from archive.machine import Machine, Pool, connected, pool_of
from archive.plan import Grid, Part, Shard, from_row, plan_shards, read_plan, split_files, to_row, write_plan
from archive.progress import EVERY, Progress, count_of, duration
from archive.settings import Settings, digest
from archive.store import Problem, Store
from rankaudio.inference._predict_long import _Windows
from tiny_archive import RATE, make_archive

SETTINGS = Settings("/audio", "ab" * 32, RATE, window=0.5, hop=0.2, shard_seconds=2.0)
grids = st.builds(Grid, st.just(RATE), st.integers(1, 50), st.integers(1, 70))


@given(grids, st.integers(1, 500))
def test_windows_are_those_of_predict_long(grid, total):
    expected = _Windows(None, total, grid.window, grid.hop)
    part = Part("a", 0, grid.count(total), total)
    assert part.windows == len(expected)
    assert part.is_whole(grid)
    assert part.span(grid) == (0, expected.starts[-1] + expected.lengths[-1])


@given(grids, st.lists(st.integers(1, 500), max_size=12), st.integers(0, 100), st.integers(1, 4))
def test_each_window_is_in_one_shard_and_shards_are_small(grid, totals, more, most_files):
    headers = [Header(f"{k:02d}", total) for k, total in enumerate(totals)]
    most = grid.window + more
    shards = plan_shards(headers, grid, most_samples=most, most_files=most_files, number=7)
    assert [shard.number for shard in shards] == list(range(7, 7 + len(shards)))
    found = [(p.fname, p.first + k) for shard in shards for p in shard.parts for k in range(p.windows)]
    assert found == [(h.name, k) for h in headers for k in range(grid.count(h.total))]
    for shard in shards:
        assert len(shard.parts) <= most_files
        assert sum(end - begin for begin, end in (part.span(grid) for part in shard.parts)) <= most
        assert len(shard.parts) == 1 or all(part.is_whole(grid) for part in shard.parts)
    assert sum(shard.new_samples(grid) for shard in shards) == sum(totals)
    split = {shard.parts[0].fname for shard in shards if not shard.parts[0].is_whole(grid)}
    groups = list(split_files(shards, grid))
    assert [group[0].parts[0].fname for group in groups] == sorted(split)
    assert all(len({shard.parts[0].fname for shard in group}) == 1 for group in groups)


def test_neighbours_are_filled_up_and_a_long_file_is_alone():
    grid = Grid(RATE, window=4, hop=2)
    headers = [Header(name, total) for name, total in [("a", 3), ("b", 6), ("c", 2), ("long", 21), ("z", 1)]]
    shards = plan_shards(headers, grid, most_samples=10)
    assert [[(p.fname, p.first, p.windows) for p in shard.parts] for shard in shards] == [
        [("a", 0, 1), ("b", 0, 2)],
        [("c", 0, 1)],
        [("long", 0, 4)],
        [("long", 4, 4)],
        [("long", 8, 2)],
        [("z", 0, 1)],
    ]


def test_a_long_file_that_is_decoded_from_its_start_is_one_shard():
    headers = [Header("a", 2), Header("long", 21, from_start=True), Header("short", 5, from_start=True)]
    shards = plan_shards(headers, Grid(RATE, window=4, hop=2), most_samples=10)
    assert [[(p.fname, p.first, p.windows) for p in shard.parts] for shard in shards] == [
        [("a", 0, 1)],
        [("long", 0, 10)],
        [("short", 0, 2)],
    ]


def test_a_plan_is_read_as_it_was_written(tmp_path):
    path = tmp_path / "plan.parquet"
    assert read_plan(path) == []
    shards = [Shard(3, (Part("a/ä.wav", 0, 2, 900), Part("b", 0, 1, 2**40))), Shard(4, (Part("c", 5, 1, 9),))]
    write_plan(path, shards)
    assert read_plan(path) == shards == [from_row(to_row(shard)) for shard in shards]
    write_plan(path, [])
    assert read_plan(path) == []
    path.write_bytes(path.read_bytes()[:-9])
    with pytest.raises(ValueError, match=r"plan\.parquet: wanted a Parquet file, got a damaged one"):
        read_plan(path)


def test_a_folder_is_listed_in_order_and_headers_are_sorted_in(tmp_path):
    audio = make_archive(tmp_path)
    (audio / "a" / "._0.wav").write_bytes(b"of a Mac")
    listing = list_archive(audio)
    assert listing.names == sorted(listing.names)
    assert {"a/0.wav", "b/1.wav", "long0.wav", "notes.txt"} < set(listing.names)
    headers = {h.name: h for h in look_at(audio, listing.names, RATE, listed=False)}
    assert headers["a/0.wav"] == Header("a/0.wav", 700)
    assert headers["low.wav"].total == 4000
    assert headers["notes.txt"] == Header("notes.txt")
    assert headers["a/._0.wav"] == Header("a/._0.wav")
    assert "broken.wav: wanted an audio file" in headers["broken.wav"].problem
    assert headers["cut.wav"].total == 0
    assert "cut.wav" in headers["cut.wav"].problem


def test_a_list_has_paths_relative_to_its_folder(tmp_path):
    audio = make_archive(tmp_path)
    path = audio / "list.txt"
    path.write_text(f"long1.wav\n\n  a/0.wav\r\n{audio / 'b' / '1.wav'}\nnotes.txt\n")
    listing = list_archive(path)
    assert listing.names == sorted(["long1.wav", "a/0.wav", f"{audio}/b/1.wav", "notes.txt"])
    assert listing.folder == audio.resolve()
    problems = {h.name: h.problem for h in look_at(listing.folder, listing.names, RATE, listed=True)}
    assert "notes.txt" in problems.pop("notes.txt")
    assert set(problems.values()) == {""}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("a.wav\nb.wav\na.wav\n", "wanted each path once in .*list.txt, got 'a.wav' twice; remove one"),
        (b"\xff\xfe\x00", "wanted text in UTF-8 with a path in each line, got .*list.txt"),
        ("\n", "wanted at least one file, got none in .*list.txt"),
    ],
)
def test_a_list_that_cannot_be_used_is_refused(tmp_path, content, message):
    path = tmp_path / "list.txt"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises((ValueError, FileNotFoundError), match=f"--audio: {message}"):
        list_archive(path)


def test_no_folder_and_a_single_file_are_refused(tmp_path):
    with pytest.raises(FileNotFoundError, match="--audio: wanted a folder or a list of files, got .*none"):
        list_archive(tmp_path / "none")
    (tmp_path / "a.flac").touch()
    with pytest.raises(ValueError, match="a text file with a path in each line, got .*a.flac; 'python -m"):
        list_archive(tmp_path / "a.flac")


def test_settings_are_kept_and_compared(tmp_path):
    path = tmp_path / "settings.json"
    SETTINGS.keep(path)
    SETTINGS.keep(path)
    changes = {
        "audio": ("/other", "--audio: wanted /audio,"),
        "model": ("cd" * 32, "--model: wanted the file with SHA-256 abababababab...,"),
        "hop": (0.25, "--hop: wanted 0.2, with which .* was begun, got 0.25; repeat the first one, or"),
        "embeddings": (True, "--embeddings: wanted no such option, .* got the option"),
        "threshold": ("saved", "--threshold: wanted no such option, .* got saved"),
        "min_gap": (1.0, "--min-gap: wanted 0.0,"),
    }
    for name, (value, message) in changes.items():
        with pytest.raises(ValueError, match=message):
            replace(SETTINGS, **{name: value}).keep(path)
    path.write_text(json.dumps({"audio": "/audio"}))
    with pytest.raises(ValueError, match=r"settings\.json: wanted the settings of .* another --out"):
        SETTINGS.keep(path)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"window": 1e-5}, "--window: wanted at least a sample of 1/4000 s, got 1e-05"),
        ({"hop": 1e-5}, "--hop: wanted at least a sample"),
        ({"shard_seconds": 0.4}, "--shard-seconds: wanted at least a window of 0.5 s, got 0.4"),
    ],
)
def test_windows_and_shards_without_room_are_refused(change, message):
    assert SETTINGS.grid == Grid(RATE, 2000, 800)
    with pytest.raises(ValueError, match=message):
        _ = replace(SETTINGS, **change).grid


def test_options_become_settings_and_a_machine(tmp_path):
    make_archive(tmp_path)
    words = ["--model", tmp_path / "model.pt", "--audio", tmp_path / "audio", "--out", tmp_path / "out"]
    more = ["--window", "0.5", "--threshold", "saved", "--cpus", "3", "--num-gpus", "0.5", "--decoders", "0"]
    args = tag_archive.parser().parse_args([*map(str, words), *more])
    content = digest(tmp_path / "model.pt")
    assert content == hashlib.sha256((tmp_path / "model.pt").read_bytes()).hexdigest()
    expected = Settings(str(tmp_path / "audio"), content, RATE, 0.5, 0.25, 300.0, threshold="saved")
    assert settings_of(args, content, RATE) == expected
    assert machine_of(args) == Machine(cpus=3, gpus=0.5, decoders=0)


@pytest.mark.parametrize(
    ("more", "status"),
    [
        (["--cpus", "2", "--address", "host:6379"], 2),
        (["--window", "0"], 2),
        (["--audio", "none"], "tag_archive.py: --audio: wanted a folder or a list of files, got none"),
        (["--model", "none.pt"], "tag_archive.py: .*No such file or directory: 'none.pt'"),
        (["--threshold", "saved"], "tag_archive.py: --threshold: wanted a model that was saved with"),
        (["--window", "1e-6"], "tag_archive.py: --window: wanted at least a sample of 1/4000 s, got 1e-06"),
    ],
)
def test_what_cannot_be_is_refused_before_anything_is_written(tmp_path, more, status):
    make_archive(tmp_path, short=0, long_seconds=())
    words = ["--model", tmp_path / "model.pt", "--audio", tmp_path / "audio", "--out", tmp_path / "out"]
    with pytest.raises(SystemExit) as end:
        tag_archive.main([*map(str, words), *more])
    if status == 2:
        assert end.value.code == 2
    else:
        assert re.match(status, end.value.code)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("nodes", "wanted", "expected"),
    [
        ([(2, 0)], {}, Pool(2, 0, 0.0)),
        ([(7, 0)], {"threads": 2}, Pool(3, 0, 0.0)),
        ([(3, 0), (3, 0)], {"threads": 2}, Pool(2, 0, 0.0)),  # a scorer is on one machine
        ([(2, 0)], {"scorers": 1, "decoders": 1}, Pool(1, 1, 0.0)),
        ([(8, 2)], {}, Pool(2, 6, 1.0)),
        ([(8, 2), (4, 0)], {}, Pool(2, 10, 1.0)),
        ([(8, 2)], {"gpus": 0.1}, Pool(7, 1, 0.1)),  # one CPU is left to decode
        ([(8, 2)], {"gpus": 0.0}, Pool(8, 0, 0.0)),
    ],
)
def test_processes_that_a_cluster_has_room_for(nodes, wanted, expected):
    resources = [{"CPU": cpus, **({"GPU": gpus} if gpus else {})} for cpus, gpus in nodes]
    assert pool_of(resources, Machine(**wanted)) == expected


@pytest.mark.parametrize(
    "wanted", [{"threads": 3}, {"gpus": 1.0}, {"scorers": 3}, {"decoders": 2}, {"scorers": 2, "decoders": 1}]
)
def test_processes_without_room_are_refused(wanted):
    message = "--scorers, --decoders, --threads, --num-gpus: wanted what 2 CPUs and 0 GPUs have room for, got"
    with pytest.raises(ValueError, match=message):
        pool_of([{"CPU": 2.0}], Machine(**wanted))


def test_a_store_knows_what_is_done_and_removes_what_was_left(tmp_path):
    store = Store(tmp_path / "out")
    store.prepare()
    assert (store.done(), store.with_events()) == (set(), set())
    store.table("scores", 12).touch()
    store.table("events", 3).touch()
    left = store.folder / "scores" / ".00000013.parquet.99.1.part"
    left.touch()
    assert [store.count_try(13, stage) for stage in ("tag", "tag", "decode", "tag")] == [1, 2, 1, 3]
    assert (store.done(), store.with_events()) == ({12}, {3})
    assert store.is_done(12)
    assert not store.is_done(13)
    store.prepare()
    assert not left.exists()
    assert store.count_try(13, "tag") == 1
    store.forget_tries(13)
    assert list((store.folder / "tries").iterdir()) == []


def test_unusable_files_are_one_table(tmp_path):
    store = Store(tmp_path)
    store.prepare()
    store.write_problems(0, [Problem("b.wav", 'a "b", and c')])
    store.write_problems(1, [Problem("not done.wav", "its shard is not done")])
    store.write_problems(2, [Problem("repaired.wav", "it was cut")])
    store.write_problems(2, [])
    for number in (0, 2):
        store.table("scores", number).touch()
    assert store.collect_problems([Problem("a.wav", "no header")]) == 2
    assert store.unreadable.read_text() == 'fname,message\na.wav,no header\nb.wav,"a ""b"", and c"\n'
    assert store.collect_problems([]) == 1


def test_progress_says_hours_per_hour():
    now, lines = [0.0], []
    progress = Progress(1200, 7200, lines.append, clock=lambda: now[0])
    assert progress.end() == "nothing was left to do"
    assert EVERY == 10
    for now[0] in (6.0, 12.0, 18.0):
        progress.add(seconds=600, rows=1000)
    assert lines == ["2 of 1,200 shards, 0.33 of 2.00 h, 100 hours of audio per hour, about 1 min 0 s left"]
    assert progress.end() == "now 3 shards with 3,000 rows, 0.50 h in 18 s, 100 hours of audio per hour"
    assert [duration(s) for s in (0.4, 59.4, 61, 3599, 7260)] == [
        "0 s", "59 s", "1 min 1 s", "59 min 59 s", "2 h 1 min",
    ]  # fmt: skip
    assert [count_of(k, "shard") for k in (0, 1, 2000)] == ["0 shards", "1 shard", "2,000 shards"]


def test_an_address_without_a_cluster_is_named(monkeypatch):
    def init(**options):
        assert options["address"] == "host:6379"
        assert "num_cpus" not in options
        raise ConnectionError("nobody listens")

    monkeypatch.setitem(sys.modules, "ray", SimpleNamespace(init=init, data=None))
    monkeypatch.setitem(sys.modules, "ray.data", None)
    with pytest.raises(ImportError, match=r"wanted Ray Data, got none .*; pip install .rankaudio\[ray\]"):
        connected(Machine(address="host:6379")).__enter__()
    monkeypatch.setitem(sys.modules, "ray.data", SimpleNamespace())
    message = r"--address: wanted the address of a cluster, got 'host:6379' \(nobody listens\)"
    with pytest.raises(ConnectionError, match=message):
        connected(Machine(address="host:6379")).__enter__()
