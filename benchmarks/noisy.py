"""Noisy labels: the threshold against a search and a sort, agreement against scikit-learn; time and error."""

from __future__ import annotations

import time
from collections.abc import Callable

import numpy as np
import torch
from sklearn.metrics import label_ranking_average_precision_score
from torch import Tensor

from _table import options, published, show
from rankaudio.noisy import calibrate_scores, label_agreement, label_threshold, select_agreeing

MEAN_LABELS = 1.2


def least(contenders: dict[str, Callable[[], object]], rounds: int) -> dict[str, float]:
    """Least seconds of each contender. They take turns, so a busy moment affects all of them."""
    times = dict.fromkeys(contenders, float("inf"))
    for _ in range(rounds):
        for name, run in contenders.items():
            start = time.perf_counter()
            run()
            times[name] = min(times[name], time.perf_counter() - start)
    return times


def by_steps(scores: Tensor, mean_labels: float) -> float:
    """Raise the threshold by a thousandth of the range until few enough labels are left."""
    low, high = float(scores.amin()), float(scores.amax())
    for step in range(1001):
        threshold = low + (high - low) * step / 1000
        if float((scores > threshold).sum(1).double().mean()) <= mean_labels:
            return threshold
    return high


def by_bisection(scores: Tensor, mean_labels: float) -> float:
    """Halve an interval until its ends are neighbouring float32 numbers."""
    low, high = float(scores.amin()), float(scores.amax())
    for _ in range(60):
        middle = (low + high) / 2
        if float((scores > middle).sum(1).double().mean()) > mean_labels:
            low = middle
        else:
            high = middle
    return high


def by_sorting(scores: Tensor, mean_labels: float) -> float:
    ranked = scores.flatten().sort(descending=True).values
    return float(ranked[round(mean_labels * len(scores))])


def draw(clips: int, classes: int) -> tuple[Tensor, Tensor]:
    """Draw scores with a different offset for each clip, and at least one label in each."""
    generator = torch.Generator().manual_seed(0)
    scores = 3 * torch.randn(clips, classes, generator=generator)
    target = torch.rand(clips, classes, generator=generator) < 0.2 / classes
    target[torch.arange(clips), torch.randint(0, classes, (clips,), generator=generator)] = True
    return scores + 3 * target + 10 * torch.randn(clips, 1, generator=generator), target


def threshold(clips: int, classes: int, rounds: int) -> None:
    scores, _ = draw(clips, classes)
    calibrated = calibrate_scores(scores)
    contenders = {
        "search in 1,000 steps": lambda: by_steps(calibrated, MEAN_LABELS),
        "bisection, 60 steps": lambda: by_bisection(calibrated, MEAN_LABELS),
        "sort": lambda: by_sorting(calibrated, MEAN_LABELS),
        "numpy.quantile": lambda: float(np.quantile(calibrated.numpy(), 1 - MEAN_LABELS / classes)),
        "rankaudio, calibrated before": lambda: label_threshold(
            calibrated, mean_labels=MEAN_LABELS, calibrate=False
        ),
        "rankaudio, calibration included": lambda: label_threshold(scores, mean_labels=MEAN_LABELS),
    }
    wanted = round(MEAN_LABELS * clips)
    times = least(contenders, rounds)
    show(
        f"Threshold for {MEAN_LABELS} labels a clip, {clips:,} x {classes}, float32",
        ["what", "least time", "it / ours", "labels too many"],
        [
            [
                name,
                f"{seconds * 1e3:.1f} ms",
                f"{seconds / times['rankaudio, calibration included']:.1f}x",
                str(int((calibrated > contenders[name]()).sum()) - wanted),
            ]
            for name, seconds in times.items()
        ],
    )


def agreement(clips: int, classes: int, rounds: int) -> None:
    scores, target = draw(clips, classes)
    truth, given = target.numpy().astype(np.int8), scores.numpy()

    def by_scikit_learn() -> np.ndarray:
        return np.array(
            [
                label_ranking_average_precision_score(truth[i : i + 1], given[i : i + 1])
                for i in range(len(truth))
            ]
        )

    contenders = {
        "scikit-learn, clip by clip": by_scikit_learn,
        "label_agreement": lambda: label_agreement(scores, target),
        "select_agreeing, k=5,000": lambda: select_agreeing(scores, target, k=5000),
        "... balanced": lambda: select_agreeing(scores, target, k=5000, balanced=True),
    }
    times = least(contenders, rounds)
    error = np.abs(by_scikit_learn() - label_agreement(scores, target).numpy()).max()
    show(
        f"Agreement, {clips:,} x {classes}, {target.sum() / clips:.1f} labels a clip, float32",
        ["what", "least time", "largest error"],
        [
            [name, f"{seconds * 1e3:.1f} ms", f"{error:.1e}" if name == "label_agreement" else ""]
            for name, seconds in times.items()
        ],
    )


if __name__ == "__main__":
    parser = options(__doc__)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--rounds", type=int, default=7)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    with published(arguments.out):
        threshold(20_000, 80, arguments.rounds)
        agreement(20_000, 80, min(arguments.rounds, 2))
