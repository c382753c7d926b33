"""Reading files that a user names: a named pipe, a socket or a device is refused, because it could block."""

from __future__ import annotations

from pathlib import Path


def check_regular(path: Path) -> Path:
    """Return the path if it is a file, or if there is nothing: opening it says so.

    Raises:
        ValueError: if it is a pipe, a device or a socket.
    """
    if path.exists() and not path.is_file() and not path.is_dir():
        raise ValueError(f"{path}: wanted a regular file, got a pipe, a device or a socket")
    return path


def read_text(path: Path, *, encoding: str = "utf-8") -> str:
    """Return the text of a regular file, with its line ends."""
    with check_regular(path).open(encoding=encoding, newline="") as file:
        return file.read()
