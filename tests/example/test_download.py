"""The download against a server of this machine's own, and every archive that must not be unpacked."""

import hashlib
import io
import json
import re
import shutil
import ssl
import stat
import struct
import subprocess
import threading
import urllib.request
import zipfile
import zlib
from collections import namedtuple
from email.message import Message
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.error import HTTPError, URLError

import numpy as np
import pytest
import torch
from scipy.io import wavfile

import freesound2019
from freesound.download import unpack as unpacking
from freesound.download.disk import size_text
from freesound.download.layout import KNOWN_FAULTS, read_vocabulary
from freesound.download.parts import PARTS
from freesound.download.record import archives_of, read_record
from freesound.download.split_zip import Joined, opened_zip
from freesound.download.unpack import unpack
from rankaudio import lwlrap
from rankaudio.data import read_classes, read_labels, read_scores

Usage = namedtuple("Usage", "total used free")
SET = "FSDKaggle2019"
CLASSES = ["Bark", "Chirp", "Walk_and_footsteps"]
SIZES = {"curated": 9, "noisy": 12, "test": 6}
SPLIT = 64 * 1024  # the smallest that zip allows


# ---------------------------------------------------------------- a data set, and a server that has it


def make_set(folder):
    """Folders as in the real archives, of noise, which does not shrink."""
    random = np.random.default_rng(0)
    tables = {}
    for part, count in SIZES.items():
        names = [f"{part[0]}{index:07x}.wav" for index in range(count)]
        if part == "curated":
            names[2], names[5] = KNOWN_FAULTS[0], KNOWN_FAULTS[5]
        where = folder / f"{SET}.{PARTS[part][1]}"
        where.mkdir()
        for index, name in enumerate(names):
            samples = random.integers(-9000, 9000, 9000 + 700 * index).astype(np.int16)
            wavfile.write(where / name, 44100, samples)
        labels = [CLASSES[index % 3] for index in range(count)]
        labels[-1] = "Chirp,Bark"
        tables[part] = list(zip(names, labels, strict=True))
    meta = folder / f"{SET}.meta"
    meta.mkdir()
    for part, stem in [("curated", "train_curated"), ("noisy", "train_noisy"), ("test", "test")]:
        usage = [",usage", ",Public", ",Private"] if part == "test" else [""] * 3
        lines = [f"fname,labels{usage[0]},origin,license"] + [
            f'{name},"{labels}"{usage[1 + index % 2]},1,CC-BY'
            for index, (name, labels) in enumerate(tables[part])
        ]
        (meta / f"{stem}_post_competition.csv").write_text("\n".join(lines) + "\n")
    (meta / "vocabulary.csv").write_text("".join(f"{index},{name}\n" for index, name in enumerate(CLASSES)))
    (folder / f"{SET}.doc").mkdir()
    (folder / f"{SET}.doc" / "LICENSE-DATASET").write_text("CC-BY\n")
    return tables


def zipped(folder, out):
    """An archive of a folder by zipfile, in one file."""
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for path in [folder, *sorted(folder.rglob("*"))]:
            archive.write(path, path.relative_to(folder.parent))
    return [out]


def split_by_info_zip(folder, out):
    """A split archive by the zip program."""
    if shutil.which("zip") is None:
        pytest.skip("zip is not installed")
    done = ["zip", "-q", "-s", "64k", "-r", str(out), folder.name]
    subprocess.run(done, cwd=folder.parent, check=True, timeout=60)
    return [*sorted(out.parent.glob(f"{out.stem}.z[0-9]*")), out]


def split_by_hand(folder, out, *, zip64=False, size=SPLIT):
    """A split archive as the specification has it, cut without regard to what is where."""
    stream, directory = bytearray(b"PK\7\10"), bytearray()
    paths = [path for path in sorted(folder.rglob("*")) if path.is_file()]
    for path in paths:
        data, name = path.read_bytes(), path.relative_to(folder.parent).as_posix().encode()
        packer = zlib.compressobj(wbits=-15)
        packed = packer.compress(data) + packer.flush()
        common = struct.pack("<4H3L", 0, 8, 0, 0x21, zlib.crc32(data), len(packed), len(data))
        part, offset = divmod(len(stream), size)
        stream += (
            b"PK\3\4" + struct.pack("<H", 20) + common + struct.pack("<2H", len(name), 0) + name + packed
        )
        extra = struct.pack("<2HL", 0x9999, 4, 7)
        if zip64:
            extra += struct.pack("<2H3QL", 1, 28, len(data), len(packed), offset, part)
            common = common[:-8] + b"\xff" * 8
            part, offset = 0xFFFF, 0xFFFFFFFF
        directory += b"PK\1\2" + struct.pack("<2H", 20, 20) + common
        directory += (
            struct.pack("<5H2L", len(name), len(extra), 3, part, 0, 0, offset) + name + extra + b"why"
        )
    comment = b"with PK\5\6 in it, which is no end record"
    stream_end = bytearray(directory)
    part, offset = divmod(len(stream), size)
    # The end records go into the last part whole.
    records = 56 + 20 + 22 + len(comment)
    total = len(stream) + len(directory)
    if total % size + records > size:
        pytest.fail("choose another size, so that the end fits into the last part")
    last = total // size
    counts = (len(paths), len(paths), len(directory), offset)
    if zip64:
        stream_end += b"PK\6\6" + struct.pack("<Q2H2L4Q", 44, 45, 45, last, part, *counts)
        stream_end += b"PK\6\7" + struct.pack("<LQL", last, total % size, last + 1)
        last = part = 0xFFFF
        counts = (0xFFFF, 0xFFFF, 0xFFFFFFFF, 0xFFFFFFFF)
    stream_end += b"PK\5\6" + struct.pack("<4H2LH", last, part, *counts, len(comment)) + comment
    stream += stream_end
    pieces = [stream[start : start + size] for start in range(0, len(stream), size)]
    names = [out.with_suffix(f".z{index + 1:02d}") for index in range(len(pieces) - 1)] + [out]
    for path, piece in zip(names, pieces, strict=True):
        path.write_bytes(piece)
    return names


