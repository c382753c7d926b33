"""The five parts of the data set: fetch and unpack each of them once."""

from __future__ import annotations

import json
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from freesound.json_file import read_json
from rankaudio.data import write_text
from tools.download.disk import free_bytes, size_text
from tools.download.fetch import fetch, missing_bytes
from tools.download.record import RemoteFile, archives_of
from tools.download.unpack import unpack

# The folder of each part, and the last words of its archive's name. Small parts come first, so that
# most problems show early.
PARTS = {
    "meta": ("meta", "meta"),
    "doc": ("doc", "doc"),
    "curated": ("train_curated", "audio_train_curated"),
    "test": ("test", "audio_test"),
    "noisy": ("train_noisy", "audio_train_noisy"),
}
ARCHIVES, STATE, FAULTY = "archives", ".download", "faulty"
# Zip shrinks 16-bit sound by about a quarter. The archive itself has the exact sizes, once it is on disk.
_UNPACKED_RATIO = 1.3


@dataclass(frozen=True)
class Part:
    """One part of the data set: its archives in the record, and the user's folder."""

    name: str
    root: Path
    archives: tuple[RemoteFile, ...]

    @property
    def folder(self) -> Path:
        """The folder that the part is unpacked to."""
        return self.root / PARTS[self.name][0]

    @property
    def size(self) -> int:
        """The size of the archives in bytes."""
        return sum(file.size for file in self.archives)

    def is_complete(self, *, ignore: Collection[str] = ()) -> bool:
        """Whether the part was unpacked from these archives, and every file still has its size."""
        state = self._read_state()
        if state.get("archives") != self._checksums():
            return False
        members = [(path, size) for path, size in state["members"].items() if path not in ignore]
        return all(self._has_file(path, size) for path, size in members)

    def bytes_to_fetch(self) -> int:
        """Return the bytes that are still to fetch."""
        return sum(missing_bytes(file, self.root / ARCHIVES) for file in self.archives)

    def bytes_to_unpack(self) -> int:
        """Estimate the bytes that unpacking still takes."""
        existing = sum(path.stat().st_size for path in self.folder.rglob("*") if path.is_file())
        return max(0, int(_UNPACKED_RATIO * self.size) - existing)

    def fetch_and_unpack(self, *, keep_archives: bool) -> int:
        """Fetch, verify and unpack the archives; return the number of files."""
        archives, state_folder = self.root / ARCHIVES, self.root / STATE
        for folder in (archives, state_folder):
            folder.mkdir(parents=True, exist_ok=True)
        paths = [fetch(file, archives) for file in self.archives]
        members = unpack(paths, self.folder, desc=f"unpack {self.name}")
        state = {"archives": self._checksums(), "members": members}
        write_text(state_folder / f"{self.name}.json", json.dumps(state, indent=0) + "\n")
        if not keep_archives:
            for path in paths:
                path.unlink()
            if not any(archives.iterdir()):
                archives.rmdir()
        return len(members)

    def _read_state(self) -> dict:
        path = self.root / STATE / f"{self.name}.json"
        try:
            return read_json(path, "the state of a download", _is_state, cure="; remove it to fetch again")
        # Without a state, the archives decide.
        except FileNotFoundError:
            return {}

    def _checksums(self) -> dict[str, str]:
        return {file.key: file.md5 for file in self.archives}

    def _has_file(self, path: str, size: int) -> bool:
        places = (self.folder / path, self.root / FAULTY / path)
        return any(place.is_file() and place.stat().st_size == size for place in places)


def _is_state(values: Any) -> bool:
    """Whether there are the MD5 of each archive and the size of each file, all by name."""
    if not isinstance(values, dict):
        return False
    archives, members = values.get("archives"), values.get("members")
    return (
        isinstance(archives, dict)
        and isinstance(members, dict)
        and all(isinstance(md5, str) for md5 in archives.values())
        and all(type(size) is int for size in members.values())
    )


def parts_of(files: tuple[RemoteFile, ...], root: Path, names: Sequence[str]) -> list[Part]:
    """Return the parts with these names. Clips always come with ``meta``, which has their labels."""
    chosen = set(names) | ({"meta"} if {"curated", "test", "noisy"} & set(names) else set())
    return [Part(name, root, archives_of(files, stem)) for name, (_, stem) in PARTS.items() if name in chosen]


def check_root(root: Path) -> None:
    """Refuse a folder with other files in it, because the download would replace tables there."""
    if root.exists() and not root.is_dir():
        raise FileExistsError(f"--root: wanted a folder, got {root}, which is a file")
    others = {path.name for path in root.iterdir()} - {ARCHIVES} if root.exists() else set()
    if others and STATE not in others:
        raise FileExistsError(
            f"--root: wanted a new or empty folder or that of an earlier download, got {root}, "
            "which has other files"
        )


def check_room(parts: Sequence[Part], root: Path, *, keep_archives: bool) -> tuple[int, int]:
    """Return the most bytes on disk that fetching and unpacking the parts takes, and the bytes free.

    Raises:
        OSError: if it takes more than is free.
    """
    used = most = 0
    for part in parts:
        used += part.bytes_to_fetch() + part.bytes_to_unpack()
        most = max(most, used)
        used -= 0 if keep_archives else part.size
    free = free_bytes(root)
    if most > free:
        raise OSError(
            f"--root: wanted about {size_text(most)} free on the disk of {root}, got {size_text(free)}"
        )
    return most, free
