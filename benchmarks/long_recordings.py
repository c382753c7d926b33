"""The memory of predict_long for files of 10 min, 1 h and 10 h, in a new process for each.

The files are noise of 16 bits, mono, at 44.1 kHz. Ten hours need 3.2 GB in ``--folder``, and the files are
deleted afterwards. The network is tiny, because the memory of reading is measured. The column ``waveform``
has the memory that the samples alone would take as float32.

    python benchmarks/long_recordings.py [--hours 0.1667 1 10] [--folder /tmp]
"""

from __future__ import annotations

import resource
import subprocess
import sys
import tempfile
import time
import wave
from pathlib import Path

import torch

from _table import options, published, show
from rankaudio import CNN2d, LogMel, Tagger, predict_long

RATE = 44_100


def write_noise(path: Path, seconds: int) -> None:
    """Write a file in pieces of a second, with a minute of noise again and again."""
    generator = torch.Generator().manual_seed(0)
    noise = torch.randint(-9000, 9000, (60, RATE), generator=generator, dtype=torch.int16).numpy()
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(RATE)
        file.setnframes(seconds * RATE)
        for second in range(seconds):
            file.writeframesraw(noise[second % 60].tobytes())


def score(path: Path) -> None:
    """Score a file, and print its windows, the seconds, and the memory before and at the highest."""
    torch.manual_seed(0)
    torch.set_num_threads(1)
    tagger = Tagger(LogMel(n_mels=32), CNN2d(10, base_depth=4, n_blocks=2)).eval()
    predict_long(tagger, torch.zeros(60 * RATE), window=10.0, hop=10.0)  # the memory of a batch
    before, start = peak_memory(), time.perf_counter()
    scores, _, _ = predict_long(tagger, path, window=10.0, hop=10.0)
    print(len(scores), time.perf_counter() - start, before, peak_memory())


def peak_memory() -> float:
    """Return MB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (1e6 if sys.platform == "darwin" else 1e3)


def measure(hours: float, folder: Path) -> list[str]:
    seconds = round(hours * 3600)
    with tempfile.TemporaryDirectory(dir=folder) as inner:
        path = Path(inner) / "long.wav"
        write_noise(path, seconds)
        done = subprocess.run(
            [sys.executable, __file__, "--score", str(path)], check=True, stdout=subprocess.PIPE, text=True
        )
    windows, took, before, peak = map(float, done.stdout.split())
    length = f"{seconds / 60:.0f} min" if seconds < 3600 else f"{seconds / 3600:g} h"
    growth, waveform = f"{peak - before:.0f} MB", f"{seconds * RATE * 4 / 1e6:,.0f} MB"
    return [length, f"{windows:.0f}", waveform, f"{peak:.0f} MB", growth, f"{took:.0f} s"]


if __name__ == "__main__":
    parser = options(__doc__)
    parser.add_argument("--hours", type=float, nargs="+", default=[1 / 6, 1, 10])
    parser.add_argument("--folder", type=Path, help="where the files go, a temporary folder by default")
    parser.add_argument("--score", type=Path, help="score this file in this process")
    arguments = parser.parse_args()
    if arguments.score:
        score(arguments.score)
    else:
        columns = ["recording", "windows", "waveform", "peak", "more than for one minute", "time"]
        with published(arguments.out):
            rows = [measure(hours, arguments.folder) for hours in arguments.hours]
            show("predict_long of a file, windows of 10 s", columns, rows)
