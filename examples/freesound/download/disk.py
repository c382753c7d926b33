"""How much is free on a disk, how to say it, and whose fault it is that a disk is full."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


def free_bytes(folder: Path) -> int:
    """Bytes free where a folder is, or will be."""
    return shutil.disk_usage(
        next(path for path in (folder, *folder.absolute().parents) if path.exists())
    ).free


@contextmanager
def named(path: Path) -> Iterator[None]:
    """Let an error of the disk name the file: on a full one, Python's does not."""
    try:
        yield
    # A network's are OSErrors as well.
    except (ConnectionError, TimeoutError):
        raise
    except OSError as error:
        if error.errno is not None and error.filename is None:
            error.filename = str(path)
        raise


def size_text(count: int) -> str:
    """Bytes, with one digit behind the point."""
    for power, unit in ((3, "GB"), (2, "MB"), (1, "kB")):
        if count >= 1000**power:
            return f"{count / 1000**power:.1f} {unit}"
    return f"{count} B"
