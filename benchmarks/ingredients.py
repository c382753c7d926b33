"""What each ingredient is worth on a folder of real sounds: train, score the test part, compare.

    python benchmarks/ingredients.py --data DIR --work WORK [--seeds 1 2] [--only lsep bce ...]

    python benchmarks/ingredients.py --data DIR --work WORK --only none60 mixup effects both

    python benchmarks/ingredients.py --data DIR --work WORK --system first

    python benchmarks/ingredients.py --data DIR --work WORK --system second

The first command compares losses, networks and batches. The second compares augmentations over 60 epochs;
they are switched off for the last 10. The other two take one ingredient at a time from a model of the
first-place or second-place system, at the size of ``recipe --system SYSTEM --scale small``. A model of the
second-place system starts from a training of the same network on the noisy clips alone.

DIR has the Kaggle layout, with labels of the test part in test.csv. What WORK holds already is not trained
again. Intervals are 95 %, by a paired bootstrap over the test clips and the seeds. They say what other test
clips and other seeds might give; the table also has the value of each seed.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import time
from pathlib import Path

import torch
from torch import Tensor

from _bootstrap import interval, over_seeds, resampled
from _table import options, published, show
from rankaudio import lwlrap
from rankaudio.data import read_labels, read_scores

EXAMPLE = Path(__file__).parent.parent / "examples" / "freesound2019.py"
COMMON = ["--folds", "1", "--base-depth", "16", "--epochs", "30"]
LONGER = ["--epochs", "60", "--augment-until", "50"]
# One member of the first-place system. Its spectrograms, crops and draws have the sizes of the small scale.
FIRST = [
    *("--network", "AuxSkipAttention", "--base-depth", "8", "--dropout", "0.2", "--loss", "bce"),
    *("--epochs", "14", "--batch-size", "16", "--draws", "640", "--optimizer", "adam"),
    *("--scale", "0.01", "--trim", "60", "--n-fft", "2048", "--hop-length", "1024", "--n-mels", "64"),
    *("--crop-frames", "96", "--wrap", "0.5", "--mixers", "0.8"),
    *("--resize", "0.33", "--ratio-low", "1.275", "--ratio-high", "1.725", "--spec-augment", "0.5"),
]
POOLS = ["--noisy", "--curated-share", "0.8", "--noisy-share", "0.2"]
L_SOFT = ["--noisy-loss", "l_soft", "--clean-weight", "0.5", "--noisy-weight", "0.5"]
WHOLE = [*FIRST, *POOLS, *L_SOFT]
# The member v1mix of the second-place system, and the model that it starts from.
SECOND = [
    *("--network", "AxisPoolCNN", "--base-depth", "8", "--rnn-units", "16", "--statistics-momentum", "0.1"),
    *("--n-fft", "1024", "--hop-length", "512", "--n-mels", "32", "--f-min", "0", "--trim", "60"),
    *("--ref", "max", "--pad-mode", "same", "--segment-seconds", "2", "--batch-size", "16"),
    *("--spread", "1e6", "--loss", "bce", "--label-smoothing", "0.01", "--mixup-weight", "0.3"),
    *("--optimizer", "nadam", "--schedule", "milestones", "--lr-max", "4e-3", "--factor", "0.5"),
]
CURATED = [
    *("--epochs", "12", "--milestones", "6,8,10", "--weighted-mixup", "0.6", "--augment-until", "8"),
]
NOISY_ALONE = [
    *("--epochs", "8", "--milestones", "4,5,6", "--weighted-mixup", "0.7", "--augment-until", "5"),
    *("--noisy", "--only-noisy"),
]
# Options of the network, by name of the configuration.
SECOND_NETWORKS = {
    "second": [],
    "maxpool": ["--pool-time", "max"],
    "meanpool": ["--pool-frequency", "mean"],
    "nostatistics": ["--no-statistics"],
    "noduration": ["--no-duration"],
}
CONFIGURATIONS = {
    "lsep": ["--loss", "lsep"],
    "sorted": ["--loss", "lsep", "--spread", "1"],
    "bce": ["--loss", "bce"],
    "nofe": ["--no-frequency-encoding"],
    "1d": ["--network", "CNN1d"],
    "none60": ["--epochs", "60"],
    "mixup": [*LONGER, "--mixup", "0.5"],
    "effects": [*LONGER, "--effects", "0.75"],
    "both": [*LONGER, "--mixup", "0.5", "--effects", "0.75", "--shuffle", "0.5"],
    "first": WHOLE,
    "nodeltas": [*WHOLE, "--deltas", "0"],
    "nomixers": [*WHOLE, "--mixers", "0"],
    "nomasks": [*WHOLE, "--resize", "0", "--spec-augment", "0"],
    # The same network without auxiliary heads.
    "noheads": [*WHOLE, "--network", "SkipAttention", "--hidden-factor", "4"],
    "nonoisy": FIRST,
    "samebce": [*FIRST, *POOLS],
    **{name: [*SECOND, *CURATED, *network] for name, network in SECOND_NETWORKS.items()},
    "nostart": [*SECOND, *CURATED],
}
# Options of the training whose weights a configuration starts from.
STARTS = {name: [*SECOND, *NOISY_ALONE, *network] for name, network in SECOND_NETWORKS.items()}
MEANING = {
    "lsep": "2d, LSEP, frequency encoding, batches in random order",
    "sorted": "... in batches by length (spread 1)",
    "bce": "... with BCE",
    "nofe": "... without frequency encoding",
    "1d": "1d, LSEP",
    "none60": "2d, LSEP, 60 epochs, no augmentation",
    "mixup": "... with OR-mixup, p 0.5",
    "effects": "... with effects, p 0.75",
    "both": "... with OR-mixup, effects and chunk shuffle, p 0.5, 0.75, 0.5",
    "first": "first place, AuxSkipAttention with everything",
    "nodeltas": "... without derivatives",
    "nomixers": "... without mixers",
    "nomasks": "... without resized crop and SpecAugment",
    "noheads": "... without auxiliary heads",
    "nonoisy": "... without the noisy pool",
    "samebce": "... with BCE in place of L-soft for noisy clips",
    "second": "second place, AxisPoolCNN with everything",
    "maxpool": "... with the maximum over time and over frequency",
    "meanpool": "... with the mean over time and over frequency",
    "nostatistics": "... without statistics of the waveform",
    "noduration": "... without the duration of the clip",
    "nostart": "... without the training on noisy clips",
}
SYSTEMS = {
    "third": ["lsep", "sorted", "bce", "nofe", "1d"],
    "first": ["first", "nodeltas", "nomixers", "nomasks", "noheads", "nonoisy", "samebce"],
    "second": [*SECOND_NETWORKS, "nostart"],
}


def example(*words: object) -> None:
    subprocess.run([sys.executable, str(EXAMPLE), *map(str, words)], check=True)


def train(data: Path, place: Path, name: str, seed: int) -> None:
    """Train on all curated clips and score the test part; the file ``done`` is written last."""
    if (place / "done").exists():
        return
    shutil.rmtree(place, ignore_errors=True)
    place.mkdir(parents=True)
    common = ["--data", data, *COMMON, "--seed", seed]
    options: list[object] = [*CONFIGURATIONS[name]]
    start = time.perf_counter()
    if name in STARTS:
        example("train", "--run", place / "start", *common, *STARTS[name])
        options += ["--start-from", place / "start" / "fold_0" / "model.pt"]
    example("train", "--run", place / "run", *common, *options)
    seconds = time.perf_counter() - start
    example("predict", "--run", place / "run", "--audio", data / "test", "--out", place / "scores.csv")
    (place / "done").write_text(f"{seconds:.0f} s\n")


def results(data: Path, place: Path) -> tuple[Tensor, Tensor]:
    """Return scores and targets of the test part."""
    scores = read_scores(place / "scores.csv")
    truth = read_labels(data / "test.csv", classes=scores.classes)
    return scores.select(truth.names).scores, truth.target


def compare(data: Path, work: Path, names: list[str], seeds: list[int]) -> list[list[str]]:
    """Train what is missing; return a row for each configuration, with its difference from the first."""
    found, rows = [], []
    for name in names:
        places = [work / f"{name}_s{seed}" for seed in seeds]
        for place, seed in zip(places, seeds, strict=True):
            train(data, place, name, seed)
        tests = [results(data, place) for place in places]
        values = torch.tensor([float(lwlrap(*test)) for test in tests])
        draws = over_seeds(values, torch.stack([resampled(*test) for test in tests]))
        found.append((values.mean(), draws))
        first, apart = found[0][0], interval(draws - found[0][1], signed=True)
        difference = f"{values.mean() - first:+.3f} {apart}" if len(found) > 1 else ""
        each = " ".join(f"{value:.4f}" for value in values)
        seconds = " ".join((place / "done").read_text().split()[0] for place in places)
        rows.append([MEANING[name], each, f"{values.mean():.3f} {interval(draws)}", difference, seconds])
    return rows


def main() -> None:
    parser = options(__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--system", choices=list(SYSTEMS), default="third", help="default: third")
    parser.add_argument("--only", nargs="+", choices=list(CONFIGURATIONS))
    args = parser.parse_args()
    rows = compare(args.data, args.work, args.only or SYSTEMS[args.system], args.seeds)
    difference, seconds = "difference from the first [95 %]", "seconds of training"
    columns = ["", "lwlrap of each seed", "mean [95 %]", difference, seconds]
    with published(args.out):
        show(f"{args.data.name}: test part", columns, rows)


if __name__ == "__main__":
    main()
