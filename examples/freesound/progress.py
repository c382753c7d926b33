"""Lines and progress bars on the terminal; the bars need tqdm, and are left out without it."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterable
from typing import Any

try:
    from tqdm import tqdm
except ImportError:
    tqdm = None


def log(message: str) -> None:
    """Print a line at once, above the progress bars."""
    if tqdm is None:
        print(message)
    else:
        tqdm.write(message)
    sys.stdout.flush()


class NoBar:
    """Has the methods of a progress bar, and shows nothing."""

    n = 0

    def __init__(self, items: Iterable[Any] = ()) -> None:
        self.items = items

    def __iter__(self) -> Any:
        return iter(self.items)

    def update(self, count: int) -> None:
        """Count, and show nothing."""
        self.n += count


@contextlib.contextmanager
def progress_bar(title: str, *, unit: str, total: int | None = None, shown: bool = True) -> Any:
    """Give a bar with ``update(count)`` and ``n``, the count so far; it is gone afterwards.

    It is shown on a terminal only, and only if tqdm is installed.
    """
    if tqdm is None or not shown:
        yield NoBar()
        return
    with tqdm(total=total, desc=title, unit=unit, leave=False, disable=None) as bar:
        yield bar


def with_progress(
    items: Iterable[Any], title: str, *, unit: str, first: int = 0, shown: bool = True
) -> Iterable[Any]:
    """Return the items, and show a bar while they are taken; ``first`` of them were taken before."""
    if tqdm is None:
        return items
    return tqdm(items, desc=title, unit=unit, leave=False, disable=None if shown else True, initial=first)
