"""Flows: boxes on a grid, and arrows between them."""

from collections.abc import Mapping
from typing import NamedTuple

from matplotlib.colors import to_rgba
from matplotlib.figure import Figure

COLOURS = {"clips": "C0", "training": "C1", "choice": "C2", "answer": "C3"}


class Box(NamedTuple):
    """Text at a place of the grid; ``before`` names the boxes from which arrows come."""

    column: float
    row: float
    kind: str
    text: str
    before: tuple[str, ...] = ()


def draw_flow(figure: Figure, boxes: Mapping[str, Box]) -> None:
    """Draw every box, and an arrow from each box before it."""
    axis = figure.subplots()
    ink = axis.spines["left"].get_edgecolor()
    texts = {}
    for name, box in boxes.items():
        colour = COLOURS[box.kind]
        frame = {"boxstyle": "round,pad=0.6", "facecolor": to_rgba(colour, 0.15), "edgecolor": colour}
        place = (box.column, -box.row)
        texts[name] = axis.text(*place, box.text, ha="center", va="center", linespacing=1.4, bbox=frame)
    for name, box in boxes.items():
        for other in box.before:
            ends = {"patchA": texts[other].get_bbox_patch(), "patchB": texts[name].get_bbox_patch()}
            style = {"arrowstyle": "->", "color": ink, "shrinkA": 1, "shrinkB": 2, **ends}
            start, end = texts[other].get_position(), texts[name].get_position()
            axis.annotate("", xy=end, xytext=start, arrowprops=style)
    columns, rows = ([box[k] for box in boxes.values()] for k in (0, 1))
    axis.set(xlim=(min(columns) - 0.5, max(columns) + 0.6), ylim=(-max(rows) - 0.5, -min(rows) + 0.5))
    axis.axis("off")
