"""``noisy_audit``: which noisy clips were taken, and how right their labels are."""

from __future__ import annotations

import argparse
from pathlib import Path

from freesound.console import say
from freesound.corpus import read_corpus
from rankaudio.data import LabelTable, read_labels
from rankaudio.noisy import label_quality

HELP = "report which noisy clips were taken, by class, and how right they are where true labels are known"
GIVEN = "as given"


def run(args: argparse.Namespace) -> None:
    """Print a table of the selections, and one of their classes."""
    classes = read_corpus(args.data, noisy=False).classes
    given = read_labels(args.data / "train_noisy.csv", classes=classes, strict=False)
    tables = {GIVEN: given}
    for path in args.selection:
        name = path.stem if path.stem not in tables else str(path)
        tables[name] = read_labels(path, classes=classes)
        refuse_strangers(path, tables[name], given)
    truth = None if args.truth is None else read_labels(args.truth, classes=classes, strict=False)
    for line in [*quality_lines(tables, given, truth), "", *class_lines(tables, truth)]:
        say(line)


def refuse_strangers(path: Path, taken: LabelTable, given: LabelTable) -> None:
    """Refuse a selection of other clips."""
    strangers = sorted(set(taken.names) - set(given.names))
    if strangers:
        listed = ", ".join(strangers[:5]) + (", ..." if len(strangers) > 5 else "")
        raise ValueError(f"{path}: wanted clips of train_noisy.csv, got {len(strangers)} others: {listed}")


def quality_lines(tables: dict[str, LabelTable], given: LabelTable, truth: LabelTable | None) -> list[str]:
    """How many clips and labels there are, and with true labels how many of them are right.

    Precision is over the clips and labels of a selection. Recall is over the whole noisy part: of clips,
    those whose given labels are right; of labels, all that are true.
    """
    columns = ["", "clips", "labels", "as given"]
    rows = [
        [name, str(int(table.target.any(1).sum())), str(int(table.target.sum())), _share(*kept(table, given))]
        for name, table in tables.items()
    ]
    if truth is not None:
        columns += ["clips right", "labels right", "right clips found", "true labels found"]
        whole = right_names(given, truth)
        for row, table in zip(rows, tables.values(), strict=True):
            quality = label_quality(table, truth)
            found = len(whole & right_names(table, truth))
            row += [
                _share(quality.right_clips, quality.clips),
                _share(quality.right_labels, quality.labels),
                _share(found, len(whole)),
                _share(quality.right_labels, quality.true_labels),
            ]
    return _aligned([columns, *rows])


def kept(table: LabelTable, given: LabelTable) -> tuple[int, int]:
    """How many clips have the labels that they came with, of how many."""
    same = (table.target == given.select(table.names).target).all(1) & table.target.any(1)
    return int(same.sum()), int(table.target.any(1).sum())


def right_names(table: LabelTable, truth: LabelTable) -> set[str]:
    """Clips with exactly the true labels, and with at least one."""
    right = (table.target == truth.select(table.names).target).all(1) & table.target.any(1)
    return {name for name, good in zip(table.names, right.tolist(), strict=True) if good}


def class_lines(tables: dict[str, LabelTable], truth: LabelTable | None) -> list[str]:
    """Clips of each class in each table, and after a slash how many of these truly have it."""
    classes = tables[GIVEN].classes
    rows = [["class", *tables]]
    for column, name in enumerate(classes):
        cells = []
        for table in tables.values():
            has = table.target[:, column]
            cell = str(int(has.sum()))
            if truth is not None:
                cell += f"/{int((has & truth.select(table.names).target[:, column]).sum())}"
            cells.append(cell)
        rows.append([name, *cells])
    return _aligned(rows)


def _share(part: int, whole: int) -> str:
    return "-" if not whole else f"{part}/{whole} = {part / whole:.1%}"


def _aligned(rows: list[list[str]]) -> list[str]:
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    lines = []
    for row in rows:
        cells = [f"{cell:{'<' if place == 0 else '>'}{widths[place]}}" for place, cell in enumerate(row)]
        lines.append("  ".join(cells).rstrip())
    return lines


def add_arguments(sub: argparse.ArgumentParser) -> None:
    """What was taken, from what, and the truth."""
    add = sub.add_argument
    add(
        "--data",
        type=Path,
        required=True,
        help="folder with train_noisy.csv and the labels that clips came with",
    )
    add(
        "--selection",
        type=Path,
        nargs="+",
        required=True,
        metavar="CSV",
        help="tables of clips that were taken, with fname and labels, as in RUN/rounds",
    )
    add(
        "--truth",
        type=Path,
        default=None,
        metavar="CSV",
        help="true labels of all noisy clips: fname and labels",
    )
