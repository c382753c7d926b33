"""What the programs share: the command line, the check of required packages, a progress bar in bytes."""

from __future__ import annotations

import argparse
import contextlib
import importlib.util
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from freesound.program import run_program
from freesound.progress import NoBar

PIP_NAMES = {"sklearn": "scikit-learn"}


def new_parser(name: str, description: str) -> argparse.ArgumentParser:
    """Return a command line that keeps the line breaks of its description."""
    return argparse.ArgumentParser(
        prog=name, description=description, formatter_class=argparse.RawDescriptionHelpFormatter
    )


def run(
    parser: argparse.ArgumentParser,
    work: Callable[[argparse.Namespace], None],
    argv: Sequence[str] | None = None,
) -> None:
    """Parse the command line and do the work. A user's mistake ends the program with one line."""
    args = parser.parse_args(argv)
    run_program(parser.prog, lambda: work(args))


def require(*packages: str) -> None:
    """Refuse to start without packages that the work needs later.

    Raises:
        ImportError: if a package is not installed. The message has the pip command.
    """
    missing = [PIP_NAMES.get(name, name) for name in packages if importlib.util.find_spec(name) is None]
    if missing:
        raise ImportError(f"wanted the package {' and '.join(missing)}; pip install {' '.join(missing)}")


@contextlib.contextmanager
def byte_bar(title: str, *, total: int, initial: int = 0) -> Iterator[Any]:
    """Show the progress of a file on a terminal, if tqdm is installed."""
    if importlib.util.find_spec("tqdm") is None:
        yield NoBar()
        return
    from tqdm import tqdm

    with tqdm(
        total=total, initial=initial, desc=title, unit="B", unit_scale=True, leave=False, disable=None
    ) as bar:
        yield bar
