"""Columns of scores in descending order, with the weights above each score, ties together."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

from rankaudio._chunks import rows_per_chunk
from rankaudio.metrics._inputs import Rows, check_no_known_nan

# Scores that are sorted at a time: about 200 MB.
_BUDGET = 2**21


class Ranked(NamedTuple):
    """Classes as rows: ``(C, R)``, the highest score first."""

    positive: Tensor
    """The weight of each clip with the class, 0 without."""
    positives_above: Tensor
    """The weight of clips with the class that are scored at least as high."""
    all_above: Tensor
    """The weight of all clips that are scored at least as high."""


def of_classes(rows: Rows, figure: Callable[[Ranked], Tensor]) -> tuple[Tensor, Tensor]:
    """Return a figure of each class, and the weight of its clips: ``(C,)`` each. NaN scores raise."""
    check_no_known_nan(rows)
    none = rows.weight.new_zeros(rows.scores.shape[1])
    if len(rows.scores) == 0:
        return torch.full_like(none, torch.nan), none
    figures, support = [], []
    step = rows_per_chunk(len(rows.scores), _BUDGET)
    for start in range(0, rows.scores.shape[1], step):
        ranked = _rank(rows, slice(start, start + step))
        figures.append(figure(ranked))
        support.append(ranked.positive.sum(1))
    return torch.cat(figures), torch.cat(support)


def as_one_class(rows: Rows) -> Rows:
    """Return the entries of all classes as clips of one class."""
    scores, target, known, weight = rows
    return Rows(
        scores.reshape(-1, 1),
        target.reshape(-1, 1),
        None if known is None else known.reshape(-1, 1),
        weight.repeat_interleave(scores.shape[1]),
    )


def _rank(rows: Rows, part: slice) -> Ranked:
    """Sort some classes. Unknown entries keep a place, with a weight of 0."""
    scores = rows.scores[:, part].T
    weight = rows.weight.expand(scores.shape)
    if rows.known is not None:
        known = rows.known[:, part].T
        scores, weight = scores.masked_fill(~known, 0), weight * known
    ranked, order = scores.sort(dim=1, descending=True)
    weight = weight.gather(1, order)
    positive = weight * rows.target[:, part].T.bool().gather(1, order)
    last = _last_of_ties(ranked)
    return Ranked(positive, positive.cumsum(1).gather(1, last), weight.cumsum(1).gather(1, last))


def _last_of_ties(ranked: Tensor) -> Tensor:
    """Return, for each entry of sorted rows, the place of the last entry with the same value."""
    places = torch.arange(ranked.shape[1], device=ranked.device).expand(ranked.shape)
    is_last = torch.ones_like(ranked, dtype=torch.bool)
    is_last[:, :-1] = ranked[:, :-1] != ranked[:, 1:]
    behind = places.masked_fill(~is_last, ranked.shape[1]).flip(1)
    return behind.cummin(1).values.flip(1)
