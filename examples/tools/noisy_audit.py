"""Print which noisy clips were selected, by class, and how many have right labels."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # examples/, for `tools` and `freesound`

from freesound.corpus import read_corpus
from freesound.progress import log
from rankaudio.data import LabelTable, read_labels
from rankaudio.noisy import label_quality
from tools._program import new_parser, run

DESCRIPTION = """\
Print a table of selections of noisy clips and a table of their classes. With --truth, the tables also
show how many of the clips and labels are right.

  python examples/tools/noisy_audit.py --data DIR --selection RUN/rounds/round_1.csv
"""
GIVEN = "as given"


def main(argv: Sequence[str] | None = None) -> None:
    """Run the program."""
    run(build_parser(), audit, argv)


def audit(args: argparse.Namespace) -> None:
    """Read the tables of labels, and print both tables."""
    classes = read_corpus(args.data, noisy=False).classes
    given = read_labels(args.data / "train_noisy.csv", classes=classes, strict=False)
    tables = {GIVEN: given}
    for path in args.selection:
        name = path.stem if path.stem not in tables else str(path)
        tables[name] = read_labels(path, classes=classes)
        check_names(path, tables[name], given)
    truth = None if args.truth is None else read_labels(args.truth, classes=classes, strict=False)
    for line in [*quality_lines(tables, given, truth), "", *class_lines(tables, truth)]:
        log(line)


def check_names(path: Path, selection: LabelTable, given: LabelTable) -> None:
    """Refuse a selection with clips that are not in the noisy part."""
    unknown = sorted(set(selection.names) - set(given.names))
    if unknown:
        listed = ", ".join(unknown[:5]) + (", ..." if len(unknown) > 5 else "")
        raise ValueError(f"{path}: wanted clips of train_noisy.csv, got {len(unknown)} others: {listed}")


def quality_lines(tables: dict[str, LabelTable], given: LabelTable, truth: LabelTable | None) -> list[str]:
    """Count clips and labels, and the right ones if the true labels are known.

    "clips right" and "labels right" are shares of a selection (precision). The other two columns are shares
    of the whole noisy part (recall): of clips whose given labels are right, and of true labels.
    """
    columns = ["", "clips", "labels", "as given"]
    rows = [
        [name, str(int(table.target.any(1).sum())), str(int(table.target.sum())), _share(*kept(table, given))]
        for name, table in tables.items()
    ]
    if truth is not None:
        columns += ["clips right", "labels right", "right clips found", "true labels found"]
        right_as_given = right_names(given, truth)
        for row, table in zip(rows, tables.values(), strict=True):
            quality = label_quality(table, truth)
            found = len(right_as_given & right_names(table, truth))
            row += [
                _share(quality.right_clips, quality.clips),
                _share(quality.right_labels, quality.labels),
                _share(found, len(right_as_given)),
                _share(quality.right_labels, quality.true_labels),
            ]
    return _aligned([columns, *rows])


def kept(table: LabelTable, given: LabelTable) -> tuple[int, int]:
    """Return the number of clips that have the labels they came with, and the number of all clips."""
    same = (table.target == given.select(table.names).target).all(1) & table.target.any(1)
    return int(same.sum()), int(table.target.any(1).sum())


def right_names(table: LabelTable, truth: LabelTable) -> set[str]:
    """Return the clips with exactly the true labels, if these are at least one."""
    right = (table.target == truth.select(table.names).target).all(1) & table.target.any(1)
    return {name for name, is_right in zip(table.names, right.tolist(), strict=True) if is_right}


def class_lines(tables: dict[str, LabelTable], truth: LabelTable | None) -> list[str]:
    """Count the clips of each class in each table, and after a slash those that truly have the class."""
    classes = tables[GIVEN].classes
    rows = [["class", *tables]]
    for column, name in enumerate(classes):
        cells = []
        for table in tables.values():
            labelled = table.target[:, column]
            cell = str(int(labelled.sum()))
            if truth is not None:
                cell += f"/{int((labelled & truth.select(table.names).target[:, column]).sum())}"
            cells.append(cell)
        rows.append([name, *cells])
    return _aligned(rows)


def _share(part: int, whole: int) -> str:
    return "-" if not whole else f"{part}/{whole} = {part / whole:.1%}"


def _aligned(rows: list[list[str]]) -> list[str]:
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    lines = []
    for row in rows:
        cells = [f"{cell:{'<' if column == 0 else '>'}{widths[column]}}" for column, cell in enumerate(row)]
        lines.append("  ".join(cells).rstrip())
    return lines


def build_parser() -> argparse.ArgumentParser:
    """Return the command line."""
    parser = new_parser("noisy_audit.py", DESCRIPTION)
    add = parser.add_argument_group("tables").add_argument
    add(
        "--data",
        type=Path,
        required=True,
        metavar="DIR",
        help="folder with train_noisy.csv and train_curated.csv",
    )
    add(
        "--selection",
        type=Path,
        nargs="+",
        required=True,
        metavar="CSV",
        help="selected clips: fname and labels, such as the tables in RUN/rounds",
    )
    add("--truth", type=Path, metavar="CSV", help="true labels of all noisy clips: fname and labels")
    return parser


if __name__ == "__main__":
    main()
