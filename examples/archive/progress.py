"""What the program says while it works: hours of audio done, and how fast."""

from __future__ import annotations

import time
from collections.abc import Callable

# Seconds between two lines.
EVERY = 10.0


class Progress:
    """Counts shards and seconds of audio.

    Args:
        shards: how many are to do.
        seconds: of audio in them.
        log: receives a line.
        clock: gives seconds.
    """

    def __init__(
        self,
        shards: int,
        seconds: float,
        log: Callable[[str], object],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.shards, self.seconds = shards, seconds
        self.done = self.rows = 0
        self.done_seconds = 0.0
        self._log, self._clock = log, clock
        self._begin = self._shown = clock()

    def add(self, *, seconds: float, rows: int) -> None:
        """Count a shard, and print a line if the last one was some time ago."""
        self.done += 1
        self.done_seconds += seconds
        self.rows += rows
        if self._clock() - self._shown >= EVERY:
            self._shown = self._clock()
            self._log(self.line())

    @property
    def spent(self) -> float:
        """Seconds since the start."""
        return max(self._clock() - self._begin, 1e-9)

    @property
    def speed(self) -> float:
        """Hours of audio in an hour."""
        return self.done_seconds / self.spent

    def line(self) -> str:
        """Return how far the work is."""
        left = (self.seconds - self.done_seconds) / self.speed if self.done_seconds else 0.0
        return (
            f"{self.done:,} of {count_of(self.shards, 'shard')}, {_hours(self.done_seconds)} of "
            f"{_hours(self.seconds)} h, {self._speed()}, about {duration(left)} left"
        )

    def end(self) -> str:
        """Return what was done."""
        if not self.done:
            return "nothing was left to do"
        return (
            f"now {count_of(self.done, 'shard')} with {count_of(self.rows, 'row')}, "
            f"{_hours(self.done_seconds)} h in {duration(self.spent)}, {self._speed()}"
        )

    def _speed(self) -> str:
        return f"{self.speed:,.0f} hours of audio per hour"


def _hours(seconds: float) -> str:
    return f"{seconds / 3600:,.2f}"


def duration(seconds: float) -> str:
    """Return a time with two units at most."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600} h {whole % 3600 // 60} min"


def count_of(number: int, noun: str) -> str:
    """Return a number with its noun."""
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"
