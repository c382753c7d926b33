"""``predict``: scores, labels or probabilities of audio files."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence

from torch import Tensor

from rankaudio._program import options
from rankaudio._program.audio_files import AudioFile, find_files, in_groups
from rankaudio._program.model import Model
from rankaudio._program.report import Report
from rankaudio._program.row_table import RowTable, check_target

HELP = "score audio files: a table with a column for each class"
DESCRIPTION = """Score audio files with a trained model. The result is a CSV table with the name of each file
and a raw score for each class, on stdout or in a file. A file that cannot be read is named, and the others
are scored."""
Rows = list[list[str]]


def add_options(command: argparse.ArgumentParser) -> None:
    """Add what is scored, and in which form the scores are written."""
    options.add_model(command)
    group = command.add_argument_group("result")
    options.add_table(group, "CSV table to write (default: stdout)")
    group.add_argument(
        "--top",
        type=options.integer(1),
        metavar="K",
        help="print the K classes with the highest scores of each file; with --out also write the table",
    )
    add_threshold(group, "write the classes at or above this score, in place of scores")
    group.add_argument(
        "--probabilities",
        action="store_true",
        help="write probabilities by the calibration that the model was saved with, in place of scores",
    )
    options.add_windows(group)
    options.add_machine(command)


def add_threshold(group: argparse._ArgumentGroup, text: str, *, required: bool = False) -> None:
    """Add a threshold: a number, or the thresholds that a model was saved with."""
    group.add_argument(
        "--threshold",
        type=_threshold,
        required=required,
        metavar="X",
        help=f"{text}; 'saved': the thresholds in the model",
    )


def run(args: argparse.Namespace) -> int:
    """Score the files, a group at a time, and return the exit status."""
    windows = options.check_windows(args)
    if args.append and args.out is None:
        args.refuse("argument --append: wanted --out too")
    if args.probabilities and args.threshold is not None:
        args.refuse("argument --probabilities: wanted no --threshold")
    check_target(args.out, append=args.append)
    report = Report(quiet=args.quiet)
    model = load_model(args)
    cells, columns = _cells(args, model)
    shown = ["start", "end", *columns] if windows else columns
    to_table = args.top is None or args.out is not None
    with RowTable(
        args.out, shown, append=args.append, several=windows is not None, header_at_once=to_table
    ) as table:
        files = find_files(args.paths, report, skip=table.names)
        scored = (
            _scores_of_windows(model, files, windows, report)
            if windows
            else scores_of_files(model, files, report, batch=args.batch)
        )
        done = 0
        for names, times, rows in scored:
            if to_table:
                table.add(
                    [name, *time, *row] for name, time, row in zip(names, times, cells(rows), strict=True)
                )
            if args.top is not None:
                _print_top(names, times, rows, model.classes, args.top)
            done += len(set(names))
    return report.finish(done, args.out, before=len(table.names))


def load_model(args: argparse.Namespace) -> Model:
    """Load the model as the options have it."""
    return Model.load(args.model, device=options.device_of(args), batch=args.batch, workers=args.workers)


def scores_of_files(
    model: Model, files: Sequence[AudioFile], report: Report, *, batch: float, embed: bool = False
) -> Iterator[tuple[list[str], list[list[str]], Tensor]]:
    """Yield names, no times, and scores or embeddings of a group of files. Others are reported."""
    before = 0
    for group in in_groups(files, batch=batch, report=report):
        errors: dict[int, Exception] = {}

        def show(done: int, _: int, before: int = before) -> None:
            report.progress(before + done, len(files))

        def keep(index: int, error: Exception, errors: dict[int, Exception] = errors) -> None:
            errors.setdefault(index, error)

        rows = model.scores(group, on_error=keep, progress=show, embed=embed)
        for index in (~rows.isfinite().all(1)).nonzero().flatten().tolist():
            errors.setdefault(
                index, ValueError("wanted finite scores, got others; its samples may be too large")
            )
        for index, error in sorted(errors.items()):
            report.problem(str(group[index].path), error)
        before += len(group)
        kept = [index for index in range(len(group)) if index not in errors]
        yield [group[index].name for index in kept], [[] for _ in kept], rows[kept]


def _scores_of_windows(
    model: Model, files: Sequence[AudioFile], windows: tuple[float, float], report: Report
) -> Iterator[tuple[list[str], list[list[str]], Tensor]]:
    """Yield names, times and scores of the windows of a file."""
    for done, file in enumerate(files):
        try:
            found = model.windows(file.path, *windows)
        except (OSError, ValueError) as error:
            report.problem(str(file.path), error)
            continue
        times = zip(found.starts.tolist(), found.ends.tolist(), strict=True)
        yield (
            [file.name] * len(found.scores),
            [[f"{start:.6f}", f"{end:.6f}"] for start, end in times],
            found.scores,
        )
        report.progress(done + 1, len(files))


def _cells(
    args: argparse.Namespace, model: Model
) -> tuple[Callable[[Tensor], Iterable[Sequence[str]]], list[str]]:
    """Return what makes cells of scores, and the names of the columns."""
    if args.probabilities:
        probabilities = model.probabilities()
        return (lambda scores: _numbers(probabilities(scores))), list(model.classes)
    if args.threshold is None:
        return _numbers, list(model.classes)
    limits = threshold_of(args, model)
    for name in model.classes:
        if "," in name:
            raise ValueError(f"--threshold: wanted names of classes without commas, got {name!r}")
    return (lambda scores: _labels(scores >= limits, model.classes)), ["labels"]


def threshold_of(args: argparse.Namespace, model: Model) -> float | Tensor:
    """Return the number of the option, or the thresholds of the model."""
    if args.threshold == "saved":
        return model.thresholds
    threshold: float = args.threshold
    return threshold


def _numbers(scores: Tensor) -> Rows:
    return [[f"{score:.9g}" for score in row] for row in scores.tolist()]


def _labels(present: Tensor, classes: Sequence[str]) -> Rows:
    return [[",".join(classes[c] for c in row.nonzero().flatten().tolist())] for row in present]


def _print_top(
    names: Sequence[str], times: Sequence[Sequence[str]], rows: Tensor, classes: Sequence[str], k: int
) -> None:
    best = rows.topk(min(k, rows.shape[1]), dim=1)
    for name, time, columns, values in zip(
        names, times, best.indices.tolist(), best.values.tolist(), strict=True
    ):
        listed = ", ".join(f"{classes[c]} {value:.2f}" for c, value in zip(columns, values, strict=True))
        where = f"{name} {time[0]} s" if time else name
        sys.stdout.write(f"{where}: {listed}\n")
    sys.stdout.flush()


def _threshold(text: str) -> float | str:
    return text if text == "saved" else options.number()(text)