class Zenodo:
    """What the server has, what it did, and how it is to misbehave."""

    def __init__(self, folder):
        self.files = {path.name: path.read_bytes() for path in sorted(folder.iterdir()) if path.is_file()}
        self.sizes, self.md5s = {}, {}  # lies about a file
        self.answer = None  # in place of the record
        self.ranges = True
        self.shift = 0  # how far the answer to a range begins beside the place asked for
        self.statuses = {}  # from file to statuses that it answers with, one after the other
        self.cuts = {}  # from file to numbers of bytes after which the connection ends, one after the other
        self.log, self.pauses = [], []

    def record(self):
        return {
            "id": 3612637,
            "metadata": {"title": SET},
            "files": [
                {
                    "id": f"id-{key}",
                    "key": key,
                    "size": self.sizes.get(key, len(data)),
                    "checksum": "md5:" + self.md5s.get(key, hashlib.md5(data).hexdigest()),
                    "links": {"self": f"{self.api}/records/3612637/files/{key}/content"},
                }
                for key, data in self.files.items()
            ],
        }

    def fetched(self):
        """Files asked for, and the range, since the last look."""
        seen, self.log = self.log, []
        return [(key, asked) for key, asked in seen if key != "record"]


class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        zenodo = self.server.zenodo
        found = re.fullmatch(r"/api/records/3612637(?:/files/(.+)/content)?", self.path)
        key = (found[1] or "record") if found else "?"
        asked = self.headers.get("Range")
        zenodo.log.append((key, asked))
        if zenodo.statuses.get(key):
            return self.answer(zenodo.statuses[key].pop(0), b"no\n")
        if key == "record":
            body = json.dumps(zenodo.record()).encode() if zenodo.answer is None else zenodo.answer
            return self.answer(200, body)
        if key not in zenodo.files:
            return self.answer(404, b"no\n")
        body = zenodo.files[key]
        if asked and zenodo.ranges:
            start = int(re.fullmatch(r"bytes=(\d+)-", asked)[1])
            if start >= len(body):
                return self.answer(416, b"")
            place = f"bytes {start + zenodo.shift}-{len(body) - 1}/{len(body)}"
            return self.answer(206, body[start:], key, [("Content-Range", place)])
        return self.answer(200, body, key)

    def answer(self, status, body, key=None, headers=()):
        cuts = self.server.zenodo.cuts.get(key)
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        if status == 429:
            self.send_header("Retry-After", "7")
        for name, value in headers:
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body[: cuts.pop(0)] if cuts else body)

    def log_message(self, *args):
        pass


@pytest.fixture(scope="module")
def archives(tmp_path_factory):
    """The archives of a small data set, and what is on each clip."""
    source, folder = tmp_path_factory.mktemp("source"), tmp_path_factory.mktemp("archives")
    tables = make_set(source)
    for part, (_, stem) in PARTS.items():
        where, out = source / f"{SET}.{stem}", folder / f"{SET}.{stem}.zip"
        if part != "noisy":
            zipped(where, out)
        elif shutil.which("zip"):
            split_by_info_zip(where, out)
        else:
            split_by_hand(where, out)
    return source, folder, tables


@pytest.fixture
def zenodo(archives, monkeypatch):
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    zenodo = Zenodo(archives[1])
    monkeypatch.setattr("freesound.download.web.sleep", zenodo.pauses.append)
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.zenodo = zenodo
    zenodo.api = f"http://127.0.0.1:{server.server_port}/api"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield zenodo
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.fixture(autouse=True)
def no_other_host(monkeypatch):
    """Whatever a test does, nothing but this machine is asked."""

    def urlopen(request, timeout):
        assert request.host.startswith("127.0.0.1:")
        return urllib.request.urlopen(request, timeout=timeout)

    monkeypatch.setattr("freesound.download.web.urlopen", urlopen)


def download(zenodo, root, *options):
    freesound2019.main(["download", "--root", str(root), "--api", zenodo.api, *options])


def refused(zenodo, root, *options, match):
    """The command ends with one line; returns it."""
    with pytest.raises(SystemExit) as caught:
        download(zenodo, root, *options)
    message = str(caught.value.code)
    assert message.startswith("freesound2019.py: ")
    assert "\n" not in message
    assert re.search(match, message), message
    return message


def snapshot(root):
    return {path: (path.stat().st_mtime_ns, path.stat().st_ino) for path in root.rglob("*") if path.is_file()}


# ---------------------------------------------------------------- the whole


def test_whole_run_gives_the_kaggle_layout_and_a_second_does_nothing(zenodo, archives, tmp_path, capsys):
    source, _, tables = archives
    root = tmp_path / "data"
    download(zenodo, root)
    files = {"sample_submission.csv", "test.csv", "train_curated.csv", "train_noisy.csv"}
    folders = {".download", "doc", "faulty", "meta", "test", "train_curated", "train_noisy"}
    assert {path.name for path in root.iterdir()} == files | folders
    assert read_classes(root / "sample_submission.csv") == tuple(CLASSES)
    for part, (folder, stem) in PARTS.items():
        for path in (source / f"{SET}.{stem}").iterdir():
            where = root / ("faulty" if path.name in KNOWN_FAULTS else folder) / path.name
            assert where.read_bytes() == path.read_bytes()
        if part not in tables:
            continue
        table = read_labels(root / f"{folder}.csv", classes=CLASSES)
        expected = {name: labels for name, labels in tables[part] if name not in KNOWN_FAULTS}
        assert table.names == tuple(expected)
        assert {path.name for path in (root / folder).iterdir()} == set(expected)
        for name, row in zip(table.names, table.target.tolist(), strict=True):
            assert {CLASSES[c] for c in range(3) if row[c]} == set(expected[name].split(","))
    assert (root / "test.csv").read_text().splitlines()[:3] == [
        "fname,labels,usage",
        "t0000000.wav,Bark,Public",
        "t0000001.wav,Chirp,Private",
    ]
    assert read_scores(root / "sample_submission.csv").names == read_labels(root / "test.csv").names

    assert len(zenodo.fetched()) == len(zenodo.files)
    before = snapshot(root)
    capsys.readouterr()
    download(zenodo, root)
    assert zenodo.fetched() == []
    assert snapshot(root) == before
    assert capsys.readouterr().out == f"{root}: meta, doc, curated, test, noisy are there\n"


