"""The one place where files are written: each file is complete, or it is not there."""

from __future__ import annotations

import contextlib
import os
import threading

from rankaudio._checks import check_instance, check_path, describe


def write_bytes(path: str | os.PathLike[str], content: bytes) -> None:
    r"""Write a file atomically.

    The content goes to a temporary file in the same folder and is synced to the disk. The temporary file then
    replaces ``path``. After a crash or a power failure ``path`` is the old file or the new one.

    Args:
        path: the file; an existing file is replaced.
        content: the bytes.

    Raises:
        TypeError: if an argument has another type.
        OSError: if the file cannot be written. Its ``filename`` is the path, and nothing has changed.

    >>> import pathlib, tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     write_bytes(f"{folder}/settings.txt", b"p = 0.5")
    ...     print(pathlib.Path(folder, "settings.txt").read_text())
    p = 0.5
    """
    path = check_path("path", path)
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
        OSError: if the file cannot be written, with the path as its ``filename``. Nothing has changed then.

    >>> import pathlib, tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     write_text(f"{folder}/labels.csv", "fname,labels\n")
    ...     pathlib.Path(folder, "labels.csv").read_bytes()
    b'fname,labels\n'
    """
    write_bytes(path, check_instance("text", text, str).encode())
