"""A zip archive in one file or in several, read as one without writing it anew.

A split archive is one stream of bytes cut into ``NAME.z01``, ``NAME.z02``, ..., ``NAME.zip``. The directory
at its end says of each member in which part it begins and where in that part, which Python's zipfile cannot
follow. So the parts are joined by a file object that only reads, and behind them, in memory, comes a second
directory, whose places are counted from the start of the first part. The old directory is then dead weight,
like any other bytes between the members.

The layouts are those of PKWARE's APPNOTE, sections 4.3.7 to 4.3.16 and 4.5.3 (Zip64).
"""

from __future__ import annotations

import io
import struct
import zipfile
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from itertools import accumulate
from pathlib import Path
from typing import BinaryIO, NamedTuple

_END = struct.Struct("<4s4H2LH")
_END64 = struct.Struct("<4sQ2H2L4Q")
_LOCATOR64 = struct.Struct("<4sLQL")
_ENTRY = struct.Struct("<4s6H3L5H2L")
_FULL16, _FULL32 = 0xFFFF, 0xFFFFFFFF  # "the true value is in the Zip64 field"
_LONGEST_COMMENT = 0xFFFF
_ZIP64 = 1


class Joined(io.RawIOBase):
    """Files one behind the other, as one that can be read from any place."""

    def __init__(self, files: Sequence[BinaryIO]) -> None:
        self._files = files
        sizes = [file.seek(0, io.SEEK_END) for file in files]
        self.starts = [0, *accumulate(sizes)]
        self._at = 0

    def readable(self) -> bool:
        """Yes."""
        return True

    def seekable(self) -> bool:
        """Yes."""
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET, /) -> int:
        """Go to a place, beyond the end too, where there is nothing to read."""
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: self.starts[-1]}[whence]
        self._at = max(0, base + offset)
        return self._at

    def readinto(self, buffer: memoryview, /) -> int:
        """Read up to the end of one file; who wants more asks again."""
        if self._at >= self.starts[-1]:
            return 0
        # The last file that starts here or before, so that empty ones are passed over.
        index = bisect_right(self.starts, self._at) - 1
        self._files[index].seek(self._at - self.starts[index])
        count = self._files[index].readinto(memoryview(buffer)[: self.starts[index + 1] - self._at])
        self._at += count
        return count

    def read_at(self, start: int, count: int) -> bytes:
        """``count`` bytes from ``start`` on.

        Raises:
            ValueError: if there are fewer.
        """
        # Asked first: who reads takes the memory for as much as he asks for.
        if start + count > self.starts[-1]:
            there = max(0, self.starts[-1] - start)
            raise ValueError(f"wanted {count:,} bytes from {start:,} on, got {there:,}")
        self.seek(start)
        found = bytearray()
        while len(found) < count and (piece := self.read(count - len(found))):
            found += piece
        return bytes(found)


class _End(NamedTuple):
    """The end record: part it is in, part and place of the directory, entries and bytes of that."""

    part: int
    directory_part: int
    entries: int
    size: int
    offset: int


@contextmanager
def opened_zip(paths: Sequence[Path]) -> Iterator[zipfile.ZipFile]:
    """Open the parts of an archive, in their order, the ``.zip`` last; for an archive in one file, that.

    Raises:
        ValueError: if they are not one whole zip archive.
    """
    with ExitStack() as stack:
        files = [stack.enter_context(path.open("rb")) for path in paths]
        try:
            directory = io.BytesIO(_directory_of_whole(Joined(files), len(files)))
            # zipfile counts on getting as many bytes as it asks for, and a buffer sees to that.
            whole = stack.enter_context(io.BufferedReader(Joined([*files, directory]), 1 << 18))
            archive = stack.enter_context(zipfile.ZipFile(whole))
        except (ValueError, zipfile.BadZipFile, NotImplementedError) as error:
            raise ValueError(f"{paths[-1]}: wanted a zip archive in {len(paths)} files: {error}") from error
        yield archive


def _directory_of_whole(parts: Joined, count: int) -> bytes:
    """The directory and end records, with places as in all the parts joined."""
    end = _read_end(parts, count)
    if end.part != count - 1:
        raise ValueError(f"its end says that it has {end.part + 1}")
    if end.directory_part >= count:
        raise ValueError(f"its directory is said to be in part {end.directory_part + 1}")
    old = parts.read_at(parts.starts[end.directory_part] + end.offset, end.size)
    entries, at = bytearray(), 0
    for _ in range(end.entries):
        entry, at = _entry_of_whole(old, at, parts.starts)
        entries += entry
    if at != len(old):
        raise ValueError(f"its directory has {len(old):,} bytes, and {end.entries:,} entries end at {at:,}")
    start, size = parts.starts[-1], len(entries)
    # Zip64 always: it holds what an old end record does, and more.
    end64 = _END64.pack(b"PK\6\6", 44, 45, 45, 0, 0, end.entries, end.entries, size, start)
    locator = _LOCATOR64.pack(b"PK\6\7", 0, start + size, 1)
    return (
        bytes(entries) + end64 + locator + _END.pack(b"PK\5\6", 0, 0, _FULL16, _FULL16, _FULL32, _FULL32, 0)
    )