def test_what_was_fetched_can_be_trained_on_and_evaluated(zenodo, tmp_path, capsys):
    root, run, out = tmp_path / "data", tmp_path / "run", tmp_path / "scores.csv"
    download(zenodo, root)
    small = ["--folds", "1", "--epochs", "1", "--base-depth", "4", "--blocks", "2", "--device", "cpu"]
    freesound2019.main(["train", "--data", str(root), "--run", str(run), "--noisy", *small])
    files = ["--run", str(run), "--audio", str(root / "test"), "--out", str(out), "--device", "cpu"]
    freesound2019.main(["predict", *files])
    capsys.readouterr()
    freesound2019.main(["evaluate", "--scores", str(out), "--labels", str(root / "test.csv")])
    printed = [line.split() for line in capsys.readouterr().out.splitlines()]
    scores, labels = read_scores(out), read_labels(root / "test.csv", classes=CLASSES)
    for line, rows, count in [(printed[-2], slice(0, None, 2), 3), (printed[-1], slice(1, None, 2), 4)]:
        names = labels.names[rows]
        expected = float(lwlrap(scores.select(names).scores, labels.select(names).target))
        assert line[1:] == [str(count), f"{expected:.4f}", "3", "clips"]
    assert [printed[-2][0], printed[-1][0]] == ["public", "private"]


def test_announces_what_it_fetches(zenodo, tmp_path, capsys):
    download(zenodo, tmp_path / "data", "--parts", "test")
    printed = capsys.readouterr().out
    size = len(zenodo.files[f"{SET}.audio_test.zip"])
    assert f"{SET}.audio_test.zip  {size / 1000:.1f} kB" in printed
    assert "to fetch, at most about" in printed
    assert "noisy" not in printed


def test_sizes_in_words():
    sizes = {999: "999 B", 1000: "1.0 kB", 4_123_000: "4.1 MB", 12_345_678_901: "12.3 GB"}
    assert {count: size_text(count) for count in sizes} == sizes


def test_some_parts_and_their_labels_now_the_rest_later(zenodo, tmp_path):
    root = tmp_path / "data"
    download(zenodo, root, "--parts", "test")
    assert {key for key, _ in zenodo.fetched()} == {f"{SET}.meta.zip", f"{SET}.audio_test.zip"}
    assert {path.name for path in root.glob("*.csv")} == {"test.csv", "sample_submission.csv"}
    download(zenodo, root)
    assert f"{SET}.meta.zip" not in {key for key, _ in zenodo.fetched()}
    assert {path.name for path in root.glob("train*.csv")} == {"train_curated.csv", "train_noisy.csv"}
    shutil.rmtree(root / "train_noisy")
    download(zenodo, root)
    assert {key for key, _ in zenodo.fetched()} == {key for key in zenodo.files if "noisy" in key}
    assert len(list((root / "train_noisy").iterdir())) == SIZES["noisy"]


def test_documents_alone(zenodo, tmp_path, capsys):
    download(zenodo, tmp_path / "data", "--parts", "doc")
    assert [key for key, _ in zenodo.fetched()] == [f"{SET}.doc.zip"]
    assert (tmp_path / "data" / "doc" / "LICENSE-DATASET").exists()
    assert capsys.readouterr().out.endswith("doc is there\n")


def test_faulty_clips_go_aside_and_come_back(zenodo, tmp_path):
    root = tmp_path / "data"
    options = ["--parts", "curated"]
    faulty = {KNOWN_FAULTS[0], KNOWN_FAULTS[5]}
    download(zenodo, root, *options, "--keep-faulty")
    assert not (root / "faulty").exists()
    assert faulty < set(read_labels(root / "train_curated.csv").names)
    zenodo.fetched()
    download(zenodo, root, *options)
    assert {path.name for path in (root / "faulty").iterdir()} == faulty
    assert not faulty & set(read_labels(root / "train_curated.csv").names)
    download(zenodo, root, *options, "--keep-faulty")
    assert faulty < {path.name for path in (root / "train_curated").iterdir()}
    download(zenodo, root, *options)
    shutil.rmtree(root / "faulty")
    download(zenodo, root, *options)
    assert zenodo.fetched() == []
    download(zenodo, root, *options, "--keep-faulty")
    assert [key for key, _ in zenodo.fetched()] == [f"{SET}.audio_train_curated.zip"]
    assert faulty < set(read_labels(root / "train_curated.csv").names)


def test_archives_are_kept_where_asked_and_taken_where_they_are(zenodo, tmp_path):
    root = tmp_path / "data"
    download(zenodo, root, "--keep-archives")
    kept = {path.name: path.read_bytes() for path in (root / "archives").iterdir()}
    assert kept == zenodo.files
    zenodo.fetched()
    other = tmp_path / "other"
    shutil.copytree(root / "archives", other / "archives")
    download(zenodo, other)
    assert zenodo.fetched() == []
    assert not (other / "archives").exists()
    assert len(list((other / "train_noisy").iterdir())) == SIZES["noisy"]


def test_a_folder_with_other_things_is_left_alone(zenodo, tmp_path):
    (tmp_path / "train_curated.csv").write_text("mine")
    refused(zenodo, tmp_path, match="--root: wanted a new or empty folder")
    refused(zenodo, tmp_path / "train_curated.csv", match="--root: wanted a folder")
    assert (tmp_path / "train_curated.csv").read_text() == "mine"
    assert zenodo.log == []


# ---------------------------------------------------------------- fetching


TEST_ZIP = f"{SET}.audio_test.zip"


def leave(root, data):
    """What an earlier attempt has left of the test archive."""
    (root / "archives").mkdir(parents=True)
    (root / "archives" / f"{TEST_ZIP}.part").write_bytes(data)


