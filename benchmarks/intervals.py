"""Average precision against scikit-learn, and bootstrap intervals: seconds, errors, and coverage.

    python benchmarks/intervals.py [--simulations 1000]

Coverage is the share of simulated data sets whose interval has the true value in it. The true value is that
of a million simulated clips. A 95 % interval should have it in 95 % of the cases.
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
from rankaudio.metrics import average_precision, bootstrap, f1, lwlrap, paired_test

SIZES = [(10_000, 80), (100_000, 80)]
RESAMPLED = [("lwlrap", 100_000, 80), ("f1", 100_000, 80), ("average_precision", 10_000, 80)]
RESAMPLED += [("average_precision", 100_000, 80)]
CLIPS = (500,)


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
        found = bootstrap(scores, target, metric=metric, **more)
        spent = [f"{time.perf_counter() - start:.2f} s", f"{time.process_time() - cpu:.2f} s"]
        value = f"{found.value:.4f} [{found.low:.4f}, {found.high:.4f}]"
        rows.append([metric, f"{clips:,} x {classes}", *spent, value])
    return rows


def coverage_rows(generator: torch.Generator, simulations: int) -> list[list[str]]:
    """Return a row for each metric and number of clips: 10 classes, of which a clip has 1.5."""
    classes, share = 10, 0.15
    scores, target = draw(generator, 1_000_000, classes, share)
    second = torch.randn(1_000_000, classes, generator=generator) + 1.8 * target
    truth = {
        "lwlrap": float(lwlrap(scores, target)),
        "average_precision": float(average_precision(scores, target)),
        "f1": float(f1(scores, target, thresholds=1.0)),
        "lwlrap, difference of two models": float(lwlrap(scores, target) - lwlrap(second, target)),
    }
    rows = []
    for clips in CLIPS:
        inside = dict.fromkeys(truth, 0)
        for number in range(simulations):
            scores, target = draw(generator, clips, classes, share)
            second = torch.randn(clips, classes, generator=generator) + 1.8 * target
            found = {
                "lwlrap": bootstrap(scores, target, seed=number),
                "average_precision": bootstrap(scores, target, metric="average_precision", seed=number),
                "f1": bootstrap(scores, target, metric="f1", thresholds=1.0, seed=number),
                "lwlrap, difference of two models": paired_test(scores, second, target, seed=number),
            }
            for name, one in found.items():
                inside[name] += one.low <= truth[name] <= one.high
        for name, count in inside.items():
            rows.append([name, f"{clips:,}", f"{truth[name]:.4f}", f"{count / simulations:.1%}"])
    return rows


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
        columns = ["metric", "clips x classes", "seconds", "CPU seconds", "value and interval"]
        show("1,000 resamples", columns, interval_rows(generator))
        columns = ["metric", "clips", "true value", "intervals with the true value"]
        rows = coverage_rows(generator, args.simulations)
        show(f"Coverage of the 95 % interval, {args.simulations:,} simulated data sets", columns, rows)


if __name__ == "__main__":
    main()