def _read_end(parts: Joined, count: int) -> _End:
    """The end record of the last part, and the Zip64 one where it has one."""
    first, last = parts.starts[count - 1 : count + 1]
    tail_start = max(first, last - _END.size - _LONGEST_COMMENT)
    tail = parts.read_at(tail_start, last - tail_start)
    at = tail.rfind(b"PK\5\6")
    # A comment may hold these bytes as well; in the true one its own length leads to the end of the file.
    while at >= 0 and (
        len(tail) - at < _END.size or at + _END.size + _END.unpack_from(tail, at)[-1] != len(tail)
    ):
        at = tail.rfind(b"PK\5\6", 0, at)
    if at < 0:
        raise ValueError("it has no end record")
    _, part, directory_part, _, entries, size, offset, _ = _END.unpack_from(tail, at)
    if at < _LOCATOR64.size or not tail.startswith(b"PK\6\7", at - _LOCATOR64.size):
        return _End(part, directory_part, entries, size, offset)
    _, part64, offset64, _ = _LOCATOR64.unpack_from(tail, at - _LOCATOR64.size)
    if part64 >= count:
        raise ValueError(f"its Zip64 end is said to be in part {part64 + 1}")
    record = parts.read_at(parts.starts[part64] + offset64, _END64.size)
    if not record.startswith(b"PK\6\6"):
        raise ValueError("its Zip64 end record is not where it is said to be")
    _, _, _, _, part, directory_part, _, entries, size, offset = _END64.unpack(record)
    return _End(part, directory_part, entries, size, offset)


def _entry_of_whole(old: bytes, at: int, starts: Sequence[int]) -> tuple[bytes, int]:
    """One entry of the directory with its place in the whole, and where the next begins."""
    if len(old) - at < _ENTRY.size or not old.startswith(b"PK\1\2", at):
        raise ValueError(f"its directory has no entry at byte {at:,}")
    fields = list(_ENTRY.unpack_from(old, at))
    name_size, extra_size, comment_size = fields[10:13]
    name_end = at + _ENTRY.size + name_size
    name, extra = old[at + _ENTRY.size : name_end], old[name_end : name_end + extra_size]
    comment = old[name_end + extra_size : name_end + extra_size + comment_size]
    others, packed, size, offset, part = _read_extra(extra, fields)
    if part >= len(starts) - 1 or starts[part] + offset >= starts[-1]:
        raise ValueError(f"{name!r} is said to be at byte {offset:,} of part {part + 1}")
    place = starts[part] + offset
    new_fields, wide = [], b""
    for value in (size, packed, place):
        wide += struct.pack("<Q", value) if value >= _FULL32 else b""
        new_fields.append(min(value, _FULL32))
    extra = others + (struct.pack("<2H", _ZIP64, len(wide)) + wide if wide else b"")
    fields[9], fields[8], fields[16] = new_fields
    fields[11], fields[13] = len(extra), 0
    return _ENTRY.pack(*fields) + name + extra + comment, name_end + extra_size + comment_size


def _read_extra(extra: bytes, fields: list[int]) -> tuple[bytes, int, int, int, int]:
    """The extra fields but Zip64's; packed size, size, offset and part, from there where they do not fit."""
    others, wide, at = b"", b"", 0
    while at + 4 <= len(extra):
        kind, size = struct.unpack_from("<2H", extra, at)
        if kind == _ZIP64:
            wide = extra[at + 4 : at + 4 + size]
        else:
            others += extra[at : at + 4 + size]
        at += 4 + size
    values, at = [], 0
    for value, full, layout in (
        (fields[9], _FULL32, "<Q"),
        (fields[8], _FULL32, "<Q"),
        (fields[16], _FULL32, "<Q"),
        (fields[13], _FULL16, "<L"),
    ):
        if value == full:
            if len(wide) - at < struct.calcsize(layout):
                raise ValueError("a Zip64 field is too short")
            (value,) = struct.unpack_from(layout, wide, at)  # noqa: PLW2901
            at += struct.calcsize(layout)
        values.append(value)
    size, packed, offset, part = values
    return others, packed, size, offset, part
