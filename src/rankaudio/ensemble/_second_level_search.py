"""The random search for settings of the second level, with an honest figure for the whole search."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from rankaudio._checks import check_floating, check_integer, check_ordered, check_range, describe
from rankaudio.ensemble._blend import blend
from rankaudio.ensemble._second_level_fit import fit_second_level
from rankaudio.ensemble._second_level_folds import SecondLevelFit, check_folds
from rankaudio.ensemble._window_mean import WindowMean
from rankaudio.metrics import lwlrap

# Seeds of numpy's RandomState are below this number.
_SEEDS = 2**32


class SecondLevelTrial(NamedTuple):
    """One trial of :func:`search_second_level`, all on the CPU.

    ``fit_second_level(scores, target, folds=folds, **trial.settings)`` repeats it and returns the networks.

    >>> trial = SecondLevelTrial(
    ...     7, {"hidden": 64, "seed": 7}, torch.zeros(9, 5), torch.rand(3), 0.8, 0.9
    ... )
    >>> trial.seed, trial.settings["hidden"], trial.nested
    (7, 64, 0.8)
    """

    seed: int
    """Seed of the settings, and of the training."""
    settings: dict[str, int | float]
    """Arguments of :func:`fit_second_level`, ``seed`` included."""
    scores: Tensor
    """``(N, C)``, raw scores of each clip from the network that has not used its fold."""
    choosing: Tensor
    """``(K,)`` float64, lwlrap of network k on fold k + 1, which chose its epoch."""
    nested: float
    """lwlrap of ``scores``, as :attr:`SecondLevelFit.nested`."""
    selected: float
    """As :attr:`SecondLevelFit.selected`. It is too high to report."""


class SecondLevelSearch(NamedTuple):
    """The result of :func:`search_second_level`.

    >>> trial = SecondLevelTrial(
    ...     7, {"hidden": 64, "seed": 7}, torch.zeros(9, 5), torch.rand(3), 0.8, 0.9
    ... )
    >>> search = SecondLevelSearch((trial,), trial, nested=0.8, equal=0.75)
    >>> search.winner.seed
    7
    """

    trials: tuple[SecondLevelTrial, ...]
    """All trials, the one with the highest ``nested`` first. That first value is too high to report."""
    winner: SecondLevelTrial
    """The trial with the highest ``selected``."""
    nested: float
    """lwlrap of the search as a whole on clips that had no influence on it. Report this value."""
    equal: float
    """lwlrap of the geometric mean of the members, which needs no fit."""


def search_second_level(
    scores: Tensor,
    target: Tensor,
    *,
    folds: Tensor,
    counts: Tensor | None = None,
    trials: int = 20,
    seed: int = 0,
    done: Sequence[SecondLevelTrial] = (),
    hidden: Sequence[int] = (64, 128, 256, 512),
    reduction: Sequence[int] = (2, 4, 8, 16),
    dropout: tuple[float, float] = (0.0, 0.5),
    lr: tuple[float, float] = (1e-5, 1e-4),
    patience: tuple[int, int] = (3, 11),
    factor: tuple[float, float] = (0.5, 0.8),
    batch_size: Sequence[int] = (32, 64, 128),
    run: float = 0.5,
    subset: float = 0.5,
    stop: int = 20,
    max_epochs: int = 300,
    draws_per_epoch: int = 32_768,
) -> SecondLevelSearch:
    r"""Search at random for the settings of :func:`fit_second_level`.

    .. math:: t_k = \mathrm{argmax}_t \; v_{t, k}, \qquad
        \mathit{nested} = \mathrm{lwlrap}\bigl(s_{t_{k(n)}, n}\bigr)

    Trial :math:`t` draws settings and trains a network for each fold :math:`k`. :math:`v_{t,k}` is the lwlrap
    of network :math:`k` on fold :math:`k + 1`, which chose its epoch. :math:`s_{t,n}` is the score of clip
    :math:`n` from network :math:`k(n)`, which has not used the clip's fold.

    The best of many figures is too high, because luck is a part of each. So no trial is chosen by the
    figure that is reported. :attr:`SecondLevelSearch.nested` takes a trial for each fold :math:`k`, by fold
    :math:`k + 1` alone, and scores fold :math:`k` with it. The winner is chosen by ``selected``, and
    its ``nested`` is a second honest figure up to one influence: fold :math:`k` has a vote on the winner.
    The highest ``nested`` of all trials is not honest. If ``nested`` of the search is not above
    :attr:`SecondLevelSearch.equal`, use the plain blend.

    The seed of trial i is ``seed + i``. It draws the settings from numpy's ``RandomState``, whose numbers
    never change, in this order: hidden, reduction, dropout, lr, patience, factor, batch_size. It is the seed
    of the training too. So ``trials=1, seed=s`` repeats one trial. A search can run in parts: pass the
    trials of earlier calls as ``done``, and their seeds are not trained again.

    Args:
        scores: ``(M, N, C)`` out-of-fold probabilities, or ``(M, N, K, C)`` with the windows of each clip.
        target: ``(N, C)`` bool or 0/1.
        folds: ``(N,)`` integers, the fold of each clip, at least three.
        counts: ``(N,)`` integers, number of windows of each clip; None: all K.
        trials: number of trials, those in ``done`` included if their seeds belong to the search.
        seed: seed of the first trial, below 2^32.
        done: trials of earlier calls with the same scores, target and folds. All of them take part.
        hidden: values to choose from, each with the same probability.
        reduction: values to choose from.
        dropout: lowest and highest value of a uniform draw.
        lr: lowest and highest value. The draw is ``high - (high - low) * u``, as in the original.
        patience: lowest and highest integer, both possible.
        factor: lowest and highest value.
        batch_size: values to choose from.
        run: the same for all trials, like all that follow; as in :func:`fit_second_level`.
        subset: as in :func:`fit_second_level`.
        stop: as in :func:`fit_second_level`.
        max_epochs: as in :func:`fit_second_level`.
        draws_per_epoch: as in :func:`fit_second_level`.

    Returns:
        A :class:`SecondLevelSearch`. It has no networks: fit the winner's settings again for them. The global
        random state does not change.

    Raises:
        TypeError: as :func:`fit_second_level`. Also if a range is not two numbers, or ``done`` has no trials.
        ValueError: as :func:`fit_second_level`. Also if a range is empty or out of bounds, or trials in
            ``done`` are of other clips or have equal seeds.

    Reference:
        The second level of the first-place system of Freesound Audio Tagging 2019. With the seeds 3040 and
        5041 and the default ranges, the settings are those of two of its three networks.

    >>> target = torch.eye(5).repeat(12, 1)
    >>> noise = torch.rand(3, 60, 5, generator=torch.Generator().manual_seed(0))
    >>> scores, folds = 0.5 * noise + 0.2 * target, torch.arange(60) % 3
    >>> small = {
    ...     "hidden": (8, 16),
    ...     "reduction": (2, 3),
    ...     "max_epochs": 3,
    ...     "draws_per_epoch": 128,
    ... }
    >>> part = search_second_level(scores, target, folds=folds, trials=1, **small)
    >>> search = search_second_level(
    ...     scores, target, folds=folds, trials=2, done=part.trials, **small
    ... )
    >>> sorted(trial.seed for trial in search.trials)
    [0, 1]
    >>> fit = fit_second_level(scores, target, folds=folds, **search.winner.settings)
    >>> fit.nested == search.winner.nested
    True
    """
    check_integer("trials", trials)
    check_integer("seed", seed, 0, _SEEDS - trials)
    ranges = _Ranges(hidden, reduction, dropout, lr, patience, factor, batch_size)
    fixed = {"run": run, "subset": subset, "stop": stop}
    fixed |= {"max_epochs": max_epochs, "draws_per_epoch": draws_per_epoch}
    known = _check_done(done, scores)
    problem = _Problem(scores, target, folds, counts)
    for each in range(seed, seed + trials):
        if each not in known:
            known[each] = problem.trial(each, {**ranges.draw(each), **fixed, "seed": each})
    return problem.result(list(known.values()))


@dataclass(frozen=True)
class _Ranges:
    """What settings are drawn from."""

    hidden: Sequence[int]
    reduction: Sequence[int]
    dropout: tuple[float, float]
    lr: tuple[float, float]
    patience: tuple[int, int]
    factor: tuple[float, float]
    batch_size: Sequence[int]

    def __post_init__(self) -> None:
        for name in ("hidden", "reduction", "batch_size"):
            values = check_ordered(name, getattr(self, name), "integers")
            if not [check_integer(name, value) for value in values]:
                raise ValueError(f"{name}: wanted at least one integer, got none")
        check_range("dropout", self.dropout, 0, 1)
        check_range("lr", self.lr, 0)
        if check_range("factor", self.factor, 0, 1)[1] == 1:
            raise ValueError(f"factor: wanted numbers below 1, got {self.factor!r}")
        for end in check_range("patience", self.patience, 0):
            check_integer("patience", end, 0)

    def draw(self, seed: int) -> dict[str, int | float]:
        """Draw the settings of a trial, in the order of the original."""
        import numpy as np

        random = np.random.RandomState(seed)

        def choose(values: Sequence[int]) -> int:
            return list(values)[random.randint(len(values), dtype=np.int64)]

        def between(low: float, high: float) -> float:
            return low + (high - low) * random.random_sample()

        return {
            "hidden": choose(self.hidden),
            "reduction": choose(self.reduction),
            "dropout": between(*self.dropout),
            # The original gave its bounds in this order.
            "lr": between(self.lr[1], self.lr[0]),
            "patience": int(random.randint(self.patience[0], self.patience[1] + 1, dtype=np.int64)),
            "factor": between(*self.factor),
            "batch_size": choose(self.batch_size),
        }


@dataclass(frozen=True)
class _Problem:
    """The arguments of each fit."""

    scores: Tensor
    target: Tensor
    folds: Tensor
    counts: Tensor | None

    def trial(self, seed: int, settings: dict[str, int | float]) -> SecondLevelTrial:
        """Fit one trial."""
        fit = fit_second_level(self.scores, self.target, folds=self.folds, counts=self.counts, **settings)  # type: ignore[arg-type]
        return SecondLevelTrial(seed, settings, fit.scores, self._choosing(fit), fit.nested, fit.selected)

    def result(self, trials: list[SecondLevelTrial]) -> SecondLevelSearch:
        """Choose the winner, and score each fold with the trial that the next fold prefers."""
        trials = sorted(trials, key=lambda trial: trial.seed)
        target, parts = self._labels()
        scores = torch.empty_like(trials[0].scores)
        for index, part in enumerate(parts):
            chosen = max(trials, key=lambda trial: float(trial.choosing[index]))
            scores[part] = chosen.scores[part]
        return SecondLevelSearch(
            tuple(sorted(trials, key=lambda trial: -trial.nested)),
            max(trials, key=lambda trial: trial.selected),
            nested=float(lwlrap(scores, target)),
            equal=float(lwlrap(blend(self._means(), method="geometric"), target)),
        )

    def _choosing(self, fit: SecondLevelFit) -> Tensor:
        target, parts = self._labels()
        means, values = self._means(), []
        with torch.no_grad():
            for index, network in enumerate(fit.networks):
                clips = parts[(index + 1) % len(parts)]
                values.append(float(lwlrap(network(means[:, clips]), target[clips])))
        return torch.tensor(values, dtype=torch.float64)

    def _labels(self) -> tuple[Tensor, list[Tensor]]:
        target = self.target.detach().cpu().bool()
        return target, check_folds(self.folds, target)

    def _means(self) -> Tensor:
        """Return ``(M, N, C)``, the means over the windows."""
        windows = self.scores.detach().float()
        means: Tensor = windows if windows.ndim == 3 else WindowMean().eval()(windows, self.counts)
        return means.cpu()


def _check_done(done: object, scores: object) -> dict[int, SecondLevelTrial]:
    """Return earlier trials by their seeds."""
    found: dict[int, SecondLevelTrial] = {}
    tensor = check_floating("scores", scores, ndim=(3, 4))
    shape = (tensor.shape[1], tensor.shape[-1])
    for trial in check_ordered("done", done, "trials"):
        if not isinstance(trial, SecondLevelTrial):
            raise TypeError(f"done: wanted trials of search_second_level, got {describe(trial)}")
        if trial.seed in found:
            raise ValueError(f"done: wanted one trial a seed, got two with seed {trial.seed}")
        if trial.scores.shape != shape:
            raise ValueError(f"done: wanted trials with scores {shape}, got {describe(trial.scores)}")
        found[trial.seed] = trial
    return found
