"""The audio files of an archive: a folder with its sub-folders, or a list of paths."""

from __future__ import annotations

import itertools
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from freesound.regular_file import read_text
from rankaudio.data._audio_folder import list_files
from rankaudio.data._decode import read_header
from rankaudio.data._file_names import AUDIO_SUFFIXES, check_name
from rankaudio.data._soundfile import Sound
from rankaudio.data._wav import Wav
from rankaudio.resampling import resampled_length


@dataclass(frozen=True)
class Listing:
    """Names of files in tables, sorted. The path of a file is ``folder / name``.

    Attributes:
        folder: the absolute path of the archive, or of the folder with the list.
        names: paths relative to the folder, with slashes.
        listed: whether a list says that all of them are audio.
    """

    folder: Path
    names: list[str]
    listed: bool


@dataclass(frozen=True)
class Header:
    """What the header of a file says.

    Attributes:
        name: as in :class:`Listing`.
        total: samples at the rate of the model; 0 if the header cannot be used.
        problem: the reason; empty if a file without the suffix of audio is no audio.
        from_start: whether a part of it costs all that comes before, as with MP3 and Opus.
    """

    name: str
    total: int = 0
    problem: str = ""
    from_start: bool = False


def list_archive(audio: Path) -> Listing:
    """List a folder, or read a list with a path in each line.

    Raises:
        FileNotFoundError: if there is no such path, or no file.
        ValueError: if the list is no text, or has a name twice.
    """
    if audio.is_dir():
        folder = audio.resolve()
        names = sorted(path.relative_to(folder).as_posix() for path in list_files(folder))
        listing = Listing(folder, names, listed=False)
    elif audio.is_file():
        listing = Listing(audio.resolve().parent, _read_list(audio), listed=True)
    else:
        raise FileNotFoundError(f"--audio: wanted a folder or a list of files, got {audio}, which is none")
    if not listing.names:
        raise FileNotFoundError(f"--audio: wanted at least one file, got none in {audio}")
    return listing


def _read_list(path: Path) -> list[str]:
    if path.suffix.lower() in AUDIO_SUFFIXES:
        raise ValueError(
            f"--audio: wanted a folder, or a text file with a path in each line, got {path}; "
            f"'python -m rankaudio predict' scores a single file"
        )
    try:
        names = sorted(line for line in map(str.strip, read_text(path).splitlines()) if line)
    except UnicodeDecodeError as error:
        raise ValueError(f"--audio: wanted text in UTF-8 with a path in each line, got {path}") from error
    twice = next((name for name, other in itertools.pairwise(names) if name == other), None)
    if twice is not None:
        raise ValueError(f"--audio: wanted each path once in {path}, got {twice!r} twice; remove one")
    return names


def look_at(folder: Path, names: Iterable[str], rate: int, *, listed: bool) -> list[Header]:
    """Read the headers of files. What cannot be used has a problem in place of its length."""
    return [_look_at_one(folder, name, rate, listed=listed) for name in names]


def _look_at_one(folder: Path, name: str, rate: int, *, listed: bool) -> Header:
    hidden = Path(name).name.startswith(".")  # such as ._a.wav of a Mac, which holds no samples
    must_be_audio = listed or (Path(name).suffix.lower() in AUDIO_SUFFIXES and not hidden)
    try:
        header = read_header(folder / name)
        from_start = _decodes_from_start(folder / name, header)
        check_name(name)
    except ImportError as error:  # only the first bytes of audio lead to soundfile
        return Header(_writable(name), problem=str(error))
    except (OSError, ValueError) as error:
        return Header(_writable(name), problem=str(error) if must_be_audio else "")
    total = resampled_length(header.frames, header.sample_rate, rate)
    return Header(name, total, from_start=from_start)


def _decodes_from_start(path: Path, header: Wav | Sound) -> bool:
    """Whether the library decodes a part of a file from the first sample of the file."""
    if isinstance(header, Wav):
        return False
    with path.open("rb") as file:
        head = file.read(64)
    # A tag, or the sync word of MPEG audio, which has 11 bits.
    is_mp3 = head.startswith(b"ID3") or (head[:1] == b"\xff" and head[1:2] >= b"\xe0")
    return is_mp3 or header.mp3 is not None or b"OpusHead" in head


def _writable(name: str) -> str:
    """Return the name with escapes for bytes that no table can hold."""
    return name.encode(errors="backslashreplace").decode()
