"""The plan of the third-place system: rounds over noisy clips, and a blend."""

from _flow import Box, draw_flow
from matplotlib.figure import Figure

HEIGHT = 3.6
BOXES = {
    "curated": Box(0, 0, "clips", "curated clips"),
    "noisy": Box(0, 2, "clips", "noisy clips"),
    "first": Box(1, 0, "training", "2d_max", ("curated",)),
    "rounds": Box(
        1, 2, "choice", "rounds 1 to 5:\nclips whose labels\nthe last model finds", ("noisy", "first")
    ),
    "selectors": Box(2, 1, "training", "2d_max_r1 to r5,\neach on curated clips\nand its round", ("rounds",)),
    "relabelled": Box(2, 2, "choice", "new labels\nfor the rest", ("rounds", "selectors")),
    "curated only": Box(2, 0, "training", "2d_rnn, 1d_rnn", ("curated",)),
    "others": Box(3, 2, "training", "2d_max_all,\n1d_max_all", ("relabelled",)),
    "round 5": Box(3, 1, "training", "2d_rnn_r5", ("rounds",)),
    "blend": Box(
        4, 1, "answer", "blend of 11:\nequal or\nfitted weights",
        ("first", "selectors", "curated only", "others", "round 5"),
    ),
}  # fmt: skip


def draw(figure: Figure) -> None:
    draw_flow(figure, BOXES)
