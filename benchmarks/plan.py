"""A plan on real sounds: each member, round, second-level network and blend on the test part.

    python examples/freesound2019.py recipe --system third --scale small --data DIR --run RUN
    python benchmarks/plan.py --data DIR --run RUN

DIR has the Kaggle layout. It also has the labels of the test part in test.csv and, for the second table of a
third-place run, the true labels of the noisy part in train_noisy_truth.csv. The recipe reads neither of them.
The intervals are 95 % intervals by bootstrap over the test clips. Differences are to the first member, on the
same draws.

RUN may also be a run of ``recipe --system all``. Then the rows are the answers of the systems and their
blends, and a second table has the difference of each pair.
"""

from __future__ import annotations

import csv
from pathlib import Path

from torch import Tensor

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
    blends |= {"weighted mean of members": "mean"}
    found: dict[str, Path | None] = {}
    for name in names:
        places = [
            run / "scores" / f"{name}.test.csv",
            run / "second_level" / f"{name}.test.csv",
            run / "blend" / f"{blends.get(name, name)}.csv",
            run / name / "submission.csv",
        ]
        found[name] = next((path for path in places if path.exists()), None)
    return {name: path for name, path in found.items() if path is not None}


def read_summary(run: Path) -> dict[str, dict[str, str]]:
    """Return the rows of summary.csv by name."""
    return {row["what"].removesuffix(" *"): row for row in read(run / "summary.csv")}


def values_on_test(data: Path, run: Path) -> dict[str, tuple[float, Tensor]]:
    """Return lwlrap on the test part, and that of each draw of clips, for all that has scores."""
    found = {}
    for name, path in score_tables(run, list(read_summary(run))).items():
        scores = read_scores(path)
        truth = read_labels(data / "test.csv", classes=scores.classes)
        kept = scores.select(truth.names).scores
        boot = resampled(kept, truth.target)
        found[name] = float(lwlrap(kept, truth.target)), boot
    return found


def rows_on_test(run: Path, values: dict[str, tuple[float, Tensor]]) -> list[list[str]]:
    """Return a row for each member, network of the second level, system and blend."""
    summary, rows, first = read_summary(run), [], next(iter(values))
    for name, (value, boot) in values.items():
        row = summary[name]
        held_out = float(row.get("nested") or row["lwlrap"])
        cells = [f"{held_out:.3f}", f"{value:.3f} {interval(boot)}"]
        cells.append("" if name == first else difference(boot, values[first][1]))
        cells += [f"{float(row['weight']):.2f}" if row.get("weight") else ""]
        rows.append([name, row.get("clips", ""), *cells, row["seconds"], row["cpu_seconds"]])
    return rows


def pair_rows(values: dict[str, tuple[float, Tensor]]) -> list[list[str]]:
    """Return a row for each answer but the first: its differences from those above it."""
    names = list(values)
    return [
        [
            name,
            *(
                "" if k >= row else difference(values[name][1], values[names[k]][1])
                for k in range(len(names) - 1)
            ),
        ]
        for row, name in enumerate(names)
        if row
    ]


def difference(ours: Tensor, theirs: Tensor) -> str:
    """Return the mean of paired differences, and their interval."""
    apart = ours - theirs
    return f"{apart.mean():+.3f} {interval(apart, signed=True)}"


def without_empty_columns(columns: list[str], rows: list[list[str]]) -> tuple[list[str], list[list[str]]]:
    """Leave out columns that no row has."""
    kept = [k for k in range(len(columns)) if any(row[k] for row in rows)]
    return [columns[k] for k in kept], [[row[k] for k in kept] for row in rows]


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
        values = values_on_test(args.data, args.run)
        show(f"{args.data.name}: test part", *without_empty_columns(columns, rows_on_test(args.run, values)))
        if any((args.run / name / "submission.csv").exists() for name in values):
            title = f"{args.data.name}: test part, difference of the row from the column [95 %]"
            show(title, ["", *list(values)[:-1]], pair_rows(values))
        rows = round_rows(args.data, args.run)
        if rows:
            columns = ["", "clips", "clips right", "labels right", "true labels found", "right clips found"]
            show(f"{args.data.name}: noisy part", columns, rows)


if __name__ == "__main__":
    main()
