"""Free disk space, sizes in words, and disk errors that name the file."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


def free_bytes(folder: Path) -> int:
    """Return the free bytes on the disk of a folder, which may not exist yet."""
    return shutil.disk_usage(
        next(path for path in (folder, *folder.absolute().parents) if path.exists())
    ).free


@contextmanager
def disk_errors_name(path: Path) -> Iterator[None]:
    """Add the file name to disk errors. Python leaves the name out when a disk is full."""
    try:
        yield
    # Network errors are OSErrors too.
    except (ConnectionError, TimeoutError):
        raise
    except OSError as error:
        if error.errno is not None and error.filename is None:
            error.filename = str(path)
        raise


def size_text(count: int) -> str:
    """Format bytes with a unit and one decimal."""
    for power, unit in ((3, "GB"), (2, "MB"), (1, "kB")):
        if count >= 1000**power:
            return f"{count / 1000**power:.1f} {unit}"
    return f"{count} B"
