"""lwlrap against scikit-learn, the official accumulator and torchmetrics: time and error."""

from __future__ import annotations

import statistics
import time
import warnings
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path

import numpy as np
import torch
from sklearn.metrics import label_ranking_average_precision_score
from torch import Tensor
from torchmetrics.functional.classification import multilabel_ranking_average_precision

from _table import options, published, show
from rankaudio import lwlrap

GOLDEN = Path(__file__).parents[1] / "tests" / "golden" / "lwlrap.npz"
SIZES = [(10_000, 80, 1.2), (10_000, 527, 2.5), (100_000, 80, 1.2), (10_000, 80, 24.0), (2_000, 527, 158.0)]


def accumulator(truth: np.ndarray, scores: np.ndarray) -> float:
    """The official definition, clip by clip: the precision at the rank of each label, summed by class."""
    total, count = np.zeros(truth.shape[1]), np.zeros(truth.shape[1])
    for row_truth, row_scores in zip(truth, scores, strict=True):
        labels = np.flatnonzero(row_truth)
        if len(labels) == 0:
            continue
        order = np.argsort(row_scores)[::-1]
        rank = np.empty(len(order), int)
        rank[order] = np.arange(len(order))
        hits = np.cumsum(row_truth[order])
        total[labels] += hits[rank[labels]] / (1 + rank[labels])
        count[labels] += 1
    return float(total.sum() / count.sum())


def draw(rows: int, classes: int, labels: float) -> tuple[Tensor, Tensor]:
    """Draw scores in [0, 1], so that torchmetrics applies no sigmoid, and at least one label in each row."""
    generator = torch.Generator().manual_seed(0)
    scores = torch.rand(rows, classes, generator=generator)
    target = torch.rand(rows, classes, generator=generator) < (labels - 1) / (classes - 1)
    target[torch.arange(rows), torch.randint(0, classes, (rows,), generator=generator)] = True
    return scores, target


def race(contenders: dict[str, Callable[[], object]], rounds: int) -> dict[str, list[float]]:
    """CPU seconds of each contender in every round. They take turns, so a busy moment affects all of them."""
    times: dict[str, list[float]] = {name: [] for name in contenders}
    for _ in range(rounds):
        for name, run in contenders.items():
            for _ in range(3 if "rankaudio" in name else 1):
                start = time.process_time()
                run()
                times[name].append(time.process_time() - start)
    return times


def speed(rows: int, classes: int, labels: float, rounds: int) -> None:
    scores, target = draw(rows, classes, labels)
    truth, given = target.numpy().astype(np.int8), scores.numpy()
    counts = truth.sum(1, dtype=float)
    contenders = {
        "scikit-learn, weighted": lambda: label_ranking_average_precision_score(
            truth, given, sample_weight=counts
        ),
        "accumulator": lambda: accumulator(truth, given),
        "torchmetrics, unweighted": lambda: multilabel_ranking_average_precision(
            scores, target.long(), classes
        ),
        "rankaudio, bool target": lambda: lwlrap(scores, target),
        "rankaudio, int8 array": lambda: lwlrap(given, truth),
        "rankaudio, sample average": lambda: lwlrap(scores, target, average="sample"),
    }
    # Each row has a label, so scikit-learn's plain mean is the sample average.
    plain = label_ranking_average_precision_score(truth, given)
    weighted = contenders["scikit-learn, weighted"]()
    errors = {
        name: abs(float(run()) - (plain if name.endswith(("unweighted", "sample average")) else weighted))
        for name, run in contenders.items()
    }
    times = race(contenders, rounds)
    middle = {name: statistics.median(seconds) for name, seconds in times.items()}
    show(
        f"{rows:,} x {classes}, {target.sum() / rows:.1f} labels a clip, float32, CPU time",
        ["what", "median", "best", "scikit-learn / it", "accumulator / it", "error against scikit-learn"],
        [
            [
                name,
                f"{middle[name] * 1e3:.1f} ms",
                f"{min(seconds) * 1e3:.1f} ms",
                f"{middle['scikit-learn, weighted'] / middle[name]:.1f}x",
                f"{middle['accumulator'] / middle[name]:.1f}x",
                f"{errors[name]:.1e}",
            ]
            for name, seconds in times.items()
        ],
    )


def golden() -> None:
    stored, rows = np.load(GOLDEN), []
    for case in sorted(key.removesuffix("_scores") for key in stored if key.endswith("_scores")):
        truth = stored["logits_n200_c80_truth" if case.startswith("sigmoid") else f"{case}_truth"]
        scores = stored[f"{case}_scores"].astype(float)
        ours, exact = lwlrap(scores, truth).item(), float(stored[f"{case}_sklearn"])
        official = float(stored[f"{case}_official"])
        rows.append([case, f"{exact:.6f}", f"{abs(ours - exact):.1e}", f"{abs(official - exact):.1e}"])
    show("Golden cases", ["case", "scikit-learn", "error of rankaudio", "error of the task's own"], rows)


if __name__ == "__main__":
    parser = options(__doc__)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--sizes", type=int, nargs="+", default=range(len(SIZES)), help="numbers of sizes")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    warnings.simplefilter("ignore")
    peers = (f"{name} {version(name)}" for name in ("numpy", "scikit-learn", "torchmetrics"))
    with published(arguments.out, *peers):
        for index in arguments.sizes:
            speed(*SIZES[index], arguments.rounds)
        golden()