def test_goes_on_after_a_broken_connection(zenodo, tmp_path):
    zenodo.cuts[TEST_ZIP] = [1000, 0, 2000]
    download(zenodo, tmp_path / "data", "--parts", "test")
    asked = [ranged for key, ranged in zenodo.fetched() if key == TEST_ZIP]
    assert asked == [None, "bytes=1000-", "bytes=1000-", "bytes=3000-"]
    assert len(list((tmp_path / "data" / "test").iterdir())) == SIZES["test"]


def test_gives_up_when_nothing_comes_and_goes_on_next_time(zenodo, tmp_path):
    root = tmp_path / "data"
    zenodo.cuts[TEST_ZIP] = [1000] + [0] * 5
    refused(zenodo, root, "--parts", "test", match="gave up after 5 attempts: .*(1,000 of|IncompleteRead)")
    assert zenodo.pauses == [1, 2, 4, 8, 16]
    part = root / "archives" / f"{TEST_ZIP}.part"
    assert part.read_bytes() == zenodo.files[TEST_ZIP][:1000]
    zenodo.fetched()
    download(zenodo, root, "--parts", "test")
    assert zenodo.fetched() == [(TEST_ZIP, "bytes=1000-")]
    assert (root / "test.csv").exists()


def test_starts_anew_where_the_server_has_no_ranges(zenodo, tmp_path):
    zenodo.ranges = False
    zenodo.cuts[TEST_ZIP] = [5000, 300, 7000]
    download(zenodo, tmp_path / "data", "--parts", "test")
    assert [key for key, _ in zenodo.fetched()].count(TEST_ZIP) == 4
    assert len(list((tmp_path / "data" / "test").iterdir())) == SIZES["test"]


@pytest.mark.parametrize("left", ["longer", "whole", "wrong", "empty"])
def test_parts_left_by_others(zenodo, tmp_path, left):
    root, data = tmp_path / "data", zenodo.files[TEST_ZIP]
    leave(root, {"longer": data + b"more", "whole": data, "wrong": b"x" * 100, "empty": b""}[left])
    if left == "wrong":
        refused(zenodo, root, "--parts", "test", match="wanted .* with MD5 .*kept as .*bad, run again")
        assert not (root / "test").exists()
        assert (root / "archives" / f"{TEST_ZIP}.bad").read_bytes()[100:] == data[100:]
        zenodo.fetched()
    download(zenodo, root, "--parts", "test")
    asked = [ranged for key, ranged in zenodo.fetched() if key == TEST_ZIP]
    assert asked == ([] if left == "whole" else [None])
    assert (root / "test.csv").exists()
    assert not (root / "archives").exists()


def test_wrong_checksum_is_refused_and_nothing_unpacked(zenodo, tmp_path):
    root = tmp_path / "data"
    zenodo.md5s[TEST_ZIP] = "0" * 32
    message = refused(zenodo, root, "--parts", "test", match=f"wanted .* with MD5 {'0' * 32}")
    assert TEST_ZIP in message
    assert not (root / "test").exists()
    assert [path.name for path in (root / "archives").iterdir()] == [f"{TEST_ZIP}.bad"]
    assert (root / "meta" / "vocabulary.csv").exists()
    del zenodo.md5s[TEST_ZIP]
    download(zenodo, root, "--parts", "test")
    assert not (root / "archives").exists()


@pytest.mark.parametrize("lie", [-1, 1])
@pytest.mark.parametrize("have", [0, 500])
def test_wrong_size_is_refused(zenodo, tmp_path, lie, have):
    root, size = tmp_path / "data", len(zenodo.files[TEST_ZIP])
    leave(root, zenodo.files[TEST_ZIP][:have])
    zenodo.sizes[TEST_ZIP] = size + lie
    match = f"{TEST_ZIP}.*: wanted {size + lie:,} bytes, as the record says, the server has {size:,}"
    refused(zenodo, root, "--parts", "test", match=match)
    assert not (root / "test").exists()


def test_a_file_that_shrank_after_a_part_of_it_came(zenodo, tmp_path):
    """The server says 416 to the rest; then the whole is asked for, and has another size."""
    data = zenodo.files[TEST_ZIP]
    leave(tmp_path / "data", data[:-10])
    zenodo.sizes[TEST_ZIP], zenodo.files[TEST_ZIP] = len(data), data[:1000]
    refused(zenodo, tmp_path / "data", "--parts", "test", match="the server has 1,000")
    assert zenodo.log[-2:] == [(TEST_ZIP, f"bytes={len(data) - 10}-"), (TEST_ZIP, None)]


def test_an_answer_from_another_place_is_not_appended(zenodo, tmp_path):
    leave(tmp_path / "data", zenodo.files[TEST_ZIP][:500])
    zenodo.shift = 1
    download(zenodo, tmp_path / "data", "--parts", "test")
    assert zenodo.fetched()[-2:] == [(TEST_ZIP, "bytes=500-"), (TEST_ZIP, None)]


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no device that is always full")
def test_a_full_disk_is_named_and_nothing_tried_again(zenodo, tmp_path):
    root = tmp_path / "data"
    (root / "archives").mkdir(parents=True)
    part = root / "archives" / f"{TEST_ZIP}.part"
    part.symlink_to("/dev/full")
    refused(zenodo, root, "--parts", "test", match=f"No space left on device: '{part}'")
    assert zenodo.pauses == []
    assert [key for key, _ in zenodo.fetched()].count(TEST_ZIP) == 1
    part.unlink()
    beside = root / "test" / ".t0000002.wav.part"
    beside.parent.mkdir()
    beside.symlink_to("/dev/full")
    refused(zenodo, root, "--parts", "test", match=f"No space left on device: '{beside}'")
    assert {path.name for path in (root / "test").iterdir()} == {"t0000000.wav", "t0000001.wav"}


