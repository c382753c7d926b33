"""One file of a record, on disk whole and verified, or not at all."""

from __future__ import annotations

import hashlib
import re
from http.client import HTTPResponse
from pathlib import Path

from tqdm import tqdm

from freesound.download.disk import named
from freesound.download.record import RemoteFile
from freesound.download.web import BrokenOffError, RangeRefusedError, opened, persist

_CHUNK = 1 << 20


def fetch(file: RemoteFile, folder: Path) -> Path:
    """Fetch a file, going on where an earlier attempt was broken off, and verify it.

    What has come so far is kept in ``KEY.part``. The file has its name only after size and MD5 have been seen
    to be right; one that was put there by hand is verified too.

    Raises:
        ValueError: if size or MD5 are wrong; the file is then kept as ``KEY.bad``.
        OSError: if it cannot be fetched, or written.
    """
    path, part = folder / file.key, _beside(folder, file)
    if not path.exists():
        persist(file.url, lambda: _go_on(file, part), reached=lambda: _size(part))
        _verify(file, part)
        part.replace(path)
    else:
        _verify(file, path)
    _bad(path).unlink(missing_ok=True)
    return path


def still_to_come(file: RemoteFile, folder: Path) -> int:
    """How many bytes of it are not on disk yet."""
    return 0 if (folder / file.key).exists() else max(0, file.size - _size(_beside(folder, file)))


def _beside(folder: Path, file: RemoteFile) -> Path:
    return folder / f"{file.key}.part"


def _bad(path: Path) -> Path:
    return path.with_name(f"{path.name.removesuffix('.part')}.bad")


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


def _go_on(file: RemoteFile, part: Path) -> None:
    """Append what is missing, or start anew where the server does not know how to."""
    have = _size(part)
    if have == file.size:
        part.touch()
        return
    if have > file.size:
        part.unlink()
        have = 0
    try:
        with opened(file.url, start=have) as response:
            begin = _begin(file, response, have)
            with named(part), part.open("ab" if begin else "wb") as out, _bar(file, begin) as bar:
                while begin < file.size and (chunk := response.read(_CHUNK)):
                    out.write(chunk[: file.size - begin])
                    begin += len(chunk)
                    bar.update(len(chunk))
    except RangeRefusedError:
        # Without the part the next request is for the whole.
        part.unlink(missing_ok=True)
        raise
    if begin < file.size:
        raise BrokenOffError(f"the connection ended after {begin:,} of {file.size:,} bytes")


def _begin(file: RemoteFile, response: HTTPResponse, have: int) -> int:
    """Where the answer begins, once it is clear that it is of the right file."""
    begin, total = 0, response.headers.get("Content-Length", "")
    if response.status == 206:
        found = re.fullmatch(r"bytes (\d+)-\d+/(\d+|\*)", response.headers.get("Content-Range", ""))
        if not found or int(found[1]) != have:
            raise RangeRefusedError(f"wanted the bytes from {have:,} on, got other ones")
        begin, total = have, found[2]
    if total.isdecimal() and int(total) != file.size:
        raise ValueError(
            f"{file.url}: wanted {file.size:,} bytes, as the record says, the server has {int(total):,}"
        )
    return begin


def _verify(file: RemoteFile, path: Path) -> None:
    size, md5 = _size(path), hashlib.md5(usedforsecurity=False)
    if size == file.size:
        with path.open("rb") as source, _bar(file, 0, what="verify ") as bar:
            while chunk := source.read(_CHUNK):
                md5.update(chunk)
                bar.update(len(chunk))
        if md5.hexdigest() == file.md5:
            return
    path.replace(_bad(path))
    wanted = f"{file.size:,} bytes with MD5 {file.md5}, as the record says"
    got = f"MD5 {md5.hexdigest()}" if size == file.size else f"{size:,} bytes"
    raise ValueError(
        f"{path}: wanted {wanted}, got {got}; kept as {_bad(path).name}, run again to fetch it anew"
    )


def _bar(file: RemoteFile, begin: int, *, what: str = "") -> tqdm:
    return tqdm(
        total=file.size,
        initial=begin,
        desc=what + file.key,
        unit="B",
        unit_scale=True,
        leave=False,
        disable=None,
    )
