"""Batches for tests of lwlrap."""

import math

import torch

AVERAGES = ["label", "macro", "sample", None]
EXACT = {"rtol": 1e-12, "atol": 1e-12, "equal_nan": True}


def batch(rows=40, classes=7, *, labels=0.3, levels=6, seed=0):
    """Draw scores with many ties and infinities, and labels. Row 0 has no label, row 1 has all."""
    generator = torch.Generator().manual_seed(seed)
    scores = torch.randint(0, levels, (rows, classes), generator=generator).float()
    scores[scores == levels - 1] = math.inf
    scores[scores == 0] = -math.inf
    target = torch.rand(rows, classes, generator=generator) < labels
    target[0] = False
    target[1] = True
    return scores, target
