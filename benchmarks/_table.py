"""Timing side by side: what every benchmark prints, and the file that it writes."""

from __future__ import annotations

import argparse
import contextlib
import io
import platform
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import torch


def options(description: str | None) -> argparse.ArgumentParser:
    """Return a parser with the option that every benchmark has."""
    parser = argparse.ArgumentParser(
        description=description, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--out", type=Path, metavar="FILE", help="write the tables here too, such as docs/measured/NAME.md"
    )
    return parser


class _Twice(io.TextIOBase):
    """Writes to standard output and keeps it."""

    def __init__(self) -> None:
        super().__init__()
        self.kept = io.StringIO()
        self.screen = sys.stdout

    def write(self, text: str) -> int:
        self.screen.write(text)
        return self.kept.write(text)

    def flush(self) -> None:
        self.screen.flush()


@contextlib.contextmanager
def published(out: Path | None, *versions: str) -> Iterator[None]:
    """Print how and where it was measured, then what follows; with a file, write all of that there as well.

    It is written at the end, so that a benchmark that fails leaves the old one.
    """
    command = " ".join(["python", f"benchmarks/{Path(sys.argv[0]).name}", *_words_of_interest(sys.argv[1:])])
    twice = _Twice()
    with contextlib.redirect_stdout(twice):
        print(f"`{command}`: " + ", ".join([machine(), *versions]) + ".")
        yield
    if out is not None:
        out.write_text(twice.kept.getvalue(), encoding="utf-8")


def _words_of_interest(words: list[str]) -> list[str]:
    """Options that tell what was measured: not where it is written, nor where things lie on this machine."""
    kept = []
    for before, word in zip(["", *words], words, strict=False):
        if "--out" not in (before, word.partition("=")[0]):
            kept.append("..." if "/" in word else word)
    return kept


def machine() -> str:
    """Return CPU, GPU, threads and versions, without which a time says nothing."""
    info = Path("/proc/cpuinfo")
    models = (
        [
            line.split(":")[1].strip()
            for line in info.read_text().splitlines()
            if line.startswith("model name")
        ]
        if info.exists()
        else []
    )
    name = models[0] if models else platform.processor() or platform.machine()
    versions = f"torch {torch.__version__}, Python {platform.python_version()}"
    threads = torch.get_num_threads()
    gpu = f", {torch.cuda.get_device_name()}" if torch.cuda.is_available() else ""
    return f"{name}, {threads} {'thread' if threads == 1 else 'threads'}{gpu}, {versions}"


def seconds(run: Callable[[], object], *, repeats: int = 9, at_least: float = 0.02) -> float:
    """Least over repeats of the time of one call, for whatever else the machine does only adds to it.

    Short calls are timed many at once.
    """
    start = time.perf_counter()
    run()
    once = time.perf_counter() - start
    calls = max(1, round(at_least / max(once, 1e-7)))
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        for _ in range(calls):
            run()
        times.append((time.perf_counter() - start) / calls)
    return min(times)


def show(title: str, columns: list[str], rows: list[list[str]]) -> None:
    """Print a Markdown table under its title."""
    widths = [max(len(row[i]) for row in [columns, *rows]) for i in range(len(columns))]

    def line(cells: list[str]) -> str:
        return "| " + " | ".join(cell.ljust(width) for cell, width in zip(cells, widths, strict=True)) + " |"

    print(f"\n{title}:\n\n{line(columns)}\n{line(['-' * width for width in widths])}")
    for row in rows:
        print(line(row))
