"""Blend weights fitted on lwlrap, with an honest estimate of their value."""

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
    check_zeros_and_ones,
    describe,
)
from rankaudio.data import multilabel_folds
from rankaudio.ensemble._members import Members, Method, check_members
from rankaudio.ensemble._search import WeightSearch, draw_weights
from rankaudio.metrics import lwlrap

__all__ = ["BlendFit", "fit_blend_weights"]


class BlendFit(NamedTuple):
    """The result of :func:`fit_blend_weights`, all on the CPU.

    >>> BlendFit(torch.ones(1), 0.9, 0.9, 0.9, torch.tensor([0.9]), torch.ones(5, 1)).nested
    0.9
    """

    weights: Tensor
    """``(M,)`` float64, not negative, of sum 1."""
    lwlrap: float
    """lwlrap of the blend with these weights on the clips of the fit. It is too high to report."""
    nested: float
    """lwlrap of clips that are scored with weights fitted on the other folds. Report this value."""
    equal: float
    """lwlrap of the blend with equal weights, which needs no fit."""
    alone: Tensor
    """``(M,)`` float64, lwlrap of each member alone."""
    fold_weights: Tensor
    """``(K, M)`` float64, the weights of ``nested``. They show how much weights depend on the clips."""


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
    """Find the blend weights with the best lwlrap, and estimate their value on other clips.

    The search is scipy's COBYLA, because lwlrap has no gradient. It starts from equal weights, from equal
    weights divided by each member's spread, from each member alone, and from random weights. A last search
    starts from the best result, with smaller steps. The best of all results is kept. Equal weights and each
    member alone are among the candidates, so the result is never worse than those on the given clips.

    :attr:`BlendFit.lwlrap` is therefore too high. For :attr:`BlendFit.nested` the whole fit is repeated
    without each fold in turn, and the weights score that fold. lwlrap is then computed over all clips at
    once. If it is not above :attr:`BlendFit.equal`, use equal weights.

    Args:
        scores: ``(M, N, C)`` floating point, or a list of :math:`M` tensors ``(N, C)``. They must be
            out-of-fold scores: each clip is scored by a model that was not trained on it. With scores of
            training clips, the member that overfits most gets the weight, and nested folds cannot detect it.
        target: ``(N, C)`` bool or 0/1.
        method: as in :func:`blend`.
        present: ``(M, N)`` bool, as in :func:`blend`.
        folds: ``(N,)`` integers, the fold of each clip for ``nested``. Best are the folds that the members
            were trained with, and clips of one source in one fold. By default :func:`multilabel_folds`.
        n_folds: number of default folds.
        starts: number of random weights among the starts.
        seed: seed of the random weights and the default folds. The same arguments give the same result.

    Returns:
        A :class:`BlendFit`. If candidates are equally good, equal weights come first, so identical members
        keep equal weights. The order of the members makes no difference, unless two are equally good alone.

    Raises:
        TypeError: if scores are not floating point, or folds or settings are not integers.
        ValueError: as :func:`blend`. Also if shapes differ, the target is not 0/1 or has no label, there are
            fewer than two folds, or there are fewer clips than ``n_folds``.

    >>> generator = torch.Generator().manual_seed(0)
    >>> target = torch.eye(5).repeat(20, 1)
    >>> noise = torch.randn(3, 100, 5, generator=generator)
    >>> scores = (
    ...     noise + torch.tensor([2.0, 1.5, 0.0])[:, None, None] * target
    ... )  # the third is noise
    >>> fit = fit_blend_weights(scores, target, n_folds=2)
    >>> fit.lwlrap >= fit.equal, fit.lwlrap >= fit.alone.max(), fit.weights.argmin()
    (True, tensor(True), tensor(2))
    """
    members = check_members(scores, method=method, present=present).prepare().on_cpu()
    first = members.prepared[0]
    if first.ndim != 2:
        raise ValueError(f"scores: wanted members of shape (N, C), got {describe(first)}")
    check_integer("n_folds", n_folds, 2)
    check_integer("starts", starts, 0)
    check_integer("seed", seed, 0)
    problem = _Problem(members, check_target(first, target))
    fold_of = _check_folds(folds, problem.target, n_folds, seed)
    draws = draw_weights(starts, len(members), seed)
    fit = _fit(problem, draws)
    nested, fold_weights = _fit_nested(problem, fold_of, draws)
    alone = torch.tensor(fit.alone, dtype=torch.float64)
    return BlendFit(fit.weights, fit.lwlrap, nested, fit.equal, alone, fold_weights)


@dataclass(frozen=True)
class _Problem:
    """Members, and the labels that they should rank first."""

    members: Members
    target: Tensor

    def lwlrap(self, weights: Tensor) -> float:
        """Lwlrap of the blend, exactly as for a caller of blend."""
        return float(lwlrap(self.members.blend(weights), self.target))

    def rows(self, rows: Tensor) -> _Problem:
        return _Problem(self.members.rows(rows), self.target[rows])


class _Fit(NamedTuple):
    weights: Tensor
    lwlrap: float
    equal: float
    alone: list[float]


def _fit(problem: _Problem, draws: Tensor) -> _Fit:
    """Find the best weights of all candidates."""
    count = len(problem.members)
    candidates = [
        torch.full((count,), 1 / count, dtype=torch.float64),
        *torch.eye(count, dtype=torch.float64),
    ]
    values = [problem.lwlrap(weights) for weights in candidates]
    equal, *alone = values
    # One member, a perfect blend, and clips without labels (NaN) leave nothing to search for.
    if count > 1 and max(values) < 1:
        order = sorted(range(count), key=lambda member: -alone[member])
        found = WeightSearch(problem.members, problem.target, order).run(draws)
        candidates += found
        values += [problem.lwlrap(weights) for weights in found]
    best = max(range(len(candidates)), key=values.__getitem__)
    return _Fit(candidates[best], values[best], equal, alone)


def _fit_nested(problem: _Problem, fold_of: Tensor, draws: Tensor) -> tuple[float, Tensor]:
    """Score each fold with weights fitted on the others; return lwlrap over all clips, and the weights."""
    scores, weights = torch.empty(problem.target.shape, dtype=problem.members.dtype), []
    for fold in sorted(set(fold_of.tolist())):
        held_out = fold_of == fold
        weights.append(_fit(problem.rows(~held_out), draws).weights)
        scores[held_out] = problem.members.rows(held_out).blend(weights[-1])
    return float(lwlrap(scores, problem.target)), torch.stack(weights)


def check_target(scores: Tensor, target: object) -> Tensor:
    """Return the labels as bool on the CPU if they fit scores ``(N, C)`` and there is at least one."""
    tensor = check_tensor("target", target).detach().cpu()
    check_scores_and_target(scores, tensor)
    check_zeros_and_ones("target", tensor)
    if not tensor.any():
        raise ValueError("target: wanted at least one label, got none")
    return tensor.bool()


def _check_folds(folds: object, target: Tensor, n_folds: int, seed: int) -> Tensor:
    if folds is None:
        return multilabel_folds(target, n_folds=n_folds, seed=seed)
    fold_of = check_shape("folds", check_integers("folds", folds), target.shape[:1]).cpu()
    if len(found := set(fold_of.tolist())) < 2:
        raise ValueError(f"folds: wanted at least two different ones, got {sorted(found)}")
    return fold_of
