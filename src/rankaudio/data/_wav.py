"""WAV headers and samples.

:func:`scipy.io.wavfile.read` is not used for two reasons. First, it decodes the whole file before its length
is known. Second, it only warns about unknown chunks and truncated files. A warning can be silenced, or turned
into an error, only for the whole process, which is not safe in threads.

A header says some things twice, and this is what is compared. The bytes per frame must be able to hold the
bits of all channels. Each sample may have unused bits in its last byte (12 bits in two bytes). Samples of 17
to 24 bits may also have four bytes, and use the upper ones. Any other number of unused bytes is refused. The
byte rate is used in one case only: four bytes for 24 bits are refused if it is that of three. The size of
the RIFF chunk is not used, because many programs get it wrong.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import TYPE_CHECKING, BinaryIO, NamedTuple

from rankaudio.data._source import Source

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

_PCM, _FLOAT, _EXTENSIBLE = 0x0001, 0x0003, 0xFFFE
# The GUID of a coding in an EXTENSIBLE header is its tag and these bytes.
_GUID = bytes.fromhex("0000 0000 1000 8000 00aa00389b71")
# Programs that write to a pipe cannot go back to fill in the size. They leave about 2 GiB or 4 GiB, some less
# the size of the header. A recorder that loses its power leaves 0.
_PLACEHOLDERS = (range(0x7FFF_F000, 0x8000_0001), range(0xFFFF_F000, 0x1_0000_0000), range(2**64 - 1, 2**64))
_SIZE_IN_DS64 = 0xFFFF_FFFF
# More chunks than this are an attack.
_MOST_CHUNKS = 10_000
# Bytes that are read at first: the chunks before the samples of most files.
FIRST_BYTES = 1024
# Values of a block, in all channels together.
_BLOCK = 1 << 20
# By format and bytes per sample. A sample with fewer bits than its bytes hold uses the upper bits, so the
# scale is the same.
_SAMPLE_TYPES = {
    (_PCM, 1): "u1",
    (_PCM, 2): "<i2",
    (_PCM, 3): "i3",
    (_PCM, 4): "<i4",
    (_FLOAT, 4): "<f4",
    (_FLOAT, 8): "<f8",
}


class Wav(NamedTuple):
    """The header. The sample type is a numpy type, or ``"i3"`` for 24 bits in three bytes."""

    frames: int
    sample_rate: int
    channels: int
    sample_type: str
    offset: int

    @property
    def has_integers(self) -> bool:
        """Whether the samples are integers, which cannot be NaN or infinite."""
        return "f" not in self.sample_type


class _Format(NamedTuple):
    tag: int
    channels: int
    sample_rate: int
    byte_rate: int
    block_align: int
    bits: int
    valid_bits: int | None
    """Bits in use, from an EXTENSIBLE header only."""


def read_wav_header(path: Source, file: BinaryIO, head: bytes) -> Wav | None:
    """Read the chunks of a file up to its samples. None means a coding other than PCM and float.

    RF64 and BW64 files have a 64-bit size of their samples in a ds64 chunk. ``head`` has the first bytes.
    """
    start, position = 0, 12
    coding: _Format | None = None
    large_size: int | None = None
    for _ in range(_MOST_CHUNKS):
        if position + 48 > start + len(head):
            file.seek(position)
            start, head = position, file.read(FIRST_BYTES)
        body = position - start + 8
        if len(head) < body:
            raise ValueError(f"{path}: broken WAV file: it ends before any samples (no data chunk)")
        chunk, size = struct.unpack_from("<4sI", head, body - 8)
        if chunk == b"data":
            break
        if chunk == b"fmt ":
            coding = _one_format(path, coding, _read_format(path, head[body : body + min(size, 40)]))
        elif chunk == b"ds64" and size >= 16:
            (large_size,) = struct.unpack("<8xQ", head[body : body + 16].ljust(16, b"\0"))
        position += 8 + size + size % 2
    else:
        raise ValueError(f"{path}: broken WAV file: it has {_MOST_CHUNKS:,} chunks and no samples")
    if coding is None:
        raise ValueError(f"{path}: broken WAV file: it does not say how its samples are coded (no fmt chunk)")
    offset, end = position + 8, file.seek(0, 2)
    if large_size and size == _SIZE_IN_DS64:
        size = large_size
    unknown = _is_unknown(file, size, offset, end)
    frames = _count_frames(path, end - offset, None if unknown else size, coding.block_align)
    sample_type = _sample_type(path, coding)
    _refuse_second_chunk(path, file, offset + size + size % 2, end)
    if sample_type is None:
        return None
    return Wav(frames, coding.sample_rate, coding.channels, sample_type, offset)


def read_wav_blocks(
    path: Source, wav: Wav, file: BinaryIO, start: int, frames: int
) -> Iterator[NDArray[np.floating]]:
    """Read ``frames`` samples from sample ``start`` of an open file, as blocks ``(n, channels)``."""
    most = max(1, _BLOCK // wav.channels)
    file.seek(wav.offset + start * wav.channels * int(wav.sample_type[-1]))
    for first in range(0, frames, most):
        yield _read_samples(path, file, wav, min(most, frames - first))


def _read_samples(path: Source, file: BinaryIO, wav: Wav, frames: int) -> NDArray[np.floating]:
    """Integers are scaled to [-1, 1). Float64 stays, the rest becomes float32."""
    import numpy as np

    kind, width = wav.sample_type[-2], int(wav.sample_type[-1])
    count = frames * wav.channels
    # Samples are decoded where they were read. One more byte, for the last of three-byte samples.
    stored = np.empty(count * width + 1, np.uint8)
    if _read_into(file, stored.data[:-1]) < count * width:
        raise ValueError(f"{path}: truncated while it was read")
    if width == 3:
        stored[-1] = 0
        # Four bytes from the first of each sample on. The shift drops the byte of the next sample, and makes
        # the three bytes the upper three.
        raw = np.left_shift(np.ndarray((count,), "<i4", stored.data, 0, (3,)), 8)
    else:
        raw = stored[:-1].view(wav.sample_type)
    dtype: type[np.floating] = np.float64 if width == 8 else np.float32
    samples: NDArray[np.floating] = raw.reshape(frames, wav.channels).astype(dtype, copy=False)
    if kind == "u":
        samples -= 128
    if kind != "f":
        samples *= 2.0 ** -{1: 7, 2: 15, 3: 31, 4: 31}[width]
    return samples


def _read_into(file: BinaryIO, place: memoryview) -> int:
    """Read bytes into a place, and return how many. Some files only have ``read``, and some return less."""
    readinto = getattr(file, "readinto", None)
    done = 0
    while done < len(place):
        if readinto is not None:
            count = readinto(place[done:])
        else:
            piece = file.read(len(place) - done)
            count = len(piece)
            place[done : done + count] = piece
        if not count:
            break
        done += count
    return done


def _read_format(path: Source, body: bytes) -> _Format:
    if len(body) < 16:
        raise ValueError(f"{path}: broken WAV file: wanted a fmt chunk of 16 bytes or more, got {len(body)}")
    tag, channels, sample_rate, byte_rate, block_align, bits = struct.unpack_from("<HHIIHH", body)
    valid_bits = None
    if tag == _EXTENSIBLE and body[26:40] == _GUID:
        valid_bits, tag = struct.unpack_from("<H4xH", body, 18)
    if min(channels, sample_rate, block_align) < 1 or block_align % channels:
        got = f"{channels} channels, {sample_rate} Hz, {block_align} bytes per frame"
        raise ValueError(f"{path}: broken WAV file: its header says {got}")
    return _Format(tag, channels, sample_rate, byte_rate, block_align, bits, valid_bits)


def _one_format(path: Source, first: _Format | None, second: _Format) -> _Format:
    if first is not None and first != second:
        raise ValueError(f"{path}: broken WAV file: it has two fmt chunks that differ")
    return second


def _sample_type(path: Source, coding: _Format) -> str | None:
    """Find the type of the samples, after a comparison of all fields that say how wide a sample is."""
    tag, channels, bits, valid = coding.tag, coding.channels, coding.bits, coding.valid_bits
    width = coding.block_align // channels
    if tag not in (_PCM, _FLOAT):
        return None
    if (tag, bits, width) == (_FLOAT, 16, 2):
        raise ValueError(
            f"{path}: wanted float samples of 32 or 64 bits, got 16 bits (half precision), which cannot be "
            "read. Try: save the file as 32-bit float or 16-bit integers"
        )
    needed = -(-bits // 8)
    exact = bits == 8 * width if tag == _FLOAT else 1 <= bits <= 8 * width
    if not exact or (valid or 0) > bits:
        said = f"{bits} bits per sample" + (f" with {valid} valid" if valid is not None else "")
        raise ValueError(
            f"{path}: broken WAV file: its header contradicts itself: {said}, {channels} channels, "
            f"{coding.block_align} bytes per frame"
        )
    if width > needed and not _is_container(coding, width, needed):
        raise ValueError(
            f"{path}: ambiguous WAV file: wanted {needed * channels} bytes per frame for {bits} bits and "
            f"{channels} channels, got {coding.block_align}"
        )
    return _SAMPLE_TYPES.get((tag, width))


def _is_container(coding: _Format, width: int, needed: int) -> bool:
    """Tell whether samples of three bytes are stored in four, as some recorders do."""
    packed_rate = coding.sample_rate * coding.channels * needed
    return (needed, width) == (3, 4) and coding.byte_rate != packed_rate


def _refuse_second_chunk(path: Source, file: BinaryIO, position: int, end: int) -> None:
    """Refuse a second data or fmt chunk behind the samples: half of such a file would be left out."""
    for _ in range(_MOST_CHUNKS):
        if position >= end:
            return
        file.seek(position)
        chunk, size = _chunk_head(file)
        if chunk in (b"data", b"fmt "):
            raise ValueError(f"{path}: broken WAV file: a second {chunk.decode().strip()} chunk follows")
        if chunk is None:
            return
        position += 8 + size + size % 2


def _chunk_head(file: BinaryIO) -> tuple[bytes | None, int]:
    """Name and size of the next chunk; None if what follows is not a chunk that fits into the file."""
    head = file.read(8)
    if len(head) < 8 or not all(0x20 <= letter < 0x7F for letter in head[:4]):
        return None, 0
    chunk, size = struct.unpack("<4sI", head)
    here = file.tell()
    return (chunk, size) if size <= file.seek(0, 2) - here else (None, 0)


def _is_unknown(file: BinaryIO, size: int, offset: int, end: int) -> bool:
    """Tell whether the size of the samples was never filled in."""
    if size == 0:
        # Nothing but a chunk may follow a data chunk that is really empty.
        file.seek(offset)
        return _chunk_head(file)[0] is None
    return end - offset < size and any(size in values for values in _PLACEHOLDERS)


def _count_frames(path: Source, present: int, size: int | None, block_align: int) -> int:
    """Number of samples that the header promises, all of which must be in the file."""
    promised = (present if size is None else size) // block_align
    if present // block_align < promised:
        raise ValueError(
            f"{path}: truncated: wanted {promised} samples per channel, as its header says, "
            f"got {present // block_align}"
        )
    return promised
