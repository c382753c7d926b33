"""The plan of the third-place system: rounds over noisy clips, and a blend."""

from _flow import Box, draw_flow
from matplotlib.figure import Figure

HEIGHT = 3.3
BOXES = {
    "curated": Box(0, 1, "clips", "curated clips"),
    "noisy": Box(0, 2, "clips", "noisy clips"),
    "first": Box(1.2, 0, "training", "2d_max, 2d_rnn, 1d_rnn", ("curated",)),
    "rounds": Box(
        1.2, 2, "choice", "rounds 1 to 5:\nclips whose labels\nthe last model finds", ("noisy", "first")
    ),
    "selectors": Box(
        2.4, 1, "training", "2d_max_r1 to r5, 2d_rnn_r5:\ncurated clips and a round", ("rounds",)
    ),
    "relabelled": Box(2.4, 2, "choice", "new labels\nfor the other clips", ("rounds", "selectors")),
    "others": Box(3.5, 2, "training", "2d_max_all,\n1d_max_all", ("relabelled",)),
    "blend": Box(
        4.2, 1, "answer", "blend of 11 members:\nequal or fitted weights", ("first", "selectors", "others")
    ),
}  # fmt: skip


def draw(figure: Figure) -> None:
    draw_flow(figure, BOXES)
