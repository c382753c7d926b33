"""The training of linear stacking, with an honest estimate of its value."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits

from rankaudio._checks import check_floating, check_integer, check_number
from rankaudio.ensemble._blend import blend
from rankaudio.ensemble._linear_stacking import LinearStacking
from rankaudio.ensemble._second_level_folds import (
    Problem,
    SecondLevelFit,
    check_folds,
    check_problem,
    fit_folds,
)


def fit_linear_stacking(
    scores: Tensor,
    target: Tensor,
    *,
    folds: Tensor,
    weights: Sequence[float] | Tensor | None = None,
    lr: float = 1e-4,
    stop: int = 15,
    max_epochs: int = 1000,
    batch_size: int = 40,
    seed: int = 42,
) -> SecondLevelFit:
    r"""Train a :class:`LinearStacking` for each fold, and estimate its value on other clips.

    Folds have the same parts as in :func:`fit_second_level`. Network :math:`k` learns from all folds but
    :math:`k` and :math:`k + 1`. Fold :math:`k + 1 \pmod K` chooses the epoch by lwlrap, and fold :math:`k`
    gives the figure. The state is judged before the first epoch too. So the average of the models is a
    candidate, and it is kept where no training improves it. If ``nested`` is not above ``equal``, use the
    average.

    Each epoch takes all clips once, in a random order. The loss is the binary cross-entropy, and the
    optimiser is NAdam, all in float64. After each step the model weights of each class are scaled to a norm
    of 1.

    Args:
        scores: ``(M, N, C)`` probabilities. They must be out-of-fold scores: each clip is scored by models
            that were not trained on it.
        target: ``(N, C)`` bool or 0/1.
        folds: ``(N,)`` integers, the fold of each clip. At least three, best those of the members.
        weights: of the members in the average, as in :class:`LinearStacking`; None: equal weights.
        lr: learning rate.
        stop: epochs without a new best value before the end.
        max_epochs: the largest number of epochs.
        batch_size: clips in a batch. The last batch of an epoch may be smaller.
        seed: of the order of the clips. The same arguments give the same result on the same device.

    Returns:
        A :class:`SecondLevelFit`. Its ``predict`` is the arithmetic mean over the networks, and its ``equal``
        is lwlrap of the average. The global random state does not change.

    Raises:
        TypeError: if scores are not floating point, or folds or settings have the wrong type.
        ValueError: if shapes disagree, a score is no probability, or the target is not 0/1. Also if there
            are fewer than three folds, a fold has no label, or a setting is out of range.

    Reference:
        The second level of the second-place system of Freesound Audio Tagging 2019, whose settings are the
        defaults. It chose epochs by LRAP on the folds of its figure.

    >>> target = torch.eye(5).repeat(12, 1)
    >>> noise = torch.rand(3, 60, 5, generator=torch.Generator().manual_seed(0))
    >>> first = 0.5 * noise + 0.2 * target
    >>> fit = fit_linear_stacking(
    ...     first, target, folds=torch.arange(60) % 3, lr=1e-2, max_epochs=5
    ... )
    >>> len(fit.networks), fit.scores.shape, fit.predict(first).shape
    (3, torch.Size([60, 5]), torch.Size([60, 5]))
    """
    problem = check_problem(check_floating("scores", scores, ndim=(3,)), target, None)
    problem = replace(problem, means=scores.detach().to(problem.means.device, torch.float64))
    recipe = _Recipe(lr, stop, max_epochs, batch_size, seed)
    members, _, classes = scores.shape

    def start() -> LinearStacking:
        return LinearStacking(n_classes=classes, n_members=members, weights=weights).double()

    def train(training: Tensor, choosing: Tensor) -> tuple[LinearStacking, int]:
        network = start().to(problem.means.device)
        return network, _train(network, problem, recipe, training, choosing)

    equal = blend(problem.means.cpu(), weights=weights)
    parts = check_folds(folds, problem.target)
    return fit_folds(problem, parts, train, seed=seed, equal=equal, method="mean")


@dataclass(frozen=True)
class _Recipe:
    """The settings of a training."""

    lr: float
    stop: int
    max_epochs: int
    batch_size: int
    seed: int

    def __post_init__(self) -> None:
        check_number("lr", self.lr, 0)
        check_integer("seed", self.seed, 0)
        for name in ("stop", "max_epochs", "batch_size"):
            check_integer(name, getattr(self, name))


def _train(
    network: LinearStacking, problem: Problem, recipe: _Recipe, training: Tensor, choosing: Tensor
) -> int:
    """Train the network in place, and return the number of epochs before the kept state."""
    optimizer = torch.optim.NAdam(network.parameters(), lr=recipe.lr, eps=1e-7, momentum_decay=0.004)
    generator = torch.Generator().manual_seed(recipe.seed)
    clips = training.nonzero()[:, 0]
    best, best_epoch, kept = problem.lwlrap(network, choosing), 0, copy.deepcopy(network.state_dict())
    for epoch in range(1, recipe.max_epochs + 1):
        order = clips[torch.randperm(len(clips), generator=generator)]
        for batch in torch.split(order, recipe.batch_size):
            rows = batch.to(problem.means.device)
            labels = problem.target[batch].to(rows.device, problem.means.dtype)
            loss = binary_cross_entropy_with_logits(network(problem.means[:, rows]), labels)
            optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            optimizer.step()
            network.normalise()
        value = problem.lwlrap(network, choosing)
        if value > best:
            best, best_epoch, kept = value, epoch, copy.deepcopy(network.state_dict())
        if epoch - best_epoch >= recipe.stop:
            break
    network.load_state_dict(kept)
    return best_epoch
