"""The end of ``recipe --system all``: one submission from those of all systems.

    RUN/SYSTEM/             the run of a system, as ``recipe --system SYSTEM`` writes it
    RUN/blend/weights.csv   lwlrap and weight of each system, and its weights without one fold after another
    RUN/blend/figures.csv   out-of-fold lwlrap of the mean and of the fitted blend, and its nested lwlrap
    RUN/blend/mean.csv, fitted.csv    scores of the test part by both
    RUN/submission.csv      the fitted blend if its nested lwlrap is above that of the mean; else the mean
    RUN/summary.csv         lwlrap, weight and time of each system

Systems have scores of different kinds, so ranks are averaged. No label of the test part is read.
"""

from __future__ import annotations

import csv
from collections.abc import Mapping
from functools import partial
from pathlib import Path

from freesound.ensemble import chosen_blend, out_of_fold, read_figures, read_weights, write_blend, write_table
from freesound.job import Job, SystemPlan
from freesound.steps import Step
from rankaudio.data import read_scores

Systems = Mapping[str, tuple[Job, SystemPlan]]


def join_steps(job: Job, systems: Systems) -> list[Step]:
    """Return the steps that blend the submissions of systems whose steps are all done."""
    blend = Step("blend", partial(blend_systems, job, systems), out=job.folder / "submission.csv")
    summary = partial(write_summary, job, systems)
    return [blend, Step("summary", summary, ("blend",), out=job.folder / "summary.csv")]


def blend_systems(job: Job, systems: Systems, out: Path) -> None:
    """Fit weights on out-of-fold scores of the systems, blend their submissions, and write one.

    The folds of the nested figure are those of the first system.
    """
    scored = {
        name: (plan.held_out(own), read_scores(own.folder / "submission.csv"))
        for name, (own, plan) in systems.items()
    }
    own, plan = next(iter(systems.values()))
    folds = out_of_fold(own.run(plan.members[0].name), job.corpus.curated.names).fold_of
    write_blend(job, scored, folds, out, method="rank")


def write_summary(job: Job, systems: Systems, out: Path) -> None:
    """Write out-of-fold lwlrap, weight and time of each system, and the figures of the blends."""
    figures, weights, rows = read_figures(job.folder), read_weights(job.folder), []
    for name, (own, _) in systems.items():
        row = weights[name]
        rows.append([name, row["lwlrap"], "", row["weight"], *_times_of(own.folder / "summary.csv")])
    for name, nested in (("mean", ""), ("fitted", f"{figures['nested']:.6f}")):
        mark = " *" * (chosen_blend(figures) == name)
        rows.append([name + mark, f"{figures[name]:.6f}", nested, "", "", ""])
    write_table(out, ["what", "lwlrap", "nested", "weight", "seconds", "cpu_seconds"], rows)


def _times_of(summary: Path) -> list[str]:
    """Return seconds by the clock and CPU seconds of all steps of a system."""
    with summary.open(newline="", encoding="utf-8") as file:
        row = list(csv.DictReader(file))[-1]
    return [row["seconds"], row["cpu_seconds"]]
