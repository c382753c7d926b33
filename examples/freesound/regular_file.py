"""Reading files that a user names: a named pipe, a socket or a device is refused, because it could block."""

from __future__ import annotations

from pathlib import Path

from rankaudio._files import check_regular_file


def read_text(path: Path, *, encoding: str = "utf-8") -> str:
    """Return the text of a regular file, with its line ends."""
    check_regular_file(path)
    with path.open(encoding=encoding, newline="") as file:
        return file.read()
