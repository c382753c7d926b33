"""Where audio comes from: a file on disk, bytes in memory, or an open file."""

from __future__ import annotations

import io
import os
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from rankaudio._checks import check_ordered, describe

AudioData = str | Path | bytes | BinaryIO


@dataclass(frozen=True)
class OpenSource:
    """Audio that is not a path: its bytes, or an open file, and its name in error messages."""

    name: str
    data: bytes | BinaryIO

    def __str__(self) -> str:
        return self.name

    def read(self) -> bytes:
        """Return all bytes."""
        if isinstance(self.data, bytes):
            return self.data
        with open_source(self) as file:
            return file.read()


Source = Path | OpenSource


def check_source(name: str, value: object, *, shown_as: str | None = None) -> Source:
    """Return where audio comes from. In messages, ``shown_as`` or the name of an open file names it."""
    if isinstance(value, Path):
        return value
    if isinstance(value, (str, os.PathLike)):
        return Path(value)
    if isinstance(value, (bytes, bytearray, memoryview)):
        return OpenSource(shown_as or name, bytes(value))
    if all(callable(getattr(value, method, None)) for method in ("read", "seek", "tell")):
        file_name = getattr(value, "name", None)
        own = file_name if isinstance(file_name, str) and file_name else name
        return OpenSource(shown_as or own, _check_binary(name, value))
    wanted = "a path (str or pathlib.Path), bytes or an open binary file"
    raise TypeError(f"{name}: wanted {wanted}, got {describe(value)}")


def check_sources(name: str, values: object, names: tuple[str, ...] | None) -> tuple[Source, ...]:
    """Return a list of at least one source. Open files are read at once."""
    given = list(check_ordered(name, values, "paths, bytes or open files"))
    if not given:
        raise ValueError(f"{name}: wanted at least one path, got none")
    if names is not None and len(names) != len(given):
        raise ValueError(f"names: wanted one for each of the {len(given)} clips, got {len(names)}")
    sources = [
        check_source(f"{name}[{i}]", value, shown_as=None if names is None else names[i])
        for i, value in enumerate(given)
    ]
    # Worker processes cannot share the position of an open file.
    return tuple(each if isinstance(each, Path) else OpenSource(each.name, each.read()) for each in sources)


def open_source(source: Source, *, buffering: int = -1) -> AbstractContextManager[BinaryIO]:
    """Open a source at its first byte. An open file gets its position back, and stays open.

    A file on disk that is read in few large pieces needs no buffer. ``buffering=0`` saves 7 us.
    """
    if isinstance(source, Path):
        return source.open("rb", buffering)
    return io.BytesIO(source.data) if isinstance(source.data, bytes) else _rewound(source.data)


@contextmanager
def _rewound(file: BinaryIO) -> Iterator[BinaryIO]:
    position = file.tell()
    file.seek(0)
    try:
        yield file
    finally:
        file.seek(position)


def size_of(source: Source) -> int:
    """Return the number of bytes."""
    if isinstance(source, Path):
        return source.stat().st_size
    with open_source(source) as file:
        return file.seek(0, os.SEEK_END)


def _check_binary(name: str, file: object) -> BinaryIO:
    """Refuse a file that gives text, or that has no position, as a pipe or a response of a server."""
    if isinstance(file, io.TextIOBase):
        raise TypeError(f'{name}: wanted a file that was opened with "rb", got {describe(file)}')
    seekable = getattr(file, "seekable", None)
    if callable(seekable) and not seekable():
        raise ValueError(f"{name}: wanted a file that can seek, got {describe(file)}. Try: file.read()")
    return file  # type: ignore[return-value]
