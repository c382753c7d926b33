"""A small data set, its archives, and a server that acts like Zenodo's API and makes errors on request."""

import hashlib
import json
import re
import shutil
import struct
import subprocess
import threading
import zipfile
import zlib
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import numpy as np
import pytest
from scipy.io import wavfile

from tools.download import command
from tools.download.layout import KNOWN_FAULTS
from tools.download.parts import PARTS

SET = "FSDKaggle2019"
CLASSES = ["Bark", "Chirp", "Walk_and_footsteps"]
SIZES = {"curated": 9, "noisy": 12, "test": 6}
SPLIT = 64 * 1024  # the smallest part that the zip program allows


def make_set(folder):
    """Write the folders of the real archives. The clips are noise, which does not shrink."""
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
    """Pack a folder into one file with zipfile."""
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for path in [folder, *sorted(folder.rglob("*"))]:
            archive.write(path, path.relative_to(folder.parent))
    return [out]


def split_by_info_zip(folder, out):
    """Pack a folder into a split archive with the zip program."""
    if shutil.which("zip") is None:
        pytest.skip("zip is not installed")
    done = ["zip", "-q", "-s", "64k", "-r", str(out), folder.name]
    subprocess.run(done, cwd=folder.parent, check=True, timeout=60)
    return [*sorted(out.parent.glob(f"{out.stem}.z[0-9]*")), out]


def split_by_hand(folder, out, *, zip64=False, size=SPLIT):
    """Write a split archive from the specification. The cuts may be anywhere."""
    stream, directory = bytearray(b"PK\7\10"), bytearray()
    paths = [path for path in sorted(folder.rglob("*")) if path.is_file()]
    for path in paths:
        name = path.relative_to(folder.parent).as_posix().encode()
        member, entry = _member(name, path.read_bytes(), divmod(len(stream), size), zip64=zip64)
        stream += member
        directory += entry
    stream += directory + _end_records(len(paths), len(directory), len(stream), size, zip64=zip64)
    pieces = [stream[start : start + size] for start in range(0, len(stream), size)]
    names = [out.with_suffix(f".z{index + 1:02d}") for index in range(len(pieces) - 1)] + [out]
    for path, piece in zip(names, pieces, strict=True):
        path.write_bytes(piece)
    return names


def _member(name, data, place, *, zip64):
    """The bytes of a member that begins at a place (part, offset), and its entry in the directory."""
    packer = zlib.compressobj(wbits=-15)
    packed = packer.compress(data) + packer.flush()
    common = struct.pack("<4H3L", 0, 8, 0, 0x21, zlib.crc32(data), len(packed), len(data))
    member = b"PK\3\4" + struct.pack("<H", 20) + common + struct.pack("<2H", len(name), 0) + name + packed
    (part, offset), extra = place, struct.pack("<2HL", 0x9999, 4, 7)
    if zip64:
        extra += struct.pack("<2H3QL", 1, 28, len(data), len(packed), offset, part)
        common = common[:-8] + b"\xff" * 8
        part, offset = 0xFFFF, 0xFFFFFFFF
    entry = b"PK\1\2" + struct.pack("<2H", 20, 20) + common
    entry += struct.pack("<5H2L", len(name), len(extra), 3, part, 0, 0, offset) + name + extra + b"why"
    return member, entry


def _end_records(members, directory_size, start, size, *, zip64):
    """The end records of a directory that begins at ``start``. All of them are in the last part."""
    comment = b"with PK\5\6 in it, which is not an end record"
    (part, offset), (last, place) = divmod(start, size), divmod(start + directory_size, size)
    if place + 56 + 20 + 22 + len(comment) > size:
        pytest.fail("choose another size, so that the end fits into the last part")
    counts, records = (members, members, directory_size, offset), b""
    if zip64:
        records += b"PK\6\6" + struct.pack("<Q2H2L4Q", 44, 45, 45, last, part, *counts)
        records += b"PK\6\7" + struct.pack("<LQL", last, place, last + 1)
        last = part = 0xFFFF
        counts = (0xFFFF, 0xFFFF, 0xFFFFFFFF, 0xFFFFFFFF)
    return records + b"PK\5\6" + struct.pack("<4H2LH", last, part, *counts, len(comment)) + comment


class Zenodo:
    """The files of the server, its log, and the errors that it makes."""

    def __init__(self, folder):
        self.files = {path.name: path.read_bytes() for path in sorted(folder.iterdir()) if path.is_file()}
        self.sizes, self.md5s = {}, {}  # wrong values for a file
        self.answer = None  # sent instead of the record
        self.ranges = True
        self.shift = 0  # error in the start of an answer to a range
        self.statuses = {}  # file: HTTP statuses of the next answers
        self.cuts = {}  # file: bytes after which the next connections end
        self.redirects = {}  # file: addresses that the next answers redirect to
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
        """Return the files requested since the last call, each with its range."""
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
        if zenodo.redirects.get(key):
            return self.answer(302, b"", None, [("Location", zenodo.redirects[key].pop(0))])
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


@contextmanager
def running(zenodo):
    """Run the server in a thread."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.zenodo = zenodo
    zenodo.api = f"http://127.0.0.1:{server.server_port}/api"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield zenodo
    server.shutdown()
    server.server_close()
    thread.join()


def download(zenodo, root, *options):
    command.main(["--root", str(root), "--api", zenodo.api, *options])


def refused(zenodo, root, *options, match):
    """Expect that the program ends with one line, and return the line."""
    with pytest.raises(SystemExit) as caught:
        download(zenodo, root, *options)
    message = str(caught.value.code)
    assert message.startswith("download: ")
    assert "\n" not in message
    assert re.search(match, message), message
    return message


def snapshot(root):
    """Return the time and inode of every file, which change when a file is written again."""
    return {path: (path.stat().st_mtime_ns, path.stat().st_ino) for path in root.rglob("*") if path.is_file()}
