"""Files: each one that is written is complete, or it is not there, and only regular files are read."""

from __future__ import annotations

import contextlib
import errno
import os
import stat
import threading
from pathlib import Path

from rankaudio._checks import check_encodable, check_instance, check_path, describe

_KINDS = ((stat.S_ISFIFO, "a named pipe"), (stat.S_ISSOCK, "a socket"), (stat.S_ISCHR, "a device"))


def write_bytes(path: str | os.PathLike[str], content: bytes) -> None:
    r"""Write a file atomically.

    The content goes to a temporary file in the same folder and is synced to the disk. The temporary file then
    replaces ``path``. After a crash or a power failure ``path`` is the old file or the new one.

    Args:
        path: the file; an existing file is replaced.
        content: the bytes.

    Raises:
        TypeError: if an argument has another type.
        ValueError: if the path is a pipe, a socket or a device.
        OSError: if the file cannot be written. Its ``filename`` is the path, and nothing has changed.

    >>> import pathlib, tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     write_bytes(f"{folder}/settings.txt", b"p = 0.5")
    ...     print(pathlib.Path(folder, "settings.txt").read_text())
    p = 0.5
    """
    path = check_path("path", path)
    if path.exists():  # a device, such as /dev/null, would be replaced by a file
        check_regular_file(path)
    if not isinstance(content, (bytes, bytearray, memoryview)):
        raise TypeError(f"content: wanted bytes, got {describe(content)}")
    # Threads and processes that write the same file use temporary files of different names.
    temporary = path.with_name(f".{path.name}.{os.getpid()}.{threading.get_ident()}.part")
    try:
        with temporary.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except BaseException as error:
        with contextlib.suppress(OSError):
            temporary.unlink()
        if isinstance(error, OSError) and error.errno is not None:
            error.filename, error.filename2 = str(path), None
        raise


def write_text(path: str | os.PathLike[str], text: str) -> None:
    r"""Write text in UTF-8 as :func:`write_bytes` does; line ends stay as they are.

    Args:
        path: the file; an existing one is replaced.
        text: its content.

    Raises:
        TypeError: if an argument has another type.
        ValueError: if the path is a pipe, a socket or a device, or UTF-8 cannot hold the text.
        OSError: if the file cannot be written, with the path as its ``filename``. Nothing has changed then.

    >>> import pathlib, tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     write_text(f"{folder}/labels.csv", "fname,labels\n")
    ...     pathlib.Path(folder, "labels.csv").read_bytes()
    b'fname,labels\n'
    """
    check_encodable("text", check_instance("text", text, str))
    write_bytes(path, text.encode())


def check_regular_file(path: Path) -> None:
    """Refuse what is not a regular file, before it is opened.

    A named pipe would block until somebody writes.

    Raises:
        OSError: if there is no such file, or the path is a folder.
        ValueError: if the path is a pipe, a socket or a device.
    """
    try:
        mode = path.stat().st_mode
    except FileNotFoundError:
        if path.is_symlink():
            reason = f"No such file: a link to '{path.readlink()}'"
            raise FileNotFoundError(errno.ENOENT, reason, str(path)) from None
        raise
    if stat.S_ISDIR(mode):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
    if not stat.S_ISREG(mode):
        got = next((name for test, name in _KINDS if test(mode)), "a block device")
        raise ValueError(f"{path}: wanted a regular file, got {got}")
