"""Reading audio files: mono float32 waveforms, and lengths without decoding."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple

import torch
from torch import Tensor

from rankaudio._checks import check_integer, check_number
from rankaudio.data._decode import Header, opened_audio, read_header
from rankaudio.data._source import AudioData, Source, check_source
from rankaudio.resampling import part_to_resample, resample, resampled_length

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

__all__ = ["AudioInfo", "audio_info", "load_audio"]

# The memory of a resampling filter grows with the old rate, divided by the common factor of both rates.
_LARGEST_RATIO = 500_000


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
    with opened_audio(source) as (header, read_mono):
        rate = sample_rate or header.sample_rate
        part = find_part(source, header, rate, start, seconds)
        return cut_part(source, header, rate, *part, read_mono=read_mono)


def find_part(
    source: Source, header: Header, rate: int, start: float, seconds: float | None
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
    with opened_audio(path) as (header, read_mono):
        total = resampled_length(header.frames, header.sample_rate, sample_rate)
        if total < first + count:
            raise ValueError(f"{path}: wanted {first + count} samples, got {total}: the file has changed")
        return cut_part(path, header, sample_rate, first, count, read_mono=read_mono)


def check_rates_of_file(path: Source, old_rate: int, new_rate: int) -> None:
    """Refuse a pair of rates whose filter would take more than half a gigabyte."""
    if old_rate // math.gcd(old_rate, new_rate) > _LARGEST_RATIO:
        raise ValueError(
            f"{path}: wanted a sample rate up to {_LARGEST_RATIO:,} Hz, or a large common factor with "
            f"{new_rate:,} Hz, got {old_rate:,} Hz in its header"
        )


def cut_part(
    path: Source,
    header: Header,
    rate: int,
    first: int,
    count: int,
    *,
    read_mono: Callable[[int, int], NDArray[np.float32]],
) -> Tensor:
    """Resample the samples that the part needs, which ``read_mono`` returns."""
    if rate == header.sample_rate:
        waveform = torch.from_numpy(read_mono(first, count))
        if header.channels > 1 and not header.has_integers:
            _check_finite(path, waveform, rate)
        return waveform
    check_rates_of_file(path, header.sample_rate, rate)
    part = part_to_resample(first, first + count, header.sample_rate, rate)
    stop = min(part.stop, header.frames)
    old = torch.from_numpy(read_mono(part.start, stop - part.start))[None]
    new = resample(old, old_rate=header.sample_rate, new_rate=rate)[0][0]
    cut = new[part.new_first : part.new_first + count]
    _check_finite(path, cut, rate)
    # A copy, because a view would keep the memory of what was decoded.
    return cut if len(cut) == len(new) else cut.clone()


def _check_finite(path: Source, waveform: Tensor, rate: int) -> None:
    # A minimum and a maximum pass NaN on, and take a tenth of the time of a mask.
    if not all(math.isfinite(end.item()) for end in waveform.aminmax()):
        raise ValueError(f"{path}: wanted finite float32 samples, got values that are too large at {rate} Hz")
