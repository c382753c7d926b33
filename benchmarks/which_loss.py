"""Which loss when: LSEP, ZLPR, BCE, ASL and focal on a folder of real sounds, with the same budget.

    python benchmarks/which_loss.py --data DIR --work WORK [--seeds 1 2 3]

    python benchmarks/which_loss.py --data DIR --hidden-layer --seeds 1 2 3 4 5 --rates 1e-3 1e-2

The first command trains the 2d network. What WORK holds already is not trained again. The second trains a
model with one hidden layer on statistics of the log-mel spectrogram, which takes a second.

DIR has the Kaggle layout, with labels of the test part in test.csv. Each training holds out a quarter of the
curated clips, another quarter for each seed. The epoch that is kept and the thresholds come from these
clips, and nothing comes from the test part. With --rates, all is also trained with these learning rates.

Intervals are 95 %, by a paired bootstrap over the test clips and the seeds. They say what other clips and
other seeds might give. A difference is marked with * if its interval leaves out 0.
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from _bootstrap import interval, over_seeds
from _heads import decided_by_heads, embeddings_of
from _hidden_layer import HiddenLayer
from _table import options, published, show
from ingredients import example, results
from rankaudio.data import read_labels, read_scores
from rankaudio.decisions import fit_thresholds
from rankaudio.metrics import Interval, bootstrap
from rankaudio.noisy import calibrate_scores

SETTINGS = [
    *("--folds", "4", "--fold", "0", "--epochs", "30"),
    *("--base-depth", "16", "--n-mels", "64", "--hop-length", "1024"),
]
RATE, RATE_OF_HIDDEN_LAYER = 5e-3, 3e-3
LOSSES = {"lsep": "LSEP", "zlpr": "ZLPR", "bce": "BCE", "asl": "ASL", "focal": "focal"}
CALIBRATED = "LSEP, less its log-sum-exp"
MEASURES = ("lwlrap", "mAP", "F1, one threshold", "F1, one per class", "F1 at 0")
RESAMPLES = 2000  # of the test clips, the same for all losses


Key = tuple[str, int, float]
Train = Callable[[str, int, float], "Scored"]


@dataclass(frozen=True)
class Scored:
    """Scores and labels of the held-out clips and of the test part, and how to get their embeddings."""

    held_out: tuple[Tensor, Tensor]
    test: tuple[Tensor, Tensor]
    embeddings: Callable[[], tuple[Tensor, Tensor]]

    def calibrated(self) -> Scored:
        """Subtract the log-sum-exp of each clip's scores."""
        parts = ((calibrate_scores(scores), target) for scores, target in (self.held_out, self.test))
        return Scored(*parts, self.embeddings)

    def measures(self) -> dict[str, Interval]:
        """Return each measure of the test clips, and its values on resamples of them."""
        scores, target = self.test
        one, each = common_threshold(*self.held_out), class_thresholds(*self.held_out)
        values = (
            bootstrap(scores, target, resamples=RESAMPLES),
            bootstrap(scores, target, metric="average_precision", resamples=RESAMPLES),
            f1_of(scores >= one, target, "micro"),
            f1_of(scores >= each, target, "macro"),
            f1_of(scores > 0, target, "micro"),
        )
        return dict(zip(MEASURES, values, strict=True))


def common_threshold(scores: Tensor, target: Tensor) -> float:
    """Return the threshold with the highest F1 over all clips and classes together."""
    return float(fit_thresholds(scores.reshape(-1, 1), target.reshape(-1, 1)).thresholds)


def class_thresholds(scores: Tensor, target: Tensor) -> Tensor:
    """Return the threshold of each class with the highest F1; the common one for a class without a label."""
    thresholds = fit_thresholds(scores, target).thresholds
    return thresholds.where(target.bool().any(0), common_threshold(scores, target))


