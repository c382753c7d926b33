"""A rising tone with clicks, after speed, tempo and pitch shift."""

import math

from _parts import RATE, glide, show
from matplotlib.figure import Figure

from rankaudio import pitch_shift, speed, tempo

HEIGHT = 4.2
FACTOR = 1.25


def draw(figure: Figure) -> None:
    axes = figure.subplots(2, 2, sharex=True, sharey=True)
    clip = glide()
    cents = 1200 * math.log2(FACTOR)
    versions = [
        ("the clip: 0.5 to 2.5 kHz in 2 s", clip, 1.0, 1.0),
        (f"speed {FACTOR}: shorter and higher", speed(clip[None], factor=FACTOR)[0][0], FACTOR, FACTOR),
        (f"tempo {FACTOR}: shorter", tempo(clip[None], factor=FACTOR)[0][0], FACTOR, 1.0),
        (f"pitch +{cents:.0f} cents: higher", pitch_shift(clip[None], cents=cents)[0][0], 1.0, FACTOR),
    ]
    for axis, (title, changed, faster, higher) in zip(axes.flat, versions, strict=True):
        show(axis, changed, title)
        axis.plot([0, 2 / faster], [0.5 * higher, 2.5 * higher], "--", color="#40e0d0", linewidth=1.2)
        assert abs(len(changed) - 2 * RATE / faster) <= 1
        axis.label_outer()
    axes[0, 0].set_xlim(0, 2)
