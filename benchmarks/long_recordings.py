"""The memory of predict_long and score_stream for 10 min, 1 h and 10 h, in a new process for each.

The files for predict_long are noise of 16 bits, mono, at 44.1 kHz. Ten hours need 3.2 GB in ``--folder``, and
the files are deleted afterwards. The blocks for score_stream have a second each, and are made when they are
asked for. The network is tiny, because the memory of reading is measured. The column ``waveform`` has the
memory that the samples alone would take as float32. The error is the difference to the scores of the whole
recording at once, where that fits into the memory.

    python benchmarks/long_recordings.py [--hours 0.1667 1 10] [--folder /tmp]
"""

from __future__ import annotations

import math
import resource
import subprocess
import sys
import tempfile
import time
import wave
from pathlib import Path

import torch
from torch import Tensor

from _table import options, published, show
from rankaudio import CNN2d, LogMel, Tagger, predict_long
from rankaudio.inference import score_stream

RATE = 44_100
# The longest recording whose scores are computed at once too, in seconds.
AT_ONCE = 600


def minute_of_noise() -> Tensor:
    generator = torch.Generator().manual_seed(0)
    return torch.randint(-9000, 9000, (60, RATE), generator=generator, dtype=torch.int16)


def write_noise(path: Path, seconds: int) -> None:
    """Write a file in pieces of a second, with a minute of noise again and again."""
    noise = minute_of_noise().numpy()
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(RATE)
        file.setnframes(seconds * RATE)
        for second in range(seconds):
            file.writeframesraw(noise[second % 60].tobytes())


def tiny_tagger() -> Tagger:
    torch.manual_seed(0)
    torch.set_num_threads(1)
    return Tagger(LogMel(n_mels=32), CNN2d(10, base_depth=4, n_blocks=2)).eval()


def score(path: Path) -> None:
    """Score a file, and print its windows, the seconds, and the memory before and at the highest."""
    tagger = tiny_tagger()
    predict_long(tagger, torch.zeros(60 * RATE), window=10.0, hop=10.0)  # the memory of a batch
    before, start = peak_memory(), time.perf_counter()
    scores, _, _ = predict_long(tagger, path, window=10.0, hop=10.0)
    print(len(scores), time.perf_counter() - start, before, peak_memory())


def stream(seconds: int) -> None:
    """Score blocks, and print the windows, the seconds, the memory before and at its highest, the error."""
    tagger, noise = tiny_tagger(), minute_of_noise() / 2**15
    blocks = (noise[second % 60].clone() for second in range(seconds))
    score_stream(tagger, noise.flatten().repeat(2), window=10.0)  # the memory of a part
    before, start = peak_memory(), time.perf_counter()
    scores, windows, _ = score_stream(tagger, blocks, window=10.0)
    took, peak, error = time.perf_counter() - start, peak_memory(), float("nan")
    if seconds <= AT_ONCE:
        with torch.inference_mode():
            whole = tagger(noise.flatten().repeat(seconds // 60)[None])[0]
        error = float((scores - whole).abs().max())
    print(len(windows.scores), took, before, peak, error)


def peak_memory() -> float:
    """Return MB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (1e6 if sys.platform == "darwin" else 1e3)


def measured(words: list[str]) -> list[float]:
    """Return the figures that a new process prints."""
    done = subprocess.run([sys.executable, __file__, *words], check=True, stdout=subprocess.PIPE, text=True)
    return [float(word) for word in done.stdout.split()]


def row(seconds: int, windows: float, took: float, before: float, peak: float) -> list[str]:
    length = f"{seconds / 60:.0f} min" if seconds < 3600 else f"{seconds / 3600:g} h"
    growth, waveform = f"{peak - before:.0f} MB", f"{seconds * RATE * 4 / 1e6:,.0f} MB"
    return [length, f"{windows:.0f}", waveform, f"{peak:.0f} MB", growth, f"{took:.0f} s"]


def of_file(seconds: int, folder: Path | None) -> list[str]:
    with tempfile.TemporaryDirectory(dir=folder) as inner:
        path = Path(inner) / "long.wav"
        write_noise(path, seconds)
        return row(seconds, *measured(["--score", str(path)]))


def of_blocks(seconds: int) -> list[str]:
    *figures, error = measured(["--stream", str(seconds)])
    return [*row(seconds, *figures), "" if math.isnan(error) else f"{error:.1g}"]


if __name__ == "__main__":
    parser = options(__doc__)
    parser.add_argument("--hours", type=float, nargs="+", default=[1 / 6, 1, 10])
    parser.add_argument("--folder", type=Path, help="where the files go, a temporary folder by default")
    parser.add_argument("--score", type=Path, help="score this file in this process")
    parser.add_argument("--stream", type=int, help="score so many seconds of blocks in this process")
    arguments = parser.parse_args()
    if arguments.score:
        score(arguments.score)
    elif arguments.stream:
        stream(arguments.stream)
    else:
        lengths = [60 * round(hours * 60) for hours in arguments.hours]
        columns = ["recording", "windows", "waveform", "peak", "more than for a short one", "time"]
        with published(arguments.out):
            rows = [of_file(seconds, arguments.folder) for seconds in lengths]
            show("predict_long of a file, windows of 10 s", columns, rows)
            rows = [of_blocks(seconds) for seconds in lengths]
            show("score_stream of blocks of 1 s, windows of 10 s", [*columns, "largest error"], rows)
