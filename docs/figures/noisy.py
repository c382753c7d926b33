"""Three clips with one or two given labels, the scores of all classes, and their agreement."""

import torch
from matplotlib.figure import Figure

from rankaudio.noisy import label_agreement, label_margin

HEIGHT = 2.3
NAMES = ("Bark", "Growl", "Hiss", "Meow", "Purr")


def draw(figure: Figure) -> None:
    scores = torch.tensor([[3.1, 1.9, 0.4, 0.1, -0.6], [0.2, 2.4, 2.1, 0.5, 0.3], [0.4, 0.7, 2.0, 1.6, 2.8]])
    given = torch.tensor([[1, 1, 0, 0, 0], [0, 0, 1, 0, 0], [1, 0, 0, 0, 1]])
    agreement, margin = label_agreement(scores, given), label_margin(scores, given)
    for row, axis in enumerate(figure.subplots(1, 3, sharex=True)):
        order = scores[row].argsort(descending=True).tolist()
        colours = ["C0" if given[row, place] else "C1" for place in order]
        axis.barh([NAMES[place] for place in order], scores[row][order] + 1, left=-1, color=colours)
        axis.invert_yaxis()
        axis.set(
            title=f"agreement {agreement[row]:.2f}, margin {margin[row]:+.1f}", xlabel="score", xlim=(-1, 3.3)
        )