def test_a_server_that_is_not_whom_it_claims_to_be_is_not_asked_again(zenodo, tmp_path, monkeypatch):
    def fail(request, timeout):
        raise URLError(ssl.SSLCertVerificationError("certificate verify failed"))

    monkeypatch.setattr("freesound.download.web.urlopen", fail)
    refused(zenodo, tmp_path / "data", match="records/3612637: .*certificate verify failed")
    assert zenodo.pauses == []


def test_asks_zenodo_unless_told_otherwise(tmp_path, monkeypatch):
    asked = []

    def note(request, timeout):
        asked.append((request.full_url, timeout))
        raise HTTPError(request.full_url, 403, "Forbidden", Message(), io.BytesIO())

    monkeypatch.setattr("freesound.download.web.urlopen", note)
    with pytest.raises(SystemExit, match="HTTP 403 Forbidden"):
        freesound2019.main(["download", "--root", str(tmp_path / "data")])
    assert asked == [("https://zenodo.org/api/records/3612637", 60)]


def test_too_little_disk_is_said_before_anything_is_fetched(zenodo, tmp_path, monkeypatch):
    monkeypatch.setattr(shutil, "disk_usage", lambda path: Usage(10**9, 10**9 - 50_000, 50_000))
    refused(zenodo, tmp_path / "data", match=r"--root: wanted about [\d.]+ MB free .*, got 50.0 kB")
    assert zenodo.fetched() == []
    assert not (tmp_path / "data").exists()


def test_disk_is_counted_part_by_part_and_what_is_there_not_again(zenodo, tmp_path, monkeypatch):
    sizes = {key: len(data) for key, data in zenodo.files.items()}
    total, noisy = sum(sizes.values()), sum(size for key, size in sizes.items() if "noisy" in key)
    # Archives of earlier parts are gone by the time that the largest, the last, is here.
    enough = noisy + 1.3 * total + 10
    for free, options, fits in [
        (enough, [], True),
        (0.99 * enough, [], False),
        (enough, ["--keep-archives"], False),
        (2.3 * total + 10, ["--keep-archives"], True),
    ]:
        monkeypatch.setattr(shutil, "disk_usage", lambda path, free=free: Usage(0, 0, int(free)))
        root = tmp_path / f"data {free} {options}"
        if fits:
            download(zenodo, root, *options)
        else:
            refused(zenodo, root, *options, match="--root: wanted about")


def test_a_missing_file_is_not_asked_for_again(zenodo, tmp_path):
    zenodo.statuses[TEST_ZIP] = [404]
    refused(zenodo, tmp_path / "data", "--parts", "test", match=f"{TEST_ZIP}/content: HTTP 404 Not Found")
    assert zenodo.pauses == []
    assert zenodo.fetched()[-1] == (TEST_ZIP, None)


def test_a_busy_server_is_asked_again(zenodo, tmp_path):
    zenodo.statuses = {"record": [503, 429], TEST_ZIP: [500, 502]}
    download(zenodo, tmp_path / "data", "--parts", "test")
    assert zenodo.pauses == [2, 7, 2, 4]
    zenodo.statuses = {"record": [500] * 9}
    refused(zenodo, tmp_path / "data", match="records/3612637: gave up after 5 attempts: HTTP 500")
    assert len(zenodo.statuses["record"]) == 4


def test_no_server_at_all(zenodo, tmp_path):
    address = zenodo.api.replace("/api", "/nothing")
    zenodo.api, api = address, zenodo.api
    refused(zenodo, tmp_path / "data", match="nothing/records/3612637: HTTP 404")
    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as closed:
        port = closed.server_port
    zenodo.api = f"http://127.0.0.1:{port}/api"
    refused(zenodo, tmp_path / "data", match="gave up after 5 attempts: .*refused")
    for address in ("file:///etc", "zenodo", "ftp://127.0.0.1/api", "http://"):
        zenodo.api = address
        refused(zenodo, tmp_path / "data", match="--api: wanted an address that begins with https://")
    zenodo.api = api


# ---------------------------------------------------------------- the record


FILE = {
    "key": f"{SET}.meta.zip",
    "size": 3,
    "checksum": "md5:" + "a" * 32,
    "links": {"self": "https://127.0.0.1/"},
}


@pytest.mark.parametrize(
    ("answer", "match"),
    [
        ("<html>", "wanted JSON, got b'<html>'"),
        ("[" * 100_000, "wanted JSON"),
        ("[]", "wanted a record with a list of files"),
        ({"message": "gone"}, "wanted a record with a list of files, got .*gone"),
        ({"files": []}, "wanted a record with a list of files"),
        ({"files": {"entries": {"a": FILE}}}, "wanted a record with a list of files"),
        ({"files": [{"filename": "a", "filesize": 3}]}, r"files\[0\]: wanted key, size, checksum and links"),
        ({"files": [FILE, "a"]}, r"files\[1\]: wanted key, size"),
        ({"files": [FILE | {"links": []}]}, "wanted key, size"),
        ({"files": [FILE | {"links": {}}]}, "wanted key, size"),
        ({"files": [FILE | {"size": "3"}]}, "wanted a name and a number of bytes"),
        ({"files": [FILE | {"size": -3}]}, "wanted a name and a number of bytes"),
        ({"files": [FILE | {"key": None}]}, "wanted a name and a number of bytes"),
        ({"files": [FILE | {"checksum": "sha256:aa"}]}, "wanted md5: and 32 digits"),
        ({"files": [FILE | {"checksum": None}]}, "wanted md5: and 32 digits"),
        ({"files": [FILE | {"links": {"self": "file:///etc/passwd"}}]}, "wanted an address"),
        ({"files": [FILE | {"links": {"self": 3}}]}, "wanted an address"),
        ({"files": [FILE | {"key": "../../FSDKaggle2019.meta.zip"}]}, "wanted one file named"),
        ({"files": [FILE, FILE]}, "wanted one file named"),
    ],
)
def test_records_of_another_shape(zenodo, tmp_path, answer, match):
    zenodo.answer = (answer if isinstance(answer, str) else json.dumps(answer)).encode()
    refused(zenodo, tmp_path / "data", "--parts", "meta", match=match)
    assert not (tmp_path / "data").exists()


