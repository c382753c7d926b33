"""The plan of the second-place system: a start on noisy clips, six members, and stacking."""

from _flow import Box, draw_flow
from matplotlib.figure import Figure

HEIGHT = 2.9
BOXES = {
    "noisy": Box(0, 0, "clips", "noisy clips"),
    "curated": Box(0, 1, "clips", "curated clips"),
    "starts": Box(1.4, 0, "training", "5 networks,\nsegments of 5 s", ("noisy",)),
    "members": Box(
        1.4, 1, "training", "6 members, 10 folds,\nfrom the weights\nof the first training",
        ("starts", "curated"),
    ),
    "scores": Box(2.65, 1, "answer", "mean over\nstart, middle\nand end", ("members",)),
    "mean": Box(3.8, 0, "answer", "weighted mean", ("scores",)),
    "stacking": Box(3.8, 1, "training", "linear stacking\non out-of-fold scores", ("scores", "mean")),
    "answer": Box(4.9, 0.5, "choice", "the better one\nout of fold", ("mean", "stacking")),
}  # fmt: skip


def draw(figure: Figure) -> None:
    draw_flow(figure, BOXES)
