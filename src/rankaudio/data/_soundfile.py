"""Audio that libsndfile decodes, in blocks: a file cannot choose how much memory that takes."""

from __future__ import annotations

import functools
import mmap
import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, nullcontext
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any, BinaryIO, NamedTuple

from rankaudio.data._mp3 import Mp3, find_mp3_length
from rankaudio.data._source import Source, open_source, size_of

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

# No format packs more samples of a channel into a byte: FLAC needs 11 bytes for 65,535 equal samples.
_MOST_PER_BYTE = 8192
# Values of a block, in all channels together.
_BLOCK = 1 << 20
# What libsndfile says of a stream without a length.
_UNKNOWN = 1 << 62


class Sound(NamedTuple):
    """The header, and how to decode: samples to skip, and what replaces the start of the file."""

    frames: int
    sample_rate: int
    channels: int
    skip: int
    mp3: Mp3 | None
    has_integers: bool
    """Whether the samples are known to be integers, which cannot be NaN or infinite."""


@contextmanager
def opened_sound(path: Source, head: bytes) -> Iterator[tuple[Sound, Any]]:
    """Read the header with soundfile. A file without a length is counted, which may mean decoding it.

    Args:
        path: where the audio comes from.
        head: its first bytes.

    Yields:
        The header, and the file at its first sample for :func:`read_sound_blocks`; None if it was counted.
    """
    soundfile = _import_soundfile(path)
    mp3 = _find_mp3(path, head)
    with ExitStack() as stack:
        try:
            file = stack.enter_context(_opened(soundfile, path, mp3))
            in_file = int(file.frames)
            must_count = in_file >= _UNKNOWN if mp3 is None else mp3.samples is None
            if must_count:
                in_file = sum(len(block) for block in _blocks(file))
            frames = in_file if mp3 is None or mp3.samples is None else mp3.samples
            integers = head.startswith(b"fLaC")
            sound = Sound(frames, int(file.samplerate), int(file.channels), in_file - frames, mp3, integers)
        except (soundfile.LibsndfileError, OverflowError) as error:
            raise ValueError(
                f"{path}: wanted an audio file, got one that soundfile refuses: {error}"
            ) from error
        _check_length(path, sound)
        yield sound, None if must_count else file


def _check_length(path: Source, sound: Sound) -> None:
    size = size_of(path)
    if sound.frames > _MOST_PER_BYTE * size:
        raise ValueError(
            f"{path}: broken audio file: its header promises {sound.frames:,} samples per channel, "
            f"which do not fit into {size:,} bytes"
        )
    if sound.skip < 0:
        raise ValueError(f"{path}: wanted {sound.frames} samples, got {sound.frames + sound.skip}")


def read_sound_blocks(
    path: Source, sound: Sound, opened: Any, start: int, frames: int
) -> Iterator[NDArray[np.floating]]:
    """Decode ``frames`` samples from sample ``start``, as blocks ``(n, channels)`` of float32.

    The file may be open at its first sample. If ``opened`` is None, it is opened here.
    """
    soundfile = _import_soundfile(path)
    left = frames
    try:
        with _opened(soundfile, path, sound.mp3) if opened is None else nullcontext(opened) as file:
            for block in _blocks(file, sound.skip + start, frames):
                yield block[:left]
                left -= min(left, len(block))
                if not left:
                    return
    except soundfile.LibsndfileError as error:
        raise ValueError(
            f"{path}: wanted {sound.frames} samples, as its header says, got: {error}"
        ) from error
    raise ValueError(
        f"{path}: truncated: wanted {sound.frames} samples per channel, as its header says, "
        f"got {start + frames - left}"
    )


def _blocks(file: Any, start: int = 0, frames: int = _UNKNOWN) -> Iterator[NDArray[np.floating]]:
    """Decode ``frames`` samples from ``start``, or some more, or all there are.

    Lossy formats are decoded from their first sample, and then cut.

    A decoder of MP3 or Opus that jumps needs some time until its output is the same again.
    """
    size = max(1, min(_BLOCK // file.channels, start + frames))
    if start and file.format != "MP3" and file.subtype != "OPUS" and file.frames < _UNKNOWN:
        file.seek(start)
        start = 0
    while True:
        block = file.read(size, dtype="float32", always_2d=True)
        if start < len(block):
            yield block[start:]
        start -= min(start, len(block))
        if len(block) < size:
            return


@contextmanager
def _opened(soundfile: ModuleType, path: Source, mp3: Mp3 | None) -> Iterator[Any]:
    """Open a file for decoding from the first to the last sample."""
    sequential = _sequential(soundfile)
    # The name of a file would count more than its content if it ends in .raw.
    if isinstance(path, Path) and path.suffix.lower() != ".raw" and not (mp3 and mp3.replacement):
        with sequential(str(path)) as file:
            yield file
        return
    with open_source(path) as raw, sequential(_Replaced(raw, mp3)) as file:
        yield file


@functools.cache
def _sequential(soundfile: ModuleType) -> type:
    """Return the class of files that are read from the first to the last sample."""

    class Sequential(soundfile.SoundFile):  # type: ignore[misc, name-defined]
        """Does not seek behind every block, which fails without a length, and disturbs MP3."""

        def seekable(self) -> bool:
            return False

    return Sequential


class _Replaced:
    """A file whose first bytes are replaced by others, for soundfile to read."""

    def __init__(self, file: BinaryIO, mp3: Mp3 | None) -> None:
        self._file = file
        self._head, self._start = (mp3.replacement, mp3.start) if mp3 else (b"", 0)
        self._position = 0

    def __repr__(self) -> str:
        return "it"  # soundfile writes this into its messages

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        origin = {os.SEEK_SET: 0, os.SEEK_CUR: self._position}.get(whence)
        if origin is None:
            origin = self._file.seek(0, os.SEEK_END) - self._start + len(self._head)
        self._position = origin + offset
        return self._position

    def tell(self) -> int:
        return self._position

    def read(self, size: int) -> bytes:
        head = self._head[self._position : self._position + size]
        self._file.seek(max(self._position + len(head) - len(self._head), 0) + self._start)
        content = head + self._file.read(size - len(head))
        self._position += len(content)
        return content


def _find_mp3(path: Source, head: bytes) -> Mp3 | None:
    """Count the frames of a file that may be MP3. A file on disk is mapped, because it may be large."""
    if not head.startswith(b"ID3") and not (head[0] == 0xFF and head[1:2] >= b"\xe0"):
        return None
    with open_source(path) as file:
        if not isinstance(path, Path):
            return find_mp3_length(path, file.read())
        with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
            return find_mp3_length(path, data)


def _import_soundfile(path: Source) -> ModuleType:
    """Import soundfile. Its C library may be missing or broken even if the package is installed."""
    try:
        import soundfile
    except (ImportError, OSError) as error:
        raise ImportError(
            f"{path}: wanted the package soundfile, which reads formats other than PCM or float WAV, got "
            f"{error!r}. Try: pip install 'rankaudio[audio]'"
        ) from error
    return soundfile  # type: ignore[no-any-return]
