"""A plan on real sounds: each member, round, second-level network and blend on the test part.

    python examples/freesound2019.py recipe --system third --scale small --data DIR --run RUN
    python benchmarks/plan.py --data DIR --run RUN

DIR has the Kaggle layout. It also has the labels of the test part in test.csv and, for the second table of a
third-place run, the true labels of the noisy part in train_noisy_truth.csv. The recipe reads neither of them.
The intervals are 95 % intervals by bootstrap over the test clips. Differences are to the first member, on the
same draws.
"""

from __future__ import annotations

import csv
from pathlib import Path

from _bootstrap import interval, resampled
from _table import options, published, show
from rankaudio import lwlrap
from rankaudio.data import read_labels, read_scores
from rankaudio.noisy import label_quality


def read(path: Path) -> list[dict[str, str]]:
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def score_tables(run: Path, names: list[str]) -> dict[str, Path]:
    """Return the scores of the test part by each row of a summary that has any."""
    blends = {"geometric mean of members": "mean", "members and second level": "all"}
    found: dict[str, Path | None] = {}
    for name in names:
        places = [
            run / "scores" / f"{name}.test.csv",
            run / "second_level" / f"{name}.test.csv",
            run / "blend" / f"{blends.get(name, name)}.csv",
        ]
        found[name] = next((path for path in places if path.exists()), None)
    return {name: path for name, path in found.items() if path is not None}


def test_rows(data: Path, run: Path) -> list[list[str]]:
    """Return a row for each member, network of the second level, and blend."""
    summary = {row["what"].removesuffix(" *"): row for row in read(run / "summary.csv")}
    rows, first = [], None
    for name, path in score_tables(run, list(summary)).items():
        row, scores = summary[name], read_scores(path)
        truth = read_labels(data / "test.csv", classes=scores.classes)
        kept = scores.select(truth.names).scores
        boot = resampled(kept, truth.target)
        first = boot if first is None else first
        difference = boot - first
        held_out = float(row.get("nested") or row["lwlrap"])
        cells = [f"{held_out:.3f}", f"{float(lwlrap(kept, truth.target)):.3f} {interval(boot)}"]
        cells.append("" if boot is first else f"{difference.mean():+.3f} {interval(difference, signed=True)}")
        cells += [f"{float(row['weight']):.2f}" if row.get("weight") else ""]
        rows.append([name, row.get("clips", ""), *cells, row["seconds"], row["cpu_seconds"]])
    return rows


def round_rows(data: Path, run: Path) -> list[list[str]]:
    """Return a row for each round."""
    truth_path = data / "train_noisy_truth.csv"
    if not truth_path.exists() or not (run / "rounds").exists():
        return []
    classes = read_scores(run / "submission.csv").classes
    truth = read_labels(truth_path, classes=classes, strict=False)
    given = read_labels(data / "train_noisy.csv", classes=classes, strict=False)
    tables = {"as given": given}
    tables |= {
        path.stem: read_labels(path, classes=classes) for path in sorted(run.glob("rounds/round_*.csv"))
    }
    tables |= {"relabelled": read_labels(run / "rounds" / "relabelled.csv", classes=classes)}
    all_right = label_quality(given, truth).right_clips
    rows = []
    for name, table in tables.items():
        quality = label_quality(table, truth)
        found = "" if name == "relabelled" else f"{quality.right_clips / all_right:.0%}"
        shares = [quality.clip_precision, quality.precision, quality.recall]
        rows.append([name, str(quality.clips), *(f"{share:.0%}" for share in shares), found])
    return rows


def main() -> None:
    parser = options(__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--run", type=Path, required=True)
    args = parser.parse_args()
    columns = ["", "noisy clips", "out of fold", "test part [95 %]", "difference [95 %]", "weight"]
    columns += ["seconds", "CPU seconds"]
    with published(args.out):
        show(f"{args.data.name}: test part", columns, test_rows(args.data, args.run))
        rows = round_rows(args.data, args.run)
        if rows:
            columns = ["", "clips", "clips right", "labels right", "true labels found", "right clips found"]
            show(f"{args.data.name}: noisy part", columns, rows)


if __name__ == "__main__":
    main()
