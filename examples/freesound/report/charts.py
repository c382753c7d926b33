"""Curves and bars that follow the page's colours: inline SVG, and boxes with a width."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from freesound.report.markup import Html, h

WIDTH, HEIGHT = 360, 230
LEFT, RIGHT, TOP, BOTTOM = 46, 10, 12, 34
# Beyond this a curve has no points to hover over: they would weigh more than the curves.
MOST_POINTS = 1_500


@dataclass(frozen=True)
class Curve:
    """A named line; NaN is a gap."""

    title: str
    x: Sequence[float]
    y: Sequence[float]

    def points(self) -> list[tuple[float, float]]:
        """The points there are."""
        return [(x, y) for x, y in zip(self.x, self.y, strict=True) if math.isfinite(y)]


def line_chart(title: str, curves: Sequence[Curve], *, form: str, best: bool = False) -> Html | None:
    """Draw curves over the epoch, each in its own colour; None if there is not one point.

    Args:
        title: what the values are.
        curves: at most as many as are told apart; colours come back after eight.
        form: format of a value, as in ``.3f``.
        best: mark the highest point of each curve.
    """
    points = [point for curve in curves for point in curve.points()]
    if not points:
        return None
    (x0, x1), ticks_x = _range([x for x, _ in points], whole=True)
    (y0, y1), ticks_y = _range([y for _, y in points], whole=False)

    def place(x: float, y: float) -> tuple[str, str]:
        across = (x - x0) / (x1 - x0) * (WIDTH - LEFT - RIGHT)
        return (
            f"{LEFT + across:.1f}",
            f"{HEIGHT - BOTTOM - (y - y0) / (y1 - y0) * (HEIGHT - TOP - BOTTOM):.1f}",
        )

    body = [_grid_line(place(x0, tick)[1], f"{tick:g}") for tick in ticks_y]
    body += [
        h("text", {"x": place(tick, y0)[0], "y": HEIGHT - BOTTOM + 15, "class": "tick middle"}, f"{tick:g}")
        for tick in ticks_x
    ]
    body.append(h("text", {"x": WIDTH - RIGHT, "y": HEIGHT - 4, "class": "tick end"}, "epoch"))
    for index, curve in enumerate(curves):
        style = f"hue{index % 8}"
        body.append(h("path", {"class": f"curve {style}", "d": _path(curve, place)}))
        top = max(curve.points(), key=lambda point: point[1], default=None)
        for x, y in curve.points() if len(points) <= MOST_POINTS else []:
            shown = (best and (x, y) == top) or len(curve.points()) == 1
            cx, cy = place(x, y)
            said = f"{curve.title}, epoch {x:g}: {y:{form}}"
            mark = f"best {style}" if shown else "point"
            body.append(
                h(
                    "circle",
                    {"class": mark, "cx": cx, "cy": cy, "r": 4.5 if shown else 7},
                    h("title", None, said),
                )
            )
    picture = h("svg", {"viewBox": f"0 0 {WIDTH} {HEIGHT}", "role": "img", "aria-label": title}, body)
    return h("figure", {"class": "chart"}, h("figcaption", None, title), picture)


def legend(titles: Sequence[str]) -> Html | None:
    """Name the colours of the curves; one alone needs no name."""
    if len(titles) < 2:
        return None
    items = [
        h("span", None, h("i", {"class": f"swatch hue{i % 8}"}), title) for i, title in enumerate(titles)
    ]
    return h("p", {"class": "legend"}, items)


def bar(share: float, *, tone: str = "accent", mark: float | None = None) -> Html:
    """Draw a share of the whole, 0 to 1, and a mark to compare it with."""
    fill = h("i", {"class": tone, "style": f"width:{100 * min(max(share, 0), 1):.1f}%"})
    line = None if mark is None else h("b", {"style": f"left:{100 * mark:.1f}%"})
    return h("span", {"class": "bar", "aria-hidden": "true"}, fill, line)


def _range(values: list[float], *, whole: bool) -> tuple[tuple[float, float], list[float]]:
    """Ends of an axis and round numbers on it."""
    from matplotlib.ticker import MaxNLocator

    low, high = min(values), max(values)
    if low == high:
        low, high = low - (1 if whole else abs(low) / 2 or 1), high + (1 if whole else abs(high) / 2 or 1)
    ticks = [float(t) for t in MaxNLocator(4, steps=[1, 2, 5, 10], integer=whole).tick_values(low, high)]
    if whole:
        return (low, high), [tick for tick in ticks if low <= tick <= high]
    return (min(low, ticks[0]), max(high, ticks[-1])), ticks


def _grid_line(y: str, text: str) -> list[Html]:
    return [
        h("line", {"class": "grid", "x1": LEFT, "x2": WIDTH - RIGHT, "y1": y, "y2": y}),
        h("text", {"class": "tick end", "x": LEFT - 6, "y": y, "dy": "0.32em"}, text),
    ]


def _path(curve: Curve, place: Callable[[float, float], tuple[str, str]]) -> str:
    """Lines from point to point, lifted over gaps."""
    words, pen = [], "M"
    for x, y in zip(curve.x, curve.y, strict=True):
        if math.isfinite(y):
            words.append(pen + " ".join(place(x, y)))
            pen = "L"
        else:
            pen = "M"
    return "".join(words)
