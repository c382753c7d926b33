"""The command line: finds a command, runs it, and says mistakes in a line."""

from __future__ import annotations

import argparse
import importlib
import sys

import torch
from tqdm import tqdm

COMMANDS = ("demo", "download", "train", "predict", "evaluate", "listen", "report", "adversarial")


def parser(description: str | None = None) -> argparse.ArgumentParser:
    """The command line, with every command's options."""
    top = argparse.ArgumentParser(
        prog="freesound2019.py",
        description=description,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    subs = top.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for name in COMMANDS:
        command = importlib.import_module(f"recipe.commands.{name}")
        sub = subs.add_parser(
            name,
            help=command.HELP,
            description=command.HELP,
            formatter_class=argparse.ArgumentDefaultsHelpFormatter,
        )
        command.add_arguments(sub)
        sub.set_defaults(run_command=command.run)
    return top


def run_command(argv: list[str] | None = None, *, description: str | None = None) -> None:
    """Run one command."""
    args = parser(description).parse_args(argv)
    if hasattr(args, "device"):
        check_device(args.device)
    args.run_command(args)


def check_device(name: str) -> None:
    """Refuse a device that is not there before anything is read."""
    try:
        torch.zeros(1, device=name)
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        first = str(error).splitlines()[0]
        raise ValueError(f"--device: wanted one that this machine has, got {name!r} ({first})") from error


def say(line: str) -> None:
    """Print a line above the progress bars, at once."""
    tqdm.write(line)
    sys.stdout.flush()


def main(argv: list[str] | None = None, *, description: str | None = None) -> None:
    """Run one command; what is the user's to mend is said in a line, not in a traceback."""
    try:
        run_command(argv, description=description)
    except (OSError, ValueError, TypeError, ImportError, FloatingPointError) as error:
        sys.exit(f"freesound2019.py: {error}")
    except KeyboardInterrupt:
        sys.exit("freesound2019.py: interrupted")
