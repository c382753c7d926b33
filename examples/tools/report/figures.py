"""The figures of a page, from scores and labels."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

from torch import Tensor

from rankaudio.noisy import label_agreement, label_margin
from tools.report.data import Selection


@dataclass(frozen=True)
class Confusion:
    """A class that was scored above a missing one, and on how many clips."""

    index: int
    clips: int


@dataclass(frozen=True)
class HardClip:
    """A clip, its LRAP, and the rank of each of its labels. 1 is best; ties count against the label."""

    row: int
    lrap: float
    ranks: dict[int, int]


@dataclass(frozen=True)
class Audit:
    """Counts of a selection. A clip is right if its labels are exactly the true ones.

    Args:
        taken: clips selected.
        noisy: all noisy clips.
        known: selected clips whose true labels are known.
        right: selected clips with right labels.
        given_known: noisy clips whose true labels are known.
        given_right: noisy clips whose given labels are right.
        found_right: clips of ``given_right`` that were selected.
    """

    taken: int
    noisy: int
    known: int
    right: int
    given_known: int
    given_right: int
    found_right: int


def confusions(scores: Tensor, target: Tensor, index: int, *, most: int) -> list[Confusion]:
    """List the classes not on a clip that are scored at least as high as a class on it, most frequent first.

    Args:
        scores: ``(N, C)``.
        target: ``(N, C)`` bool.
        index: the class; only its clips are used.
        most: how many classes to return. Classes that are never scored higher are left out.
    """
    rows = target[:, index]
    above = (scores[rows] >= scores[rows, index, None]) & ~target[rows]
    counts = above.sum(0)
    order = counts.argsort(descending=True, stable=True)[:most].tolist()
    return [Confusion(c, int(counts[c])) for c in order if counts[c] > 0]


def hardest_clips(scores: Tensor, target: Tensor, *, most: int) -> list[HardClip]:
    """List the clips with the lowest label-ranking average precision, except those without a label or error.

    Clips of the same precision are sorted by their margin: the lowest label minus the highest other class.
    """
    lrap = label_agreement(scores, target)
    # Two stable sorts, by the second key first.
    order = label_margin(scores, target).argsort(stable=True)
    order = order[lrap[order].argsort(stable=True)]
    imperfect = target.any(1) & (lrap < 1)
    return [
        HardClip(row, float(lrap[row]), _ranks(scores[row], target[row]))
        for row in order[imperfect[order]][:most].tolist()
    ]


def _ranks(scores: Tensor, target: Tensor) -> dict[int, int]:
    return {c: int((scores >= scores[c]).sum()) for c in target.nonzero().flatten().tolist()}


def audit(selection: Selection) -> Audit:
    """Count the clips of a selection, and those with right labels where the true ones are known."""
    taken, given, truth = selection.taken, selection.given, selection.truth
    right = {name for name, labels in given.items() if name in truth and labels == truth[name]}
    return Audit(
        taken=len(taken),
        noisy=len(given),
        known=sum(name in truth for name in taken),
        right=sum(name in truth and labels == truth[name] for name, labels in taken.items()),
        given_known=sum(name in truth for name in given),
        given_right=len(right),
        found_right=len(right & taken.keys()),
    )


def taken_by_class(selection: Selection) -> list[tuple[str, int, int]]:
    """List each label with its clips in the selection and in the given labels, most frequent first."""
    taken = Counter(label for labels in selection.taken.values() for label in labels)
    given = Counter(label for labels in selection.given.values() for label in labels)
    names = sorted(taken.keys() | given.keys(), key=lambda name: (-taken[name], name))
    return [(name, taken[name], given[name]) for name in names]
