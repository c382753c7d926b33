"""Reading audio files: mono float32 waveforms, and lengths without decoding."""

from __future__ import annotations

import math
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, NamedTuple

import torch
from torch import Tensor

from rankaudio._checks import check_integer, check_path
from rankaudio.data._wav import Wav, read_wav_header, read_wav_samples

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

__all__ = ["AudioInfo", "audio_info", "load_audio"]

# The first bytes of files that soundfile can read: FLAC, Ogg, MP3 with a tag, AIFF, and variants of WAV.
_SIGNATURES = (b"fLaC", b"OggS", b"ID3", b"FORM", b"RF64", b"RIFX", b"riff", b"caff", b".snd")


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


def audio_info(path: str | Path) -> AudioInfo:
    """Length, sample rate and channels of an audio file, without decoding it.

    Args:
        path: a WAV file; with the extra ``rankaudio[audio]`` also FLAC, OGG, MP3 and the other formats that
            soundfile reads.

    Returns:
        An :class:`AudioInfo`.

    Raises:
        FileNotFoundError: if there is no such file (another OSError for a directory or an unreadable file).
        ValueError: if the file is empty, is not audio, has no samples, or is shorter than its header says.
        ImportError: if it needs soundfile, and soundfile cannot be imported.

    >>> import tempfile
    >>> from scipy.io import wavfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     wavfile.write(f"{folder}/silence.wav", 8000, torch.zeros(400, 2).numpy())
    ...     audio_info(f"{folder}/silence.wav")
    AudioInfo(frames=400, sample_rate=8000, channels=2)
    """
    return _inspect(check_path("path", path))[0]


def load_audio(path: str | Path, *, sample_rate: int | None = 44100) -> Tensor:
    r"""Read an audio file as one channel of float32 samples.

    Integer samples are divided by full scale (32,768 for 16 bits), which gives values in [-1, 1). Float
    samples are not scaled. Channels are averaged. Resampling is polyphase with the default filter of
    :func:`scipy.signal.resample_poly`: a Kaiser window with beta 5, over 10 zero crossings on each side.
    :math:`n` samples become :math:`\lceil n \, r_{\text{new}} / r_{\text{old}} \rceil` samples, which may
    exceed full scale.

    Args:
        path: WAV with 8, 16, 24 or 32-bit integer or 32 or 64-bit float samples and any number of channels.
            With the extra ``rankaudio[audio]`` also FLAC, OGG, MP3 and the other formats that soundfile
            reads. The format is detected from the first bytes, not from the name.
        sample_rate: samples per second of the result; ``None`` keeps the rate of the file.

    Returns:
        ``(T,)`` float32, :math:`T \ge 1`.

    Raises:
        FileNotFoundError: if there is no such file (another OSError for a directory or an unreadable file).
        ValueError: if the file is empty, is not audio, has no samples, or has a sample that is not a finite
            float32 number. Also if it is shorter than its header says; soundfile cannot detect that in every
            format.
        ImportError: if it needs soundfile, and soundfile cannot be imported.

    >>> import tempfile
    >>> from scipy.io import wavfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     wavfile.write(f"{folder}/steps.wav", 8000, torch.tensor([0, 16384, -32768]).short().numpy())
    ...     load_audio(f"{folder}/steps.wav", sample_rate=None)
    tensor([ 0.0000,  0.5000, -1.0000])
    """
    path = check_path("path", path)
    if sample_rate is not None:
        check_integer("sample_rate", sample_rate)
    info, wav = _inspect(path)
    samples = _decode(path, info.frames) if wav is None else read_wav_samples(path, wav)
    return _resample(_to_mono(path, samples), info.sample_rate, sample_rate or info.sample_rate)


def resampled_length(frames: int, old_rate: int, new_rate: int) -> int:
    """Number of samples that :func:`load_audio` returns for ``frames`` samples in a file."""
    return -(-frames * new_rate // old_rate)


def _inspect(path: Path) -> tuple[AudioInfo, Wav | None]:
    """Read the header. The second value says how to decode the file; None leaves that to soundfile."""
    with path.open("rb") as file:
        start = file.read(12)
        if not start:
            raise ValueError(f"{path}: wanted an audio file, got an empty file")
        if start[:4] + start[8:] == b"RIFFWAVE":
            wav = read_wav_header(path, file)
        elif start.startswith(_SIGNATURES) or (start[0] == 0xFF and start[1:2] >= b"\xe0"):  # MP3 frame
            wav = None
        else:
            raise ValueError(f"{path}: wanted an audio file, got one that begins with {start!r}")
    info = AudioInfo(*wav[:3]) if wav is not None else _soundfile_info(path)
    if info.frames < 1:
        raise ValueError(f"{path}: wanted at least 1 sample, got 0")
    return info, wav


def _to_mono(path: Path, samples: NDArray[np.floating]) -> NDArray[np.float32]:
    """Average the channels. Float files may hold NaN, which would spoil a training run, so it is refused."""
    import numpy as np

    largest = np.finfo(np.float32).max
    # Written so that NaN is caught too.
    if not np.abs(samples).max() <= largest:
        sample, channel = np.argwhere(~(np.abs(samples) <= largest))[0]
        got = f"{samples[sample, channel]} at sample {sample}"
        raise ValueError(f"{path}: wanted finite float32 samples, got {got}")
    # This is ten times as fast as a mean over such a short axis.
    channels = samples.shape[1]
    mono = samples @ np.full(channels, 1 / channels, samples.dtype) if channels > 1 else samples[:, 0]
    return mono.astype(np.float32, copy=False)


def _resample(waveform: NDArray[np.float32], old_rate: int, new_rate: int) -> Tensor:
    if old_rate != new_rate:
        from scipy.signal import resample_poly

        common = math.gcd(old_rate, new_rate)
        waveform = resample_poly(waveform, new_rate // common, old_rate // common)
    return torch.from_numpy(waveform).float()


def _soundfile(path: Path) -> ModuleType:
    """Import soundfile. Its C library may be missing or broken even if the package is installed."""
    try:
        import soundfile
    except (ImportError, OSError) as error:
        raise ImportError(
            f"{path}: wanted the package soundfile, which reads formats other than PCM or float WAV, got "
            f"{error!r}. Try: pip install 'rankaudio[audio]'"
        ) from error
    return soundfile  # type: ignore[no-any-return]


def _soundfile_info(path: Path) -> AudioInfo:
    soundfile = _soundfile(path)
    try:
        info = soundfile.info(str(path))
    except soundfile.LibsndfileError as error:
        raise ValueError(f"{path}: wanted an audio file, got one that soundfile refuses: {error}") from error
    return AudioInfo(int(info.frames), int(info.samplerate), int(info.channels))


def _decode(path: Path, frames: int) -> NDArray[np.floating]:
    soundfile = _soundfile(path)
    try:
        samples: NDArray[np.floating] = soundfile.read(str(path), dtype="float32", always_2d=True)[0]
    except soundfile.LibsndfileError as error:
        raise ValueError(f"{path}: wanted {frames} samples, as its header says, got: {error}") from error
    if len(samples) < frames:
        raise ValueError(
            f"{path}: truncated: wanted {frames} samples per channel, as its header says, got {len(samples)}"
        )
    return samples
