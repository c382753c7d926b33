"""A lock that one process holds until it ends, even if it is killed."""

from __future__ import annotations

import contextlib
import errno
import os
import socket
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]

HELD = {errno.EACCES, errno.EAGAIN}
NOT_SUPPORTED = {errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP}  # some network file systems


@contextlib.contextmanager
def lock(path: Path, *, log: Callable[[str], object], wait: bool = False) -> Iterator[None]:
    """Hold the lock of a file. The operating system releases it when the process ends.

    It is a POSIX record lock: a forked process does not inherit it, and NFS supports it. It excludes other
    processes, not other threads of this one.

    Args:
        path: the file, which is created if necessary. It says which process holds the lock.
        log: receives a line if this call waits, or if the system has no locks.
        wait: wait until the lock is free instead of raising.

    Raises:
        BlockingIOError: if another process holds the lock.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a+", encoding="utf-8") as file:
        free = _try_to_lock(file)
        if free is None:
            log(f"{path.parent}: no file locks here; make sure that no other process works in this folder")
        elif not free:
            file.seek(0)
            holder = file.read().strip() or "another process"
            if not wait:
                raise BlockingIOError(
                    f"{path.parent}: wanted a folder that no other process works in, got one that is in use "
                    f"by {holder}; wait until it ends, or stop it"
                )
            log(f"waiting until {holder} ends")
            fcntl.lockf(file, fcntl.LOCK_EX)
        file.truncate(0)
        file.write(f"process {os.getpid()} on {socket.gethostname()}\n")
        file.flush()
        yield


def _try_to_lock(file: IO[str]) -> bool | None:
    """Return whether the lock was free, or None if the system has no locks."""
    if fcntl is None:
        return None
    try:
        fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        if error.errno in HELD:
            return False
        if error.errno in NOT_SUPPORTED:
            return None
        raise
    return True
