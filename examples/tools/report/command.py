"""The report: which run, what to show, and where to write the page."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from freesound.options import integer_from_one
from freesound.progress import log
from tools._program import new_parser, require, run
from tools.report.data import (
    Content,
    Part,
    Selection,
    read_label_sets,
    read_out_of_fold,
    read_scored,
    read_training,
)
from tools.report.recipe import is_recipe, read_recipe

DESCRIPTION = """\
Write one HTML page about a run: learning curves, classes, confusions, the hardest clips to listen to,
selected noisy clips and settings. RUN is the folder that train or recipe wrote.

  python examples/tools/report --run RUN --data DIR
"""
MAX_CLIPS = 24


def main(argv: Sequence[str] | None = None) -> None:
    """Run the program."""
    run(build_parser(), report, argv)


def report(args: argparse.Namespace) -> None:
    """Read everything that the run has, and write the page."""
    require("jinja2", "matplotlib")
    from tools.report.page import write_page

    check_options(args)
    content = read_recipe(args.run, args.data) if is_recipe(args.run) else read_run(args.run, args.data)
    content = replace(
        content,
        title=args.title or content.title,
        parts=[*content.parts, *scored_part(args)],
        selections=[*content.selections, *read_selections(args)],
    )
    write_page(args.out, content, clips=args.clips)
    log(f"{args.out}: {args.out.stat().st_size / 1e6:.1f} MB; open it in a browser")


def check_options(args: argparse.Namespace) -> None:
    """Refuse options that do not fit together."""
    if (args.scores is None) != (args.labels is None):
        raise ValueError("--scores, --labels: wanted both or none")
    if args.truth is not None and not args.selection:
        raise ValueError("--truth: wanted a --selection to compare with it, got none")
    if args.clips > MAX_CLIPS:
        raise ValueError(
            f"--clips: wanted at most {MAX_CLIPS}, because the page has to stay small, got {args.clips}"
        )


def read_run(folder: Path, data: Path) -> Content:
    """Read the folder that train wrote."""
    training, missing = read_training(folder, title=folder.name)
    held_out, more_missing = read_out_of_fold(folder, data, title="Out of fold")
    return Content(
        title=f"Report on {folder.name}",
        trainings=[training],
        parts=[] if held_out is None else [held_out],
        missing=missing + more_missing,
    )


def scored_part(args: argparse.Namespace) -> list[Part]:
    """Return the part of --scores and --labels, if there is one."""
    if args.scores is None:
        return []
    audio = args.audio or args.data / "test"
    return [read_scored(args.scores, args.labels, audio=audio, title="Scored part")]


def read_selections(args: argparse.Namespace) -> list[Selection]:
    """Read the tables of --selection."""
    if not args.selection:
        return []
    noisy = args.data / "train_noisy.csv"
    given = read_label_sets(noisy) if noisy.exists() else {}
    truth = {} if args.truth is None else read_label_sets(args.truth)
    return [Selection(path.stem, read_label_sets(path), given, truth) for path in args.selection]


def build_parser() -> argparse.ArgumentParser:
    """Return the command line."""
    parser = new_parser("report", DESCRIPTION)
    add = parser.add_argument_group("run").add_argument
    add("--run", type=Path, required=True, metavar="RUN", help="folder that train or recipe wrote")
    add("--data", type=Path, required=True, metavar="DIR", help="folder with train_curated.csv and the clips")
    add = parser.add_argument_group("page").add_argument
    add(
        "--out",
        type=Path,
        default=Path("report.html"),
        metavar="HTML",
        help="page to write (default: %(default)s)",
    )
    add("--title", metavar="TEXT", help="title of the page (default: the name of the run)")
    add(
        "--clips",
        type=integer_from_one,
        default=12,
        metavar="N",
        help=f"hardest clips of each part to show, at most {MAX_CLIPS} (default: %(default)s)",
    )
    add = parser.add_argument_group("a test part").add_argument
    add("--scores", type=Path, metavar="CSV", help="scores of its clips, from predict")
    add("--labels", type=Path, metavar="CSV", help="labels of its clips: fname and labels")
    add("--audio", type=Path, metavar="DIR", help="folder of its clips (default: test in --data)")
    add = parser.add_argument_group("selected noisy clips").add_argument
    add("--selection", type=Path, nargs="+", default=[], metavar="CSV", help="tables with fname and labels")
    add("--truth", type=Path, metavar="CSV", help="true labels of noisy clips: fname and labels")
    return parser
