"""Which loss when: LSEP, ZLPR, BCE, ASL and focal on a folder of real sounds, with the same budget.

    python benchmarks/which_loss.py --data DIR --work WORK [--seeds 1 2 3] [--rates 1.5e-3 1.5e-2]

DIR has the Kaggle layout, with labels of the test part in test.csv. Each training holds out a quarter of the
curated clips, another quarter for each seed. The epoch that is kept and the thresholds come from these
clips, and the test part from none of this. What WORK holds already is not trained again.

With --rates, the first seed is also trained with these highest learning rates.

Intervals are 95 %, by a paired bootstrap over the test clips, of the mean over the seeds. They say what other
test clips might give. A difference is marked with * if its interval leaves out 0 and all seeds have its sign.
"""

from __future__ import annotations

import shutil
import time
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from _bootstrap import draw_clips, interval, resampled
from _decisions import (
    class_thresholds,
    common_threshold,
    counts_of,
    macro_f1,
    mean_average_precision,
    micro_f1,
)
from _heads import decided_by_heads
from _table import options, published, show
from ingredients import example, results
from rankaudio.data import read_labels, read_scores
from rankaudio.noisy import calibrate_scores

SETTINGS = [
    *("--folds", "4", "--fold", "0", "--epochs", "30"),
    *("--base-depth", "16", "--n-mels", "64", "--hop-length", "1024"),
]
RATE = 5e-3
LOSSES = {"lsep": "LSEP", "zlpr": "ZLPR", "bce": "BCE", "asl": "ASL", "focal": "focal"}
CALIBRATED = "LSEP, less its log-sum-exp"
MEASURES = ("lwlrap", "mAP", "F1, one threshold", "F1, one per class", "F1 at 0")


@dataclass(frozen=True)
class Scored:
    """Scores and labels of the held-out clips and of the test part."""

    held_out: tuple[Tensor, Tensor]
    test: tuple[Tensor, Tensor]

    def calibrated(self) -> Scored:
        """Subtract the log-sum-exp of each clip's scores."""
        parts = ((calibrate_scores(scores), target) for scores, target in (self.held_out, self.test))
        return Scored(*parts)

    def measures(self, draws: Tensor) -> dict[str, Tensor]:
        """Return each measure of each draw of test clips."""
        (scores, target), counts = self.test, counts_of(draws)
        target = target.bool()
        one, each = common_threshold(*self.held_out), class_thresholds(*self.held_out)
        values = (
            resampled(scores, target, draws),
            mean_average_precision(scores, target, counts),
            micro_f1(scores > one, target, counts),
            macro_f1(scores > each, target, counts),
            micro_f1(scores > 0, target, counts),
        )
        return dict(zip(MEASURES, values, strict=True))


def train(data: Path, place: Path, loss: str, seed: int, rate: float) -> None:
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


def load(data: Path, place: Path) -> Scored:
    """Read the scores of a training."""
    held_out = read_scores(place / "run" / "fold_0" / "valid.csv")
    truth = read_labels(data / "train_curated.csv", classes=held_out.classes).select(held_out.names)
    return Scored((held_out.scores, truth.target.bool()), results(data, place))


def train_all(data: Path, work: Path, seeds: list[int], rates: list[float]) -> dict[tuple, Scored]:
    """Train seed by seed, then the other rates; return the scores by loss, seed and rate."""
    wanted = [(loss, seed, RATE) for seed in seeds for loss in LOSSES]
    wanted += [(loss, seeds[0], rate) for rate in rates for loss in LOSSES]
    for loss, seed, rate in wanted:
        train(data, work / f"{loss}_s{seed}_lr{rate:g}", loss, seed, rate)
    return {key: load(data, work / f"{key[0]}_s{key[1]}_lr{key[2]:g}") for key in wanted}


def variants(scored: dict[tuple, Scored], seeds: list[int]) -> dict[str, list[Scored]]:
    """Return the scores of each seed by the name of the row."""
    rows = {name: [scored[loss, seed, RATE] for seed in seeds] for loss, name in LOSSES.items()}
    calibrated = [each.calibrated() for each in rows["LSEP"]]
    return {"LSEP": rows.pop("LSEP"), CALIBRATED: calibrated, **rows}


def without_zero(name: str, measure: str) -> bool:
    """Whether this is the one measure that the row does not have: LSEP has no zero."""
    return name.startswith("LSEP") and measure == "F1 at 0"


