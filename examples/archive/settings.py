"""What decides the rows of an archive: written at its first start, and compared at each further one."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any, Self

from archive.plan import Grid
from freesound.json_file import read_json
from rankaudio.data import write_text

# The names of fields as options, where they are not the same.
OPTIONS = {"rate": "--model", "model": "--model"}
WANTED = "the settings of an archive (settings.json of tag_archive.py)"


@dataclass(frozen=True)
class Settings:
    """Settings that change rows. Others, such as the number of processes, may differ at each start.

    Attributes:
        audio: the folder or the list.
        model: SHA-256 of the file of the model.
        rate: sample rate of the model.
        window: seconds.
        hop: seconds.
        shard_seconds: sound in a shard.
        embeddings: whether rows have embeddings.
        threshold: of events: a number, ``"saved"``, or None for no events.
        min_gap: of events, in seconds.
        min_duration: of events, in seconds.
    """

    audio: str
    model: str
    rate: int
    window: float
    hop: float
    shard_seconds: float
    embeddings: bool = False
    threshold: float | str | None = None
    min_gap: float = 0.0
    min_duration: float = 0.0

    @property
    def grid(self) -> Grid:
        """The windows in samples.

        Raises:
            ValueError: if a window or a hop has no sample, or a shard has no room for a window.
        """
        grid = Grid(self.rate, round(self.window * self.rate), round(self.hop * self.rate))
        for name in ("window", "hop"):
            if getattr(grid, name) < 1:
                raise ValueError(
                    f"--{name}: wanted at least a sample of 1/{self.rate} s, got {getattr(self, name)}"
                )
        if self.shard_samples < grid.window:
            raise ValueError(
                f"--shard-seconds: wanted at least a window of {self.window:g} s, got {self.shard_seconds:g}"
            )
        return grid

    @property
    def shard_samples(self) -> int:
        """The most samples of a shard."""
        return round(self.shard_seconds * self.rate)

    def keep(self, path: Path) -> None:
        """Write the settings, or compare them with those that are there.

        Raises:
            ValueError: if they differ, or the file is damaged.
        """
        if path.exists():
            self._compare(path, self._read(path))
        else:
            write_text(path, json.dumps(asdict(self), indent=2) + "\n")

    @classmethod
    def _read(cls, path: Path) -> Self:
        names = {field.name for field in fields(cls)}

        def is_right(values: Any) -> bool:
            return isinstance(values, dict) and set(values) == names

        return cls(**read_json(path, WANTED, is_right, cure="; choose another --out"))

    def _compare(self, path: Path, first: Self) -> None:
        for field in fields(self):
            wanted, got = getattr(first, field.name), getattr(self, field.name)
            if wanted != got:
                option = OPTIONS.get(field.name, f"--{field.name.replace('_', '-')}")
                raise ValueError(
                    f"{option}: wanted {_shown(wanted)}, with which {path.parent} was begun, "
                    f"got {_shown(got)}; repeat the first one, or choose another --out"
                )


def _shown(value: Any) -> str:
    if value is None or isinstance(value, bool):
        return "the option" if value is True else "no such option"
    text = str(value)
    return f"the file with SHA-256 {text[:12]}..." if len(text) == 64 and text.isalnum() else text


def digest(path: Path) -> str:
    """Return the SHA-256 of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
