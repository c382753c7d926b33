"""Decoding audio files to mono. A file is opened once, for its header and its samples."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rankaudio._files import check_regular_file
from rankaudio.data._flac import read_flac
from rankaudio.data._formats import find_reader
from rankaudio.data._soundfile import Sound, opened_sound, read_sound_blocks
from rankaudio.data._source import Source, open_source
from rankaudio.data._wav import FIRST_BYTES, Wav, read_wav_blocks, read_wav_header

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

Header = Wav | Sound

_MANY_CHANNELS = 32
LOWEST_RATE, HIGHEST_RATE = 100, 1_000_000


@contextmanager
def opened_audio(path: Source) -> Iterator[tuple[Header, Callable[[int, int], NDArray[np.float32]]]]:
    """Open a file, and refuse it before anything is decoded if it cannot be used.

    Yields:
        The header, and a function that decodes ``frames`` samples from ``start``. It can be called once.
    """
    if isinstance(path, Path):
        check_regular_file(path)
    with open_source(path, buffering=0) as file:
        head = file.read(FIRST_BYTES)
        wav = read_wav_header(path, file, head) if find_reader(path, head) == "wav" else None
        if wav is not None:
            yield _checked(path, wav, functools.partial(read_wav_blocks, path, wav, file))
            return
    with opened_sound(path, head) as (sound, opened):
        yield _checked(path, sound, functools.partial(_read_at_once, path, sound, opened))


def _read_at_once(
    path: Source, sound: Sound, opened: Any, start: int, frames: int
) -> Iterator[NDArray[np.floating]]:
    """Decode a whole FLAC file in one block if possible, because that is faster, and others in blocks."""
    whole = None
    if sound.has_integers and (start, frames) == (0, sound.frames):
        whole = read_flac(path, frames, sound.channels)
    if whole is None:
        yield from read_sound_blocks(path, sound, opened, start, frames)
    else:
        yield whole


def read_header(path: Source) -> Header:
    """Read the header alone."""
    with opened_audio(path) as (header, _):
        return header


def read_blocks(path: Source, header: Header, start: int, frames: int) -> Iterator[NDArray[np.floating]]:
    """Open a file again, and decode ``frames`` samples from ``start``, as blocks ``(n, channels)``."""
    if isinstance(header, Wav):
        with open_source(path, buffering=0) as file:
            yield from read_wav_blocks(path, header, file, start, frames)
    else:
        yield from read_sound_blocks(path, header, None, start, frames)


def to_mono(path: Source, header: Header, samples: NDArray[np.floating], start: int) -> NDArray[np.float32]:
    """Average the channels. Float files may hold NaN, which would spoil a training run, so it is refused."""
    import numpy as np

    if not header.has_integers:
        _check_samples(path, samples, start)
    channels = samples.shape[1]
    share = samples.dtype.type(1 / channels)
    mono: NDArray[np.floating] = samples[:, 0]
    if channels > _MANY_CHANNELS:
        mono = samples.sum(axis=1) * share
    elif channels > 1:
        # A sum of columns is faster, and unlike a product with a matrix it is the same in every block.
        mono = mono * share
        for channel in range(1, channels):
            mono += samples[:, channel] * share
    return mono.astype(np.float32, copy=False)


def _checked(
    path: Source, header: Header, blocks: Callable[[int, int], Iterator[NDArray[np.floating]]]
) -> tuple[Header, Callable[[int, int], NDArray[np.float32]]]:
    """Return a header that can be used, and a function that averages the channels of blocks."""
    if header.frames < 1:
        raise ValueError(f"{path}: wanted at least 1 sample, got 0")
    if not LOWEST_RATE <= header.sample_rate <= HIGHEST_RATE:
        # The rates decide how much memory resampling takes, so a damaged header must not choose them.
        raise ValueError(
            f"{path}: wanted a sample rate from {LOWEST_RATE:,} to {HIGHEST_RATE:,} Hz, "
            f"got {header.sample_rate:,} Hz in its header"
        )
    return header, lambda start, frames: _read_mono(path, header, blocks(start, frames), start, frames)


def _read_mono(
    path: Source, header: Header, blocks: Iterator[NDArray[np.floating]], start: int, frames: int
) -> NDArray[np.float32]:
    """Decode in blocks, and average their channels.

    The memory grows with what is decoded. What the header promises may not be there.
    """
    import numpy as np

    mono = to_mono(path, header, next(blocks), start)
    if len(mono) == frames:
        return mono
    joined = bytearray(mono.tobytes())
    for block in blocks:
        joined += to_mono(path, header, block, start + len(joined) // 4).tobytes()
    return np.frombuffer(joined, np.float32)


def _check_samples(path: Source, samples: NDArray[np.floating], start: int) -> None:
    """Refuse samples that are not finite float32 numbers."""
    import numpy as np

    # The highest bit of an exponent is set from 2 on, and in NaN and infinity. Most files are below 2, which
    # one pass over the bits shows.
    if samples.dtype == np.float32 and not np.bitwise_or.reduce(samples.view(np.uint32), None) & 0x4000_0000:
        return
    largest = np.finfo(np.float32).max
    # A minimum and a maximum need no memory, and pass NaN on. NaN is not larger, so this is written the other
    # way round.
    if not (-largest <= samples.min() and samples.max() <= largest):
        sample, channel = np.argwhere(~(np.abs(samples) <= largest))[0]
        got = f"{samples[sample, channel]} at sample {start + sample}"
        raise ValueError(f"{path}: wanted finite float32 samples, got {got}")
