"""``evaluate``: how well scores agree with a table of labels."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import torch
from torch import Tensor

from rankaudio._messages import first_few
from rankaudio._program import options
from rankaudio._program.audio_files import AudioFile
from rankaudio._program.predict import load_model, scores_of_files
from rankaudio._program.report import Report
from rankaudio._program.scored_labels import class_report, in_order_of_labels, short_report
from rankaudio.data import LabelTable, ScoreTable, read_labels, read_scores
from rankaudio.data._audio_folder import list_files
from rankaudio.data._file_names import NameIndex

HELP = "compare scores, or a model, with a table of labels: lwlrap and mAP"
DESCRIPTION = """Compare scores with labels. The scores are a table that predict wrote, or those of a model
for the files of a folder. Names in the table of labels may lack the suffix or the sub-folder. The
figures are lwlrap and mAP, each with an interval of 95 % over the choice of the clips."""


def add_options(command: argparse.ArgumentParser) -> None:
    """Add scores or model, labels, and the columns of the table."""
    command.add_argument(
        "scores", type=Path, metavar="SCORES", help="CSV table of scores; or a model, with --audio"
    )
    command.add_argument(
        "labels", type=Path, metavar="LABELS", help="CSV table with the columns fname and labels"
    )
    command.add_argument(
        "--audio", type=Path, metavar="DIR", help="folder of the files that a model shall score"
    )
    command.add_argument("--by-class", action="store_true", help="a figure for each class too")
    group = command.add_argument_group("table of labels")
    add = group.add_argument
    add("--name-column", default="fname", metavar="NAME", help="column of file names (default: fname)")
    add("--label-column", default="labels", metavar="NAME", help="column of labels (default: labels)")
    add("--separator", default=",", metavar="TEXT", help="between the labels of a file (default: a comma)")
    options.add_machine(command)


def run(args: argparse.Namespace) -> int:
    """Print the figures, and return the exit status."""
    if args.audio is None:
        if args.scores.is_dir() or args.scores.suffix.lower() in (".pt", ".pth"):
            args.refuse(f"argument --audio: wanted a folder, because {args.scores} is a model")
        given = read_scores(args.scores)
        table, labels = in_order_of_labels(given, _labels(args, given.classes), args.scores, args.labels)
    else:
        table, labels = _score_files(args)
    scores, target = table.scores, labels.target
    text = class_report(scores, target, labels.classes) if args.by_class else short_report(scores, target)
    sys.stdout.write(f"{text}\n")
    return 0


def _labels(args: argparse.Namespace, classes: tuple[str, ...]) -> LabelTable:
    return read_labels(
        args.labels,
        classes=classes,
        separator=args.separator,
        name_column=args.name_column,
        label_column=args.label_column,
    )


def _score_files(args: argparse.Namespace) -> tuple[ScoreTable, LabelTable]:
    """Score the files that the labels name. A figure needs all of them."""
    args.model = args.scores
    model, report = load_model(args), Report(quiet=args.quiet)
    labels = _labels(args, model.classes)
    if not args.audio.is_dir():
        raise FileNotFoundError(f"--audio: wanted a folder of audio files, got {args.audio}, which is none")
    index = NameIndex(path.relative_to(args.audio).as_posix() for path in sorted(list_files(args.audio)))
    names = index.find_all(labels.names)
    missing = [name for name in names if name not in index.known]
    if missing:
        raise ValueError(
            f"--audio: wanted a file for every clip of {args.labels}, got none for {len(missing)} of "
            f"{len(names)} in {args.audio}: {first_few(missing)}"
        )
    files = [AudioFile(name, args.audio / name) for name in names]
    rows: dict[str, Tensor] = {}
    for found, _, scores in scores_of_files(model, files, report, batch=args.batch):
        rows.update(zip(found, scores, strict=True))
    if report.failed:
        raise ValueError(
            f"--audio: wanted scores for every clip, got none for {report.failed} of {len(names)}"
        )
    table = ScoreTable(tuple(names), model.classes, torch.stack([rows[name] for name in names]))
    return table, labels