def f1_of(labels: Tensor, target: Tensor, average: str) -> Interval:
    """Return F1 of labels that are decided."""
    kind = {"metric": "f1", "average": average, "thresholds": 0.5}
    return bootstrap(labels.double(), target, resamples=RESAMPLES, **kind)


def train_network(data: Path, place: Path, loss: str, seed: int, rate: float) -> None:
    """Train with one quarter held out and score the test part; the file ``done`` is written last."""
    if (place / "done").exists():
        return
    shutil.rmtree(place, ignore_errors=True)
    place.mkdir(parents=True)
    start = time.perf_counter()
    words = ("--loss", loss, "--seed", seed, "--lr-max", rate)
    example("train", "--data", data, "--run", place / "run", *SETTINGS, *words)
    seconds = time.perf_counter() - start
    example("predict", "--run", place / "run", "--audio", data / "test", "--out", place / "scores.csv")
    (place / "done").write_text(f"{seconds:.0f} s\n")


def network(data: Path, work: Path) -> Train:
    """Return what trains the 2d network and reads its scores."""

    def train(loss: str, seed: int, rate: float) -> Scored:
        place = work / f"{loss}_s{seed}_lr{rate:g}"
        train_network(data, place, loss, seed, rate)
        fold = place / "run" / "fold_0"
        held_out = read_scores(fold / "valid.csv")
        truth = read_labels(data / "train_curated.csv", classes=held_out.classes).select(held_out.names)
        known = (held_out.scores, truth.target.bool())
        return Scored(known, results(data, place), lambda: embeddings_of(data, fold))

    return train


def hidden_layer(data: Path) -> Train:
    """Return what trains the model with one hidden layer."""
    model = HiddenLayer(data)

    def train(loss: str, seed: int, rate: float) -> Scored:
        known, test = model.train(loss, seed, rate)
        return Scored((known[0], known[1].bool()), test[:2], lambda: (known[2], test[2]))

    return train


def variants(scored: dict[Key, Scored], seeds: list[int], rate: float) -> dict[str, list[Scored]]:
    """Return the scores of each seed by the name of the row."""
    rows = {name: [scored[loss, seed, rate] for seed in seeds] for loss, name in LOSSES.items()}
    calibrated = [each.calibrated() for each in rows["LSEP"]]
    return {"LSEP": rows.pop("LSEP"), CALIBRATED: calibrated, **rows}


def without_zero(name: str, measure: str) -> bool:
    """Whether this is the one measure that the row does not have: LSEP has no zero."""
    return name.startswith("LSEP") and measure == "F1 at 0"


def show_measures(rows: dict[str, list[Scored]]) -> None:
    """Print the mean over the seeds of each measure, its difference from LSEP, and the seeds alone."""
    measures = {name: [each.measures() for each in seeds] for name, seeds in rows.items()}
    means, differences, each_seed = [], [], []
    for name in rows:
        mean, apart, alone = [name], [name], [name]
        for measure in MEASURES:
            values, draws_mean = means_over_seeds([each[measure] for each in measures[name]])
            skipped = without_zero(name, measure)
            mean.append("" if skipped else f"{float(values.mean()):.3f} {interval(draws_mean)}")
            alone.append("" if skipped else " ".join(f"{float(value):.3f}" for value in values))
            of_base, base = means_over_seeds([each[measure] for each in measures["LSEP"]])
            apart.append(difference(values - of_base, draws_mean - base))
        means.append(mean)
        each_seed.append(alone)
        differences.append(apart[:-1])
    show("Mean over the seeds [95 %]", ["loss", *MEASURES], means)
    show("Difference from LSEP [95 %]", ["loss", *MEASURES[:-1]], differences[1:])
    show("Each seed", ["loss", *MEASURES], each_seed)


