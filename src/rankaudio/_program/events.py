"""``events``: which classes sound when in recordings."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path

from rankaudio._program import options
from rankaudio._program.audio_files import AudioFile, find_files
from rankaudio._program.model import Model
from rankaudio._program.predict import add_threshold, load_model, threshold_of
from rankaudio._program.report import Report
from rankaudio._program.row_table import RowTable, check_target
from rankaudio.events import Event, events, write_audacity, write_raven
from rankaudio.events._event_files import EVENT_COLUMNS, event_rows
from rankaudio.inference import WindowScores

HELP = "find when each class sounds in recordings"
DESCRIPTION = """Find events: the times at which the score of a class reaches a threshold. The scores are
those of windows, or with --steps those of the time steps of a network with maxima over time. The result is a
CSV table of all files, or a file of labels for Audacity or Raven for each recording."""
Score = Callable[[Model, Path], WindowScores]
SUFFIXES = {"audacity": ".txt", "raven": ".selections.txt"}


def add_options(command: argparse.ArgumentParser) -> None:
    """Add what is scored, what an event is, and the form of the result."""
    options.add_model(command)
    group = command.add_argument_group("scores")
    options.add_windows(group)
    group.add_argument(
        "--steps", action="store_true", help="score the time steps of the network in place of windows"
    )
    group.add_argument(
        "--context",
        type=options.number(low=0),
        metavar="SECONDS",
        help="with --steps: sound on each side that counts for a step (default: 0)",
    )
    group = command.add_argument_group("events")
    add_threshold(group, "score from which a class is present", required=True)
    for name, text in (
        ("min-gap", "bridge shorter gaps between events of a class"),
        ("min-duration", "leave out shorter events"),
    ):
        group.add_argument(
            f"--{name}",
            type=options.number(low=0),
            default=0.0,
            metavar="SECONDS",
            help=f"{text} (default: 0)",
        )
    group = command.add_argument_group("result")
    options.add_table(group, "CSV table to write (default: stdout); a folder for the other formats")
    group.add_argument(
        "--format",
        choices=["csv", *SUFFIXES],
        default="csv",
        help="csv: one table; audacity, raven: a file for each recording, in the folder --out",
    )
    options.add_machine(command)


def run(args: argparse.Namespace) -> int:
    """Find events in one recording after the other, and return the exit status."""
    score = _scorer(args)
    if args.append and args.out is None:
        args.refuse("argument --append: wanted --out too")
    report = Report(quiet=args.quiet)
    if args.format != "csv":
        if args.out is None:
            args.refuse(f"argument --format: wanted --out too, the folder for {args.format} files")
        return _run_with_files(args, score, report)
    check_target(args.out, append=args.append)
    model = load_model(args)
    with RowTable(args.out, EVENT_COLUMNS, append=args.append, several=True) as table:
        files = find_files(args.paths, report, skip=table.names)
        done = _find(
            args,
            model,
            files,
            report=report,
            score=score,
            write=lambda file, found: table.add([file.name, *row] for row in event_rows(found)),
        )
    return report.finish(done, args.out, before=len(table.names))


def _run_with_files(args: argparse.Namespace, score: Score, report: Report) -> int:
    """Write a file of labels for each recording."""
    if args.out.exists() and not args.out.is_dir():
        raise NotADirectoryError(f"--out: wanted a folder for {args.format} files, got {args.out}")
    model = load_model(args)
    files = find_files(args.paths, report)
    targets = {file.name: args.out / f"{file.name}{SUFFIXES[args.format]}" for file in files}
    there = {name for name, target in targets.items() if target.exists()}
    if there and not args.append:
        raise FileExistsError(
            f"--out: {targets[min(there)]} is there already; leave such files as they are with --append, or "
            f"choose another folder"
        )

    def write(file: AudioFile, found: list[Event]) -> None:
        target = targets[file.name]
        target.parent.mkdir(parents=True, exist_ok=True)
        if args.format == "audacity":
            write_audacity(target, found)
        else:
            write_raven(target, found, f_max=model.sample_rate / 2)

    left = [file for file in files if file.name not in there]
    done = _find(args, model, left, report=report, score=score, write=write)
    return report.finish(done, args.out, before=len(there))


def _scorer(args: argparse.Namespace) -> Score:
    """Return what scores a recording, or refuse options that contradict each other."""
    windows = options.check_windows(args)
    if (windows is not None) == args.steps:
        args.refuse("wanted either --window or --steps")
    if args.steps:
        return lambda model, path: model.steps(path, args.context or 0.0)
    if args.context is not None:
        args.refuse("argument --context: wanted --steps too")
    window, hop = windows or (0.0, 0.0)
    return lambda model, path: model.windows(path, window, hop)


def _find(
    args: argparse.Namespace,
    model: Model,
    files: list[AudioFile],
    *,
    report: Report,
    score: Score,
    write: Callable[[AudioFile, list[Event]], None],
) -> int:
    """Find the events of each recording, write them, and return the number of recordings."""
    threshold, done = threshold_of(args, model), 0
    settings = {"min_gap": args.min_gap, "min_duration": args.min_duration}
    for number, file in enumerate(files, 1):
        try:
            windows = score(model, file.path)
        except (OSError, ValueError) as error:
            report.problem(str(file.path), error)
            continue
        write(file, events(windows, threshold, **settings, classes=model.classes))
        done += 1
        report.progress(number, len(files))
    return done
