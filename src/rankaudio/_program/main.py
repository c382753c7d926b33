"""The command line: one parser, and one place where errors become messages and exit statuses."""

from __future__ import annotations

import argparse
import os
import sys
import textwrap
from collections.abc import Sequence

import torch

import rankaudio
from rankaudio._program import embed, evaluate, events, predict

PROGRAM = "rankaudio"
COMMANDS = {"predict": predict, "events": events, "evaluate": evaluate, "embed": embed}
# Errors that a user can correct. All others are mistakes of the program, and keep their traceback.
USER_ERRORS = (OSError, ValueError, TypeError, ImportError, torch.OutOfMemoryError)
FAILED, BAD_USAGE, INTERRUPTED = 1, 2, 130
EPILOG = """\
Exit status: 0 if all is done; 1 after an error, or if a file could not be used; 2 for a wrong command line;
130 after an interruption. Messages and progress go to stderr."""
READER_KILLED = "a process that reads clips was killed, perhaps because the memory was full; lower --workers"


class _Help(argparse.RawDescriptionHelpFormatter):
    """Keep the line breaks of a description, and make room for long options."""

    def __init__(self, prog: str) -> None:
        super().__init__(prog, max_help_position=34)


def new_parser() -> argparse.ArgumentParser:
    """Return the parser of all commands."""
    about = "Multi-label audio tagging with a trained model."
    parser = argparse.ArgumentParser(
        prog=PROGRAM, description=about, epilog=EPILOG, formatter_class=_Help, allow_abbrev=False
    )
    parser.add_argument("--version", action="version", version=f"{PROGRAM} {rankaudio.__version__}")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for name, module in COMMANDS.items():
        command = commands.add_parser(
            name,
            help=module.HELP,
            description=textwrap.fill(module.DESCRIPTION, 88),
            epilog=EPILOG,
            formatter_class=_Help,
            allow_abbrev=False,
        )
        module.add_options(command)
        command.set_defaults(work=module.run, refuse=command.error)
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and return the exit status.

    Args:
        argv: the words after the name of the program; None: those of this process.
    """
    args = new_parser().parse_args(argv)
    try:
        status: int = args.work(args)
        sys.stdout.flush()
    except BrokenPipeError:
        # The reader of the output, such as `head`, has closed it. What Python still flushes must not fail.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return FAILED
    except KeyboardInterrupt:
        out = getattr(args, "out", None)
        kept = "" if out is None else f"; {out} has what was done, and --append continues"
        return _ended(f"interrupted{kept}", INTERRUPTED)
    except USER_ERRORS as error:
        return _ended(str(error), FAILED)
    except RuntimeError as error:
        if "DataLoader worker" not in str(error):
            raise
        return _ended(READER_KILLED, FAILED)
    return status


def _ended(message: str, status: int) -> int:
    print(f"{PROGRAM}: {message}", file=sys.stderr)  # noqa: T201
    return status
