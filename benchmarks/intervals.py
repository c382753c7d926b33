"""Average precision against scikit-learn, and bootstrap intervals: seconds, errors, and coverage.

    python benchmarks/intervals.py [--simulations 1000]

Coverage is the share of simulated data sets whose interval has the true value in it. The true value is that
of ten million simulated scores. A 95 % interval should have it in 95 % of the cases.
"""

from __future__ import annotations

import time
import warnings
from importlib.metadata import version

import numpy as np
import torch
from sklearn.metrics import average_precision_score
from torch import Tensor

from _table import options, published, seconds, show
from rankaudio.metrics import (
    Interval,
    PairedTest,
    average_precision,
    bootstrap,
    f1,
    lwlrap,
    paired_test,
)

SIZES = [(10_000, 80), (100_000, 80)]
RESAMPLED = [("lwlrap", 100_000, 80), ("f1", 100_000, 80), ("average_precision", 10_000, 80)]
RESAMPLED += [("average_precision", 100_000, 80)]
# Clips, classes, and the share of clips with each class: 30 labels of each class on average.
TRUTH = 10_000_000  # simulated scores for the true values
SIMULATED = [(200, 10, 0.15), (1000, 40, 0.03)]


def draw(generator: torch.Generator, clips: int, classes: int, share: float = 0.015) -> tuple[Tensor, Tensor]:
    target = torch.rand(clips, classes, generator=generator) < share
    return torch.randn(clips, classes, generator=generator) + 2 * target, target


def precision_rows(generator: torch.Generator) -> list[list[str]]:
    rows = []
    for clips, classes in SIZES:
        scores, target = draw(generator, clips, classes)
        scores = (scores * 1000).round() / 1000  # with some ties
        truth, given = target.numpy(), scores.numpy()
        ours = average_precision(scores, target, average=None).average_precision.numpy()
        theirs = average_precision_score(truth, given, average=None)
        error = np.nanmax(np.abs(ours - theirs))
        mine = seconds(lambda s=scores, t=target: average_precision(s, t), repeats=3)
        other = seconds(lambda s=given, t=truth: average_precision_score(t, s), repeats=2)
        times = [f"{1e3 * other:.0f} ms", f"{1e3 * mine:.0f} ms", f"{other / mine:.1f}x"]
        rows.append([f"{clips:,} x {classes}", *times, f"{error:.1e}"])
    return rows


def interval_rows(generator: torch.Generator) -> list[list[str]]:
    rows = []
    for metric, clips, classes in RESAMPLED:
        scores, target = draw(generator, clips, classes)
        more = {"thresholds": 1.0} if metric == "f1" else {}
        start, cpu = time.perf_counter(), time.process_time()
        bootstrap(scores, target, metric=metric, **more)
        spent = [f"{time.perf_counter() - start:.2f} s", f"{time.process_time() - cpu:.2f} s"]
        rows.append([metric, f"{clips:,} x {classes}", *spent])
    return rows


def coverage_rows(generator: torch.Generator, simulations: int) -> list[list[str]]:
    rows = []
    for clips, classes, share in SIMULATED:
        inside = dict.fromkeys(NAMES, 0)
        truth = true_values(generator, classes, share)
        for number in range(simulations):
            found = intervals(generator, clips, classes, share, seed=number)
            for name, one in found.items():
                inside[name] += one.low <= truth[name] <= one.high
        size = f"{clips:,} x {classes}"
        rows += [[name, size, f"{truth[name]:.4f}", f"{inside[name] / simulations:.1%}"] for name in NAMES]
    return rows


NAMES = ("lwlrap", "average precision", "f1", "lwlrap, difference of two models")


def models(
    generator: torch.Generator, clips: int, classes: int, share: float
) -> tuple[Tensor, Tensor, Tensor]:
    """Draw the scores of a model, those of a slightly worse one, and the target."""
    scores, target = draw(generator, clips, classes, share)
    return scores, torch.randn(clips, classes, generator=generator) + 1.8 * target, target


def true_values(generator: torch.Generator, classes: int, share: float) -> dict[str, float]:
    scores, second, target = models(generator, TRUTH // classes, classes, share)
    values = [lwlrap(scores, target), average_precision(scores, target), f1(scores, target, thresholds=1.0)]
    values.append(values[0] - lwlrap(second, target))
    return dict(zip(NAMES, map(float, values), strict=True))


def intervals(
    generator: torch.Generator, clips: int, classes: int, share: float, *, seed: int
) -> dict[str, Interval | PairedTest]:
    scores, second, target = models(generator, clips, classes, share)
    found = [
        bootstrap(scores, target, seed=seed),
        bootstrap(scores, target, metric="average_precision", seed=seed),
        bootstrap(scores, target, metric="f1", thresholds=1.0, seed=seed),
        paired_test(scores, second, target, seed=seed),
    ]
    return dict(zip(NAMES, found, strict=True))


def main() -> None:
    parser = options(__doc__)
    parser.add_argument("--simulations", type=int, default=1000)
    parser.add_argument("--threads", type=int, default=1)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    warnings.simplefilter("ignore")
    generator = torch.Generator().manual_seed(0)
    with published(args.out, f"scikit-learn {version('scikit-learn')}"):
        columns = ["clips x classes", "scikit-learn", "rankaudio", "scikit-learn / it", "largest error"]
        show("Average precision of each class, float32", columns, precision_rows(generator))
        columns = ["metric", "clips x classes", "seconds", "CPU seconds"]
        show("1,000 resamples", columns, interval_rows(generator))
        columns = ["metric", "clips x classes", "true value", "intervals with the true value"]
        rows = coverage_rows(generator, args.simulations)
        show(f"Coverage of the 95 % interval, {args.simulations:,} simulated data sets", columns, rows)


if __name__ == "__main__":
    main()
