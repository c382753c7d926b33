"""Read a zip archive that is in one file or split into several, without a joined copy on disk.

A split archive is one stream of bytes, cut into ``NAME.z01``, ``NAME.z02``, ..., ``NAME.zip``. The
directory at its end gives the place of each member as a part and an offset in this part, which Python's
zipfile cannot read. Here a read-only file object joins the parts. A second directory follows them in
memory, with offsets from the start of the first part. zipfile reads the second directory, and the first one
becomes unused bytes.

The formats are those of PKWARE's APPNOTE, sections 4.3.7 to 4.3.16 and 4.5.3 (Zip64).

No package on the registry does this. split-file-reader and multivolumefile only join the parts, and the
offsets are then wrong. splitzip only writes split archives. libarchive-c and stream-unzip can read the
joined bytes as a stream (stream-unzip without its first four bytes), but a stream has no directory. So
nothing could be checked before the first member is written, and an interrupted run could not skip the
members that are complete.
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
_FULL16, _FULL32 = 0xFFFF, 0xFFFFFFFF  # these values mean: see the Zip64 field
_MAX_COMMENT = 0xFFFF
_ZIP64 = 1


class Joined(io.RawIOBase):
    """Several files as one seekable file, in order."""

    def __init__(self, files: Sequence[BinaryIO]) -> None:
        self._files = files
        sizes = [file.seek(0, io.SEEK_END) for file in files]
        self.starts = [0, *accumulate(sizes)]
        self._at = 0

    def readable(self) -> bool:
        """Return True."""
        return True

    def seekable(self) -> bool:
        """Return True."""
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET, /) -> int:
        """Set the position. It may be past the end, where a read returns nothing."""
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: self.starts[-1]}[whence]
        self._at = max(0, base + offset)
        return self._at

    def readinto(self, buffer: memoryview, /) -> int:
        """Read at most up to the end of the current file."""
        if self._at >= self.starts[-1]:
            return 0
        # The last file that starts at or before the position: this skips empty files.
        index = bisect_right(self.starts, self._at) - 1
        self._files[index].seek(self._at - self.starts[index])
        count = self._files[index].readinto(memoryview(buffer)[: self.starts[index + 1] - self._at])
        self._at += count
        return count

    def read_at(self, start: int, count: int) -> bytes:
        """Return ``count`` bytes from ``start`` on.

        Raises:
            ValueError: if there are fewer bytes.
        """
        # Check first, because a read allocates memory for the full count.
        if start + count > self.starts[-1]:
            available = max(0, self.starts[-1] - start)
            raise ValueError(f"wanted {count:,} bytes from {start:,} on, got {available:,}")
        self.seek(start)
        found = bytearray()
        while len(found) < count and (piece := self.read(count - len(found))):
            found += piece
        return bytes(found)


class _End(NamedTuple):
    """The end record: its part, then the directory's part, number of entries, size and offset."""

    part: int
    directory_part: int
    entries: int
    size: int
    offset: int


@contextmanager
def open_zip(paths: Sequence[Path]) -> Iterator[zipfile.ZipFile]:
    """Open the parts of an archive in order, the ``.zip`` last. An archive may also be one file.

    Raises:
        ValueError: if the parts are not one complete zip archive.
    """
    with ExitStack() as stack:
        files = [stack.enter_context(path.open("rb")) for path in paths]
        try:
            directory = io.BytesIO(_joined_directory(Joined(files), len(files)))
            # zipfile expects to get as many bytes as it asks for. The buffer guarantees this.
            whole = stack.enter_context(io.BufferedReader(Joined([*files, directory]), 1 << 18))
            archive = stack.enter_context(zipfile.ZipFile(whole))
        except (ValueError, zipfile.BadZipFile, NotImplementedError) as error:
            raise ValueError(f"{paths[-1]}: wanted a zip archive in {len(paths)} files: {error}") from error
        yield archive


def _joined_directory(parts: Joined, count: int) -> bytes:
    """Return a directory and end records with offsets from the start of the first part."""
    end = _read_end(parts, count)
    if end.part != count - 1:
        raise ValueError(f"its end says that it has {end.part + 1}")
    if end.directory_part >= count:
        raise ValueError(f"its directory is said to be in part {end.directory_part + 1}")
    old = parts.read_at(parts.starts[end.directory_part] + end.offset, end.size)
    entries, at = bytearray(), 0
    for _ in range(end.entries):
        entry, at = _joined_entry(old, at, parts.starts)
        entries += entry
    if at != len(old):
        raise ValueError(f"its directory has {len(old):,} bytes, and {end.entries:,} entries end at {at:,}")
    start, size = parts.starts[-1], len(entries)
    # Always Zip64, because its fields are large enough for every archive.
    end64 = _END64.pack(b"PK\6\6", 44, 45, 45, 0, 0, end.entries, end.entries, size, start)
    locator = _LOCATOR64.pack(b"PK\6\7", 0, start + size, 1)
    return (
        bytes(entries) + end64 + locator + _END.pack(b"PK\5\6", 0, 0, _FULL16, _FULL16, _FULL32, _FULL32, 0)
    )


def _read_end(parts: Joined, count: int) -> _End:
    """Read the end record of the last part, or the Zip64 end record if it has one."""
    first, last = parts.starts[count - 1 : count + 1]
    tail_start = max(first, last - _END.size - _MAX_COMMENT)
    tail = parts.read_at(tail_start, last - tail_start)
    at = tail.rfind(b"PK\5\6")
    # A comment may contain these bytes too. In the true record, the comment ends where the file ends.
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


def _joined_entry(old: bytes, at: int, starts: Sequence[int]) -> tuple[bytes, int]:
    """Return one entry with its offset from the first part, and the position of the next entry."""
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
    """Return the extra fields without Zip64's, then packed size, size, offset and part.

    A value that does not fit the entry is in the Zip64 field.
    """
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
