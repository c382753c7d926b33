"""Timing side by side: what every benchmark prints."""

from __future__ import annotations

import platform
import statistics
import time
from collections.abc import Callable
from pathlib import Path

import torch


def machine() -> str:
    """CPU, threads and version, without which a time says nothing."""
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
    return f"{name}, {torch.get_num_threads()} threads, {versions}"


def seconds(run: Callable[[], object], *, repeats: int = 9, at_least: float = 0.02) -> float:
    """Median over repeats of the time of one call; short calls are timed many at once."""
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
    return statistics.median(times)


def show(title: str, columns: list[str], rows: list[list[str]]) -> None:
    """Print a Markdown table."""
    widths = [max(len(row[i]) for row in [columns, *rows]) for i in range(len(columns))]

    def line(cells: list[str]) -> str:
        return "| " + " | ".join(cell.ljust(width) for cell, width in zip(cells, widths, strict=True)) + " |"

    print(f"\n## {title}\n\n{line(columns)}\n{line(['-' * width for width in widths])}")
    for row in rows:
        print(line(row))
