"""Weights of a blend, fitted on lwlrap, with a figure that can be believed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from rankaudio._checks import (
    check_integer,
    check_integers,
    check_scores_and_target,
    check_shape,
    check_tensor,
    describe,
)
from rankaudio._rank_sums import rank_sums
from rankaudio.data import multilabel_folds
from rankaudio.ensemble._members import Members, Method, prepare
from rankaudio.metrics import lwlrap

__all__ = ["BlendFit", "fit_blend_weights"]

# lwlrap is a staircase, so a search needs first steps that cross many stairs, and gains nothing from last
# steps smaller than a stair is wide.
FIRST_STEP, NEXT_STEP, LAST_STEP = 0.3, 0.1, 1e-3
STEPS_PER_MEMBER = 40
# What stands for infinity in the search, where the spread of a member's scores is 1.
FAR = 1e3


class BlendFit(NamedTuple):
    """What :func:`fit_blend_weights` found, everything on the CPU.

    >>> BlendFit(torch.ones(1), 0.9, 0.9, 0.9, torch.tensor([0.9]), torch.ones(5, 1)).nested
    0.9
    """

    weights: Tensor
    """``(M,)`` float64, not negative, of sum 1."""
    lwlrap: float
    """Of the blend with these weights on the clips that they were fitted on, so too high a figure."""
    nested: float
    """Of clips scored with weights that were fitted on the other folds, so the figure to report."""
    equal: float
    """Of the blend with equal weights, into which no fitting went."""
    alone: Tensor
    """``(M,)`` float64, of each member with all the weight."""
    fold_weights: Tensor
    """``(K, M)`` float64, the weights behind ``nested``, which show how much they depend on the clips."""


def fit_blend_weights(
    scores: Tensor | Sequence[Tensor],
    target: Tensor,
    *,
    method: Method = "mean",
    present: Tensor | None = None,
    folds: Tensor | None = None,
    n_folds: int = 5,
    starts: int = 4,
    seed: int = 42,
) -> BlendFit:
    """Find the weights of a blend that give the best lwlrap, and say what they are worth.

    The search is scipy's COBYLA, which needs no gradient (lwlrap has none), from several starts: equal
    weights, equal weights after division by each member's spread, each member alone, and random draws; then
    once more from the best, with smaller steps. The best of all weights tried at the ends of these searches
    is kept, and equal weights and each member alone are among them: on the clips given, the result is worse
    than none of these.

    That makes :attr:`BlendFit.lwlrap` a flattering figure. :attr:`BlendFit.nested` repeats the whole fit
    without one fold after another, scores the fold left out with the weights so found, and judges all
    these scores together. Where it is not above :attr:`BlendFit.equal`, use equal weights.

    Args:
        scores: ``(M, N, C)`` floating point, or a list of :math:`M` tensors ``(N, C)``: out-of-fold scores,
            each clip's from a model that was not trained on it. With scores of training clips the weights
            go to the member that overfits most, and no nested fold can tell.
        target: ``(N, C)`` bool or 0/1.
        method: as in :func:`blend`.
        present: ``(M, N)`` bool, as in :func:`blend`.
        folds: ``(N,)`` integers, the fold of each clip for ``nested``; best those that the members were
            trained with, and clips of one source in one fold. By default :func:`multilabel_folds`.
        n_folds: how many of these by default.
        starts: random draws among the starts.
        seed: of the random draws and the default folds. The same arguments give the same result.

    Returns:
        A :class:`BlendFit`. Among equals, equal weights go first, so members that are all the same keep
        them. The order of the members makes no difference, unless two are equally good alone.

    Raises:
        TypeError: if scores are not floating point, or folds and settings not integers.
        ValueError: as :func:`blend`; or if shapes differ, the target is not 0/1 or has no label, folds are
            fewer than two, or there are fewer clips than ``n_folds``.

    >>> generator = torch.Generator().manual_seed(0)
    >>> target = torch.eye(5).repeat(20, 1)
    >>> noise = torch.randn(3, 100, 5, generator=generator)
    >>> scores = noise + torch.tensor([2.0, 1.5, 0.0])[:, None, None] * target  # the third knows nothing
    >>> fit = fit_blend_weights(scores, target, n_folds=2)
    >>> fit.lwlrap >= fit.equal, fit.lwlrap >= fit.alone.max(), fit.weights.argmin()
    (True, tensor(True), tensor(2))
    """
    members = prepare(scores, method=method, present=present).on_cpu()
    first = members.prepared[0]
    if first.ndim != 2:
        raise ValueError(f"scores: wanted members of shape (N, C), got {describe(first)}")
    check_integer("starts", starts, 0)
    check_integer("seed", seed, 0)
    check_scores_and_target(first, check_tensor("target", target).detach().cpu())
    task = _Task(members, target.detach().cpu().bool())
    if not task.target.any():
        raise ValueError("target: wanted at least one label, got none")
    fold_of = _check_folds(folds, task.target, n_folds, seed)
    draws = _draw(starts, len(members), seed)
    fit = _fit(task, draws)
    nested, fold_weights = _nested(task, fold_of, draws)
    return BlendFit(
        fit.weights, fit.figure, nested, fit.equal, torch.tensor(fit.alone, dtype=torch.float64), fold_weights
    )


@dataclass(frozen=True)
class _Task:
    """Members, and what they should have said."""

    members: Members
    target: Tensor

    def figure(self, weights: Tensor) -> float:
        """lwlrap, exactly as whoever calls blend will get it."""
        return float(lwlrap(self.members.blend(weights), self.target))

    def rows(self, rows: Tensor) -> _Task:
        return _Task(self.members.rows(rows), self.target[rows])


class _Found(NamedTuple):
    weights: Tensor
    figure: float
    equal: float
    alone: list[float]


def _fit(task: _Task, draws: Tensor) -> _Found:
    """The best weights of all that are tried."""
    count = len(task.members)
    tried = [torch.full((count,), 1 / count, dtype=torch.float64), *torch.eye(count, dtype=torch.float64)]
    figures = [task.figure(weights) for weights in tried]
    equal, *alone = figures
    # Neither one member, nor a perfect blend, nor clips without labels (NaN) leave anything to look for.
    if count > 1 and max(figures) < 1:
        search = _Search(task, sorted(range(count), key=lambda member: -alone[member]))
        tried += search.run(draws)
        figures += [task.figure(weights) for weights in tried[count + 1 :]]
    best = max(range(len(tried)), key=figures.__getitem__)
    return _Found(tried[best], figures[best], equal, alone)


def _nested(task: _Task, fold_of: Tensor, draws: Tensor) -> tuple[float, Tensor]:
    """Score each fold with the weights of the others, and judge all clips together."""
    scores, weights = torch.empty(task.target.shape, dtype=task.members.dtype), []
    for fold in sorted(set(fold_of.tolist())):
        held_out = fold_of == fold
        weights.append(_fit(task.rows(~held_out), draws).weights)
        scores[held_out] = task.members.rows(held_out).blend(weights[-1])
    return float(lwlrap(scores, task.target)), torch.stack(weights)


class _Search:
    """COBYLA over one task.

    Its parameters are free: below 0 they count as 0, above it in proportion to each other. So there are no
    constraints, with which releases of scipy deal in different ways; and all that lies below 0 is a place
    to end for the weight of a member that does not help, where a lone point would hardly be hit. They are
    weights of members whose spread is 1, or else a step would mean much for one member and nothing for
    another. Members stand in the order of their own figures, so that the caller's makes no difference.
    """

    def __init__(self, task: _Task, order: list[int]) -> None:
        labelled = task.target.any(-1)
        members = task.members.rows(labelled)
        self._target, self._order = task.target[labelled], torch.tensor(order)
        self._row_weight = torch.ones(len(self._target), dtype=torch.float64)
        # A clip that is missing is 0 throughout, so it has no part in the order of the labels.
        here = zip(members.prepared, members.present, strict=True)
        scores = torch.stack([torch.where(known, x, 0.0) for x, known in here])[self._order]
        finite = torch.where(scores.isfinite(), scores, 0.0)
        spread = (finite - finite.mean(-1, keepdim=True)).abs().mean((-2, -1))
        self._spread = torch.where((spread > 0) & spread.isfinite(), spread, 1.0)
        scores = (scores / self._spread[:, None, None]).nan_to_num(posinf=FAR, neginf=-FAR)
        self._scores = tuple(scores.to(members.dtype))

    def run(self, draws: Tensor) -> list[Tensor]:
        """Return where the searches ended, as weights in the caller's order."""
        count = len(self._scores)
        equal, alone = torch.ones(count, dtype=torch.float64), torch.eye(count, dtype=torch.float64)
        ends = [self._descend(start, FIRST_STEP) for start in (equal * self._spread, equal, *alone, *draws)]
        ends.append(self._descend(min(ends, key=self._cost), NEXT_STEP))
        return [self._as_weights(end) for end in ends]

    def _descend(self, start: Tensor, step: float) -> Tensor:
        from scipy.optimize import minimize

        found = minimize(
            lambda free: self._cost(torch.from_numpy(free)),
            (start / start.sum()).numpy(),
            method="COBYLA",
            tol=LAST_STEP,
            options={"rhobeg": step, "maxiter": STEPS_PER_MEMBER * len(start)},
        )
        return torch.tensor(found.x, dtype=torch.float64).clamp(min=0)

    def _cost(self, free: Tensor) -> float:
        share = free.clamp(min=0)
        if not share.any():
            return 0.0  # no blend at all: worse than any
        blended = torch.zeros_like(self._scores[0])
        for scores, part in zip(self._scores, (share / share.sum()).tolist(), strict=True):
            blended += scores * part
        sums = rank_sums(blended, self._target, None, self._row_weight)
        return -float(sums.precision.sum() / sums.support.sum())

    def _as_weights(self, share: Tensor) -> Tensor:
        share = share / self._spread
        return torch.zeros_like(share).index_copy(0, self._order, share / share.sum())


def _draw(count: int, members: int, seed: int) -> Tensor:
    """Weights ``(count, M)``, uniform among all that are not negative and of sum 1 (but for the sum)."""
    generator = torch.Generator().manual_seed(seed)
    return torch.empty(count, members, dtype=torch.float64).exponential_(generator=generator)


def _check_folds(folds: object, target: Tensor, n_folds: int, seed: int) -> Tensor:
    if folds is None:
        return multilabel_folds(target, n_folds=n_folds, seed=seed)
    fold_of = check_shape("folds", check_integers("folds", folds), target.shape[:1]).cpu()
    if len(found := set(fold_of.tolist())) < 2:
        raise ValueError(f"folds: wanted at least two different ones, got {sorted(found)}")
    return fold_of
