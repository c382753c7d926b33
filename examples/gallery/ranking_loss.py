"""A ranking loss asks questions that are easier to answer.

Twenty-five sounds are on a map of pitch and roughness. BCE asks "is the sound in the
middle present or not?". A linear model cannot answer, because no line separates this
sound from all others. [LSEP](../lsep.md) asks "is it this one *rather than* that one?".
Between any two sounds there is a line.
"""

# %%
# A clip with one sound is near the sound's place on the map. One clip in five has two
# sounds, and is between them.

import matplotlib.pyplot as plt
import torch
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits

from rankaudio import lsep_loss, lwlrap

PLACES = torch.cartesian_prod(torch.linspace(-1, 1, 5), torch.linspace(-1, 1, 5))
LOSSES = {"BCE": binary_cross_entropy_with_logits, "LSEP": lsep_loss}


def make_clips(count: int) -> tuple[Tensor, Tensor]:
    """Places of clips on the map, ``(count, 2)``, and their labels, ``(count, 25)``."""
    first, other = torch.randint(25, (2, count))
    second = torch.where(torch.rand(count) < 0.2, other, first)
    labels = torch.zeros(count, 25).scatter(1, torch.stack([first, second], 1), 1.0)
    middle = labels @ PLACES / labels.sum(1, keepdim=True)
    return middle + 0.12 * torch.randn(count, 2), labels


# %%
# There are two models: a linear one, and one with a hidden layer. Each learns from 400
# clips, and is scored by [lwlrap](../lwlrap.md) on 2,000 others.

MODELS = {
    "linear": lambda: nn.Linear(2, 25),
    "hidden": lambda: nn.Sequential(nn.Linear(2, 64), nn.ReLU(), nn.Linear(64, 25)),
}


def train(kind: str, loss: str, seed: int) -> tuple[nn.Module, float]:
    """A trained model and its lwlrap; with one seed, only the loss differs."""
    torch.manual_seed(seed)
    model, (clips, labels), test = MODELS[kind](), make_clips(400), make_clips(2000)
    optimizer = torch.optim.Adam(model.parameters(), lr=0.05)
    for _ in range(300):
        optimizer.zero_grad()
        LOSSES[loss](model(clips), labels).backward()
        optimizer.step()
    return model, float(lwlrap(model(test[0]).detach(), test[1]))


runs = {
    (k, loss): [train(k, loss, s) for s in range(5)] for k in MODELS for loss in LOSSES
}
results = {
    name: torch.tensor([value for _, value in run]) for name, run in runs.items()
}

# %%
# The gain of LSEP over BCE for five seeds, with 95 % intervals (Student's t):

gains = {kind: results[kind, "LSEP"] - results[kind, "BCE"] for kind in MODELS}
for kind, gain in gains.items():
    mean, half = gain.mean(), 2.776 * gain.std() / 5**0.5
    print(f"{kind}: {mean:+.3f} [{mean - half:+.3f}, {mean + half:+.3f}]")

# %%
# Left and middle: the sound that a linear model scores highest, at each place on the
# map, in the colour of that sound. With BCE, neighbours cover the inner sounds. With
# LSEP, each sound has a cell. Right: all runs.

alt = "Maps in coloured cells, few for BCE, many for LSEP; and points of lwlrap"
figure, axes = plt.subplots(1, 3, num=alt, figsize=(7.5, 2.9), layout="constrained")
line = torch.linspace(-1.3, 1.3, 200)
for axis, loss in zip(axes, LOSSES, strict=False):
    scores = runs["linear", loss][0][0](torch.cartesian_prod(line, line))
    x, y = ((PLACES[scores.argmax(1)] + 1) / 2).T
    colour = torch.stack([0.2 + 0.7 * x, 0.55 - 0.2 * x, 0.2 + 0.7 * y], 1)
    image = colour.reshape(200, 200, 3).transpose(0, 1).numpy()
    axis.imshow(image, origin="lower", extent=(-1.3, 1.3, -1.3, 1.3))
    axis.scatter(*PLACES.T, s=5, color="white")
    axis.set(
        title=f"linear, {loss}",
        xlabel="pitch",
        ylabel="roughness",
        xticks=[],
        yticks=[],
    )
for column, ((_, loss), values) in enumerate(results.items()):
    color = "C0" if loss == "BCE" else "C1"
    axes[2].scatter([column] * 5, values, color=color, s=12)
axes[2].set_xticks(
    range(4), [f"{kind}\n{loss}" for kind, loss in results], size="small"
)
axes[2].set(title="lwlrap", xlim=(-0.5, 3.5))
figure.savefig("ranking_loss.png")

# %%
# So the loss matters if a model is too simple for BCE's questions. A model with a
# hidden layer is not too simple, and a deep network even less so. With a hidden layer,
# LSEP is even a little worse here. On the small corpus of real sounds in [the
# measurements](../measurements.md), the difference was too small for two seeds to show.
# Try both on your own data.
