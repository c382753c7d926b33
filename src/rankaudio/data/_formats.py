"""What a file is, from its first bytes."""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path
from typing import Literal

from rankaudio.data._source import Source

Reader = Literal["wav", "soundfile"]

# The first bytes of files that soundfile can read.
_SIGNATURES = (
    *(b"fLaC", b"OggS", b"ID3", b"FORM", b"RF64", b"RIFX", b"riff", b"caff", b".snd", b"dns."),
    *(b"NIST_1A", b"Creative Voice File", b" paf", b"fap ", b"ALawSoundFile**", b"MATLAB 5.0", b"PVF1"),
    *(b"2BIT", b"Extended Instrument", b"\x64\xa3\x01\0", b"\x64\xa3\x02\0", b"\x64\xa3\x03\0"),
    *(b"\0\x01\xa3\x64", b"\0\x02\xa3\x64", b"\0\x03\xa3\x64"),
)
# Audio that cannot be read: the place of its mark, the mark, and its name.
_UNSUPPORTED = (
    (4, b"ftyp", "M4A or MP4"),
    (0, b"\x1a\x45\xdf\xa3", "WebM or Matroska"),
    (0, b"\x30\x26\xb2\x75\x8e\x66\xcf\x11", "WMA"),
    (0, b"#!AMR", "AMR"),
    (0, b"MAC ", "Monkey's Audio"),
    (0, b"wvpk", "WavPack"),
    (0, b"MPCK", "Musepack"),
    (0, b"MP+", "Musepack"),
    (0, b"DSD ", "DSF"),
    (0, b"\x0b\x77", "AC-3"),
    (0, b"\xff\xf1", "AAC"),
    (0, b"\xff\xf9", "AAC"),
    (0, b"MThd", "MIDI"),
)
_KINDS = ((stat.S_ISFIFO, "a named pipe"), (stat.S_ISSOCK, "a socket"), (stat.S_ISCHR, "a device"))


def check_regular_file(path: Source) -> None:
    """Refuse what is not a file, before it is opened: a named pipe would block until somebody writes."""
    if not isinstance(path, Path):
        return
    try:
        mode = path.stat().st_mode
    except FileNotFoundError:
        if path.is_symlink():
            reason = f"No such file: a link to '{path.readlink()}'"
            raise FileNotFoundError(errno.ENOENT, reason, str(path)) from None
        raise
    if stat.S_ISDIR(mode):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
    if not stat.S_ISREG(mode):
        got = next((name for test, name in _KINDS if test(mode)), "a block device")
        raise ValueError(f"{path}: wanted a regular file, got {got}")


def find_reader(path: Source, head: bytes) -> Reader:
    """Tell who can read a file that begins with these bytes, at least 20 if there are so many."""
    if not head:
        raise ValueError(f"{path}: wanted an audio file, got an empty file")
    if head[:4] in (b"RIFF", b"RF64", b"BW64") and head[8:12] == b"WAVE":
        return "wav"
    for place, mark, name in _UNSUPPORTED:
        if head.startswith(mark, place):
            raise ValueError(
                f"{path}: wanted a format that can be read, got {name}. Try: ffmpeg -i INPUT OUTPUT.wav"
            )
    if head.startswith(_SIGNATURES) or (head[0] == 0xFF and head[1:2] >= b"\xe0"):  # a frame of MP3
        return "soundfile"
    raise ValueError(f"{path}: wanted an audio file, got one that begins with {head[:12]!r}")