def test_archives_of_a_record_in_their_order(zenodo):
    files = read_record(zenodo.api, 3612637)
    noisy = archives_of(files[::-1], "audio_train_noisy")
    ends = [file.key.rpartition(".")[2] for file in noisy]
    assert ends == [f"z{index:02d}" for index in range(1, len(noisy))] + ["zip"]
    assert len(noisy) > 3
    for gone in (0, 1):
        with pytest.raises(ValueError, match="wanted all parts of .*audio_train_noisy.zip"):
            archives_of(tuple(file for file in files if file != noisy[gone]), "audio_train_noisy")
    with pytest.raises(ValueError, match="wanted one file named"):
        archives_of(tuple(file for file in files if file != noisy[-1]), "audio_train_noisy")


# ---------------------------------------------------------------- split archives


def by_hand64(folder, out):
    return split_by_hand(folder, out, zip64=True)


def by_hand_small(folder, out):
    """So small that the directory itself is in several parts."""
    return split_by_hand(folder, out, size=300)


@pytest.mark.parametrize("split", [split_by_info_zip, split_by_hand, by_hand64, by_hand_small, zipped])
def test_split_archives_equal_what_went_in(archives, tmp_path, split):
    source = archives[0] / f"{SET}.audio_train_noisy"
    (tmp_path / "out").mkdir()
    paths = split(source, tmp_path / "out" / "a.zip")
    assert len(paths) > 3 or split is zipped
    before = snapshot(tmp_path / "out")
    sizes = unpack(paths, tmp_path / "clips", desc="")
    assert snapshot(tmp_path / "out") == before
    assert sizes == {path.name: path.stat().st_size for path in source.iterdir()}
    for path in source.iterdir():
        assert (tmp_path / "clips" / path.name).read_bytes() == path.read_bytes()
    if split is split_by_info_zip:
        # The program itself joins them; zipfile reads that.
        whole = tmp_path / "whole.zip"
        subprocess.run(["zip", "-q", "-s", "0", str(paths[-1]), "--out", str(whole)], check=True, timeout=60)
        with zipfile.ZipFile(whole) as theirs, opened_zip(paths) as ours:
            assert ours.namelist() == theirs.namelist()
            assert ours.testzip() is None


def test_members_beyond_four_gigabytes(tmp_path):
    """The first part is a hole of 4 GiB, so every place behind it takes Zip64 to tell."""
    (tmp_path / "d").mkdir()
    (tmp_path / "d" / "x.wav").write_bytes(b"sound" * 100)
    paths = [tmp_path / "a.z01", *split_by_hand(tmp_path / "d", tmp_path / "a.zip", size=10**6)]
    with paths[0].open("wb") as hole:
        hole.truncate(2**32 + 10)
    data = bytearray(paths[1].read_bytes())
    entry, end = data.index(b"PK\1\2"), data.index(b"PK\5\6")
    struct.pack_into("<H", data, entry + 34, 1)
    struct.pack_into("<2H", data, end + 4, 1, 1)
    paths[1].write_bytes(data)
    with opened_zip(paths) as archive:
        assert archive.infolist()[0].header_offset == 2**32 + 10 + 4
        assert archive.read("d/x.wav") == b"sound" * 100


