"""The five parts of the data set, and bringing each of them into a folder once."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from freesound.download.disk import free_bytes, size_text
from freesound.download.fetch import fetch, still_to_come
from freesound.download.record import RemoteFile, archives_of
from freesound.download.unpack import unpack
from freesound.runs import write_text

# Folder below the root, and the last word but one of the archive's name. Small ones first, so that
# what can go wrong goes wrong early.
PARTS = {
    "meta": ("meta", "meta"),
    "doc": ("doc", "doc"),
    "curated": ("train_curated", "audio_train_curated"),
    "test": ("test", "audio_test"),
    "noisy": ("train_noisy", "audio_train_noisy"),
}
ARCHIVES, STATE, FAULTY = "archives", ".download", "faulty"
# 16-bit sound shrinks by about a quarter. What an archive declares is known once it is here.
_UNPACKED = 1.3


@dataclass(frozen=True)
class Part:
    """One part of the data set, as the record has it, in a folder of the user's."""

    name: str
    root: Path
    archives: tuple[RemoteFile, ...]

    @property
    def folder(self) -> Path:
        """Where it is unpacked to."""
        return self.root / PARTS[self.name][0]

    @property
    def size(self) -> int:
        """Bytes of its archives."""
        return sum(file.size for file in self.archives)

    def is_there(self, *, but: Collection[str] = ()) -> bool:
        """Whether it was unpacked from just these archives, and every file has still its size."""
        state = self._state()
        if state.get("archives") != self._md5s():
            return False
        members = [(path, size) for path, size in state["members"].items() if path not in but]
        return all(_has(self._places(path), size) for path, size in members)

    def still_to_come(self) -> int:
        """Bytes to fetch."""
        return sum(still_to_come(file, self.root / ARCHIVES) for file in self.archives)

    def still_to_unpack(self) -> int:
        """Bytes that unpacking will take, about."""
        there = sum(path.stat().st_size for path in self.folder.rglob("*") if path.is_file())
        return max(0, int(_UNPACKED * self.size) - there)

    def bring(self, *, keep_archives: bool) -> int:
        """Fetch, verify, unpack; returns the number of files."""
        archives, state_folder = self.root / ARCHIVES, self.root / STATE
        for folder in (archives, state_folder):
            folder.mkdir(parents=True, exist_ok=True)
        paths = [fetch(file, archives) for file in self.archives]
        members = unpack(paths, self.folder, desc=f"unpack {self.name}")
        state = {"archives": self._md5s(), "members": members}
        write_text(state_folder / f"{self.name}.json", json.dumps(state, indent=0) + "\n")
        if not keep_archives:
            for path in paths:
                path.unlink()
            if not any(archives.iterdir()):
                archives.rmdir()
        return len(members)

    def _state(self) -> dict:
        path = self.root / STATE / f"{self.name}.json"
        try:
            return json.loads(path.read_text(encoding="utf-8"))
        # What cannot be read says nothing, and the archives are asked again.
        except (OSError, ValueError):
            return {}

    def _md5s(self) -> dict[str, str]:
        return {file.key: file.md5 for file in self.archives}

    def _places(self, path: str) -> Iterator[Path]:
        yield self.folder / path
        yield self.root / FAULTY / path


def _has(places: Iterator[Path], size: int) -> bool:
    return any(place.is_file() and place.stat().st_size == size for place in places)


def parts_of(files: tuple[RemoteFile, ...], root: Path, names: Sequence[str]) -> list[Part]:
    """The parts of these names; with any clips come the tables of their labels."""
    chosen = set(names) | ({"meta"} if {"curated", "test", "noisy"} & set(names) else set())
    return [Part(name, root, archives_of(files, stem)) for name, (_, stem) in PARTS.items() if name in chosen]


def check_root(root: Path) -> None:
    """Refuse a folder with other things in it, whose tables would be replaced."""
    if root.exists() and not root.is_dir():
        raise FileExistsError(f"--root: wanted a folder, got {root}, which is none")
    others = {path.name for path in root.iterdir()} - {ARCHIVES} if root.exists() else set()
    if others and STATE not in others:
        raise FileExistsError(
            f"--root: wanted a new or empty folder or that of an earlier download, got {root}, "
            "which holds other things"
        )


def check_room(parts: Sequence[Part], root: Path, *, keep_archives: bool) -> tuple[int, int]:
    """Bytes on disk that fetching and unpacking one part after the other takes at most, and bytes free.

    Raises:
        OSError: if more is wanted than is free.
    """
    used = most = 0
    for part in parts:
        used += part.still_to_come() + part.still_to_unpack()
        most = max(most, used)
        used -= 0 if keep_archives else part.size
    free = free_bytes(root)
    if most > free:
        raise OSError(
            f"--root: wanted about {size_text(most)} free on the disk of {root}, got {size_text(free)}"
        )
    return most, free
