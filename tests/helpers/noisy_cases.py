"""Scores with ties and infinities, and labels, for tests of the noisy-label tools."""

import math

import torch
from hypothesis import strategies as st

INF = math.inf


@st.composite
def batches(draw, *, levels=(-1.5, -0.25, 0.0, 0.5, 3.0, -INF, INF)):
    """Draw scores with many ties and infinities, and any labels, none and all included."""
    rows, classes = draw(st.integers(0, 12)), draw(st.integers(1, 6))
    scores = [[draw(st.sampled_from(levels)) for _ in range(classes)] for _ in range(rows)]
    target = [[draw(st.booleans()) for _ in range(classes)] for _ in range(rows)]
    return torch.tensor(scores).reshape(rows, classes), torch.tensor(target).reshape(rows, classes).bool()
