"""WAV files written by hand, byte by byte."""

import struct
from pathlib import Path

import numpy as np

SINE = (20_000 * np.sin(np.arange(1000) * 0.05)).astype("<i2")
STEPS = struct.pack("<4h", 0, 16384, -32768, 32767)
STEPS_AS_FLOAT = [0.0, 0.5, -1.0, 32767 / 32768]
# What follows the tag in the GUID of PCM and float.
GUID = bytes.fromhex("0000 0000 1000 8000 00aa00389b71")


def riff(*chunks: tuple[bytes, bytes]) -> bytes:
    body = b"".join(
        name + struct.pack("<I", len(data)) + data + b"\0" * (len(data) % 2) for name, data in chunks
    )
    return b"RIFF" + struct.pack("<I", 4 + len(body)) + b"WAVE" + body


def fmt(
    tag=1, channels=1, sample_rate=8000, width=2, *, bits=None, align=None, byte_rate=None
) -> tuple[bytes, bytes]:
    align = channels * width if align is None else align
    bits = 8 * width if bits is None else bits
    byte_rate = sample_rate * align if byte_rate is None else byte_rate
    return b"fmt ", struct.pack("<HHIIHH", tag, channels, sample_rate, byte_rate, align, bits)


def extensible(tag=1, *, valid, guid=GUID, **fields) -> tuple[bytes, bytes]:
    plain = fmt(0xFFFE, **fields)[1]
    return b"fmt ", plain + struct.pack("<HHIH", 22, valid, 0, tag) + guid


def with_size(path: Path, size: int, body: bytes = SINE.tobytes(), after: bytes = b"") -> Path:
    """Write a file of 16 bits, mono, whose data chunk declares any size."""
    header = riff(fmt(), (b"data", b""))[:-4]
    path.write_bytes(header + struct.pack("<I", size) + body + after)
    return path
