"""MP3 files that do not say how long they are.

An encoder that writes to a file puts an information frame (Xing or Info) in front, with the number of frames.
One that writes to a pipe cannot. libsndfile then estimates the length from the first frame, and stops there,
so a file of variable bit rate is cut. Here, the frames are counted, and libsndfile gets an information frame.
"""

from __future__ import annotations

import mmap
import struct
from typing import NamedTuple

from rankaudio.data._source import Source

Bytes = bytes | mmap.mmap

# kbit/s of layer III, for MPEG 1 and for MPEG 2 and 2.5. The first one is a rate that is not in the table.
_BIT_RATES = (
    (0, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 0),
    (0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160, 0),
)
_SAMPLE_RATES = {3: (44100, 48000, 32000), 2: (22050, 24000, 16000), 0: (11025, 12000, 8000)}
# What all frames of a stream have in common: the sync word, MPEG version, layer and sample rate.
_COMMON = 0xFFFE_0C00
# Bytes that are searched for more frames where the frames end.
_SEARCHED = 1 << 16


class Mp3(NamedTuple):
    """What replaces the first ``start`` bytes of a file, and how many samples per channel follow.

    The replacement is an information frame and a frame of silence. The decoder removes its own delay from the
    silence, which comes before the samples. In layers I and II nothing is replaced or counted.
    """

    replacement: bytes
    start: int
    samples: int | None


class _Header(NamedTuple):
    word: int
    version: int
    layer: int
    sample_rate: int
    lengths: tuple[int, ...]
    """Bytes of a frame, by the five bits of bit rate, without and with the byte of padding."""
    samples: int
    side: int
    """Bytes between the header and an information tag."""


def find_mp3_length(path: Source, data: Bytes) -> Mp3 | None:
    """Count the frames of an MP3 file; None if it has its length, or if it does not begin with a frame."""
    start = _skip_tags(data)
    first = _read_header(data, start)
    if first is None:
        return None
    if first.layer != 1:
        return Mp3(b"", 0, None)
    if first.lengths[_rate_index(first.word)] == 0:
        raise ValueError(
            f"{path}: wanted an MP3 file with a bit rate in its frames, got one of free format. "
            "Try: convert it to FLAC or WAV"
        )
    tag = start + 4 + first.side
    if data[tag : tag + 4] in (b"Xing", b"Info"):
        flags, frames = struct.unpack(">II", bytes(data[tag + 4 : tag + 12]).ljust(8, b"\0"))
        if flags & 1 and frames:
            return None
        start += first.lengths[_rate_index(first.word)]
    elif data[start + 36 : start + 40] == b"VBRI":  # libsndfile does not use this one
        start += first.lengths[_rate_index(first.word)]
    count, end = _count(data, start, first)
    if _find_frames(data, end, first):
        raise ValueError(f"{path}: broken MP3 file: at byte {end} there is no frame, but frames follow")
    return Mp3(_front(first, count), start, count * first.samples)


def _skip_tags(data: Bytes) -> int:
    """Find the end of the ID3 tags at the start, whose sizes have seven bits in each byte."""
    start = 0
    while data[start : start + 3] == b"ID3" and len(data) >= start + 10:
        size = 0
        for byte in data[start + 6 : start + 10]:
            size = size << 7 | byte & 0x7F
        footer = 10 if data[start + 5] & 0x10 else 0
        start += 10 + size + footer
    return start


def _read_header(data: Bytes, start: int) -> _Header | None:
    """Read the four bytes of a frame header; None if they are not one of MPEG audio."""
    word = int.from_bytes(data[start : start + 4], "big")
    version, layer, rate = word >> 19 & 3, word >> 17 & 3, word >> 10 & 3
    if word >> 21 != 0x7FF or version == 1 or layer == 0 or rate == 3:
        return None
    sample_rate = _SAMPLE_RATES[version][rate]
    newest = version == 3
    samples = 1152 if newest else 576
    lengths = tuple(
        samples * 125 * kilobits // sample_rate + padding if kilobits else 0
        for kilobits in _BIT_RATES[0 if newest else 1]
        for padding in (0, 1)
    )
    mono = word >> 6 & 3 == 3
    side = (17 if mono else 32) if newest else (9 if mono else 17)
    return _Header(word, version, layer, sample_rate, lengths, samples, side)


def _rate_index(word: int) -> int:
    return (word >> 12 & 15) << 1 | (word >> 9 & 1)


def _walk(data: Bytes, start: int, first: _Header) -> int:
    """Find the end of the frame at ``start``; -1 if there is none, or not all of it."""
    word = int.from_bytes(data[start : start + 4], "big")
    length = first.lengths[_rate_index(word)]
    if (word ^ first.word) & _COMMON or not length or start + length > len(data):
        return -1
    return start + length


def _count(data: Bytes, start: int, first: _Header) -> tuple[int, int]:
    """Count the whole frames from ``start``, and find where they end."""
    count = 0
    while (end := _walk(data, start, first)) >= 0:
        count, start = count + 1, end
    return count, start


def _find_frames(data: Bytes, start: int, first: _Header) -> bool:
    """Tell whether two frames in a row follow, after bytes that are not a frame."""
    rest = bytes(data[start + 1 : start + _SEARCHED])
    place = rest.find(0xFF)
    while place >= 0:
        end = _walk(data, start + 1 + place, first)
        if end >= 0 and _walk(data, end, first) >= 0:
            return True
        place = rest.find(0xFF, place + 1)
    return False


def _front(first: _Header, count: int) -> bytes:
    """Make an information frame for ``count + 1`` frames, and one frame of silence."""
    tag = b"Xing" + struct.pack(">II", 1, count + 1)
    return _frame(first, bytes(first.side) + tag) + _frame(first, b"")


def _frame(first: _Header, content: bytes) -> bytes:
    """Make a frame with the settings of the first one, but without padding and checksum."""
    least = 4 + first.side + 12
    index = next(index for index in range(16) if first.lengths[2 * index] >= least)
    word = first.word & ~0xF200 | index << 12 | 1 << 16
    return (word.to_bytes(4, "big") + content).ljust(first.lengths[2 * index], b"\0")
