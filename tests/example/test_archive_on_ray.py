"""An archive on Ray: a killed driver and worker, new and broken files, and decoders in other processes."""

import os
import signal
import subprocess
import sys
import time

import pytest

pytest.importorskip("ray", exc_type=ImportError, reason="the extra ray is not installed")
pytest.importorskip("pyarrow", exc_type=ImportError, reason="the extra ray is not installed")
pytest.importorskip("pandas", exc_type=ImportError, reason="the extra ray is not installed")

import numpy as np
import pandas as pd
from pyarrow import dataset

import tag_archive
from rankaudio.events import events
from rankaudio.inference import predict_long
from tiny_archive import CLASSES, HOP, WINDOW, make_archive, tiny_tagger, write_wav
from two_processes import environment

pytestmark = [pytest.mark.slow, pytest.mark.long]

TIMEOUT = 300
THRESHOLD = 0.004


@pytest.fixture
def start(tmp_path):
    """Start the program on the archive of the test; end what is left of it."""
    started = []

    def begin(*words, cpus=1):
        given = ["--model", tmp_path / "model.pt", "--audio", tmp_path / "audio", "--out", tmp_path / "out"]
        given += ["--window", WINDOW, "--hop", HOP, "--shard-seconds", 2, "--threshold", THRESHOLD]
        words = [sys.executable, tag_archive.__file__, *given, "--cpus", cpus, "--num-gpus", 0, *words]
        started.append(
            subprocess.Popen([*map(str, words)], env=environment(), stderr=subprocess.PIPE, text=True)
        )
        return started[-1]

    yield begin
    for process in started:
        if process.poll() is None:
            process.terminate()
        process.communicate(timeout=TIMEOUT)


def wait_for(condition, process):
    """Wait until something is true, while the program runs."""
    end = time.monotonic() + TIMEOUT
    while not condition():
        assert process.poll() is None, process.communicate()[1]
        assert time.monotonic() < end, "it took too long"
        time.sleep(0.01)


def shards(out):
    """The shards that are done."""
    return {path.name for path in (out / "scores").glob("[0-9]*.parquet")}


def worker(out):
    """A process that works on a shard now, or None."""
    for path in (out / "tries").glob("*"):
        try:
            return int(path.read_text().split()[0])
        except (OSError, IndexError):  # the shard has just been done
            continue
    return None


def table(out, kind):
    return dataset.dataset(out / kind).to_table().to_pandas()


def assert_tables_are_right(folder, *, files):
    """Each file has the rows and the events of predict_long, none of them twice."""
    tagger, rows, found = tiny_tagger(), table(folder / "out", "scores"), table(folder / "out", "events")
    assert set(rows["fname"]) == files
    for name in files:
        own = rows[rows["fname"] == name]
        expected = predict_long(tagger, folder / "audio" / name, window=WINDOW, hop=HOP)
        assert own["start"].tolist() == expected.starts.tolist()
        np.testing.assert_allclose(own[list(CLASSES)], expected.scores, rtol=1e-4, atol=1e-6)
        sounds = events(expected, THRESHOLD, classes=CLASSES)
        listed = found[found["fname"] == name]
        assert listed["label"].tolist() == [event.label for event in sounds]
        np.testing.assert_allclose(listed["start"], [event.start for event in sounds], atol=1e-6)
    broken = pd.read_csv(folder / "out" / "unreadable.csv")
    assert broken["fname"].tolist() == ["broken.wav", "cut.wav"]


def test_a_killed_driver_and_a_killed_worker_lose_nothing(start, tmp_path):
    audio, out = make_archive(tmp_path, short=4, long_seconds=(300, 3)), tmp_path / "out"
    files = {f"{'ab'[k % 2]}/{k}.wav" for k in range(4)} | {"low.wav", "long0.wav", "long1.wav"}
    first = start()
    wait_for(lambda: len(shards(out)) > 2, first)
    first.send_signal(signal.SIGKILL)
    first.wait()
    write_wav(audio / "c" / "new.wav", 1500, seed=7)
    second = start()
    before = shards(out)
    wait_for(lambda: len(shards(out)) > len(before) + 2 and worker(out), second)
    killed = worker(out)
    if killed is not None:
        os.kill(killed, signal.SIGKILL)
    left = {path: path.stat().st_mtime_ns for path in (out / "scores").glob("[0-9]*.parquet")}
    said = second.communicate(timeout=TIMEOUT)[1]
    assert second.returncode == 1, said
    assert "1 new file in 1 shard" in said
    assert "2 files could not be used" in said
    assert "hours of audio per hour" in said
    assert {path: path.stat().st_mtime_ns for path in left} == left  # what is written is not done again
    assert len(left) < len(shards(out))
    assert_tables_are_right(tmp_path, files=files | {"c/new.wav"})
    assert not [path for path in out.rglob("*") if path.suffix == ".part"]


def test_decoders_and_scorers_in_different_processes(start, tmp_path):
    make_archive(tmp_path, short=4)
    process = start("--scorers", 1, "--decoders", 1, "--embeddings", cpus=2)
    said = process.communicate(timeout=TIMEOUT)[1]
    assert process.returncode == 1, said
    assert "; 1 scorer, 1 decoder" in said
    files = {f"{'ab'[k % 2]}/{k}.wav" for k in range(4)} | {"low.wav", "long0.wav", "long1.wav"}
    assert_tables_are_right(tmp_path, files=files)
    rows = table(tmp_path / "out", "scores")
    for name in files:
        expected = predict_long(tiny_tagger(), tmp_path / "audio" / name, window=WINDOW, hop=HOP, embed=True)
        own = np.stack(rows.loc[rows["fname"] == name, "embedding"])
        np.testing.assert_allclose(own, expected.scores, rtol=1e-4, atol=1e-6)
