"""The command line: demo, train, predict, evaluate and recipe. Options come from the settings."""

from __future__ import annotations

import argparse
import textwrap
from pathlib import Path

from freesound import demo, recipe, tasks
from freesound.options import add_machine, add_member, add_table, machine_of, member_of, table_of
from freesound.plans.base import Member
from freesound.program import run_program
from freesound.settings import read_member, with_assignments

PROGRAM = "freesound2019.py"


class Help(argparse.RawDescriptionHelpFormatter):
    """Keep the line breaks of a description, and make room for long options."""

    def __init__(self, prog: str) -> None:
        super().__init__(prog, max_help_position=34)


def parser(description: str | None = None) -> argparse.ArgumentParser:
    """Return the command line with every command's options."""
    top = argparse.ArgumentParser(prog=PROGRAM, description=description, formatter_class=Help)
    commands = top.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for name, (text, add_options, work) in COMMANDS.items():
        command = commands.add_parser(
            name, help=text, description=textwrap.fill(f"{text[0].upper()}{text[1:]}."), formatter_class=Help
        )
        add_options(command)
        command.set_defaults(work=work)
    return top


def main(argv: list[str] | None = None, *, description: str | None = None) -> None:
    """Run one command."""
    args = parser(description).parse_args(argv)
    run_program(PROGRAM, lambda: args.work(args))


def _add_train(command: argparse.ArgumentParser) -> None:
    command.usage = f"{PROGRAM} train --data DIR --run RUN [OPTIONS]"
    command.epilog = (
        "Settings are taken from --plan, then from the options, then from --set.\n"
        "RUN/settings.toml repeats a run: train --plan RUN/settings.toml --data DIR --run RUN2"
    )
    data = command.add_argument_group("data")
    add = data.add_argument
    add(
        "--data",
        type=Path,
        required=True,
        metavar="DIR",
        help="folder with train_curated.csv and train_curated/, or see --table and --audio",
    )
    add("--run", type=Path, required=True, help="folder for models, metrics and logs; new, or see --resume")
    add("--fold", type=int, metavar="N", help="train this fold only (from 0); by default all of them")
    add("--resume", action="store_true", help="continue an interrupted run to the same end; or start one")
    add("--plan", type=Path, metavar="FILE", help="TOML file of settings to start from")
    add("--set", nargs="+", default=[], metavar="NAME=VALUE", help="settings, such as optim.lr_max=3e-3")
    add_member(command, {"data": data})
    machine = command.add_argument_group("machine")
    add_machine(machine, ["device", "workers", "checkpoint_seconds", "tensorboard"])


def _train(args: argparse.Namespace) -> None:
    member = Member() if args.plan is None else read_member(args.plan)
    member = with_assignments(member_of(args, member), args.set)
    folds = None if args.fold is None else [args.fold]
    tasks.train(member, args.data, args.run, machine=machine_of(args), folds=folds, resume=args.resume)


def _add_predict(command: argparse.ArgumentParser) -> None:
    data = command.add_argument_group("data")
    add = data.add_argument
    add("--run", type=Path, required=True, help="folder that train wrote; its folds are averaged")
    add("--audio", type=Path, required=True, help="folder of audio files, also in sub-folders, or one file")
    add(
        "--out",
        type=Path,
        required=True,
        metavar="CSV",
        help="table to write: fname and a raw score per class",
    )
    add_machine(command.add_argument_group("machine"))


def _predict(args: argparse.Namespace) -> None:
    tasks.predict_folder(args.run, args.audio, args.out, machine=machine_of(args))


def _add_evaluate(command: argparse.ArgumentParser) -> None:
    data = command.add_argument_group("data")
    add = data.add_argument
    add(
        "--scores",
        type=Path,
        required=True,
        metavar="CSV",
        help="table with fname and a column for each class",
    )
    add(
        "--labels",
        type=Path,
        required=True,
        metavar="CSV",
        help="table with fname and labels, and perhaps usage (Public or Private)",
    )
    add_table(data)


def _evaluate(args: argparse.Namespace) -> None:
    print(tasks.evaluate(args.scores, args.labels, table=table_of(args)))


COMMANDS = {
    "demo": (demo.HELP, demo.add_options, demo.run),
    "train": ("train a model on a folder in the Kaggle layout", _add_train, _train),
    "predict": ("score audio files with a trained run", _add_predict, _predict),
    "evaluate": (
        "compare scores with labels: lwlrap with its interval, lwlrap of each class, mAP",
        _add_evaluate,
        _evaluate,
    ),
    "recipe": (recipe.HELP, recipe.add_options, recipe.run),
}
