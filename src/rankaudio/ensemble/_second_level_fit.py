"""The training of second-level networks, with an honest estimate of their value."""

from __future__ import annotations

import copy
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits

from rankaudio._checks import check_integer, check_number
from rankaudio.ensemble._blend import blend
from rankaudio.ensemble._plateau import Plateau
from rankaudio.ensemble._second_level import SecondLevelNetwork
from rankaudio.ensemble._second_level_folds import (
    Problem,
    SecondLevelFit,
    check_folds,
    check_problem,
    fit_folds,
)
from rankaudio.ensemble._window_mean import WindowMean


def fit_second_level(
    scores: Tensor,
    target: Tensor,
    *,
    folds: Tensor,
    counts: Tensor | None = None,
    hidden: int = 512,
    reduction: int = 16,
    dropout: float = 0.2,
    run: float = 0.5,
    subset: float = 0.5,
    lr: float = 4e-5,
    patience: int = 6,
    factor: float = 0.65,
    stop: int = 30,
    max_epochs: int = 700,
    draws_per_epoch: int = 32_768,
    batch_size: int = 128,
    seed: int = 42,
) -> SecondLevelFit:
    r"""Train a :class:`SecondLevelNetwork` for each fold, and estimate its value on other clips.

    With :math:`K` folds, network :math:`k` does not see fold :math:`k` at all. It learns from all folds but
    :math:`k` and :math:`k + 1`. Fold :math:`k + 1 \pmod K` lowers the learning rate, stops the training and
    chooses the epoch by lwlrap. So :attr:`SecondLevelFit.nested` is the value on clips that had no influence
    on the network. The networks of the original chose their epochs on the folds of its figure.
    :attr:`SecondLevelFit.selected` is such a figure, for comparison. If ``nested`` is not above
    :attr:`SecondLevelFit.equal`, use the plain blend.

    Each epoch draws clips uniformly and with replacement. The loss is the binary cross-entropy, and the
    optimiser is Adam. If lwlrap has not improved by 0.01 % for more than ``patience`` epochs, the learning
    rate is multiplied by ``factor``. The training stops after ``stop`` epochs without a new best value.

    One influence remains. A member that scored the training clips may have learned from fold :math:`k`.
    Only members that are trained anew for each :math:`k` would remove it.

    Args:
        scores: ``(M, N, C)`` probabilities, or ``(M, N, K, C)`` with the windows of each clip. They must be
            out-of-fold scores: each clip is scored by models that were not trained on it.
        target: ``(N, C)`` bool or 0/1.
        folds: ``(N,)`` integers, the fold of each clip. At least three, best those of the members.
        counts: ``(N,)`` integers, number of windows of each clip; None: all K.
        hidden: as in :class:`SecondLevelNetwork`.
        reduction: as in :class:`SecondLevelNetwork`.
        dropout: as in :class:`SecondLevelNetwork`.
        run: as in :class:`WindowMean`, which has no effect without windows.
        subset: as in :class:`WindowMean`.
        lr: learning rate of the first epoch.
        patience: epochs without improvement before the learning rate falls.
        factor: of the learning rate.
        stop: epochs without a new best value before the end.
        max_epochs: the largest number of epochs.
        draws_per_epoch: number of clips that an epoch draws.
        batch_size: clips in a batch.
        seed: of weights, draws and dropout. The same arguments give the same result on the same device.

    Returns:
        A :class:`SecondLevelFit`. The global random state does not change.

    Raises:
        TypeError: if scores are not floating point, or folds, counts or settings have the wrong type.
        ValueError: if shapes disagree, a score is no probability, or the target is not 0/1. Also if there
            are fewer than three folds, a fold has no label, or a setting is out of range.

    Reference:
        The second level of the first-place system of Freesound Audio Tagging 2019, whose three networks have
        other settings. The defaults are close to all three.

    >>> target = torch.eye(5).repeat(12, 1)
    >>> noise = torch.rand(3, 60, 5, generator=torch.Generator().manual_seed(0))
    >>> fit = fit_second_level(
    ...     0.5 * noise + 0.2 * target,
    ...     target,
    ...     folds=torch.arange(60) % 3,
    ...     hidden=16,
    ...     reduction=2,
    ...     lr=1e-2,
    ...     max_epochs=10,
    ...     draws_per_epoch=256,
    ...     batch_size=32,
    ... )
    >>> len(fit.networks), fit.scores.shape, fit.nested > 0.5
    (3, torch.Size([60, 5]), True)
    """
    problem = check_problem(scores, target, counts)
    mean = WindowMean(run=run, subset=subset)
    recipe = _Recipe(mean, lr, patience, factor, stop, max_epochs, draws_per_epoch, batch_size, seed)
    shape = {"n_classes": scores.shape[-1], "n_members": len(scores)}
    build = partial(SecondLevelNetwork, **shape, hidden=hidden, reduction=reduction, dropout=dropout)

    def train(training: Tensor, choosing: Tensor) -> tuple[SecondLevelNetwork, int]:
        network = build().to(problem.windows.device)
        return network, _train(network, problem, recipe, training, choosing)

    equal = blend(problem.means.cpu(), method="geometric")
    parts = check_folds(folds, problem.target)
    return fit_folds(problem, parts, train, seed=seed, equal=equal, method="geometric")


@dataclass(frozen=True)
class _Recipe:
    """The settings of a training."""

    mean: WindowMean
    lr: float
    patience: int
    factor: float
    stop: int
    max_epochs: int
    draws_per_epoch: int
    batch_size: int
    seed: int

    def __post_init__(self) -> None:
        check_number("lr", self.lr, 0)
        check_integer("patience", self.patience, 0)
        check_integer("seed", self.seed, 0)
        if check_number("factor", self.factor, 0, 1) == 1:
            raise ValueError(f"factor: wanted a number below 1, got {self.factor!r}")
        for name in ("stop", "max_epochs", "draws_per_epoch", "batch_size"):
            check_integer(name, getattr(self, name))


def _train(network: nn.Module, problem: Problem, recipe: _Recipe, training: Tensor, choosing: Tensor) -> int:
    """Train the network in place, and return the epoch that was kept."""
    optimizer = torch.optim.Adam(network.parameters(), lr=recipe.lr)
    plateau = Plateau(optimizer, patience=recipe.patience, factor=recipe.factor, stop=recipe.stop)
    generator = torch.Generator().manual_seed(recipe.seed)
    clips, best = training.nonzero()[:, 0], copy.deepcopy(network.state_dict())
    for _ in range(recipe.max_epochs):
        network.train()
        drawn = clips[torch.randint(len(clips), (recipe.draws_per_epoch,), generator=generator)]
        for batch in torch.split(drawn, recipe.batch_size):
            loss = _loss(network, problem, recipe.mean, batch, generator)
            optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            optimizer.step()
        if plateau.step(problem.lwlrap(network, choosing)):
            best = copy.deepcopy(network.state_dict())
        if plateau.finished():
            break
    network.load_state_dict(best)
    return plateau.best_epoch


def _loss(
    network: nn.Module, problem: Problem, mean: WindowMean, batch: Tensor, generator: torch.Generator
) -> Tensor:
    device = problem.windows.device
    rows, target = batch.to(device), problem.target[batch].to(device, problem.windows.dtype)
    scores = network(mean(problem.windows[:, rows], problem.counts[rows], generator=generator))
    return binary_cross_entropy_with_logits(scores, target)
