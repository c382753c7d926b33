"""Paths, CSV rows with their line numbers, and files that are written whole or not at all."""

from __future__ import annotations

import csv
import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO

from rankaudio._checks import describe


def check_path(name: str, value: object) -> Path:
    """Refuse whatever is neither a string nor a path."""
    if not isinstance(value, str | os.PathLike):
        raise TypeError(f"{name}: wanted a path (str or pathlib.Path), got {describe(value)}")
    return Path(value)


def check_paths(name: str, value: object) -> tuple[Path, ...]:
    """Refuse whatever is not a list of at least one path."""
    if isinstance(value, str | os.PathLike) or not isinstance(value, Iterable):
        raise TypeError(f"{name}: wanted a list of paths, got {describe(value)}")
    paths = tuple(check_path(f"{name}[{i}]", path) for i, path in enumerate(value))
    if not paths:
        raise ValueError(f"{name}: wanted at least one path, got none")
    return paths


def read_csv(path: Path) -> tuple[list[str], list[tuple[int, list[str]]]]:
    """The header, and every further row with the number of the line it ends on. Blank lines are skipped."""
    try:
        # utf-8-sig: spreadsheets like to begin a file with a byte order mark.
        with path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.reader(file, strict=True)
            try:
                rows = [(reader.line_num, row) for row in reader if row]
            except csv.Error as error:
                raise ValueError(f"{path}, line {reader.line_num}: not CSV: {error}") from error
    except UnicodeDecodeError as error:
        got = f"byte {error.object[error.start]:#04x}"
        raise ValueError(f"{path}: wanted text in UTF-8, got {got} at position {error.start}") from error
    if not rows:
        raise ValueError(f"{path}: wanted a header line, got an empty file")
    header = [column.strip() for column in rows[0][1]]
    check_unique(f"{path}: columns", header)
    for line, row in rows[1:]:
        if len(row) != len(header):
            wanted = f"{len(header)} fields as in the header"
            raise ValueError(f"{path}, line {line}: wanted {wanted}, got {len(row)}")
    return header, rows[1:]


def check_unique(name: str, values: Iterable[str]) -> None:
    """Refuse an empty name, and a name that comes twice."""
    seen: set[str] = set()
    for value in values:
        if not value or value in seen:
            what = "twice" if value else "an empty name"
            raise ValueError(
                f"{name}: wanted different names, got {repr(value) + ' ' if value else ''}{what}"
            )
        seen.add(value)


@contextmanager
def replace_when_done(path: Path) -> Iterator[TextIO]:
    """A text file beside ``path`` that takes its place at the end; after an error nothing has changed."""
    partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
    try:
        with partial.open("w", encoding="utf-8", newline="") as file:
            yield file
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)
