"""The end of the second-place plan: a weighted mean of the members, and linear stacking of their scores.

The files are those of every plan with two levels, see :mod:`freesound.two_levels`. The scores of the stacking
are raw scores, minus those of a clip whose probabilities are all 0. So they are exact where a probability is
tiny: float32 numbers are densest near 0.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import torch

from freesound.job import Job
from freesound.plans.base import Member
from freesound.steps import Step
from freesound.two_levels import TwoLevels
from rankaudio.ensemble import fit_linear_stacking

STACKING = "stacking"


def levels_of(job: Job, members: Sequence[Member], weights: tuple[float, ...]) -> TwoLevels:
    """Return what the plan does with its members: a weighted mean, or the stacking."""
    return TwoLevels(
        job,
        members,
        (STACKING,),
        method="mean",
        titles=("weighted mean of members", "second level"),
        weights=weights,
        joined=False,
    )


def stacking_steps(
    job: Job,
    members: Sequence[Member],
    settings: Mapping[str, Any],
    steps: Sequence[Step],
    *,
    weights: tuple[float, ...],
) -> list[Step]:
    """Return the steps from the scores of all members to the submission and its summary.

    Args:
        job: where the plan is carried out.
        members: the first level, whose scores of ``test`` are made by ``steps``.
        settings: arguments of :func:`rankaudio.ensemble.fit_linear_stacking`.
        steps: all steps before these, whose times are summed.
        weights: of the members in their mean, from which the stacking starts.
    """
    levels = levels_of(job, members, weights)
    fit = Step(
        f"second level {STACKING}",
        partial(fit_stacking, levels, settings),
        tuple(f"predict test {member.name}" for member in members),
        out=levels.file(STACKING, "test.csv"),
    )
    return [fit, *levels.last_steps([step.name for step in (*steps, fit)], [fit.name])]


def fit_stacking(levels: TwoLevels, settings: Mapping[str, Any], out: Path) -> None:
    """Fit the stacking on out-of-fold probabilities, and score the test part with it."""
    first = levels.held_out_probabilities()
    target, folds = levels.job.corpus.curated.target, levels.fold_of()
    fit = fit_linear_stacking(first, target, folds=folds, weights=levels.weights, **settings)
    with torch.no_grad():
        silent = fit.networks[0](torch.zeros_like(first[:, :1]))
    test = fit.predict(levels.test_probabilities()).logit()
    levels.write_fit(STACKING, fit, fit.scores - silent, test - silent, out)
