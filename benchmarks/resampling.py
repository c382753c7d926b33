"""Resampling against soxr HQ and scipy's resample_poly: seconds, noise, and what folds back.

The clips have the lengths of real recordings, 0.3 to 12 s, in random order, one at a time and on one thread.
The noise is that of tones up to 0.9 of the lower Nyquist frequency, the fold-back that of tones above the new
one, both in dB relative to the tone.
"""

from __future__ import annotations

import math
import time

import numpy as np
import scipy.signal
import soxr
import torch

from _table import options, published, show
from rankaudio import resample

PAIRS = [
    *[(8_000, 16_000), (22_050, 44_100), (16_000, 44_100), (48_000, 44_100), (32_000, 44_100)],
    *[(96_000, 44_100), (192_000, 48_000), (44_100, 32_000), (48_000, 16_000)],
]
ROUNDS = 7


def ours(x: np.ndarray, old: int, new: int) -> np.ndarray:
    return resample(torch.from_numpy(x)[None], old_rate=old, new_rate=new)[0][0].numpy()


def by_soxr(x: np.ndarray, old: int, new: int) -> np.ndarray:
    return soxr.resample(x, old, new, quality="HQ")


def by_scipy(x: np.ndarray, old: int, new: int) -> np.ndarray:
    common = math.gcd(old, new)
    return scipy.signal.resample_poly(x, new // common, old // common)


PEERS = {"rankaudio": ours, "soxr HQ": by_soxr, "resample_poly": by_scipy}


def tone(frequency: float, rate: int) -> np.ndarray:
    return np.sin(2 * np.pi * frequency / rate * np.arange(rate)).astype(np.float32)


def middle(x: np.ndarray) -> np.ndarray:
    return x[len(x) // 5 : -(len(x) // 5)].astype(np.float64)


def noise(function, old: int, new: int) -> float:
    """Return the largest level in dB of what is not the tone."""
    levels = []
    for share in (0.01, 0.3, 0.6, 0.9):
        frequency = share * min(old, new) / 2
        y = middle(function(tone(frequency, old), old, new))
        angle = 2 * np.pi * frequency / new * np.arange(len(y))
        waves = np.stack([np.sin(angle), np.cos(angle)], axis=1)
        rest = y - waves @ np.linalg.lstsq(waves, y, rcond=None)[0]
        levels.append(10 * math.log10(np.mean(rest**2) / 0.5))
    return max(levels)


def fold_back(function, old: int, new: int) -> float:
    """Return the largest level in dB of tones above the new Nyquist frequency; NaN if there can be none."""
    frequencies = [f for f in (1.001 * new / 2, 1.02 * new / 2, 1.1 * new / 2) if f < old / 2]
    levels = [np.mean(middle(function(tone(f, old), old, new)) ** 2) for f in frequencies]
    return max((10 * math.log10(level / 0.5) for level in levels), default=math.nan)


def clips(old: int) -> list[np.ndarray]:
    rng = np.random.default_rng(0)
    lengths = rng.permutation(np.geomspace(0.3, 12, 20))
    return [rng.standard_normal(int(old * seconds)).astype(np.float32) for seconds in lengths]


def times(old: int, new: int) -> tuple[dict[str, float], dict[str, float]]:
    """Return seconds of each peer over all clips, median of the rounds, and of the first call ever."""
    batch, rounds, first = clips(old), {name: [] for name in PEERS}, {}
    for _ in range(ROUNDS):
        for name, function in PEERS.items():
            start = time.perf_counter()
            for clip in batch:
                function(clip, old, new)
                first.setdefault(name, time.perf_counter() - start)
            rounds[name].append(time.perf_counter() - start)
    return {name: float(np.median(all_of_it)) for name, all_of_it in rounds.items()}, first


def main() -> None:
    args = options(__doc__).parse_args()
    torch.set_num_threads(1)
    with published(args.out, f"soxr {soxr.__version__}"):
        rows = []
        for old, new in PAIRS:
            took, first = times(old, new)
            for name, function in PEERS.items():
                folded = fold_back(function, old, new)
                rows.append(
                    [
                        f"{old} to {new}" if name == "rankaudio" else "",
                        name,
                        f"{took[name] * 1e3:.1f}",
                        f"{took[name] / took['rankaudio']:.2f}",
                        f"{first[name] * 1e3:.1f}",
                        f"{noise(function, old, new):.0f}",
                        "-" if math.isnan(folded) else f"{folded:.0f}",
                    ]
                )
        columns = ["Hz", "by", "ms, 20 clips", "ratio", "ms, first clip", "noise, dB", "fold-back, dB"]
        show("20 clips of 0.3 to 12 s, one at a time", columns, rows)


if __name__ == "__main__":
    main()
