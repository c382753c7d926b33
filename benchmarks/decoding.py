"""Reading audio files: time and error compared with soundfile and librosa."""

from __future__ import annotations

import tempfile
from pathlib import Path

import librosa
import numpy as np
import scipy
import soundfile
import torch

from _table import options, published, seconds, show
from rankaudio.data import audio_info, load_audio

SECONDS = 5
CASES = [  # name, sample rate, channels, format, coding
    ("WAV 16 bits", 44100, 1, "WAV", "PCM_16"),
    ("WAV 16 bits, stereo", 44100, 2, "WAV", "PCM_16"),
    ("WAV 24 bits", 44100, 1, "WAV", "PCM_24"),
    ("WAV float", 44100, 1, "WAV", "FLOAT"),
    ("FLAC", 44100, 1, "FLAC", "PCM_16"),
    ("WAV 16 bits, 48 kHz", 48000, 1, "WAV", "PCM_16"),
    ("WAV 16 bits, 22.05 kHz", 22050, 1, "WAV", "PCM_16"),
]


def noise(rate: int, channels: int) -> np.ndarray:
    """Make noise up to 8 kHz, below the cutoff of every resampler."""
    spectrum = np.fft.rfft(np.random.default_rng(0).standard_normal((rate * SECONDS, channels)), axis=0)
    spectrum[8000 * SECONDS :] = 0
    signal = np.fft.irfft(spectrum, axis=0)
    return 0.9 * signal / np.abs(signal).max()


def decoding(folder: Path) -> None:
    rows = []
    for name, rate, channels, form, coding in CASES:
        path = folder / f"{name}.{form.lower()}"
        soundfile.write(path, noise(rate, channels), rate, format=form, subtype=coding)
        expected, _ = librosa.load(path, sr=44100, res_type="soxr_vhq")
        error = np.abs(load_audio(path).numpy() - expected)[1000:-1000].max()
        rows.append(
            [
                name,
                f"{1e3 * seconds(lambda p=path: load_audio(p)):.2f}",
                f"{1e3 * seconds(lambda p=path: librosa.load(p, sr=44100)):.2f}",
                f"{1e3 * seconds(lambda p=path: soundfile.read(p, dtype='float32')):.2f}",
                f"{error:.1e}",
            ]
        )
    columns = [
        "file",
        "ours, ms",
        "librosa, ms",
        "soundfile (no mean, no resampling), ms",
        "largest difference",
    ]
    show(f"{SECONDS} s of audio at 44.1 kHz, mono", columns, rows)


def headers(folder: Path) -> None:
    rows = []
    for name, _, _, form, _ in CASES[:5]:
        path = folder / f"{name}.{form.lower()}"
        ours, theirs = seconds(lambda p=path: audio_info(p)), seconds(lambda p=path: soundfile.info(str(p)))
        frames = soundfile.info(str(path)).frames
        error = abs(audio_info(path).frames - frames)
        rows.append([name, f"{25e3 * ours:.2f}", f"{25e3 * theirs:.2f}", str(error)])
    columns = ["file", "ours, s", "soundfile, s", "difference, samples"]
    show("Lengths of 25,000 files from their headers", columns, rows)


if __name__ == "__main__":
    arguments = options(__doc__).parse_args()
    torch.set_num_threads(1)
    peers = (f"numpy {np.__version__}", f"scipy {scipy.__version__}", f"librosa {librosa.__version__}")
    with published(arguments.out, *peers), tempfile.TemporaryDirectory() as scratch:
        decoding(Path(scratch))
        headers(Path(scratch))
