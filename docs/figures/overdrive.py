"""The curve of overdrive, and the harmonics that it adds."""

import math

import torch
from _parts import RATE, times
from matplotlib.figure import Figure

from rankaudio import gain, overdrive

HEIGHT = 2.6


def draw(figure: Figure) -> None:
    curve, spectrum = figure.subplots(1, 2)
    t = times(1.0)
    wave = -(2 * math.pi * 441 * t).cos()[None]
    rising = slice(RATE // 2, RATE // 2 + 51)  # in a period after the offset has decayed
    for decibels in (2.0, 9.0, 20.0):
        bent = overdrive(wave, decibels=decibels)[0]
        curve.plot(wave[0, rising], bent[0, rising], label=f"overdrive {decibels:.0f} dB")
    curve.plot([-1, 1], gain(torch.tensor([[-1.0, 1.0]]), decibels=-6.0)[0][0], "--", label="gain -6 dB")
    curve.set(title="out of in", xlabel="in", ylabel="out", xlim=(-1, 1), ylim=(-1.05, 1.05))
    curve.set_xticks([-1, -0.5, 0, 0.5, 1])
    curve.legend()

    tone = 0.5 * (2 * math.pi * 440 * t).sin()[None]
    places = torch.arange(1, 11)
    for shift, (colour, marker) in enumerate([(0.0, "o"), (20.0, "s"), (80.0, "^")]):
        bent = overdrive(tone, decibels=9.0, colour=colour)[0]
        level = 20 * (torch.fft.rfft(bent[0])[440 * places].abs() * 2 / RATE).clamp(min=1e-6).log10()
        x = places + 0.2 * (shift - 1)
        spectrum.vlines(x, -80, level, f"C{shift}")
        spectrum.plot(x, level, marker, color=f"C{shift}", markersize=4, label=f"colour {colour:.0f}")
    spectrum.set(title="harmonics of a tone at 9 dB", xlabel="multiple of 440 Hz", ylabel="dB", ylim=(-80, 0))
    spectrum.set_xticks(places.tolist())
    spectrum.legend()
