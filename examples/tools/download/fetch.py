"""Fetch one file of a record: resumed, verified, and complete on disk or absent.

pooch does not replace this module. pooch 1.9 downloads each attempt into a new temporary file, deletes the
file when the attempt fails, and sends no Range request. The part of the noisy archive that a broken
connection left would be lost, and it may have several GB. A custom downloader for pooch would have to
contain all of this module except the MD5 loop. And pooch would still require requests, and delete a file with
a wrong checksum.
"""

from __future__ import annotations

import hashlib
import re
from http.client import HTTPResponse
from pathlib import Path
from typing import Any

from tools._program import byte_bar
from tools.download.disk import disk_errors_name
from tools.download.record import RemoteFile
from tools.download.web import RangeError, TransferError, open_url, retry

_CHUNK = 1 << 20


def fetch(file: RemoteFile, folder: Path) -> Path:
    """Fetch a file, resume what an earlier attempt began, and verify the result.

    ``KEY.part`` holds the bytes received so far. The file gets its name after its size and MD5 have been
    verified. A file that a user put there is verified too.

    Raises:
        ValueError: if the size or the MD5 is wrong. The file is then kept as ``KEY.bad``. Also if
            ``KEY.part`` is a link, because the bytes would go elsewhere.
        OSError: if the file cannot be fetched or written.
    """
    path, part = folder / file.key, _part_path(folder, file)
    if part.is_symlink():
        raise ValueError(f"{part}: wanted a file, got a link to another place; remove it")
    if not path.exists():
        retry(file.url, lambda: _resume(file, part), received=lambda: _size(part))
        _verify(file, part)
        part.replace(path)
    else:
        _verify(file, path)
    _bad_path(path).unlink(missing_ok=True)
    return path


def missing_bytes(file: RemoteFile, folder: Path) -> int:
    """Return how many bytes of a file are not on disk yet."""
    return 0 if (folder / file.key).exists() else max(0, file.size - _size(_part_path(folder, file)))


def _part_path(folder: Path, file: RemoteFile) -> Path:
    return folder / f"{file.key}.part"


def _bad_path(path: Path) -> Path:
    return path.with_name(f"{path.name.removesuffix('.part')}.bad")


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


def _resume(file: RemoteFile, part: Path) -> None:
    """Append the missing bytes, or start again where the server does not support ranges."""
    received = _size(part)
    if received == file.size:
        part.touch()
        return
    if received > file.size:
        part.unlink()
        received = 0
    try:
        with open_url(file.url, start=received) as response:
            position = _start_of(file, response, received)
            mode = "ab" if position else "wb"
            with disk_errors_name(part), part.open(mode) as out, _bar(file, initial=position) as bar:
                while position < file.size and (chunk := response.read(_CHUNK)):
                    out.write(chunk[: file.size - position])
                    position += len(chunk)
                    bar.update(len(chunk))
    except RangeError:
        # Without the part, the next request asks for the whole file.
        part.unlink(missing_ok=True)
        raise
    if position < file.size:
        raise TransferError(f"the connection ended after {position:,} of {file.size:,} bytes")


def _start_of(file: RemoteFile, response: HTTPResponse, received: int) -> int:
    """Return the position of the answer's first byte; refuse an answer for a file of another size."""
    start, total = 0, response.headers.get("Content-Length", "")
    if response.status == 206:
        found = re.fullmatch(r"bytes (\d+)-\d+/(\d+|\*)", response.headers.get("Content-Range", ""))
        if not found or int(found[1]) != received:
            raise RangeError(f"wanted the bytes from {received:,} on, got other bytes")
        start, total = received, found[2]
    if total.isdecimal() and int(total) != file.size:
        raise ValueError(
            f"{file.url}: wanted {file.size:,} bytes, as the record says, the server has {int(total):,}"
        )
    return start


def _verify(file: RemoteFile, path: Path) -> None:
    size, md5 = _size(path), hashlib.md5(usedforsecurity=False)
    if size == file.size:
        with path.open("rb") as source, _bar(file, what="verify ") as bar:
            while chunk := source.read(_CHUNK):
                md5.update(chunk)
                bar.update(len(chunk))
        if md5.hexdigest() == file.md5:
            return
    path.replace(_bad_path(path))
    wanted = f"{file.size:,} bytes with MD5 {file.md5}, as the record says"
    got = f"MD5 {md5.hexdigest()}" if size == file.size else f"{size:,} bytes"
    raise ValueError(
        f"{path}: wanted {wanted}, got {got}; the file is kept as {_bad_path(path).name}, "
        "run the program again to fetch it again"
    )


def _bar(file: RemoteFile, *, initial: int = 0, what: str = "") -> Any:
    return byte_bar(what + file.key, total=file.size, initial=initial)
