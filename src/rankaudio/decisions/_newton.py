"""Logistic regression of each class on its own scores, by Newton's method for all classes at once."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import softplus

_MOST_STEPS = 100
_MOST_HALVINGS = 40
# A step that ends the search, in spreads of the scores. The loss may become worse by its rounding.
_LAST_STEP = 1e-11
_ROUNDING = 1e-13


class Problem(NamedTuple):
    """Columns ``(N, K)`` float64: scores, targets from 0 to 1, and weights."""

    scores: Tensor
    target: Tensor
    weight: Tensor

    def loss(self, scale: Tensor, shift: Tensor) -> Tensor:
        """Return the weighted negative log-likelihood of each column, ``(K,)``."""
        logits = scale * self.scores + shift
        return (self.weight * (softplus(logits, threshold=40) - self.target * logits)).sum(0)


def minimise(problem: Problem, *, with_shift: bool) -> tuple[Tensor, Tensor]:
    """Return the scale and the shift of the least loss, ``(K,)`` each; without a shift it is 0.

    The loss is convex. A step is halved while it makes the loss of its column worse, so the search cannot run
    away. It ends when all columns stay where they are.
    """
    mean, spread = _standard(problem, centre=with_shift)
    scaled = problem._replace(scores=(problem.scores - mean) / spread)
    scale = torch.zeros_like(mean)
    shift = torch.zeros_like(mean)
    loss = scaled.loss(scale, shift)
    for _ in range(_MOST_STEPS):
        before = scale, shift
        step = _newton_step(scaled, scale, shift, with_shift=with_shift)
        scale, shift, loss = _line_search(scaled, before, step, loss)
        moved = (scale - before[0]).abs() + (shift - before[1]).abs()
        if bool((moved <= _LAST_STEP * (1 + scale.abs() + shift.abs())).all()):
            break
    return scale / spread, shift - scale * mean / spread


def _standard(problem: Problem, *, centre: bool) -> tuple[Tensor, Tensor]:
    """Return the mean and the spread of each column, so that a step has the same size for all of them."""
    total = problem.weight.sum(0).clamp(min=1)
    mean = (problem.weight * problem.scores).sum(0) / total
    mean = mean if centre else torch.zeros_like(mean)
    spread = ((problem.weight * (problem.scores - mean).square()).sum(0) / total).sqrt()
    return mean, torch.where(spread > 0, spread, 1.0)


def _newton_step(
    problem: Problem, scale: Tensor, shift: Tensor, *, with_shift: bool
) -> tuple[Tensor, Tensor]:
    """Solve the two equations of each column."""
    probability = torch.sigmoid(scale * problem.scores + shift)
    slope = problem.weight * (probability - problem.target)
    bend = problem.weight * probability * (1 - probability)
    of_scale, of_both = (bend * problem.scores.square()).sum(0), (bend * problem.scores).sum(0)
    of_shift, d_scale, d_shift = bend.sum(0), (slope * problem.scores).sum(0), slope.sum(0)
    if not with_shift:
        of_shift, of_both, d_shift = (torch.full_like(scale, value) for value in (1.0, 0.0, 0.0))
    # A column of equal scores says nothing about its scale. The ridge then keeps the scale at 0.
    ridge = 1e-12 * (of_scale + of_shift) + 1e-30
    of_scale, of_shift = of_scale + ridge, of_shift + ridge
    determinant = of_scale * of_shift - of_both.square()
    return (
        (of_both * d_shift - of_shift * d_scale) / determinant,
        (of_both * d_scale - of_scale * d_shift) / determinant,
    )


def _line_search(
    problem: Problem, place: tuple[Tensor, Tensor], step: tuple[Tensor, Tensor], loss: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """Halve the step of each column until its loss is not worse than before; else stay."""
    size = torch.ones_like(loss)
    for _ in range(_MOST_HALVINGS):
        scale, shift = (at + size * towards for at, towards in zip(place, step, strict=True))
        new = problem.loss(scale, shift)
        worse = ~(new <= loss * (1 + _ROUNDING))
        if not worse.any():
            return scale, shift, new
        size = torch.where(worse, size / 2, size)
    size = torch.where(worse, 0.0, size)
    scale, shift = (at + size * towards for at, towards in zip(place, step, strict=True))
    return scale, shift, torch.where(worse, loss, new)
