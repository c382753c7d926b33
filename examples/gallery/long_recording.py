"""Which sounds are in a minute of noise, and when?

A tagger for clips of one second can also tag hours of sound. It scores a window, moves
on by half a window, and scores again. The result is a line over time for each class.
"""

# %%
# There are four sounds, with a new pitch and pace each time. A training clip lasts one
# second and has any number of them.

import math

import matplotlib.pyplot as plt
import torch
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits

from rankaudio import CNN2d, LogMel, Tagger, predict_long

RATE = 16_000
CLASSES = ("Bell", "Bird", "Clock", "Engine")


def between(low: float, high: float) -> float:
    """A random number."""
    return low + (high - low) * float(torch.rand(()))


def sound(name: str, seconds: float) -> Tensor:
    """One example of a sound, so many seconds long."""
    t = torch.arange(round(seconds * RATE)) / RATE
    if name == "Bell":
        phase = 2 * math.pi * between(400, 800) * t
        ring = (-3 * (t % 1.2)).exp()
        return ring * (
            0.3 * phase.sin() + 0.2 * (2.13 * phase).sin() + 0.1 * (3.04 * phase).sin()
        )
    if name == "Bird":
        call = (-(t % between(0.12, 0.25)) / 0.05).exp()
        frequency = between(2500, 4000) * (1 + 0.5 * call)
        return 0.5 * call * (2 * math.pi * (frequency / RATE).cumsum(0)).sin()
    if name == "Clock":
        return 0.4 * (-(t % between(0.2, 0.5)) / 0.006).exp() * torch.randn(len(t))
    return 0.6 * (t * between(25, 50) % 1 - 0.5)  # an engine


def make_clips(count: int) -> tuple[Tensor, Tensor]:
    """Clips ``(count, 16000)`` in noise of any level, and labels ``(count, 4)``."""
    labels = (torch.rand(count, len(CLASSES)) < 0.3).float()
    clips = torch.stack(
        [10 ** between(-3, -2) * torch.randn(RATE) for _ in range(count)]
    )
    for clip, column in labels.nonzero().tolist():
        clips[clip] += between(0.3, 1.0) * sound(CLASSES[column], 1.0)
    return clips, labels


# %%
# The tagger trains for a few seconds, this time with BCE. Silence has no order of
# labels to learn. A line over time also needs scores that mean the same in all windows,
# and [a ranking loss](../lsep.md#when-to-use-it) does not give those.

torch.manual_seed(0)
frontend = LogMel(sample_rate=RATE, n_fft=512, hop_length=256, n_mels=64)
tagger = Tagger(
    frontend, CNN2d(len(CLASSES), n_blocks=4, base_depth=8), classes=CLASSES
)
optimizer = torch.optim.Adam(tagger.parameters(), lr=3e-3)
clips, labels = make_clips(300)
for _ in range(8):
    for rows in torch.randperm(len(clips)).split(20):
        optimizer.zero_grad()
        binary_cross_entropy_with_logits(tagger(clips[rows]), labels[rows]).backward()
        optimizer.step()

# %%
# The recording is a minute of noise with ten sounds, some of them at the same time.
# Each window of one second gets scores. In place of the waveform, `predict_long` also
# takes the path of a file, and reads files of many hours in little memory.

EVENTS = [
    ("Engine", 2, 12), ("Bell", 8, 11), ("Bird", 15, 20), ("Clock", 18, 27),
    ("Bird", 25, 29), ("Bell", 32, 36), ("Engine", 35, 44), ("Bird", 40, 43),
    ("Clock", 47, 51), ("Bell", 52, 57),
]  # fmt: skip
recording = 0.005 * torch.randn(60 * RATE)
for name, start, end in EVENTS:
    recording[start * RATE : end * RATE] += between(0.4, 0.8) * sound(name, end - start)

scores, starts, ends = predict_long(tagger, recording, window=1.0, hop=0.5)
presence = scores.sigmoid()

# %%
# An event is found if its class has more than 0.5 in most of the windows inside it. An
# alarm is false if a class has more than 0.5 outside all of its events.

found, outside = 0, torch.ones_like(presence, dtype=torch.bool)
for name, start, end in EVENTS:
    column = CLASSES.index(name)
    found += bool(
        presence[(starts >= start) & (starts <= end - 1), column].median() > 0.5
    )
    outside[(starts > start - 1) & (starts < end), column] = False
alarms, chances = ((presence > 0.5) & outside).sum(), outside.sum()
print(
    f"{found} of {len(EVENTS)} events found, {alarms} false alarms in {chances} windows"
)

# %%
# The area is the model's answer, at the middle of each window. The bar below it is the
# truth. To the model, the stroke of a bell and the sudden end of an engine look a
# little like a clock.

alt = "Four rows over a minute; in each, areas rise above the bars where its sound is"
figure, axis = plt.subplots(num=alt, figsize=(7.5, 2.9), layout="constrained")
for row, name in enumerate(CLASSES):
    level = row + 0.75 * presence[:, row]
    axis.fill_between(starts + 0.5, row, level, color="C0", alpha=0.6, linewidth=0)
    spans = [(start, end - start) for event, start, end in EVENTS if event == name]
    axis.broken_barh(spans, (row - 0.14, 0.1), color="C1")
axis.set_yticks([row + 0.3 for row in range(len(CLASSES))], CLASSES)
axis.set(xlim=(0, 60), xlabel="seconds")
figure.savefig("long_recording.png")
