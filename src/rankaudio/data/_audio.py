"""Reading audio files: mono float32 waveforms, and lengths without decoding."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import torch
from torch import Tensor

from rankaudio._checks import check_integer, check_number
from rankaudio._files import check_regular_file
from rankaudio.data._formats import find_reader
from rankaudio.data._soundfile import Sound, read_sound_blocks, read_sound_header
from rankaudio.data._source import AudioData, Source, check_source, open_source
from rankaudio.data._wav import Wav, read_wav_blocks, read_wav_header
from rankaudio.resampling import part_to_resample, resample, resampled_length

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

__all__ = ["AudioInfo", "audio_info", "load_audio"]

_MANY_CHANNELS = 32
# The memory of a resampling filter grows with the old rate, divided by the common factor of both rates.
_LARGEST_RATIO = 500_000
LOWEST_RATE, HIGHEST_RATE = 100, 1_000_000


class AudioInfo(NamedTuple):
    """Length, sample rate and channels of an audio file, from its header.

    Attributes:
        frames: samples per channel, at least 1.
        sample_rate: samples per second.
        channels: number of channels.

    >>> frames, sample_rate, channels = AudioInfo(frames=400, sample_rate=8000, channels=2)
    >>> frames / sample_rate
    0.05
    """

    frames: int
    sample_rate: int
    channels: int


def audio_info(path: AudioData) -> AudioInfo:
    """Length, sample rate and channels of an audio file, without decoding it.

    Args:
        path: a WAV file; with the extra ``rankaudio[audio]`` also FLAC, OGG, MP3 and the other formats that
            soundfile reads. It may be bytes or an open binary file, as in :func:`load_audio`.

    Returns:
        An :class:`AudioInfo`.

    Raises:
        FileNotFoundError: if there is no such file (another OSError for a directory or an unreadable file).
        ValueError: if the file is empty, is not audio, has no samples, or is shorter than its header says.
            Also if its header contradicts itself, or if it is a pipe, a socket or a device.
        ImportError: if it needs soundfile, and soundfile cannot be imported.

    >>> import tempfile
    >>> from scipy.io import wavfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     wavfile.write(f"{folder}/silence.wav", 8000, torch.zeros(400, 2).numpy())
    ...     audio_info(f"{folder}/silence.wav")
    AudioInfo(frames=400, sample_rate=8000, channels=2)
    """
    return AudioInfo(*read_header(check_source("path", path))[:3])


def load_audio(
    path: AudioData,
    *,
    sample_rate: int | None = 44100,
    start: float = 0.0,
    seconds: float | None = None,
) -> Tensor:
    r"""Read an audio file, or a part of it, as one channel of float32 samples.

    Integer samples are divided by full scale (32,768 for 16 bits), which gives values in [-1, 1). Float
    samples are not scaled. Channels are averaged. Another sample rate is reached by
    :func:`rankaudio.resample`: :math:`n` samples become
    :math:`\lceil n \, r_{\text{new}} / r_{\text{old}} \rceil` samples, which may exceed full scale.

    Args:
        path: WAV, RF64 or BW64 with 8, 16, 24 or 32-bit integer or 32 or 64-bit float samples and any number
            of channels. With the extra ``rankaudio[audio]`` also FLAC, OGG, MP3, AIFF, AU, CAF, W64, NIST
            SPHERE, VOC, IRCAM, PAF, WVE, PVF, AVR, XI and MAT5. The format is detected from the first bytes,
            not from the name. In place of a path, it may be the ``bytes`` of such a file, or a file that is
            open for reading in binary mode and can seek. An open file is read from its first byte. It stays
            open, and its position does not change.
        sample_rate: samples per second of the result; ``None`` keeps the rate of the file.
        start: seconds to leave out at the start.
        seconds: length of the part, which may end earlier with the file; ``None`` for all that follows. The
            result is the part from sample ``round(start * sample_rate)`` of the whole file. Only this part
            is read, but MP3 and Opus are decoded from their first sample.

    Returns:
        ``(T,)`` float32, :math:`T \ge 1`.

    Raises:
        FileNotFoundError: if there is no such file (another OSError for a directory or an unreadable file).
        ValueError: if the file is empty, is not audio, has no samples, or has a sample that is not a finite
            float32 number, also after resampling. Also if it is shorter than its header says, which soundfile
            cannot detect in every format. Also if the header contradicts itself, has a sample rate below
            100 Hz or above 1 MHz, or one above 500 kHz with no large common factor with ``sample_rate``.
            Also if the part begins after the end of the file, or has no sample, or if the path is that of a
            pipe, a socket or a device.
        ImportError: if it needs soundfile, and soundfile cannot be imported.

    >>> import tempfile
    >>> from scipy.io import wavfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     wavfile.write(
    ...         f"{folder}/steps.wav",
    ...         8000,
    ...         torch.tensor([0, 16384, -32768]).short().numpy(),
    ...     )
    ...     load_audio(f"{folder}/steps.wav", sample_rate=None)
    ...     load_audio(
    ...         f"{folder}/steps.wav", sample_rate=None, start=1 / 8000, seconds=1 / 8000
    ...     )
    tensor([ 0.0000,  0.5000, -1.0000])
    tensor([0.5000])
    >>> import io
    >>> file = io.BytesIO()
    >>> wavfile.write(file, 8000, torch.tensor([0, 16384, -32768]).short().numpy())
    >>> load_audio(file.getvalue(), sample_rate=None, start=1 / 8000)
    tensor([ 0.5000, -1.0000])
    """
    source = check_source("path", path)
    if sample_rate is not None:
        check_integer("sample_rate", sample_rate)
    check_number("start", start, 0)
    if seconds is not None:
        check_number("seconds", seconds, 0)
    header = read_header(source)
    rate = sample_rate or header.sample_rate
    return cut_part(source, header, rate, *find_part(source, header, rate, start, seconds))


def find_part(
    source: Source, header: Wav | Sound, rate: int, start: float, seconds: float | None
) -> tuple[int, int]:
    """Return the first sample of a part at the wanted rate, and the number of its samples."""
    total = resampled_length(header.frames, header.sample_rate, rate)
    first = round(start * rate)
    if first >= total:
        raise ValueError(f"start: wanted a time before the end of {source}, {total / rate} s, got {start}")
    count = total - first if seconds is None else min(total - first, round(seconds * rate))
    if count < 1:
        raise ValueError(f"seconds: wanted at least one sample, got {seconds}")
    return first, count


def load_part(path: Source, sample_rate: int, first: int, count: int) -> Tensor:
    """Read ``count`` samples from ``first``, both at the wanted rate: the same ones as in the whole file."""
    header = read_header(path)
    total = resampled_length(header.frames, header.sample_rate, sample_rate)
    if total < first + count:
        raise ValueError(f"{path}: wanted {first + count} samples, got {total}: the file has changed")
    return cut_part(path, header, sample_rate, first, count)


def check_rates_of_file(path: Source, old_rate: int, new_rate: int) -> None:
    """Refuse a pair of rates whose filter would take more than half a gigabyte."""
    if old_rate // math.gcd(old_rate, new_rate) > _LARGEST_RATIO:
        raise ValueError(
            f"{path}: wanted a sample rate up to {_LARGEST_RATIO:,} Hz, or a large common factor with "
            f"{new_rate:,} Hz, got {old_rate:,} Hz in its header"
        )


def cut_part(
    path: Source,
    header: Wav | Sound,
    rate: int,
    first: int,
    count: int,
    *,
    read: Callable[[int, int], NDArray[np.float32]] | None = None,
) -> Tensor:
    """Resample the samples that the part needs; ``read`` returns them in place of a new reader."""
    read = functools.partial(_read_mono, path, header) if read is None else read
    if rate == header.sample_rate:
        waveform = torch.from_numpy(read(first, count))
        if header.channels > 1:
            _check_finite(path, waveform, rate)
        return waveform
    check_rates_of_file(path, header.sample_rate, rate)
    part = part_to_resample(first, first + count, header.sample_rate, rate)
    stop = min(part.stop, header.frames)
    old = torch.from_numpy(read(part.start, stop - part.start))[None]
    new = resample(old, old_rate=header.sample_rate, new_rate=rate)[0][0]
    cut = new[part.new_first : part.new_first + count]
    _check_finite(path, cut, rate)
    # A copy, because a view would keep the memory of what was decoded.
    return cut if len(cut) == len(new) else cut.clone()


def _check_finite(path: Source, waveform: Tensor, rate: int) -> None:
    # A minimum and a maximum pass NaN on, and take a tenth of the time of a mask.
    if not all(math.isfinite(end.item()) for end in waveform.aminmax()):
        raise ValueError(f"{path}: wanted finite float32 samples, got values that are too large at {rate} Hz")


def read_header(path: Source) -> Wav | Sound:
    """Read the header, and refuse a file that cannot be used before anything is decoded."""
    if isinstance(path, Path):
        check_regular_file(path)
    header: Wav | Sound | None = None
    with open_source(path) as file:
        if find_reader(path, file.read(20)) == "wav":
            header = read_wav_header(path, file)
    header = read_sound_header(path) if header is None else header
    if header.frames < 1:
        raise ValueError(f"{path}: wanted at least 1 sample, got 0")
    if not LOWEST_RATE <= header.sample_rate <= HIGHEST_RATE:
        # The rates decide how much memory resampling takes, so a damaged header must not choose them.
        raise ValueError(
            f"{path}: wanted a sample rate from {LOWEST_RATE:,} to {HIGHEST_RATE:,} Hz, "
            f"got {header.sample_rate:,} Hz in its header"
        )
    return header


def _read_mono(path: Source, header: Wav | Sound, start: int, frames: int) -> NDArray[np.float32]:
    """Decode in blocks, and average their channels.

    The memory grows with what is decoded. What the header promises may not be there.
    """
    import numpy as np

    blocks = read_blocks(path, header, start, frames)
    mono = to_mono(path, next(blocks), start)
    if len(mono) == frames:
        return mono
    joined = bytearray(mono.tobytes())
    for block in blocks:
        joined += to_mono(path, block, start + len(joined) // 4).tobytes()
    return np.frombuffer(joined, np.float32)


def read_blocks(path: Source, header: Wav | Sound, start: int, frames: int) -> Iterator[NDArray[np.floating]]:
    if isinstance(header, Wav):
        return read_wav_blocks(path, header, start, frames)
    return read_sound_blocks(path, header, start, frames)


def to_mono(path: Source, samples: NDArray[np.floating], start: int) -> NDArray[np.float32]:
    """Average the channels. Float files may hold NaN, which would spoil a training run, so it is refused."""
    import numpy as np

    largest = np.finfo(np.float32).max
    # A minimum and a maximum need no memory, and pass NaN on. NaN is not larger, so this is written the other
    # way round.
    if not (-largest <= samples.min() and samples.max() <= largest):
        sample, channel = np.argwhere(~(np.abs(samples) <= largest))[0]
        got = f"{samples[sample, channel]} at sample {start + sample}"
        raise ValueError(f"{path}: wanted finite float32 samples, got {got}")
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
