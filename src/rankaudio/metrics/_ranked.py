"""The clips that are scored above each clip of a class, ties together.

There are two exact ways to count. Without weights, numpy sorts the scores of a class on the CPU, and the
clips with the class are looked up. That is the fastest, because nothing but scores is sorted. With weights,
and on accelerators, clips are sorted with their weights, some classes at a time.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import pad

from rankaudio._chunks import rows_per_chunk
from rankaudio.metrics._inputs import Rows, check_no_known_nan

# Scores that are sorted with their weights at a time: about 200 MB.
_BUDGET = 2**21


class Ranked(NamedTuple):
    """Weights of clips, with classes as rows ``(C, K)``. Each clip with the class has one of the K places."""

    positive: Tensor
    """The weight of the clip at this place, 0 if it is not with the class."""
    positives_at_least: Tensor
    """The weight of clips with the class that are scored at least as high."""
    all_at_least: Tensor
    """The weight of all clips that are scored at least as high."""
    positives_above: Tensor
    """The weight of clips with the class that are scored higher."""
    all_above: Tensor
    """The weight of all clips that are scored higher."""
    negatives: Tensor
    """``(C, 1)``, the weight of all clips without the class."""


def of_classes(rows: Rows, figure: Callable[[Ranked], Tensor]) -> tuple[Tensor, Tensor]:
    """Return a figure of each class, and the weight of its clips: ``(C,)`` each. NaN scores raise."""
    check_no_known_nan(rows)
    none = rows.weight.new_zeros(rows.scores.shape[1])
    if len(rows.scores) == 0:
        return torch.full_like(none, torch.nan), none
    plain = rows.scores.device.type == "cpu" and bool((rows.weight == 1).all())
    figures, support = [], []
    for ranked in _each_class(rows) if plain else _some_classes(rows):
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


def _each_class(rows: Rows) -> Iterator[Ranked]:
    """Count without weights."""
    import numpy as np

    # numpy has no bfloat16, and float32 is exact for both kinds of half precision.
    scores = rows.scores if rows.scores.dtype == torch.float64 else rows.scores.float()
    columns, present = scores.T.contiguous().numpy(), rows.target.T.bool().contiguous().numpy()
    known = None if rows.known is None else rows.known.T.contiguous().numpy()
    for c, (column, labels) in enumerate(zip(columns, present, strict=True)):
        one, mine = (column, labels) if known is None else (column[known[c]], labels[known[c]])
        ordered, own = np.sort(one), np.sort(one[mine])
        at_least, above = (
            [len(among) - torch.from_numpy(np.searchsorted(among, own, side)) for among in (own, ordered)]
            for side in ("left", "right")
        )
        yield Ranked(
            torch.ones(1, len(own), dtype=torch.float64),
            at_least[0][None].double(),
            at_least[1][None].double(),
            above[0][None].double(),
            above[1][None].double(),
            torch.full((1, 1), len(ordered) - len(own), dtype=torch.float64),
        )


def _some_classes(rows: Rows) -> Iterator[Ranked]:
    """Sort with weights. Unknown entries keep a place, with a weight of 0."""
    step = rows_per_chunk(len(rows.scores), _BUDGET)
    for start in range(0, rows.scores.shape[1], step):
        part = slice(start, start + step)
        scores = rows.scores[:, part].T
        weight = rows.weight.expand(scores.shape)
        if rows.known is not None:
            known = rows.known[:, part].T
            scores, weight = scores.masked_fill(~known, 0), weight * known
        ranked, order = scores.sort(dim=1, descending=True)
        weight = weight.gather(1, order)
        positive = weight * rows.target[:, part].T.bool().gather(1, order)
        first, last = _ends_of_ties(ranked)
        positives, everything = (pad(values.cumsum(1), (1, 0)) for values in (positive, weight))
        yield Ranked(
            positive,
            positives.gather(1, last + 1),
            everything.gather(1, last + 1),
            positives.gather(1, first),
            everything.gather(1, first),
            (weight - positive).sum(1, keepdim=True),
        )


def _ends_of_ties(ranked: Tensor) -> tuple[Tensor, Tensor]:
    """Return the places of the first and the last entry with the same value, for each of sorted rows."""
    places = torch.arange(ranked.shape[1], device=ranked.device).expand(ranked.shape)
    differs = ranked[:, 1:] != ranked[:, :-1]
    is_first, is_last = pad(differs, (1, 0), value=True), pad(differs, (0, 1), value=True)
    first = places.masked_fill(~is_first, 0).cummax(1).values
    behind = places.masked_fill(~is_last, ranked.shape[1]).flip(1)
    return first, behind.cummin(1).values.flip(1)
