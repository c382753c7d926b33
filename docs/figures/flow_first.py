"""The plan of the first-place system: a choice of noisy clips, three pools, and a second level."""

from _flow import Box, draw_flow
from matplotlib.figure import Figure

HEIGHT = 2.9
BOXES = {
    "noisy": Box(0, 0, "clips", "noisy clips"),
    "curated": Box(0, 1, "clips", "curated clips"),
    "selector": Box(1, 1, "training", "selector", ("curated",)),
    "choice": Box(1, 0, "choice", "trusted, kept\nand dropped clips", ("noisy", "selector")),
    "members": Box(
        2.2, 0.5, "training", "7 members, 5 folds,\ndraws from three pools,\ncrops of 256 frames",
        ("choice", "curated"),
    ),
    "second": Box(3.4, 1.2, "training", "3 networks\non out-of-fold scores\nof windows", ("members",)),
    "mean": Box(4.4, 0.5, "answer", "geometric mean\nof all", ("members", "second")),
}  # fmt: skip


def draw(figure: Figure) -> None:
    draw_flow(figure, BOXES)
