"""Statistics of waveforms against numpy's percentile for each clip and window: time and error.

64 clips of 10 s at 44.1 kHz, float32, on one thread. Both are timed in turn, in CPU seconds. The error
is the largest difference from numpy in float64.
"""

from __future__ import annotations

import time

import numpy as np
import torch
from torch import Tensor

from _table import options, published, show
from rankaudio.spectral import waveform_statistics

CLIPS, SAMPLES, WINDOWS, ROUNDS = 64, 441_000, 128, 5
PERCENTILES = [0, 1, 25, 30, 50, 60, 75, 99, 100]


def by_numpy(clips: np.ndarray) -> np.ndarray:
    """Compute the statistics as the second-place system did: one clip and one window after the other."""
    stride = clips.shape[1] / WINDOWS
    starts = [max(0, int(k * stride - stride / 2)) for k in range(WINDOWS)]
    stops = [int(k * stride + 1.5 * stride) for k in range(WINDOWS)]
    return np.array([[of_window(clip[a:b]) for a, b in zip(starts, stops, strict=True)] for clip in clips])


def of_window(x: np.ndarray) -> list[float]:
    return [x.mean(), x.std(), x.max() - x.min(), *np.percentile(x, PERCENTILES)]


def signals() -> dict[str, Tensor]:
    noise = 0.1 * torch.randn(CLIPS, SAMPLES, generator=torch.Generator().manual_seed(0))
    decay = torch.exp(-torch.arange(SAMPLES) / 44_100)  # 87 dB in 10 s
    return {"noise": noise, "decaying noise": noise * decay}


def rows_for(name: str, clips: Tensor) -> list[list[str]]:
    lengths = torch.full((CLIPS,), SAMPLES)
    runs = {
        "numpy": lambda: by_numpy(clips.numpy()),
        "rankaudio": lambda: waveform_statistics(clips),
        "rankaudio, with lengths": lambda: waveform_statistics(clips, lengths),
    }
    exact = by_numpy(clips.double().numpy())
    times = dict.fromkeys(runs, float("inf"))
    for _ in range(ROUNDS):  # in turn, so that other programs disturb all alike
        for by, run in runs.items():
            start = time.process_time()
            run()
            times[by] = min(times[by], time.process_time() - start)
    errors = {by: np.abs(np.asarray(run()) - exact).max() for by, run in runs.items()}
    return [
        [name, by, f"{took:.3f}", f"{times['numpy'] / took:.1f}", f"{errors[by]:.1e}"]
        for by, took in times.items()
    ]


def main() -> None:
    arguments = options(__doc__).parse_args()
    torch.set_num_threads(1)
    with published(arguments.out, f"numpy {np.__version__}"):
        rows = [row for name, clips in signals().items() for row in rows_for(name, clips)]
        columns = ["clips", "by", "CPU seconds", "times as fast as numpy", "error"]
        show(f"Statistics of {CLIPS} clips of 10 s", columns, rows)


if __name__ == "__main__":
    main()
