"""The figures of a report, from scores and labels."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

from torch import Tensor

from freesound.report.data import Selection
from rankaudio.noisy import label_agreement, label_margin


@dataclass(frozen=True)
class Rival:
    """A class that was scored above a missing one: on how many of its clips."""

    index: int
    clips: int


@dataclass(frozen=True)
class Hard:
    """A clip, its LRAP, and the rank of each of its labels (1 is best; ties count against the label)."""

    row: int
    lrap: float
    ranks: dict[int, int]


@dataclass(frozen=True)
class Audit:
    """What a selection took.

    A clip is right if its labels are exactly the true ones. ``right`` counts clips taken with right labels,
    ``judged`` those taken whose true labels are known; ``given_right`` and ``given_judged`` are the same
    counts over all noisy clips with the labels they came with; ``kept_right`` of ``given_right`` were taken.
    """

    taken: int
    noisy: int
    judged: int
    right: int
    given_judged: int
    given_right: int
    kept_right: int


def rivals(scores: Tensor, target: Tensor, index: int, *, most: int) -> list[Rival]:
    """Classes not on the clip that are scored at least as high as a class that is, most frequent first.

    Args:
        scores: ``(N, C)``.
        target: ``(N, C)`` bool.
        index: the class that is on the clips looked at.
        most: how many to return; classes that never outrank it are left out.
    """
    rows = target[:, index]
    above = (scores[rows] >= scores[rows, index, None]) & ~target[rows]
    counts = above.sum(0)
    order = counts.argsort(descending=True, stable=True)[:most].tolist()
    return [Rival(c, int(counts[c])) for c in order if counts[c] > 0]


def hardest(scores: Tensor, target: Tensor, *, most: int) -> list[Hard]:
    """Clips of the lowest label-ranking average precision, leaving out those without a label or a fault.

    Among equals, the one whose lowest label lies further below the highest other class comes first.
    """
    lrap = label_agreement(scores, target)
    # Two stable sorts: by the second key first.
    order = label_margin(scores, target).argsort(stable=True)
    order = order[lrap[order].argsort(stable=True)]
    faulty = target.any(1) & (lrap < 1)
    return [
        Hard(row, float(lrap[row]), _ranks(scores[row], target[row]))
        for row in order[faulty[order]][:most].tolist()
    ]


def _ranks(scores: Tensor, target: Tensor) -> dict[int, int]:
    return {c: int((scores >= scores[c]).sum()) for c in target.nonzero().flatten().tolist()}


def audit(selection: Selection) -> Audit:
    """Count what was taken, and what of it is right; only clips with true labels are judged."""
    taken, given, truth = selection.taken, selection.given, selection.truth
    good = {name for name, labels in given.items() if name in truth and labels == truth[name]}
    return Audit(
        taken=len(taken),
        noisy=len(given),
        judged=sum(name in truth for name in taken),
        right=sum(name in truth and labels == truth[name] for name, labels in taken.items()),
        given_judged=sum(name in truth for name in given),
        given_right=len(good),
        kept_right=len(good & taken.keys()),
    )


def taken_by_class(selection: Selection) -> list[tuple[str, int, int]]:
    """Each label with the clips taken under it and those that came with it, most frequent first."""
    taken = Counter(label for labels in selection.taken.values() for label in labels)
    given = Counter(label for labels in selection.given.values() for label in labels)
    names = sorted(taken.keys() | given.keys(), key=lambda name: (-taken[name], name))
    return [(name, taken[name], given[name]) for name in names]
