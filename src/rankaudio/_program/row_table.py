"""A CSV table that grows by the rows of some files at a time, and that an interruption leaves usable."""

from __future__ import annotations

import csv
import os
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import BinaryIO, Self

from rankaudio._messages import first_few
from rankaudio.data._csv import FILE_NAME, to_csv


class RowTable:
    """Rows whose first cell is the name of a file. They go to a file or to stdout.

    Rows of one call of :meth:`add` are written together and synced to the disk. A crash may leave a part of
    the last line. A table that is continued is cut to its last whole line. If a file has several rows, the
    rows of the last file are removed too, because some of them may be missing.

    Args:
        path: the file; None: stdout.
        header: the columns after the name of the file.
        append: continue the file if it exists.
        several: whether a file may have several rows.
        header_at_once: write the header; False: nothing will be written.

    Attributes:
        names: files whose rows were there before.

    Raises:
        FileExistsError: if the file exists and shall not be continued.
        ValueError: if the file has another header, or a line that is not CSV with as many cells.
    """

    def __init__(
        self,
        path: Path | None,
        header: Sequence[str],
        *,
        append: bool = False,
        several: bool = False,
        header_at_once: bool = True,
    ) -> None:
        self.path, self.names = path, set[str]()
        self._header = [FILE_NAME, *header]
        self._file: BinaryIO | None = None
        if path is not None:
            check_target(path, append=append)
            kept = _whole_lines(path, self._header, several=several) if path.exists() else ([], 0)
            self.names = set(kept[0])
            self._file = path.open("r+b" if path.exists() else "xb")
            self._file.seek(kept[1])
            self._file.truncate()
        if header_at_once and (self._file is None or self._file.tell() == 0):
            self._write([self._header])

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._file is not None:
            self._file.close()

    def add(self, rows: Iterable[Sequence[str]]) -> None:
        """Write rows at once."""
        self._write(rows)

    def _write(self, rows: Iterable[Sequence[str]]) -> None:
        text = to_csv(rows)
        if self._file is None:
            sys.stdout.write(text)
            sys.stdout.flush()
            return
        self._file.write(text.encode())
        self._file.flush()
        os.fsync(self._file.fileno())


def check_target(path: Path | None, *, append: bool) -> None:
    """Refuse a table that cannot be written, before the work.

    Raises:
        FileExistsError: if the file exists and shall not be continued.
        OSError: if the path is a folder, or its folder does not exist or cannot be written.
    """
    if path is None:
        return
    if path.is_dir():
        raise IsADirectoryError(f"--out: wanted a file to write, got the folder {path}")
    if path.exists() and not append:
        raise FileExistsError(f"--out: {path} is there already; continue it with --append, or remove it")
    if not path.parent.is_dir():
        raise FileNotFoundError(f"--out: wanted a file in a folder that exists, got {path}")
    if not os.access(path if path.exists() else path.parent, os.W_OK):
        raise PermissionError(f"--out: {path} cannot be written")


def _whole_lines(path: Path, header: Sequence[str], *, several: bool) -> tuple[list[str], int]:
    """Return the files that a table has, and the number of bytes to keep."""
    content = path.read_bytes()
    # Lines are written with their end, so what follows the last end is a part of a line.
    content = content[: content.rfind(b"\n") + 1]
    rows = _rows_with_ends(path, content)
    if not rows:
        return [], 0
    if rows[0][0] != list(header):
        got = first_few(rows[0][0], show=str)
        raise ValueError(f"{path}: wanted the columns {first_few(header, show=str)} to continue, got {got}")
    wrong = next((line for line, (row, _) in enumerate(rows, 1) if len(row) != len(header)), None)
    if wrong is not None:
        raise ValueError(f"{path}, row {wrong}: wanted {len(header)} cells, got {len(rows[wrong - 1][0])}")
    if several:
        last = rows[-1][0][0]
        while len(rows) > 1 and rows[-1][0][0] == last:
            rows.pop()
    return [row[0] for row, _ in rows[1:]], rows[-1][1]


def _rows_with_ends(path: Path, content: bytes) -> list[tuple[list[str], int]]:
    """Return each whole row, and the number of bytes up to its end. A name may have line ends in quotes."""
    taken = 0

    def lines() -> Iterable[str]:
        nonlocal taken
        for line in content.splitlines(keepends=True):
            taken += len(line)
            yield line.decode()

    rows: list[tuple[list[str], int]] = []
    try:
        for row in csv.reader(lines(), strict=True):
            rows.append((row, taken))  # noqa: PERF401  (the number of bytes changes with each row)
    except csv.Error as error:
        if taken < len(content):  # else an open quote: a part of a row
            raise ValueError(f"{path}, row {len(rows) + 1}: not CSV: {error}") from error
    except UnicodeDecodeError as error:
        raise ValueError(f"{path}, row {len(rows) + 1}: wanted text in UTF-8") from error
    return [(row, end) for row, end in rows if row]