def show_heads(runs: list[Scored]) -> None:
    """Print F1 of what the label decision heads decide from the scores of LSEP, next to thresholds."""
    each_run = [labels_by_way(run) for run in runs]
    ways = {name: [labels[name] for labels in each_run] for name in each_run[0]}
    target = runs[0].test[1].bool()
    rows, bases = [], []
    for name, decided in ways.items():
        row = [name]
        for column, average in enumerate(("micro", "macro")):
            values, draws = means_over_seeds([f1_of(labels, target, average) for labels in decided])
            if len(bases) <= column:
                bases.append((values, draws))
            apart = difference(values - bases[column][0], draws - bases[column][1]) if rows else ""
            row += [f"{float(values.mean()):.3f} {interval(draws)}", apart]
        rows.append(row)
    columns = ["scores of LSEP", "F1, all classes together", "difference [95 %]", "F1, mean over classes"]
    show("From the scores of LSEP to labels", [*columns, "difference [95 %]"], rows)


def labels_by_way(scored: Scored) -> dict[str, Tensor]:
    """Return the labels of the test part, by thresholds and by heads that the held-out clips have fitted."""
    calibrated = scored.calibrated()
    (held_out, target), test = scored.held_out, scored.test[0]
    ways = {"one threshold": test >= common_threshold(held_out, target)}
    ways["... less their log-sum-exp"] = calibrated.test[0] >= common_threshold(*calibrated.held_out)
    ways["one threshold per class"] = test >= class_thresholds(held_out, target)
    return ways | decided_by_heads(*scored.embeddings(), held_out, target, test)


def means_over_seeds(found: list[Interval]) -> tuple[Tensor, Tensor]:
    """Return the figure of each seed, and means on resamples of the seeds and clips."""
    of_seeds = torch.tensor([one.value for one in found])
    return of_seeds, over_seeds(of_seeds, torch.stack([one.values for one in found]))


def difference(of_seeds: Tensor, of_draws: Tensor) -> str:
    """Mean and interval of a difference, with * if it is resolved."""
    low, high = (float(of_draws.quantile(q)) for q in (0.025, 0.975))
    mark = " *" if low > 0 or high < 0 else ""
    return f"{float(of_seeds.mean()):+.3f} {interval(of_draws, signed=True)}{mark}"


def show_rates(scored: dict[Key, Scored], seeds: list[int], rates: list[float]) -> None:
    """Print lwlrap and mAP by the learning rate, means over the seeds."""
    rows = []
    for loss, name in LOSSES.items():
        row = [name]
        for rate in rates:
            runs = [scored[loss, seed, rate] for seed in seeds]
            values = [run.measures() for run in runs]
            means = (sum(one[key].value for one in values) / len(runs) for key in ("lwlrap", "mAP"))
            row.append(" ".join(f"{mean:.3f}" for mean in means))
        rows.append(row)
    show("lwlrap and mAP by the learning rate", ["loss", *(f"{rate:g}" for rate in rates)], rows)


def main() -> None:
    parser = options(__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--work", type=Path, help="folder of the trainings of the network")
    parser.add_argument("--hidden-layer", action="store_true")
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2, 3])
    parser.add_argument("--rates", type=float, nargs="+", default=[])
    args = parser.parse_args()
    if args.work is None and not args.hidden_layer:
        parser.error("--work: wanted a folder, or --hidden-layer")
    rate = RATE_OF_HIDDEN_LAYER if args.hidden_layer else RATE
    rates = sorted({rate, *args.rates})
    train = hidden_layer(args.data) if args.hidden_layer else network(args.data, args.work)
    # Seed by seed, so that an interrupted comparison has whole seeds.
    keys = [(loss, seed, each) for each in rates for seed in args.seeds for loss in LOSSES]
    scored = {key: train(*key) for key in keys}
    with published(args.out):
        show_measures(variants(scored, args.seeds, rate))
        show_heads([scored["lsep", seed, rate] for seed in args.seeds])
        if len(rates) > 1:
            show_rates(scored, args.seeds, rates)


if __name__ == "__main__":
    main()
