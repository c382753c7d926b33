"""The shapes of a line chart; ``chart.html`` draws them as SVG."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

WIDTH, HEIGHT = 360, 230
LEFT, RIGHT, TOP, BOTTOM = 46, 10, 12, 34
# A chart with more points has no tooltips, because they would make the page larger than the curves do.
MAX_TOOLTIPS = 1_500

Place = Callable[[float, float], tuple[str, str]]


@dataclass(frozen=True)
class Curve:
    """A named line; NaN is a gap."""

    title: str
    x: Sequence[float]
    y: Sequence[float]

    def points(self) -> list[tuple[float, float]]:
        """Return the points without the gaps."""
        return [(x, y) for x, y in zip(self.x, self.y, strict=True) if math.isfinite(y)]


class Tick(NamedTuple):
    """A number on an axis and its place in the picture."""

    place: str
    text: str


class Point(NamedTuple):
    """A point with a tooltip; the best one of a curve is marked."""

    x: str
    y: str
    text: str
    marked: bool


class Shape(NamedTuple):
    """A curve as an SVG path."""

    path: str
    points: list[Point]


class Chart(NamedTuple):
    """A chart with its axes."""

    title: str
    x_ticks: list[Tick]
    y_ticks: list[Tick]
    shapes: list[Shape]
    width: int = WIDTH
    height: int = HEIGHT
    left: int = LEFT
    right: int = WIDTH - RIGHT


def line_chart(title: str, curves: Sequence[Curve], *, form: str, mark_best: bool = False) -> Chart | None:
    """Place curves over the epochs; return None if there are no points.

    Args:
        title: what the values are.
        curves: the curves. Colours repeat after eight.
        form: format of a value, such as ``.3f``.
        mark_best: whether to mark the highest point of each curve.
    """
    points = [point for curve in curves for point in curve.points()]
    if not points:
        return None
    (x0, x1), x_ticks = _axis([x for x, _ in points], whole=True)
    (y0, y1), y_ticks = _axis([y for _, y in points], whole=False)

    def place(x: float, y: float) -> tuple[str, str]:
        across, up = (x - x0) / (x1 - x0), (y - y0) / (y1 - y0)
        return (
            f"{LEFT + across * (WIDTH - LEFT - RIGHT):.1f}",
            f"{HEIGHT - BOTTOM - up * (HEIGHT - TOP - BOTTOM):.1f}",
        )

    with_tooltips = len(points) <= MAX_TOOLTIPS
    return Chart(
        title,
        [Tick(place(tick, y0)[0], f"{tick:g}") for tick in x_ticks],
        [Tick(place(x0, tick)[1], f"{tick:g}") for tick in y_ticks],
        [
            Shape(_path(c, place), _points(c, place, form=form, mark_best=mark_best) if with_tooltips else [])
            for c in curves
        ],
    )


def _points(curve: Curve, place: Place, *, form: str, mark_best: bool) -> list[Point]:
    points = curve.points()
    best = max(points, key=lambda point: point[1], default=None)
    return [
        Point(
            *place(x, y),
            text=f"{curve.title}, epoch {x:g}: {y:{form}}",
            marked=(mark_best and (x, y) == best) or len(points) == 1,
        )
        for x, y in points
    ]


def _axis(values: list[float], *, whole: bool) -> tuple[tuple[float, float], list[float]]:
    """Return the ends of an axis, and round numbers on it."""
    from matplotlib.ticker import MaxNLocator

    low, high = min(values), max(values)
    if low == high:
        low, high = low - (1 if whole else abs(low) / 2 or 1), high + (1 if whole else abs(high) / 2 or 1)
    ticks = [float(t) for t in MaxNLocator(4, steps=[1, 2, 5, 10], integer=whole).tick_values(low, high)]
    if whole:
        return (low, high), [tick for tick in ticks if low <= tick <= high]
    return (min(low, ticks[0]), max(high, ticks[-1])), ticks


def _path(curve: Curve, place: Place) -> str:
    """Connect the points with lines, except over gaps."""
    words, command = [], "M"
    for x, y in zip(curve.x, curve.y, strict=True):
        if math.isfinite(y):
            words.append(command + " ".join(place(x, y)))
            command = "L"
        else:
            command = "M"
    return "".join(words)
