"""The command line: finds a command, runs it, and says mistakes in a line."""

from __future__ import annotations

import argparse
import importlib
import os
import sys
from typing import NoReturn

import torch
from torch import distributed
from tqdm import tqdm

from freesound.processes import MISTAKES, MistakeElsewhereError, end, joint, own_device

COMMANDS = (
    "demo",
    "train",
    "predict",
    "evaluate",
    "recipe",
)


def parser(description: str | None = None) -> argparse.ArgumentParser:
    """The command line, with every command's options."""
    top = argparse.ArgumentParser(
        prog="freesound2019.py",
        description=description,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    subs = top.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for name in COMMANDS:
        command = importlib.import_module(f"freesound.commands.{name}")
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
        args.device = own_device(args.device)
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
    except BrokenPipeError:
        # Who read the output has had enough, `head` for one. What is left of it must not fail at the end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        leave()
    except MISTAKES as error:
        leave(str(error))
    except MistakeElsewhereError:
        leave()
    except KeyboardInterrupt:
        leave("interrupted")
    except RuntimeError as error:
        # Where one of several processes ends, the others fail in the middle of an exchange with it.
        if not (isinstance(error, distributed.DistError) or "gloo" in str(error)):
            raise
        leave("another process has ended, so this one has to")
    if joint():
        end(0)


def leave(message: str = "") -> NoReturn:
    """Say what is wrong, and end with status 1."""
    if not joint():
        sys.exit(f"freesound2019.py: {message}" if message else 1)
    if message:
        which = f"process {distributed.get_rank()} of {distributed.get_world_size()}"
        print(f"freesound2019.py: {which}: {message}", file=sys.stderr)
    end(1)
