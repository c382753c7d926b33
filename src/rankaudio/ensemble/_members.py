"""The scores of an ensemble's members, checked and prepared for averaging.

Averages are computed entry by entry in double precision, one product and one sum at a time. A matrix product
would not be faster, because there are few members. It may also round the entries of one row differently.
Labels with equal scores from every member would then be ordered by chance instead of tied.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import reduce
from typing import Literal

import torch
from torch import Tensor

from rankaudio._checks import (
    check_choice,
    check_floating,
    check_has_classes,
    check_mask,
    check_number,
    check_same_device,
    check_shape,
    describe,
)
from rankaudio._chunks import row_chunks
from rankaudio._ties import mid_ranks
from rankaudio.metrics._label_precisions import sum_dtype

# Scores of a member that are averaged at once: some MB in double precision, and more on an accelerator.
CHUNK, CHUNK_ON_DEVICE = 2**18, 2**24

Method = Literal["mean", "geometric", "rank"]
METHODS: tuple[Method, ...] = ("mean", "geometric", "rank")


@dataclass(frozen=True)
class Members:
    """The prepared scores, and how to average them."""

    prepared: tuple[Tensor, ...]
    """For each member ``(*, C)`` in double precision: its scores, their logarithms, or their ranks from 0."""
    present: Tensor
    """``(M, *, 1)`` bool, true where a member has a clip."""
    method: Method
    dtype: torch.dtype
    """The dtype of the blend."""

    def __len__(self) -> int:
        return len(self.prepared)

    def rows(self, rows: Tensor) -> Members:
        """The same members with some of the clips, for scores with two axes."""
        return replace(
            self, prepared=tuple(each[rows] for each in self.prepared), present=self.present[:, rows]
        )

    def on_cpu(self) -> Members:
        """The same members on the CPU and without gradients."""
        prepared = tuple(each.detach().cpu().to(torch.float64) for each in self.prepared)
        return replace(self, prepared=prepared, present=self.present.cpu())

    def blend(self, weights: Tensor) -> Tensor:
        """Weighted average ``(*, C)``; ``weights`` are non-negative and not all zero."""
        # Equal weights become ones. Sums of ranks are then exact, and so are ties.
        factor = (weights / weights.max()).to(self.present.device, sum_dtype(self.present.device))
        share = torch.where(self.present, factor.reshape(-1, *[1] * (self.present.ndim - 1)), 0.0)
        # If all members that have a clip have weight 0, their plain average is better than no score.
        share = torch.where(share.sum(0) > 0, share, self.present.to(share.dtype))
        total = torch.zeros_like(self.prepared[0])
        for part, scores in zip(share, self.prepared, strict=True):
            # where, not only a product: scores of weight 0 may be infinite, and missing scores may be NaN.
            total = total + torch.where(part > 0, part * scores, 0.0)
        average = total / share.sum(0)
        if self.method == "geometric":
            average = average.exp()
        elif self.method == "rank":
            average = average / max(1, average.shape[-1] - 1)
        return average.to(self.dtype)


@dataclass(frozen=True)
class EntryNames:
    """The names of members, clips and classes in messages."""

    members: str = "scores"
    clips: Sequence[object] = ()
    classes: Sequence[object] = ()

    def of_entry(self, at: Sequence[int]) -> str:
        """Name an entry of a member by its clip and class."""
        if len(at) != 2:
            return f"at {tuple(at)}"
        clip, label = at
        return (
            f"for clip {self.clips[clip]!r}, class {self.classes[label]!r}"
            if self.clips
            else f"for clip {clip}, class {label}"
        )


@dataclass(frozen=True)
class CheckedScores:
    """Scores of members that can be averaged, ``(M, *, C)``."""

    scores: tuple[Tensor, ...]
    present: Tensor
    """``(M, *, 1)`` bool, true where a member has a clip."""
    method: Method

    @property
    def dtype(self) -> torch.dtype:
        """The dtype of the blend."""
        return reduce(torch.promote_types, (member.dtype for member in self.scores), torch.float32)

    def prepare(self) -> Members:
        """Compute logarithms or ranks in double precision."""
        wide = sum_dtype(self.present.device)
        prepared = tuple(_PREPARE[self.method](member, wide) for member in self.scores)
        return Members(prepared, self.present, self.method, self.dtype)

    def blend(self, weights: Tensor) -> Tensor:
        """Weighted average ``(*, C)``, some clips at a time, because double precision takes memory."""
        shape = self.scores[0].shape
        rows = [member.reshape(-1, shape[-1]) for member in self.scores]
        present = self.present.reshape(len(rows), -1, 1)
        budget = CHUNK if present.device.type == "cpu" else CHUNK_ON_DEVICE
        blended = rows[0].new_empty(rows[0].shape, dtype=self.dtype)
        for some in row_chunks(len(blended), shape[-1], budget):
            part = CheckedScores(tuple(member[some] for member in rows), present[:, some], self.method)
            blended[some] = part.prepare().blend(weights)
        return blended.reshape(shape)


def check_members(
    scores: object, *, method: Method, present: Tensor | None = None, entry_names: EntryNames | None = None
) -> CheckedScores:
    """Check the members' scores."""
    check_choice("method", method, METHODS)
    names = entry_names or EntryNames()
    members = _check_members(scores, names.members)
    known = _check_present(present, members)
    for index, member in enumerate(members):
        _check_numbers(f"{names.members}[{index}]", member, known[index], method, names)
    if method != "rank":
        _check_infinities(members, known, method, names)
    return CheckedScores(members, known, method)


