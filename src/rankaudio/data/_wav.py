"""WAV headers and samples.

:func:`scipy.io.wavfile.read` is not used for two reasons. First, it decodes the whole file before its length
is known. Second, it only warns about unknown chunks and truncated files. A warning can be silenced, or turned
into an error, only for the whole process, which is not safe in threads.
"""

from __future__ import annotations

import os
import struct
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, NamedTuple

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

_PCM, _FLOAT, _EXTENSIBLE = 0x0001, 0x0003, 0xFFFE
# The size that programs write to a pipe, where they cannot go back to fill in the real size.
_UNKNOWN_SIZE = 0xFFFF_FFFF
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


class _Format(NamedTuple):
    tag: int
    channels: int
    sample_rate: int
    block_align: int


def read_wav_header(path: Path, file: BinaryIO) -> Wav | None:
    """Read the chunks of a RIFF/WAVE file up to its samples. None means a coding other than PCM and float."""
    file.seek(12)
    coding: _Format | None = None
    while len(head := file.read(8)) == 8:
        chunk, size = struct.unpack("<4sI", head)
        if chunk == b"data":
            break
        start = file.tell()
        if chunk == b"fmt ":
            coding = _read_format(path, file.read(min(size, 40)))
        file.seek(start + size + size % 2)
    else:
        raise ValueError(f"{path}: broken WAV file: it ends before any samples (no data chunk)")
    if coding is None:
        raise ValueError(f"{path}: broken WAV file: it does not say how its samples are coded (no fmt chunk)")
    frames = _count_frames(path, file, size, coding.block_align)
    sample_type = _SAMPLE_TYPES.get((coding.tag, coding.block_align // coding.channels))
    if sample_type is None:
        return None
    return Wav(frames, coding.sample_rate, coding.channels, sample_type, file.tell())


def read_wav_samples(path: Path, wav: Wav) -> NDArray[np.floating]:
    """Samples ``(frames, channels)``, integers scaled to [-1, 1). Float64 stays, the rest is float32."""
    import numpy as np

    kind, width = wav.sample_type[-2], int(wav.sample_type[-1])
    stored = "u1" if width == 3 else wav.sample_type
    count = wav.frames * wav.channels * (3 if width == 3 else 1)
    raw = np.fromfile(path, dtype=stored, count=count, offset=wav.offset)
    if width == 3:
        # The three bytes become the upper three of four.
        wide = np.zeros((wav.frames * wav.channels, 4), np.uint8)
        wide[:, 1:] = raw.reshape(-1, 3)
        raw = wide.view("<i4")
    dtype: type[np.floating] = np.float64 if width == 8 else np.float32
    samples: NDArray[np.floating] = raw.reshape(wav.frames, wav.channels).astype(dtype)
    if kind == "u":
        samples -= 128
    if kind != "f":
        samples *= 2.0 ** -{1: 7, 2: 15, 3: 31, 4: 31}[width]
    return samples


def _read_format(path: Path, body: bytes) -> _Format:
    if len(body) < 16:
        raise ValueError(f"{path}: broken WAV file: wanted a fmt chunk of 16 bytes or more, got {len(body)}")
    tag, channels, sample_rate, _, block_align, _ = struct.unpack_from("<HHIIHH", body)
    if tag == _EXTENSIBLE and len(body) >= 26:
        (tag,) = struct.unpack_from("<H", body, 24)
    if min(channels, sample_rate, block_align) < 1 or block_align % channels:
        got = f"{channels} channels, {sample_rate} Hz, {block_align} bytes per frame"
        raise ValueError(f"{path}: broken WAV file: its header says {got}")
    return _Format(tag, channels, sample_rate, block_align)


def _count_frames(path: Path, file: BinaryIO, size: int, block_align: int) -> int:
    """Number of samples that the header promises, all of which must be in the file."""
    present = (os.fstat(file.fileno()).st_size - file.tell()) // block_align
    promised = present if size == _UNKNOWN_SIZE else size // block_align
    if present < promised:
        raise ValueError(
            f"{path}: truncated: wanted {promised} samples per channel, as its header says, got {present}"
        )
    return promised