@pytest.mark.parametrize("split", [split_by_hand, by_hand64])
def test_archives_that_lack_parts_or_are_damaged(archives, tmp_path, split):
    paths = split(archives[0] / f"{SET}.audio_train_noisy", tmp_path / "a.zip")
    count = len(paths)

    def refuse(paths, match):
        with pytest.raises(ValueError, match=match) as caught, opened_zip(paths) as archive:
            archive.testzip()
        assert str(paths[-1]) in str(caught.value)

    refuse(paths[1:], "wanted a zip archive in|Zip64 end")
    refuse(
        paths[-1:], f"in 1 files: its (end says that it has {count}|Zip64 end is said to be in part {count})"
    )
    refuse(paths[:-1], "it has no end record")
    whole = paths[-1].read_bytes()
    for at in [len(whole) - 30, len(whole) // 2, 10, 0]:
        paths[-1].write_bytes(whole[:at])
        refuse(paths, "no end record")


@pytest.mark.parametrize("split", [split_by_hand, by_hand64])
@pytest.mark.parametrize("flip", [0xFF, 0x01, 0x80])
def test_any_byte_of_the_directory_may_be_wrong(tmp_path, split, flip):
    """Members that can still be read are, and everything else ends in a line that names the archive."""
    (tmp_path / "d").mkdir()
    for name in "xy":
        (tmp_path / "d" / f"{name}.wav").write_bytes(name.encode() * 100)
    (path,) = split(tmp_path / "d", tmp_path / "a.zip")
    whole, outcomes = path.read_bytes(), set()
    for index in range(whole.index(b"PK\1\2"), len(whole)):
        path.write_bytes(whole[:index] + bytes([whole[index] ^ flip]) + whole[index + 1 :])
        try:
            unpack([path], tmp_path / f"clips{index}", desc="")
        except (ValueError, OSError) as error:
            outcomes.add(str(path) in str(error))
    assert outcomes == {True}


def test_joined_files_read_as_one():
    pieces = [b"abc", b"", b"defgh", b"", b"i"]
    joined = Joined([io.BytesIO(piece) for piece in pieces])
    whole = b"".join(pieces)
    buffered = io.BufferedReader(joined, 4)
    assert buffered.read() == whole
    for start in range(11):
        for count in range(11):
            buffered.seek(start)
            assert buffered.read(count) == whole[start : start + count]
    assert joined.seek(-2, io.SEEK_END) == 7
    assert joined.seek(1, io.SEEK_CUR) == 8
    assert joined.read_at(2, 4) == b"cdef"
    with pytest.raises(ValueError, match="wanted 9 bytes from 3 on, got 6"):
        joined.read_at(3, 9)


# ---------------------------------------------------------------- unpacking


def archive_with(path, **members):
    """An archive of members, each data or (data, changes of its entry)."""
    with zipfile.ZipFile(path, "w") as archive:
        for name, value in members.items():
            data, changes = value if isinstance(value, tuple) else (value, {})
            info = zipfile.ZipInfo("d/" + name)
            for key, change in changes.items():
                setattr(info, key, change)
            archive.writestr(info, data)
    return path


def raw(name):
    return {"good.wav": b"good", "evil": (b"evil", {"filename": name})}


@pytest.mark.parametrize(
    ("members", "match"),
    [
        (raw("../evil.wav"), "'../evil.wav' leaves its folder"),
        (raw("d/../../evil.wav"), "leaves its folder"),
        (raw("d/./evil.wav"), "leaves its folder"),
        (raw("d//evil.wav"), "leaves its folder"),
        (raw("/evil.wav"), "no relative path"),
        (raw("C:/evil.wav"), "no relative path"),
        (raw("d/evil.wav:stream"), "no relative path"),
        (raw("..\\evil.wav"), "no relative path"),
        ({"evil": (b"/etc/passwd", {"external_attr": (stat.S_IFLNK | 0o777) << 16})}, "is a link"),
        ({"evil": (b"", {"external_attr": (stat.S_IFIFO | 0o777) << 16})}, "neither a file nor"),
        ({"evil": (b"evil" * 99, {"compress_type": zipfile.ZIP_BZIP2})}, "neither stored nor deflated"),
        ({"evil.wav": b"1", "EVIL.wav": b"2"}, "'d/EVIL.wav' is there twice"),
    ],
)
def test_members_that_are_refused(tmp_path, members, match):
    path = archive_with(tmp_path / "a.zip", **members)
    with pytest.raises(ValueError, match="a.zip: refused, nothing unpacked: ") as caught:
        unpack([path], tmp_path / "inner" / "clips", desc="")
    assert match in str(caught.value)
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["a.zip"]


def test_encrypted_members_and_names_with_a_null_are_refused(tmp_path):
    path = archive_with(tmp_path / "a.zip", evil=b"evil")
    data = path.read_bytes()
    for changed, match in [
        (data[:6] + b"\1" + data[7:].replace(b"PK\1\2\24\3\24\0\0", b"PK\1\2\24\3\24\0\1"), "is encrypted"),
        (data.replace(b"d/evil", b"d/e\0il"), "no relative path"),
    ]:
        assert changed != data
        path.write_bytes(changed)
        with pytest.raises(ValueError, match=match):
            unpack([path], tmp_path / "clips", desc="")
    assert not (tmp_path / "clips").exists()


def test_a_path_that_climbs_out_is_refused_in_the_whole_run(zenodo, tmp_path):
    evil = io.BytesIO()
    archive_with(evil, **raw("../../evil.wav"))
    zenodo.files[TEST_ZIP] = evil.getvalue()
    refused(zenodo, tmp_path / "a" / "data", match="refused, nothing unpacked: '../../evil.wav' leaves")
    assert not list(tmp_path.rglob("evil.wav"))
    assert not (tmp_path / "a" / "data" / "test").exists()
    assert (tmp_path / "a" / "data" / "train_curated.csv").exists()


def test_what_is_declared_must_fit_on_the_disk(tmp_path, monkeypatch):
    path = archive_with(tmp_path / "a.zip", **{"x.wav": b"x" * 1000, "y.wav": b"y" * 1000})
    monkeypatch.setattr(shutil, "disk_usage", lambda path: Usage(0, 0, 1999))
    with pytest.raises(OSError, match="wanted 2,000 bytes on disk to unpack it, got 1,999"):
        unpack([path], tmp_path / "clips", desc="")
    assert list((tmp_path / "clips").iterdir()) == []
    (tmp_path / "clips" / "y.wav").write_bytes(b"y" * 1000)
    assert unpack([path], tmp_path / "clips", desc="") == {"x.wav": 1000, "y.wav": 1000}


def test_more_than_is_declared_is_not_written(tmp_path):
    path = archive_with(
        tmp_path / "a.zip", **{"x.wav": (b"x" * 10**6, {"compress_type": zipfile.ZIP_DEFLATED})}
    )
    data = bytearray(path.read_bytes())
    struct.pack_into("<L", data, data.index(b"PK\1\2") + 24, 100)
    path.write_bytes(data)
    with pytest.raises(ValueError, match="a.zip: d/x.wav: Bad CRC-32"):
        unpack([path], tmp_path / "clips", desc="")
    assert list((tmp_path / "clips").iterdir()) == []


@pytest.mark.parametrize("compress_type", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
def test_damage_in_a_member_is_named(tmp_path, compress_type):
    sound = np.random.default_rng(1).bytes(5000)
    members = {name: (sound, {"compress_type": compress_type}) for name in ("x.wav", "y.wav")}
    path = archive_with(tmp_path / "a.zip", **members)
    data = bytearray(path.read_bytes())
    data[data.index(b"y.wav") + 2000] ^= 0x55
    path.write_bytes(data)
    with pytest.raises(ValueError, match=r"a.zip: d/y.wav: "):
        unpack([path], tmp_path / "clips", desc="")
    assert [path.name for path in (tmp_path / "clips").iterdir()] == ["x.wav"]


def test_folders_at_the_top_are_left_out_and_litter_too(tmp_path):
    one = archive_with(tmp_path / "1.zip", **{"a.wav": b"a", "e/b.wav": b"b", ".DS_Store": b"?"})
    assert unpack([one], tmp_path / "one", desc="") == {"a.wav": 1, "e/b.wav": 1}
    assert (tmp_path / "one" / "e" / "b.wav").read_bytes() == b"b"
    with zipfile.ZipFile(tmp_path / "2.zip", "w") as archive:
        archive.writestr("a.wav", b"a")
        archive.writestr("d/b.wav", b"b")
        archive.writestr("__MACOSX/d/._b.wav", b"?")
    assert unpack([tmp_path / "2.zip"], tmp_path / "two", desc="") == {"a.wav": 1, "d/b.wav": 1}


def test_interrupted_unpacking_goes_on(zenodo, tmp_path, monkeypatch):
    root, extract, done = tmp_path / "data", unpacking._extract, []

    def interrupted(archive, member, path, bar):
        if len(done) == 5:
            path.with_name(f".{path.name}.part").write_bytes(b"half")
            raise KeyboardInterrupt
        done.append(path)
        extract(archive, member, path, bar)

    with monkeypatch.context() as patch:
        patch.setattr(unpacking, "_extract", interrupted)
        refused(zenodo, root, "--parts", "noisy", "meta", match="interrupted")
    assert not (root / "train_noisy.csv").exists()
    done = [path for path in done if path.parent.name == "train_noisy"]
    assert len(done) == 1
    done[0].with_name("changed.wav").write_bytes(b"of someone else")
    before, _ = snapshot(root), zenodo.fetched()
    download(zenodo, root, "--parts", "noisy", "meta")
    assert zenodo.fetched() == []
    assert snapshot(root)[done[0]] == before[done[0]]
    assert len(list((root / "train_noisy").glob("n*.wav"))) == SIZES["noisy"]
    assert not list((root / "train_noisy").glob(".*"))
    assert (root / "train_noisy.csv").exists()


def test_a_clip_that_was_changed_is_unpacked_again(tmp_path):
    path = archive_with(tmp_path / "a.zip", **{"x.wav": b"xxxx", "y.wav": b"yyyy", "z.wav": b"zzzz"})
    clips = tmp_path / "clips"
    clips.mkdir()
    (clips / "x.wav").write_bytes(b"xx_x")
    (clips / "y.wav").symlink_to(tmp_path / "elsewhere")
    (clips / "z.wav").write_bytes(b"zzzz")
    before = snapshot(clips)[clips / "z.wav"]
    unpack([path], clips, desc="")
    assert [(clips / f"{name}.wav").read_bytes() for name in "xyz"] == [b"xxxx", b"yyyy", b"zzzz"]
    assert not (clips / "y.wav").is_symlink()
    assert not (tmp_path / "elsewhere").exists()
    assert snapshot(clips)[clips / "z.wav"] == before


# ---------------------------------------------------------------- tables


def test_vocabularies(tmp_path):
    path = tmp_path / "vocabulary.csv"
    for text in ("0,b\n1,a\n", "index,label\r\n0,b\r\n1,a\r\n", "\ufeff0,b,/m/1\n\n1,a,/m/2\n"):
        path.write_text(text, encoding="utf-8")
        assert read_vocabulary(path) == ["a", "b"]
    for text, match in [
        ("a\nb\n", "line 2: wanted a number and the name of a class"),
        ("label\n", "line 1: wanted a number"),
        ("0,a\n1,\n", "line 2: wanted a number"),
        ("0,a\n1,a\n", "wanted different classes"),
        ("", "wanted rows, got an empty file"),
    ]:
        path.write_text(text)
        with pytest.raises(ValueError, match=match):
            read_vocabulary(path)
    path.write_bytes(b"0,\xff\n")
    with pytest.raises(ValueError, match="wanted CSV in UTF-8"):
        read_vocabulary(path)


@pytest.mark.parametrize(
    ("table", "text", "match"),
    [
        (
            "test",
            "fname,labels\nt0000000.wav,Bark\n",
            "wanted a column 'usage', got the columns fname, labels",
        ),
        ("test", "fname,labels,usage\nt0000000.wav,Bark,\n", "line 2: wanted fname, labels, usage, got"),
        ("test", "fname,labels,usage\nno.wav,Bark,Public\n", "1 of 1 clips are not in .*test: no.wav"),
        (
            "train_curated",
            "fname,labels\nc0000000.wav,Quack\n",
            "wanted labels of the vocabulary, got .*Quack",
        ),
    ],
)
def test_tables_that_do_not_fit_the_clips(zenodo, archives, tmp_path, table, text, match):
    meta = tmp_path / f"{SET}.meta"
    shutil.copytree(archives[0] / meta.name, meta)
    (meta / f"{table}_post_competition.csv").write_text(text)
    (packed,) = zipped(meta, tmp_path / "meta.zip")
    zenodo.files[f"{SET}.meta.zip"] = packed.read_bytes()
    refused(zenodo, tmp_path / "data", match=match)


def test_evaluate_reports_each_leaderboard(tmp_path, capsys):
    scores, labels = tmp_path / "s.csv", tmp_path / "l.csv"
    scores.write_text("fname,A,B\na.wav,1,0\nb.wav,1,0\nc.wav,0,1\nd.wav,1,0\n")
    command = ["evaluate", "--scores", str(scores), "--labels", str(labels)]
    labels.write_text(
        'fname,labels,usage\nd.wav,B,private\na.wav,A,PUBLIC\nb.wav,"A,B",Private\nc.wav,B,Public\n'
    )
    freesound2019.main(command)
    public, private = capsys.readouterr().out.splitlines()[-2:]
    assert public.split() == ["public", "2", "1.0000", "2", "clips"]
    # The one label of d is second, the two of b are first and second: 1/2, 1, 1.
    assert private.split() == ["private", "3", "0.8333", "2", "clips"]
    expected = lwlrap(torch.tensor([[1.0, 0.0], [1.0, 0.0]]), torch.tensor([[False, True], [True, True]]))
    assert float(expected) == pytest.approx(5 / 6)
    labels.write_text("fname,labels,usage\na.wav,A,Public\n")
    freesound2019.main(command)
    assert capsys.readouterr().out.splitlines()[-1].split() == ["private", "0", "-", "0", "clips"]
    labels.write_text("fname,labels\na.wav,A\n")
    freesound2019.main(command)
    assert capsys.readouterr().out.splitlines()[-1].startswith("all labels")
    labels.write_text("fname,labels,usage\na.wav,A,Public\nb.wav,B,later\n")
    with pytest.raises(SystemExit, match="l.csv, line 3: wanted Public or Private as usage, got 'later'"):
        freesound2019.main(command)