def check_weights(weights: Sequence[float] | Tensor | None, count: int) -> Tensor:
    """Return weights as ``(M,)`` float64 on the CPU, by default ones."""
    if weights is None:
        return torch.ones(count, dtype=torch.float64)
    values = check_shape("weights", weights, (count,)).tolist() if isinstance(weights, Tensor) else weights
    if isinstance(values, str) or not isinstance(values, Sequence):
        raise TypeError(f"weights: wanted a tensor or a list of numbers, got {describe(weights)}")
    if len(values) != count:
        raise ValueError(f"weights: wanted one for each of the {count} members, got {len(values)}")
    numbers = [check_number(f"weights[{i}]", value, 0) for i, value in enumerate(values)]
    if not any(numbers):
        raise ValueError(f"weights: wanted at least one above 0, got {numbers}")
    return torch.tensor(numbers, dtype=torch.float64)


def _mid_ranks(scores: Tensor, dtype: torch.dtype) -> Tensor:
    """Number of lower scores plus half of the other equal scores: 0 to C - 1, in halves."""
    scores = scores.detach().contiguous()
    if scores.device.type == "cpu":
        return mid_ranks(scores.reshape(-1, scores.shape[-1])).reshape(scores.shape).to(dtype)
    scores = scores.to(dtype)
    ranked = scores.sort(dim=-1).values
    below = torch.searchsorted(ranked, scores)
    not_above = torch.searchsorted(ranked, scores, right=True)
    return (below + not_above - 1).to(dtype) / 2


_PREPARE: dict[Method, Callable[[Tensor, torch.dtype], Tensor]] = {
    "mean": lambda scores, dtype: scores.to(dtype),
    "geometric": lambda scores, dtype: scores.to(dtype).log(),
    "rank": _mid_ranks,
}


def _check_members(scores: object, name: str) -> tuple[Tensor, ...]:
    if isinstance(scores, Tensor):
        if check_floating(name, scores).ndim < 2:
            raise ValueError(f"{name}: wanted shape (M, *, C), got {describe(scores)}")
    elif isinstance(scores, str) or not isinstance(scores, Sequence):
        raise TypeError(f"{name}: wanted a tensor or a list of tensors, got {describe(scores)}")
    members = tuple(check_floating(f"{name}[{i}]", member) for i, member in enumerate(scores))
    if not members:
        raise ValueError(f"{name}: wanted at least one member, got none")
    first = members[0]
    check_has_classes(f"{name}[0]", first)
    for i, member in enumerate(members):
        if member.shape != first.shape:
            wanted = f"the shape of {name}[0], {tuple(first.shape)}"
            raise ValueError(f"{name}[{i}]: wanted {wanted}, got {describe(member)}")
        check_same_device(f"{name}[{i}]", member, f"{name}[0]", first)
    return members


def _check_present(present: object, members: tuple[Tensor, ...]) -> Tensor:
    """Return ``(M, *, 1)``, true where a member has a clip. Every clip has a member."""
    first, shape = members[0], (len(members), *members[0].shape[:-1])
    if present is None:
        return torch.ones(*shape, 1, dtype=torch.bool, device=first.device)
    known = check_mask("present", present, shape, like=first)
    without_member = ~known.any(0)
    if without_member.any():
        clip = without_member.nonzero()[0].tolist()
        raise ValueError(
            f"present: wanted a member for every clip, got none for clip {', '.join(map(str, clip))}"
        )
    return known[..., None]


def _check_numbers(name: str, member: Tensor, known: Tensor, method: Method, names: EntryNames) -> None:
    """Refuse NaN, and negative numbers if logarithms are needed. This waits for the values on any device."""
    bad, wanted = member.isnan(), "numbers"
    if method == "geometric":
        bad, wanted = bad | (member < 0), "numbers >= 0 for a geometric mean"
    bad = bad & known
    if bad.any():
        at = bad.nonzero()[0].tolist()
        raise ValueError(f"{name}: wanted {wanted}, got {member[tuple(at)].item()} {names.of_entry(at)}")


def _check_infinities(members: tuple[Tensor, ...], known: Tensor, method: Method, names: EntryNames) -> None:
    """Refuse entries that would average plus and minus infinity."""
    lowest = 0 if method == "geometric" else -torch.inf
    high = reduce(torch.logical_or, ((x == torch.inf) & k for x, k in zip(members, known, strict=True)))
    low = reduce(torch.logical_or, ((x == lowest) & k for x, k in zip(members, known, strict=True)))
    if (high & low).any():
        ends = "0 and inf" if method == "geometric" else "-inf and inf"
        at = (high & low).nonzero()[0].tolist()
        raise ValueError(
            f"{names.members}: wanted members that can be averaged, got {ends} {names.of_entry(at)} "
            "(method='rank' takes them)"
        )
