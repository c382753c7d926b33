"""Reading audio files: time and error compared with soundfile and librosa."""

from __future__ import annotations

import tempfile
from pathlib import Path

import librosa
import miniaudio
import numpy as np
import scipy
import soundfile
import torch

from _table import options, published, show
from _turns import take_turns
from rankaudio.data import audio_info, load_audio

CASES = [  # name, sample rate, channels, format, coding
    ("WAV 16 bits", 44100, 1, "WAV", "PCM_16"),
    ("WAV 16 bits, stereo", 44100, 2, "WAV", "PCM_16"),
    ("WAV 24 bits", 44100, 1, "WAV", "PCM_24"),
    ("WAV float", 44100, 1, "WAV", "FLOAT"),
    ("FLAC", 44100, 1, "FLAC", "PCM_16"),
    ("WAV 16 bits, 48 kHz", 48000, 1, "WAV", "PCM_16"),
    ("WAV 16 bits, 22.05 kHz", 22050, 1, "WAV", "PCM_16"),
]
# The lengths of real clips: 0.3 to 12 s, and 3.2 s on average.
LENGTHS = np.random.default_rng(0).permutation(np.geomspace(0.3, 12, 12))


def noise(rate: int, channels: int, seconds: float) -> np.ndarray:
    """Make noise up to 8 kHz, below the cutoff of every resampler."""
    samples = int(rate * seconds)
    spectrum = np.fft.rfft(np.random.default_rng(0).standard_normal((samples, channels)), axis=0)
    spectrum[int(8000 * seconds) :] = 0
    signal = np.fft.irfft(spectrum, n=samples, axis=0)
    return 0.9 * signal / np.abs(signal).max()


def write_files(folder: Path) -> dict[str, list[Path]]:
    """Write a file of each length in each format."""
    files: dict[str, list[Path]] = {}
    for name, rate, channels, form, coding in CASES:
        files[name] = [folder / f"{name} {index}.{form.lower()}" for index in range(len(LENGTHS))]
        for path, seconds in zip(files[name], LENGTHS, strict=True):
            soundfile.write(path, noise(rate, channels, seconds), rate, format=form, subtype=coding)
    return files


def decoding(files: dict[str, list[Path]]) -> None:
    rows = []
    for name, paths in files.items():
        contenders = {
            "ours": lambda paths=paths: [load_audio(path) for path in paths],
            "soundfile": lambda paths=paths: [soundfile.read(path, dtype="float32") for path in paths],
            "librosa": lambda paths=paths: [librosa.load(path, sr=44100) for path in paths],
        }
        turns = take_turns(contenders)
        expected = [librosa.load(path, sr=44100, res_type="soxr_vhq")[0] for path in paths]
        pairs = zip(paths, expected, strict=True)
        error = max(np.abs(load_audio(path).numpy() - audio)[1000:-1000].max() for path, audio in pairs)
        rows.append(
            [
                name,
                *(f"{1e3 * turns.median(who) / len(paths):.2f}" for who in contenders),
                f"{turns.ratio('soundfile', 'ours'):.2f}",
                f"{turns.ratio('librosa', 'ours'):.2f}",
                f"{error:.1e}",
            ]
        )
    columns = ["files", "ours, ms", "soundfile, ms", "librosa, ms", "soundfile / ours", "librosa / ours"]
    title = f"{len(LENGTHS)} files of 0.3 to 12 s, CPU ms a file, to 44.1 kHz mono"
    show(title, [*columns, "largest difference"], rows)


def headers(files: dict[str, list[Path]]) -> None:
    rows = []
    for name, paths in list(files.items())[:5]:
        contenders = {
            "ours": lambda paths=paths: [audio_info(path) for path in paths],
            "soundfile": lambda paths=paths: [soundfile.info(str(path)) for path in paths],
        }
        turns = take_turns(contenders)
        frames = zip(contenders["ours"](), contenders["soundfile"](), strict=True)
        error = max(abs(mine.frames - theirs.frames) for mine, theirs in frames)
        times = (f"{1e6 * turns.median(who) / len(paths):.0f}" for who in contenders)
        rows.append([name, *times, f"{turns.ratio('soundfile', 'ours'):.1f}", str(error)])
    columns = ["files", "ours, us", "soundfile, us", "soundfile / ours", "difference, samples"]
    show("Lengths from headers, CPU us a file", columns, rows)


if __name__ == "__main__":
    arguments = options(__doc__).parse_args()
    torch.set_num_threads(1)
    peers = (f"numpy {np.__version__}", f"scipy {scipy.__version__}", f"librosa {librosa.__version__}")
    peers = (*peers, f"soundfile {soundfile.__version__}", f"miniaudio {miniaudio.__version__}")
    with published(arguments.out, *peers), tempfile.TemporaryDirectory() as scratch:
        written = write_files(Path(scratch))
        decoding(written)
        headers(written)
