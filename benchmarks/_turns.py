"""Timing in turns: contenders in one process, one after the other, in CPU seconds.

CPU seconds of this process do not count what other programs do. Other programs still slow the caches, so a
ratio is the median of the ratios within a round.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from typing import NamedTuple


class Turns(NamedTuple):
    """The CPU seconds of each contender in each round, for one call."""

    seconds: dict[str, list[float]]

    def median(self, name: str) -> float:
        """Return the median of the CPU seconds of a contender."""
        return statistics.median(self.seconds[name])

    def ratio(self, name: str, other: str) -> float:
        """Return the median over rounds of the time of ``name`` divided by that of ``other``."""
        pairs = zip(self.seconds[name], self.seconds[other], strict=True)
        return statistics.median(mine / theirs for mine, theirs in pairs)


def take_turns(
    contenders: dict[str, Callable[[], object]], *, rounds: int = 9, at_least: float = 0.02
) -> Turns:
    """Call every contender in each round, short ones many times, after one call that is not counted."""
    calls = {}
    for name, run in contenders.items():
        run()
        start = time.process_time()
        run()
        calls[name] = max(1, round(at_least / max(time.process_time() - start, 1e-6)))
    seconds: dict[str, list[float]] = {name: [] for name in contenders}
    for _ in range(rounds):
        for name, run in contenders.items():
            start = time.process_time()
            for _ in range(calls[name]):
                run()
            seconds[name].append((time.process_time() - start) / calls[name])
    return Turns(seconds)
