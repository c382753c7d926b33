"""File names of tables and of folders: which file a name means, and which names can be written."""

from __future__ import annotations

import unicodedata
from collections.abc import Callable, Iterable, Sequence
from pathlib import PurePosixPath

from rankaudio._checks import first_few

# Formats that the library reads, and formats that it names and refuses.
AUDIO_SUFFIXES = frozenset(
    [
        ".aac",
        ".aif",
        ".aifc",
        ".aiff",
        ".amr",
        ".ape",
        ".au",
        ".bw64",
        ".caf",
        ".flac",
        ".m4a",
        ".mp3",
        ".mp4",
        ".nist",
        ".oga",
        ".ogg",
        ".opus",
        ".rf64",
        ".snd",
        ".sph",
        ".voc",
        ".w64",
        ".wav",
        ".wave",
        ".webm",
        ".wma",
    ]
)


class NameIndex:
    """Find the one name that another name means.

    Tables often leave out the suffix or the sub-folder, and systems spell accents in two ways. A name means,
    in this order: the same name, the name with an audio suffix, the name in a sub-folder, both.
    """

    def __init__(self, known: Iterable[str]) -> None:
        self.known = dict.fromkeys(known)
        self.tables: list[dict[str, list[str]]] = [{} for _ in _FORMS]
        for name in self.known:
            for table, form in zip(self.tables, _FORMS, strict=True):
                table.setdefault(form(name), []).append(name)

    def find(self, name: str) -> str | None:
        """Return the name that is meant, or None.

        Raises:
            ValueError: if several names fit equally well.
        """
        if name in self.known:
            return name
        for table in self.tables:
            found = table.get(_composed(name), [])
            if len(found) > 1:
                raise ValueError(f"wanted one file named {name!r}, got {first_few(found, show=repr)}")
            if found:
                return found[0]
        return None

    def find_all(self, names: Sequence[str]) -> list[str]:
        """Return the names that are meant; a name that means none stays as it is.

        Raises:
            ValueError: if several names fit equally well, or two names mean the same one.
        """
        found: dict[str, str] = {}
        for name in names:
            meant = self.find(name) or name
            if meant in found:
                raise ValueError(f"wanted different files, got {meant!r} for {found[meant]!r} and {name!r}")
            found[meant] = name
        return list(found)


def _composed(name: str) -> str:
    return unicodedata.normalize("NFC", name)


def _without_suffix(name: str) -> str:
    path = PurePosixPath(_composed(name))
    return path.with_suffix("").as_posix() if path.suffix.lower() in AUDIO_SUFFIXES else ""


def _without_folder(name: str) -> str:
    return PurePosixPath(_composed(name)).name


_FORMS: tuple[Callable[[str], str], ...] = (
    _composed,
    _without_suffix,
    _without_folder,
    lambda name: _without_suffix(_without_folder(name)),
)


def check_name(name: str) -> None:
    """Refuse a name that no table can hold."""
    try:
        name.encode()
    except UnicodeEncodeError as error:
        raise ValueError(
            f"{name!r}: wanted a file name in UTF-8, got other bytes; rename the file"
        ) from error
