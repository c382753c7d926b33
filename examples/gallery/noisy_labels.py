"""A third of the labels are wrong, and a model finds most of the right ones.

The model learns from a few checked clips. It then scores many clips whose labels nobody
has checked. If its ranking and a given label agree, the label is probably right, so
take that clip. The page on [noisy labels](../noisy.md) has the formulas.
"""

# %%
# Here a clip is twelve numbers near those of its sound. With spectrograms and a
# network, all later steps are the same. 150 clips were checked. Of 1,000 others, one in
# three has the label of another sound.

import matplotlib.pyplot as plt
import torch
from torch import Tensor
from torch.nn.functional import one_hot

import rankaudio
from rankaudio import lsep_loss
from rankaudio.data import LabelTable, ScoreTable
from rankaudio.noisy import relabel

CLASSES = ("Bark", "Bell", "Clap", "Drum", "Hiss")
CLASSES += ("Horn", "Meow", "Purr", "Rain", "Wind")


def make_tables(seed: int) -> tuple[LabelTable, LabelTable, ScoreTable]:
    """Given labels, true labels, and scores of a model trained on checked clips."""
    torch.manual_seed(seed)
    true = torch.randint(10, (1150,))
    clips = torch.randn(10, 12)[true] + 1.4 * torch.randn(1150, 12)
    other = (true + torch.randint(1, 10, (1150,))) % 10
    given = torch.where(torch.rand(1150) < 1 / 3, other, true)

    model = torch.nn.Linear(12, 10)
    optimizer = torch.optim.Adam(model.parameters(), lr=0.05)
    for _ in range(100):
        optimizer.zero_grad()
        lsep_loss(model(clips[:150]), one_hot(true[:150], 10)).backward()
        optimizer.step()
    names = tuple(f"{clip:04d}.wav" for clip in range(150, 1150))
    scores = ScoreTable(names, CLASSES, model(clips[150:]).detach())
    given, true = (one_hot(labels[150:], 10).bool() for labels in (given, true))
    return LabelTable(names, CLASSES, given), LabelTable(names, CLASSES, true), scores


# %%
# Agreement is 1 if the given label leads the model's ranking, and 1/2 if it is second.
# `relabel` takes the clips that agree best, or gives new labels, and `label_quality`
# counts. This model's own labels are less often right than the given ones. If both are
# the same, they are more often right.

given, truth, scores = make_tables(0)
tables = {
    "as given": given,
    "agreeing": relabel(given, scores, mode="agreeing", k=300),
    "match": relabel(given, scores, mode="match", mean_labels=1.0),
    "all": relabel(given, scores, mode="all", mean_labels=1.0),
}
print("mode      clips  labels that are right  true labels found")
for mode, table in tables.items():
    quality = rankaudio.noisy.label_quality(table, truth)
    print(
        f"{mode:8} {quality.clips:6} {quality.precision:22.1%} {quality.recall:18.1%}"
    )

# %%
# How right is a selection of each size? There are five tables, each with its own model,
# and 95 % intervals (Student's t):


def precision(seed: int) -> Tensor:
    """The share of right labels among the k clips that agree best, for each k."""
    given, truth, scores = make_tables(seed)
    order = rankaudio.noisy.select_agreeing(scores.scores, given.target, k=1000)
    right = (given.target == truth.target).all(1)[order]  # the first k are those of k
    return right.cumsum(0) / torch.arange(1, 1001)


curves = torch.stack([precision(seed) for seed in range(5)])
for k in (200, 400, 600, 1000):
    mean, half = curves[:, k - 1].mean(), 2.776 * curves[:, k - 1].std() / 5**0.5
    print(f"the best {k}: {mean:.1%} are right [{mean - half:.1%}, {mean + half:.1%}]")

# %%
# The left picture has a line for each table. The right one shows the agreement of the
# first table's clips: few wrong labels lead the ranking.

alt = "Precision falls from 1 to two thirds as more clips are taken; bars of agreement"
figure, axes = plt.subplots(1, 2, num=alt, figsize=(7.5, 2.9), layout="constrained")
axes[0].plot(range(20, 1001), curves[:, 19:].T, color="C0")
axes[0].set(title="share of right labels", xlabel="clips taken, best agreement first")
right = (given.target == truth.target).all(1)
agreement = rankaudio.noisy.label_agreement(scores.scores, given.target)
bars = {"right label": agreement[right], "wrong label": agreement[~right]}
axes[1].hist([*bars.values()], bins=10, range=(0, 1), label=[*bars])
axes[1].set(title="clips", xlabel="agreement")
axes[1].legend(loc="upper center")
figure.savefig("noisy_labels.png")
