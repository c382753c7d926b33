"""Probabilities against how often they are right, before and after the calibration of ranking scores."""

import torch
from matplotlib.figure import Figure

from rankaudio.decisions import fit_calibration

HEIGHT = 2.9
BINS = 10


def shares(probability, present):
    """Mean probability, share of present labels, and their number, for ten bins of probability."""
    place = (probability * BINS).long().clamp(max=BINS - 1).flatten()
    count = place.bincount(minlength=BINS).double()
    mean = torch.zeros(BINS).double().index_add(0, place, probability.double().flatten()) / count
    share = torch.zeros(BINS).double().index_add(0, place, present.double().flatten()) / count
    return mean, share, count


def draw(figure: Figure) -> None:
    reliability, histogram = figure.subplots(1, 2)
    generator = torch.Generator().manual_seed(0)
    present = torch.rand(4000, 10, generator=generator) < 0.15
    # A ranking loss leaves each clip's zero and the scale free: only the order within a clip counts.
    scores = 3 * (torch.randn(4000, 10, generator=generator) + 2 * present) + 1
    fit, held_out = fit_calibration(scores[:2000], present[:2000]), slice(2000, None)
    versions = {
        "sigmoid of the scores": scores[held_out].sigmoid(),
        "calibrated": fit.calibration(scores[held_out]),
    }
    reliability.plot([0, 1], [0, 1], color="0.5", linewidth=0.8, linestyle="--")
    edges = torch.arange(BINS) / BINS + 0.5 / BINS
    for number, (label, probability) in enumerate(versions.items()):
        mean, share, count = shares(probability, present[held_out])
        reliability.plot(mean, share, marker="o", markersize=3, label=label)
        width = 0.4 / BINS
        histogram.bar(edges + (number - 0.5) * width, count / count.sum(), width, label=label)
    reliability.set(title="how often it is right", xlabel="probability", ylabel="share of present labels")
    reliability.legend()
    histogram.set(title="how often it is said", xlabel="probability", ylabel="share of all entries")