def show_measures(rows: dict[str, list[Scored]]) -> None:
    """Print the mean over the seeds of each measure, its difference from LSEP, and the seeds alone."""
    first = rows["LSEP"][0].test[0]
    draws, whole = draw_clips(len(first)), torch.arange(len(first))[None]
    resamples = {name: [each.measures(draws) for each in seeds] for name, seeds in rows.items()}
    points = {name: [each.measures(whole) for each in seeds] for name, seeds in rows.items()}
    means, differences, each_seed = [], [], []
    for name in rows:
        mean, apart, alone = [name], [name], [name]
        for measure in MEASURES:
            values = torch.cat([point[measure] for point in points[name]])
            draws_mean = centred(torch.stack([it[measure] for it in resamples[name]]), values)
            skipped = without_zero(name, measure)
            mean.append("" if skipped else f"{float(values.mean()):.3f} {interval(draws_mean)}")
            alone.append("" if skipped else " ".join(f"{float(value):.3f}" for value in values))
            of_base = torch.cat([point[measure] for point in points["LSEP"]])
            base = centred(torch.stack([it[measure] for it in resamples["LSEP"]]), of_base)
            apart.append(difference(values - of_base, draws_mean - base))
        means.append(mean)
        each_seed.append(alone)
        differences.append(apart[:-1])
    show("Mean over the seeds [95 %]", ["loss", *MEASURES], means)
    show("Difference from LSEP [95 %]", ["loss", *MEASURES[:-1]], differences[1:])
    show("Each seed", ["loss", *MEASURES], each_seed)


def show_heads(data: Path, work: Path, scored: dict[tuple, Scored], seeds: list[int]) -> None:
    """Print F1 of what the label decision heads decide from the scores of LSEP, next to thresholds."""
    ways: dict[str, list[Tensor]] = {}
    for seed in seeds:
        each = scored["lsep", seed, RATE]
        for name, labels in labels_by_way(data, work / f"lsep_s{seed}_lr{RATE:g}", each).items():
            ways.setdefault(name, []).append(labels)
    target = scored["lsep", seeds[0], RATE].test[1].bool()
    counts, whole = counts_of(draw_clips(len(target))), torch.ones(1, len(target), dtype=torch.float64)
    rows, bases = [], []
    for name, decided in ways.items():
        row = [name]
        for column, f1 in enumerate((micro_f1, macro_f1)):
            values = torch.cat([f1(labels, target, whole) for labels in decided])
            draws = centred(torch.stack([f1(labels, target, counts) for labels in decided]), values)
            if len(bases) <= column:
                bases.append((values, draws))
            apart = difference(values - bases[column][0], draws - bases[column][1]) if rows else ""
            row += [f"{float(values.mean()):.3f} {interval(draws)}", apart]
        rows.append(row)
    columns = ["scores of LSEP", "F1, all classes together", "difference [95 %]", "F1, mean over classes"]
    show("From the scores of LSEP to labels", [*columns, "difference [95 %]"], rows)


def labels_by_way(data: Path, place: Path, scored: Scored) -> dict[str, Tensor]:
    """Return the labels of the test part, by thresholds and by heads that the held-out clips have fitted."""
    calibrated = scored.calibrated()
    (held_out, target), test = scored.held_out, scored.test[0]
    ways = {"one threshold": test > common_threshold(held_out, target)}
    ways["... less their log-sum-exp"] = calibrated.test[0] > common_threshold(*calibrated.held_out)
    ways["one threshold per class"] = test > class_thresholds(held_out, target)
    return ways | decided_by_heads(data, place / "run" / "fold_0", held_out, target, test)


def centred(of_draws: Tensor, of_seeds: Tensor) -> Tensor:
    """Return the mean over the seeds of each draw, shifted so that all draws have the mean of the figure.

    A draw has some clips several times. That raises average precision, and says nothing about other clips.
    """
    draws = of_draws.mean(0)
    return draws - draws.mean() + of_seeds.mean()


def difference(of_seeds: Tensor, of_draws: Tensor) -> str:
    """Mean and interval of a difference, with * if it is resolved."""
    low, high = (float(of_draws.quantile(q)) for q in (0.025, 0.975))
    one_sign = bool((of_seeds > 0).all() or (of_seeds < 0).all())
    mark = " *" if one_sign and (low > 0 or high < 0) else ""
    return f"{float(of_seeds.mean()):+.3f} {interval(of_draws, signed=True)}{mark}"


def show_rates(scored: dict[tuple, Scored], seed: int, rates: list[float]) -> None:
    """Print lwlrap and mAP of one seed by the highest learning rate."""
    rates, rows = sorted({RATE, *rates}), []
    for loss, name in LOSSES.items():
        row = [name]
        for rate in rates:
            _, target = scored[loss, seed, rate].test
            values = scored[loss, seed, rate].measures(torch.arange(len(target))[None])
            row.append(f"{float(values['lwlrap']):.3f} {float(values['mAP']):.3f}")
        rows.append(row)
    show(f"lwlrap and mAP by the highest learning rate, seed {seed}", ["loss", *map(str, rates)], rows)


def main() -> None:
    parser = options(__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2, 3])
    parser.add_argument("--rates", type=float, nargs="+", default=[])
    args = parser.parse_args()
    scored = train_all(args.data, args.work, args.seeds, args.rates)
    with published(args.out):
        show_measures(variants(scored, args.seeds))
        show_heads(args.data, args.work, scored, args.seeds)
        if args.rates:
            show_rates(scored, args.seeds[0], args.rates)


if __name__ == "__main__":
    main()
