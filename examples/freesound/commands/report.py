"""``report``: a page about a run."""

from __future__ import annotations

import argparse
from pathlib import Path

from freesound.commands._options import at_least_one
from freesound.console import say
from freesound.report import Selection, write_report
from freesound.report.data import read_label_sets, read_out_of_fold, read_scored, read_training

HELP = "write one HTML page about a run: curves, classes, confusions, the hardest clips, noisy clips taken"
MOST_CLIPS = 24


def run(args: argparse.Namespace) -> None:
    """Gather what there is, and say on the page what there is not."""
    if (args.scores is None) != (args.labels is None):
        raise ValueError("--scores, --labels: wanted both or none, for scores are judged by labels")
    if args.truth is not None and not args.selection:
        raise ValueError("--truth: wanted a --selection to judge by it, got none")
    if args.clips > MOST_CLIPS:
        raise ValueError(
            f"--clips: wanted at most {MOST_CLIPS}, for the page has to stay small, got {args.clips}"
        )
    training, missing = read_training(args.run, title=args.run.name)
    held_out, lacking = read_out_of_fold(args.run, args.data, title="Out of fold")
    parts = [] if held_out is None else [held_out]
    if args.scores is not None:
        audio = args.audio or args.data / "test"
        parts.append(read_scored(args.scores, args.labels, audio=audio, title="Scored part"))
    write_report(
        args.out,
        title=args.title or f"Report on {args.run.name}",
        trainings=[training],
        parts=parts,
        selections=_selections(args),
        missing=missing + lacking,
        clips=args.clips,
    )
    say(f"{args.out}: {args.out.stat().st_size / 1e6:.1f} MB, open it in a browser")


def _selections(args: argparse.Namespace) -> list[Selection]:
    if not args.selection:
        return []
    noisy = args.data / "train_noisy.csv"
    given = read_label_sets(noisy) if noisy.exists() else {}
    truth = {} if args.truth is None else read_label_sets(args.truth)
    return [Selection(path.stem, read_label_sets(path), given, truth) for path in args.selection]


def add_arguments(sub: argparse.ArgumentParser) -> None:
    """What to read, what to show, where to write."""
    add = sub.add_argument
    add("--run", type=Path, required=True, help="folder that train wrote")
    add("--data", type=Path, required=True, help="folder with train_curated.csv and train_curated/")
    add("--scores", type=Path, default=None, metavar="CSV", help="scores of a test part, from predict")
    add("--labels", type=Path, default=None, metavar="CSV", help="its labels: fname and labels")
    add("--audio", type=Path, default=None, metavar="DIR", help="its clips; default: test in --data")
    add(
        "--selection",
        type=Path,
        nargs="+",
        default=[],
        metavar="CSV",
        help="noisy clips taken, each table with fname and labels",
    )
    add(
        "--truth", type=Path, default=None, metavar="CSV", help="true labels of noisy clips: fname and labels"
    )
    add("--clips", type=at_least_one, default=12, help="how many of the hardest clips of each part to show")
    add("--title", default=None, help="of the page; default: the name of the run")
    add("--out", type=Path, default=Path("report.html"), help="the page to write")
