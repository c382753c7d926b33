"""From scores to labels: fitted thresholds, and F1 and average precision of many bootstrap draws at once."""

from __future__ import annotations

import torch
from torch import Tensor


def counts_of(draws: Tensor) -> Tensor:
    """How often each clip is in each draw, ``(repeats, clips)``."""
    counts = torch.zeros(draws.shape, dtype=torch.float64)
    return counts.scatter_add_(1, draws, torch.ones_like(counts))


def common_threshold(scores: Tensor, target: Tensor) -> float:
    """The threshold with the highest F1 over all clips and classes together."""
    return _best_threshold(scores.flatten(), target.flatten())


def class_thresholds(scores: Tensor, target: Tensor) -> Tensor:
    """The threshold of each class with the highest F1; the common one for a class without a label."""
    common = common_threshold(scores, target)
    columns = zip(scores.T, target.T, strict=True)
    return torch.tensor([_best_threshold(s, t) if t.any() else common for s, t in columns])


def _best_threshold(scores: Tensor, target: Tensor) -> float:
    """Sweep over the middles between neighbouring scores; of equally good ones, the highest."""
    order = scores.argsort(descending=True)
    ranked, found = scores[order].double(), target[order].double().cumsum(0)
    f1 = 2 * found / (torch.arange(1, len(order) + 1) + found[-1])
    following = torch.cat([ranked[1:], ranked[-1:] - 1])
    f1[following == ranked] = 0  # a tie is never split
    best = int(f1.argmax())
    return float((ranked[best] + following[best]) / 2)


def micro_f1(labels: Tensor, target: Tensor, counts: Tensor) -> Tensor:
    """F1 over all clips and classes together, of each draw."""
    both, either = (labels & target).sum(1), labels.sum(1) + target.sum(1)
    return 2 * (counts @ both.double()) / (counts @ either.double())


def macro_f1(labels: Tensor, target: Tensor, counts: Tensor) -> Tensor:
    """Mean over the classes of F1, of each draw; a class without a label in a draw is left out."""
    both, either = (labels & target).double(), labels.double() + target.double()
    f1 = 2 * (counts @ both) / (counts @ either).clamp(min=1)
    return f1.where(counts @ target.double() > 0, torch.nan).nanmean(1)


def mean_average_precision(scores: Tensor, target: Tensor, counts: Tensor) -> Tensor:
    """Mean over the classes of average precision, of each draw; classes without a label are left out.

    No class of the test part has equal scores, so a threshold is at each clip, with all its copies.
    """
    values = []
    for column, present in zip(scores.T, target.T, strict=True):
        order = column.argsort(descending=True)
        weight, truth = counts[:, order], present[order].double()
        found, above = (weight * truth).cumsum(1), weight.cumsum(1)
        precision = found / above.clamp(min=1)
        values.append((weight * truth * precision).sum(1) / found[:, -1])
    return torch.stack(values).nanmean(0)
