"""The end of a plan: out-of-fold scores of all members, weights fitted on them, and a submission.

    RUN/blend/weights.csv   lwlrap and weight of each member, and its weights without one fold after another
    RUN/blend/figures.csv   out-of-fold lwlrap of the mean, of the fitted blend, and its nested figure
    RUN/blend/mean.csv, fitted.csv    scores of the test part by both
    RUN/submission.csv      one of the two: the fitted blend where its nested figure is the better one

Nothing of this reads a label of the test part.
"""

from __future__ import annotations

import csv
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from freesound.runs import Run, Table
from rankaudio.data import LabelTable, ScoreTable, read_scores, write_scores
from rankaudio.ensemble import blend_tables, fit_blend_weights, stack_tables

if TYPE_CHECKING:
    from freesound.assembly import Recipe


@dataclass(frozen=True)
class OutOfFold:
    """Scores of the curated clips, each from the model that has not seen it, and the fold it was in."""

    scores: ScoreTable
    fold_of: Tensor


def out_of_fold(run: Run, names: tuple[str, ...]) -> OutOfFold:
    """Gather the ``valid.csv`` of all folds of a run, for these clips in this order."""
    tables = [(path, read_scores(path)) for path in sorted(run.folder.glob("fold_*/valid.csv"))]
    if not tables:
        raise FileNotFoundError(f"{run.folder}: wanted fold_*/valid.csv, found none")
    found = [name for _, table in tables for name in table.names]
    if sorted(found) != sorted(names):
        raise ValueError(
            f"{run.folder}: wanted each of the {len(names)} curated clips in the valid.csv of one fold, "
            f"got {len(found)} rows of {len(set(found) & set(names))} of them"
        )
    folds = [torch.full((len(table),), fold) for fold, (_, table) in enumerate(tables)]
    scores = torch.cat([table.scores for _, table in tables])
    order = torch.tensor([found.index(name) for name in names])
    return OutOfFold(ScoreTable(names, tables[0][1].classes, scores[order]), torch.cat(folds)[order])


def blend_members(recipe: Recipe) -> None:
    """Fit weights on the clips held out, blend the scores of the test part, write a submission."""
    members, labels = recipe.plan.members, recipe.corpus.curated
    held_out = [out_of_fold(recipe.model(member), labels.names) for member in members]
    stack = stack_tables([one.scores for one in held_out], names=labels.names, classes=labels.classes)
    fit = fit_blend_weights(stack.scores, labels.target, folds=held_out[0].fold_of)
    template = read_scores(recipe.data / "sample_submission.csv")
    tests = [read_scores(recipe.scores(member, "test")) for member in members]
    blends = {
        name: blend_tables(tests, weights=weights, names=template.names, classes=template.classes)
        for name, weights in (("mean", None), ("fitted", fit.weights))
    }
    folder = recipe.folder / "blend"
    folder.mkdir(parents=True, exist_ok=True)
    columns = ["member", "lwlrap", "weight", *(f"without_fold_{k}" for k in range(len(fit.fold_weights)))]
    rows = zip(members, fit.alone.tolist(), fit.weights.tolist(), fit.fold_weights.T.tolist(), strict=True)
    Table(
        folder / "weights.csv",
        columns,
        [
            dict(zip(columns, [member.name, *(f"{x:.6f}" for x in (alone, weight, *others))], strict=True))
            for member, alone, weight, others in rows
        ],
    ).write()
    figures = {"mean": fit.equal, "fitted": fit.lwlrap, "nested": fit.nested}
    rows = [{"what": name, "lwlrap": f"{value:.6f}"} for name, value in figures.items()]
    Table(folder / "figures.csv", ["what", "lwlrap"], rows).write()
    for name, table in blends.items():
        _write(folder / f"{name}.csv", table)
    _write(recipe.folder / "submission.csv", blends[chosen_blend(figures)])


def chosen_blend(figures: dict[str, float]) -> str:
    """Which blend is handed in: fitted weights have to be worth something on clips they have not seen."""
    return "fitted" if figures["nested"] > figures["mean"] else "mean"


def read_figures(recipe: Recipe) -> dict[str, float]:
    """What ``figures.csv`` says."""
    with (recipe.folder / "blend" / "figures.csv").open(newline="", encoding="utf-8") as file:
        return {row["what"]: float(row["lwlrap"]) for row in csv.DictReader(file)}


def blended_out_of_fold(recipe: Recipe) -> tuple[ScoreTable, LabelTable, Tensor]:
    """Scores of the curated clips by the blend that is handed in, their labels and their folds."""
    members, labels = recipe.plan.members, recipe.corpus.curated
    held_out = [out_of_fold(recipe.model(member), labels.names) for member in members]
    weights = None
    if chosen_blend(read_figures(recipe)) == "fitted":
        with (recipe.folder / "blend" / "weights.csv").open(newline="", encoding="utf-8") as file:
            weights = [float(row["weight"]) for row in csv.DictReader(file)]
    table = blend_tables([one.scores for one in held_out], weights=weights, classes=labels.classes)
    return table, labels, held_out[0].fold_of


def write_summary(recipe: Recipe, path: Path) -> None:
    """Write out-of-fold lwlrap, weight and time of each member and of the blends, as ``summary.csv``."""
    steps, figures = recipe.steps(), read_figures(recipe)
    with (recipe.folder / "blend" / "weights.csv").open(newline="", encoding="utf-8") as file:
        of_members = {row["member"]: row for row in csv.DictReader(file)}
    columns = ["what", "clips", "lwlrap", "nested", "weight", "seconds", "cpu_seconds"]
    rows = []
    for member in recipe.plan.members:
        row = of_members[member.name]
        names = [step.name for step in steps.steps if member.name in step.name.split()]
        seconds, used = steps.seconds(names)
        rows.append(
            [member.name, member.clips, row["lwlrap"], "", row["weight"], f"{seconds:.0f}", f"{used:.0f}"]
        )
    seconds, used = steps.seconds()
    chosen = chosen_blend(figures)
    rows += [
        ["mean" + " *" * (chosen == "mean"), "", f"{figures['mean']:.6f}", "", "", "", ""],
        [
            "fitted" + " *" * (chosen == "fitted"),
            "",
            f"{figures['fitted']:.6f}",
            f"{figures['nested']:.6f}",
            "",
            "",
            "",
        ],
        ["all steps", "", "", "", "", f"{seconds:.0f}", f"{used:.0f}"],
    ]
    Table(path, columns, [dict(zip(columns, row, strict=True)) for row in rows]).write()


def _write(path: Path, table: ScoreTable) -> None:
    write_scores(path, table)
