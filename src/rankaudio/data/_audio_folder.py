"""The audio files of a folder and its sub-folders. What is left out is counted and named."""

from __future__ import annotations

import os
from collections.abc import Container, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from rankaudio._checks import first_few
from rankaudio.data._audio import audio_info
from rankaudio.data._file_names import AUDIO_SUFFIXES, check_name


@dataclass
class AudioFolder:
    """What a folder holds, in the order of the paths.

    Attributes:
        folder: names are relative to it.
        paths: audio files whose header can be read.
        unreadable: files that should be audio, by their suffix or first bytes, with the reason.
        others: files that are no audio, hidden files included.
        skipped: number of files that were not looked at, because of their names.
    """

    folder: Path
    paths: list[Path] = field(default_factory=list)
    unreadable: dict[Path, Exception] = field(default_factory=dict)
    others: list[Path] = field(default_factory=list)
    skipped: int = 0

    def name(self, path: Path) -> str:
        """Return the name of a file in tables: its path in the folder, with slashes."""
        return path.relative_to(self.folder).as_posix()

    def left_out(self) -> str | None:
        """Return a line that counts and names the files that are no audio."""
        if not self.others:
            return None
        names = first_few((self.name(path) for path in self.others), show=repr)
        return f"{self.folder}: {len(self.others)} other files are no audio and are left out: {names}"


def find_audio(path: Path, *, option: str = "folder", skip: Container[str] = ()) -> AudioFolder:
    """Look at every file in a folder and its sub-folders, or at one file.

    A file is audio if :func:`rankaudio.data.audio_info` reads its header, whatever its name is. A file with
    an audio suffix that cannot be read is an error that the caller reports. Messages begin with ``option``.
    A file whose name is in ``skip`` is counted and not opened.

    Raises:
        FileNotFoundError: if there is no such folder, or no audio in it.
    """
    if path.is_file():
        found = AudioFolder(path.parent)
        _sort_in(found, path, skip, must_be_audio=True)
        return found
    if not path.is_dir():
        raise FileNotFoundError(f"{option}: wanted a folder of audio files, got {path}, which is none")
    found = AudioFolder(path)
    for file in sorted(list_files(path)):
        _sort_in(found, file, skip, must_be_audio=_looks_like_audio(file.name))
    if not (found.paths or found.unreadable or found.skipped):
        got = f" with {len(found.others)} other files" if found.others else ""
        raise FileNotFoundError(f"{option}: wanted a folder with audio files, got {path}{got}")
    return found


def list_files(folder: Path) -> Iterator[Path]:
    """Return all files below a folder. Links to folders are followed, each folder once."""
    seen = set()
    for root, folders, files in os.walk(folder, followlinks=True):
        here = os.path.realpath(root)
        if here in seen:
            folders.clear()
            continue
        seen.add(here)
        yield from (Path(root, name) for name in files)


def _looks_like_audio(name: str) -> bool:
    """Whether the suffix is one of audio. Hidden files such as `._a.wav` of a Mac hold no samples."""
    return Path(name).suffix.lower() in AUDIO_SUFFIXES and not name.startswith(".")


def _sort_in(found: AudioFolder, path: Path, skip: Container[str], *, must_be_audio: bool) -> None:
    if found.name(path) in skip:
        found.skipped += 1
        return
    try:
        check_audio(path)
        must_be_audio = True
        check_name(found.name(path))
    except (OSError, ValueError, ImportError) as error:
        # Only the first bytes of audio lead to soundfile and its ImportError.
        if must_be_audio or isinstance(error, ImportError):
            found.unreadable[path] = error
        else:
            found.others.append(path)
    else:
        found.paths.append(path)


def check_audio(path: Path) -> None:
    """Read the header of a file. A pipe or a device could block, so it is not opened.

    Raises:
        OSError: if it cannot be opened.
        ValueError: if it is no audio file.
        ImportError: if it needs soundfile, and soundfile cannot be imported.
    """
    if path.exists() and not path.is_file():
        raise ValueError(f"{path}: wanted a regular file, got a pipe, a device or a socket")
    audio_info(path)
