"""Unpack an archive: check all members before anything is written, and write each file whole."""

from __future__ import annotations

import re
import stat
import zipfile
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from tools._program import byte_bar
from tools.download.disk import disk_errors_name, free_bytes
from tools.download.split_zip import open_zip

_CHUNK = 1 << 20
_MOST_FOLDERS = 32
# The archives of the data set unpack to 1.3 times their size. Deflate reaches 1,000 times, which fills disks.
_MOST_RATIO, _NOT_A_BOMB = 100, 100_000_000
# Windows opens a device in place of a file of these names, with any suffix.
_DEVICE = re.compile(r"(con|prn|aux|nul|(com|lpt)[0-9])(\..*)?", re.IGNORECASE)


class Member(NamedTuple):
    """One file of an archive, and its path in the target folder."""

    info: zipfile.ZipInfo
    path: str


def unpack(paths: Sequence[Path], folder: Path, *, desc: str) -> dict[str, int]:
    """Unpack an archive from its parts in order. Files that are complete already are not written again.

    If all members are in one folder, this folder is left out of their paths. ``folder`` itself may be a link
    to a larger disk. Links below it are refused, because a file could be written anywhere through them.

    Returns:
        The size of each file by its path in ``folder``.

    Raises:
        ValueError: if the archive is damaged, or a member is not a plain file below the folder. Also if it
            unpacks to 100 times its size, or to a place behind a link.
        OSError: if the disk has too little room for the declared sizes.
    """
    with open_zip(paths) as archive:
        members = members_of(archive, paths[-1])
        _check_sizes(members, sum(path.stat().st_size for path in paths), paths[-1])
        _check_links(members, folder, paths[-1])
        missing = [member for member in members if not _is_complete(folder / member.path, member.info)]
        needed = sum(member.info.file_size for member in missing)
        folder.mkdir(parents=True, exist_ok=True)
        free = free_bytes(folder)
        if needed > free:
            raise OSError(f"{paths[-1]}: wanted {needed:,} bytes on disk to unpack it, got {free:,}")
        with byte_bar(desc, total=needed) as bar:
            for member in missing:
                try:
                    _extract(archive, member, folder / member.path, bar)
                # zipfile and its decompressors raise all of these, although they document fewer.
                except (zipfile.BadZipFile, zlib.error, EOFError, RuntimeError) as error:
                    raise ValueError(f"{paths[-1]}: {member.info.filename}: {error}") from error
    return {member.path: member.info.file_size for member in members}


def members_of(archive: zipfile.ZipFile, name: Path) -> list[Member]:
    """Return the files of an archive.

    Raises:
        ValueError: if any member is unsafe to unpack, or two have the same path.
    """
    infos = [info for info in archive.infolist() if not _is_macos_file(info)]
    for info in infos:
        reason = _unsafe(info)
        if reason:
            raise ValueError(f"{name}: refused, nothing unpacked: {info.orig_filename!r} {reason}")
    files = [info for info in infos if not info.is_dir()]
    first_folders = {info.filename.partition("/")[0] for info in files}
    in_one_folder = len(first_folders) == 1 and all("/" in info.filename for info in files)
    members = [
        Member(info, info.filename.partition("/")[2] if in_one_folder else info.filename) for info in files
    ]
    seen: set[str] = set()
    for info, path in members:
        # Some file systems ignore case.
        if path.casefold() in seen:
            raise ValueError(f"{name}: refused, nothing unpacked: {info.filename!r} occurs twice")
        seen.add(path.casefold())
    return members


def _check_sizes(members: Sequence[Member], size: int, name: Path) -> None:
    unpacked = sum(member.info.file_size for member in members)
    if unpacked > max(_NOT_A_BOMB, _MOST_RATIO * size):
        raise ValueError(
            f"{name}: refused, nothing unpacked: its {size:,} bytes would unpack to {unpacked:,} bytes, "
            f"more than {_MOST_RATIO} times as many"
        )


def _check_links(members: Sequence[Member], folder: Path, name: Path) -> None:
    """Refuse folders that are links. A file that is a link is replaced, not followed."""
    inner = {parent for member in members for parent in Path(member.path).parents if parent.parts}
    for parent in sorted(inner):
        if (folder / parent).is_symlink():
            raise ValueError(
                f"{name}: refused, nothing unpacked: {folder / parent} is a link to another place; remove it"
            )


def _is_macos_file(info: zipfile.ZipInfo) -> bool:
    """Whether macOS added this member for itself."""
    return info.filename.startswith("__MACOSX/") or info.filename.endswith(".DS_Store")


def _unsafe(info: zipfile.ZipInfo) -> str:
    """Return why a member is unsafe to unpack, or an empty text."""
    kind = stat.S_IFMT(info.external_attr >> 16)
    if kind not in (0, stat.S_IFREG, stat.S_IFDIR):
        return "is a link" if kind == stat.S_IFLNK else "is neither a file nor a folder"
    if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        return "is neither stored nor deflated"
    # `orig_filename` is the name in the archive. zipfile cleans `filename`, which would hide an attack.
    return "is encrypted" if info.flag_bits & 1 else _unsafe_name(info.orig_filename)


def _unsafe_name(name: str) -> str:
    pieces = name.removesuffix("/").split("/")
    problems = {
        "is not a relative path with forward slashes": name.startswith("/") or bool(set(name) & set("\\:\0")),
        "has control characters": not name.isprintable(),
        "leaves its folder": any(piece in ("", ".", "..") for piece in pieces),
        "is another name on Windows": any(
            piece[-1:] in (".", " ") or _DEVICE.fullmatch(piece) for piece in pieces
        ),
        f"is in more than {_MOST_FOLDERS} folders": len(pieces) > _MOST_FOLDERS,
    }
    return next((problem for problem, found in problems.items() if found), "")


def _is_complete(path: Path, info: zipfile.ZipInfo) -> bool:
    """Whether the file exists with the right size and CRC."""
    if path.is_symlink() or not path.is_file() or path.stat().st_size != info.file_size:
        return False
    crc = 0
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK):
            crc = zlib.crc32(chunk, crc)
    return crc == info.CRC


def _extract(archive: zipfile.ZipFile, member: Member, path: Path, bar: Any) -> None:
    """Write a temporary file and rename it. zipfile reads at most the declared size, and compares the CRC."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f".{path.name}.part")
    part.unlink(missing_ok=True)  # it may be a link, which opening would follow
    try:
        with disk_errors_name(part), archive.open(member.info) as source, part.open("xb") as out:
            written = 0
            while chunk := source.read(_CHUNK):
                out.write(chunk)
                written += len(chunk)
                bar.update(len(chunk))
        if written != member.info.file_size:
            raise EOFError(f"wanted {member.info.file_size:,} bytes, got {written:,}")
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)
