"""Read a Zenodo record: the name, size, MD5 and address of each file."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import Any

from tools.download.web import check_hop, check_url, open_url, retry

ZENODO = "https://zenodo.org/api"
FSDKAGGLE2019 = 3612637
_MAX_ANSWER = 10_000_000  # bytes; real records have about ten thousand


@dataclass(frozen=True)
class RemoteFile:
    """One file of a record."""

    key: str
    size: int
    md5: str
    url: str


def read_record(api: str, record: int) -> tuple[RemoteFile, ...]:
    """Request a record from the API.

    Raises:
        ValueError: if the answer does not have the format of a Zenodo record.
        OSError: if there is no answer, or the record names an address that its server may not choose.
    """
    url = f"{check_url('--api', api).rstrip('/')}/records/{record}"

    def ask() -> bytes:
        with open_url(url) as response:
            return response.read(_MAX_ANSWER + 1)

    body = retry(url, ask)
    try:
        answer = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{url}: wanted JSON, got {body[:40]!r}") from error
    files = answer.get("files") if isinstance(answer, dict) else None
    if not isinstance(files, list) or not files:
        raise ValueError(f"{url}: wanted a record with a list of files, got {str(answer)[:60]!r}")
    read = tuple(_read_file(f"{url}, files[{index}]", file) for index, file in enumerate(files))
    for file in read:
        check_hop(url, file.url)
    return read


def _read_file(where: str, file: Any) -> RemoteFile:
    try:
        key, size, checksum, links = (file[name] for name in ("key", "size", "checksum", "links"))
        url = links.get("content") or links["self"]
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"{where}: wanted key, size, checksum and links, got {str(file)[:60]!r}") from error
    if not (isinstance(key, str) and key.isprintable() and type(size) is int and size >= 0):
        raise ValueError(f"{where}: wanted a name and a number of bytes, got {key!r} and {size!r}")
    md5 = re.fullmatch(r"md5:([0-9a-f]{32})", str(checksum).lower())
    if not md5:
        raise ValueError(f"{where}: wanted md5: and 32 digits as checksum, got {checksum!r}")
    return RemoteFile(key, size, md5[1], check_url(f"{where}, links", url))


def archives_of(files: tuple[RemoteFile, ...], stem: str) -> tuple[RemoteFile, ...]:
    """Return the parts of the archive ``*.STEM.zip`` in order: ``.z01``, ``.z02``, ..., ``.zip``.

    The pattern also makes the names safe: they cannot name another folder.

    Raises:
        ValueError: if there is no such archive, or a part is missing.
    """
    pattern = re.compile(rf"[A-Za-z0-9_-]+\.{stem}\.(zip|z([0-9]{{2,3}}))")
    matches = [(pattern.fullmatch(file.key), file) for file in files]
    last = [file for match, file in matches if match and match[1] == "zip"]
    parts = sorted((int(match[2]), file.key, file) for match, file in matches if match and match[2])
    if len(last) != 1:
        listed = ", ".join(file.key for file in files)
        raise ValueError(f"the record: wanted one file named *.{stem}.zip, got {listed}")
    if [number for number, _, _ in parts] != list(range(1, len(parts) + 1)):
        listed = ", ".join(key for _, key, _ in parts)
        raise ValueError(f"the record: wanted all parts of {last[0].key} from .z01 on, got {listed}")
    return (*(file for _, _, file in parts), last[0])
