"""Which loss when: LSEP, ZLPR, BCE, ASL and focal on a folder of real sounds, with the same budget.

    python benchmarks/which_loss.py --data DIR --work WORK [--seeds 1 2 3]

    python benchmarks/which_loss.py --data DIR --hidden-layer --seeds 1 2 3 4 5 --rates 1e-3 1e-2

The first command trains the 2d network. What WORK holds already is not trained again. The second trains a
model with one hidden layer on statistics of the log-mel spectrogram, which takes a second.

DIR has the Kaggle layout, with labels of the test part in test.csv. Each training holds out a quarter of the
curated clips, another quarter for each seed. The epoch that is kept and the thresholds come from these
clips, and nothing comes from the test part. With --rates, all is also trained with these learning rates.

Intervals are 95 %, by a paired bootstrap over the test clips, of the mean over the seeds. They say what other
test clips might give. A difference is marked with * if its interval leaves out 0 and all seeds have its sign.
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from _bootstrap import interval
from _decisions import (
    class_thresholds,
    common_threshold,
    counts_of,
    macro_f1,
    mean_average_precision,
    micro_f1,
)
from _heads import decided_by_heads, embeddings_of
from _hidden_layer import HiddenLayer
from _table import options, published, show
from ingredients import example, results
from rankaudio import lwlrap
from rankaudio.data import read_labels, read_scores
from rankaudio.noisy import calibrate_scores

SETTINGS = [
    *("--folds", "4", "--fold", "0", "--epochs", "30"),
    *("--base-depth", "16", "--n-mels", "64", "--hop-length", "1024"),
]
RATE, RATE_OF_HIDDEN_LAYER = 5e-3, 3e-3
LOSSES = {"lsep": "LSEP", "zlpr": "ZLPR", "bce": "BCE", "asl": "ASL", "focal": "focal"}
CALIBRATED = "LSEP, less its log-sum-exp"
MEASURES = ("lwlrap", "mAP", "F1, one threshold", "F1, one per class", "F1 at 0")


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

    def measures(self, draws: Tensor) -> dict[str, Tensor]:
        """Return each measure of each draw of test clips."""
        (scores, target), counts = self.test, counts_of(draws)
        target = target.bool()
        one, each = common_threshold(*self.held_out), class_thresholds(*self.held_out)
        values = (
            lwlrap_of_draws(scores, target, draws),
            mean_average_precision(scores, target, counts),
            micro_f1(scores > one, target, counts),
            macro_f1(scores > each, target, counts),
            micro_f1(scores > 0, target, counts),
        )
        return dict(zip(MEASURES, values, strict=True))


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


def show_heads(runs: list[Scored]) -> None:
    """Print F1 of what the label decision heads decide from the scores of LSEP, next to thresholds."""
    each_run = [labels_by_way(run) for run in runs]
    ways = {name: [labels[name] for labels in each_run] for name in each_run[0]}
    target = runs[0].test[1].bool()
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


def labels_by_way(scored: Scored) -> dict[str, Tensor]:
    """Return the labels of the test part, by thresholds and by heads that the held-out clips have fitted."""
    calibrated = scored.calibrated()
    (held_out, target), test = scored.held_out, scored.test[0]
    ways = {"one threshold": test > common_threshold(held_out, target)}
    ways["... less their log-sum-exp"] = calibrated.test[0] > common_threshold(*calibrated.held_out)
    ways["one threshold per class"] = test > class_thresholds(held_out, target)
    return ways | decided_by_heads(*scored.embeddings(), held_out, target, test)


def draw_clips(count: int) -> Tensor:
    """Draw 2,000 resamples of the clips, ``(2000, count)``. They are the same for all losses."""
    return torch.randint(count, (2000, count), generator=torch.Generator().manual_seed(0))


def lwlrap_of_draws(scores: Tensor, target: Tensor, draws: Tensor) -> Tensor:
    """Return lwlrap of each draw of clips: a weighted mean of each clip's sums."""
    labels = target.sum(1).double()
    pairs = zip(scores, target, strict=True)
    each = torch.stack([lwlrap(s[None], t[None], average="sample") for s, t in pairs])
    return (each.nan_to_num(0) * labels)[draws].sum(1) / labels[draws].sum(1)


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


def show_rates(scored: dict[Key, Scored], seeds: list[int], rates: list[float]) -> None:
    """Print lwlrap and mAP by the learning rate, means over the seeds."""
    rows = []
    for loss, name in LOSSES.items():
        row = [name]
        for rate in rates:
            runs = [scored[loss, seed, rate] for seed in seeds]
            values = [run.measures(torch.arange(len(run.test[1]))[None]) for run in runs]
            means = (torch.cat([value[key] for value in values]).mean() for key in ("lwlrap", "mAP"))
            row.append(" ".join(f"{float(mean):.3f}" for mean in means))
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
