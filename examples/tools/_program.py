"""What the programs share: a command line, one-line errors, required packages, a progress bar."""

from __future__ import annotations

import argparse
import importlib.util
import os
import sys
from collections.abc import Callable, Sequence
from typing import Any

# A user can cause and correct these errors, so a traceback would not help.
USER_ERRORS = (OSError, ValueError, TypeError, ImportError)
PIP_NAMES = {"sklearn": "scikit-learn"}


def run(
    parser: argparse.ArgumentParser,
    work: Callable[[argparse.Namespace], None],
    argv: Sequence[str] | None = None,
) -> None:
    """Parse the command line and do the work; a user's mistake ends the program with one line."""
    args = parser.parse_args(argv)
    try:
        work(args)
    except BrokenPipeError:
        # The reader of the output, such as `head`, has closed it. Flushing at exit must not fail again.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)
    except USER_ERRORS as error:
        sys.exit(f"{parser.prog}: {error}")
    except KeyboardInterrupt:
        sys.exit(f"{parser.prog}: interrupted")


def require(*packages: str) -> None:
    """Refuse to start without packages that the work needs later.

    Raises:
        ImportError: if a package is not installed. The message has the pip command.
    """
    missing = [
        PIP_NAMES.get(package, package) for package in packages if importlib.util.find_spec(package) is None
    ]
    if missing:
        raise ImportError(f"wanted the package {' and '.join(missing)}; pip install {' '.join(missing)}")


def positive_int(text: str) -> int:
    """Convert an option to an integer of at least 1."""
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"wanted an integer from 1, got {text}")
    return value


def print_line(line: str) -> None:
    """Print a line and flush it, so that a log shows it at once."""
    print(line, flush=True)


class NoBar:
    """A progress bar that shows nothing."""

    n = 0

    def __enter__(self) -> NoBar:
        """Return the bar."""
        return self

    def __exit__(self, *error: object) -> None:
        """Do nothing."""

    def update(self, count: int) -> None:
        """Count the progress."""
        self.n += count


def progress_bar(*, total: int, desc: str, **settings: Any) -> Any:
    """Return a tqdm bar for a terminal, or a bar that shows nothing where tqdm is not installed."""
    try:
        from tqdm import tqdm
    except ImportError:
        return NoBar()
    return tqdm(total=total, desc=desc, leave=False, disable=None, **settings)
