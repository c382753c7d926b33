"""The members of an archive, checked before anything is written, and written so that a kill does no harm."""

from __future__ import annotations

import stat
import zipfile
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from tqdm import tqdm

from freesound.download.disk import free_bytes, named
from freesound.download.split_zip import opened_zip

_CHUNK = 1 << 20


class Member(NamedTuple):
    """One file of an archive, and its path below the folder that it is unpacked to."""

    info: zipfile.ZipInfo
    path: str


def unpack(paths: Sequence[Path], folder: Path, *, desc: str) -> dict[str, int]:
    """Unpack an archive, from its parts in their order; what is there already and whole is left as it is.

    The folder that all members lie in, if there is one, is left out.

    Returns:
        The size of each file by its path below ``folder``.

    Raises:
        ValueError: if the archive is broken, or a member is no plain file below the folder.
        OSError: if the disk has no room for all that it declares.
    """
    with opened_zip(paths) as archive:
        members = members_of(archive, paths[-1])
        missing = [member for member in members if not _is_whole(folder / member.path, member.info)]
        needed = sum(member.info.file_size for member in missing)
        folder.mkdir(parents=True, exist_ok=True)
        free = free_bytes(folder)
        if needed > free:
            raise OSError(f"{paths[-1]}: wanted {needed:,} bytes on disk to unpack it, got {free:,}")
        with tqdm(total=needed, desc=desc, unit="B", unit_scale=True, leave=False, disable=None) as bar:
            for member in missing:
                try:
                    _extract(archive, member, folder / member.path, bar)
                # Besides what they document, zipfile and its decompressors raise all of these.
                except (zipfile.BadZipFile, zlib.error, EOFError, RuntimeError) as error:
                    raise ValueError(f"{paths[-1]}: {member.info.filename}: {error}") from error
    return {member.path: member.info.file_size for member in members}


def members_of(archive: zipfile.ZipFile, name: Path) -> list[Member]:
    """The files of an archive, or a refusal if any of them is not what it should be."""
    infos = [info for info in archive.infolist() if not _is_litter(info)]
    for info in infos:
        reason = _unsafe(info)
        if reason:
            raise ValueError(f"{name}: refused, nothing unpacked: {info.orig_filename!r} {reason}")
    files = [info for info in infos if not info.is_dir()]
    tops = {info.filename.partition("/")[0] for info in files}
    inside = len(tops) == 1 and all("/" in info.filename for info in files)
    members = [Member(info, info.filename.partition("/")[2] if inside else info.filename) for info in files]
    seen: set[str] = set()
    for info, path in members:
        # Some file systems take names that differ in case for the same.
        if path.casefold() in seen:
            raise ValueError(f"{name}: refused, nothing unpacked: {info.filename!r} is there twice")
        seen.add(path.casefold())
    return members


def _is_litter(info: zipfile.ZipInfo) -> bool:
    """What one operating system adds to archives for itself."""
    return info.filename.startswith("__MACOSX/") or info.filename.endswith(".DS_Store")


def _unsafe(info: zipfile.ZipInfo) -> str:
    """Why a member is not to be unpacked, or nothing."""
    # The name as it is in the archive: zipfile cuts and mends `filename`.
    name = info.orig_filename
    if name.startswith("/") or "\\" in name or ":" in name or "\0" in name:
        return "is no relative path with forward slashes"
    if any(piece in ("", ".", "..") for piece in name.removesuffix("/").split("/")):
        return "leaves its folder"
    kind = stat.S_IFMT(info.external_attr >> 16)
    if kind not in (0, stat.S_IFREG, stat.S_IFDIR):
        return "is a link" if kind == stat.S_IFLNK else "is neither a file nor a folder"
    if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        return "is neither stored nor deflated"
    return "is encrypted" if info.flag_bits & 1 else ""


def _is_whole(path: Path, info: zipfile.ZipInfo) -> bool:
    """Whether the file is there with the right bytes."""
    if path.is_symlink() or not path.is_file() or path.stat().st_size != info.file_size:
        return False
    crc = 0
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK):
            crc = zlib.crc32(chunk, crc)
    return crc == info.CRC


def _extract(archive: zipfile.ZipFile, member: Member, path: Path, bar: tqdm) -> None:
    """Write beside the place and rename; zipfile reads no more than is declared, and compares the CRC."""
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_name(f".{path.name}.part")
    try:
        with named(beside), archive.open(member.info) as source, beside.open("wb") as out:
            written = 0
            while chunk := source.read(_CHUNK):
                out.write(chunk)
                written += len(chunk)
                bar.update(len(chunk))
        if written != member.info.file_size:
            raise EOFError(f"wanted {member.info.file_size:,} bytes, got {written:,}")
        beside.replace(path)
    finally:
        beside.unlink(missing_ok=True)
