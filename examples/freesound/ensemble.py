"""The end of a plan: out-of-fold scores of all members, weights fitted on them, and a submission.

    RUN/blend/weights.csv   lwlrap and weight of each member, and its weights without one fold after another
    RUN/blend/figures.csv   out-of-fold lwlrap of the mean and of the fitted blend, and its nested lwlrap
    RUN/blend/mean.csv, fitted.csv    scores of the test part by both
    RUN/submission.csv      the fitted blend if its nested lwlrap is above that of the mean; else the mean
    RUN/summary.csv         lwlrap, weight and time of each member

No label of the test part is read.
"""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import torch
from torch import Tensor

from freesound.job import Job
from freesound.plans.base import Member
from freesound.state import Run, Table
from freesound.steps import Step, total_time
from rankaudio.data import ScoreTable, read_scores, write_scores
from rankaudio.ensemble import Method, blend, blend_tables, fit_blend_weights, stack_tables


def blend_steps(job: Job, members: Sequence[Member], steps: Sequence[Step]) -> list[Step]:
    """Return the steps that blend all members and write the submission and its summary.

    Args:
        job: where the plan is carried out.
        members: all members, whose scores of ``test`` are made by ``steps``.
        steps: all steps before these, whose times are summed.
    """
    names = [step.name for step in steps]
    needs = tuple(f"predict test {member.name}" for member in members)
    return [
        Step("blend", partial(blend_members, job, members), needs, out=job.folder / "submission.csv"),
        Step(
            "summary",
            partial(write_summary, job, members, [*names, "blend"]),
            ("blend",),
            out=job.folder / "summary.csv",
        ),
    ]


@dataclass(frozen=True)
class OutOfFold:
    """Scores of the curated clips by the models that have not seen them, and the fold of each clip."""

    scores: ScoreTable
    fold_of: Tensor


def out_of_fold(run: Run, names: tuple[str, ...]) -> OutOfFold:
    """Gather the ``valid.csv`` of all folds of a run.

    Args:
        run: a run with several folds.
        names: the clips, in the order of the result.

    Raises:
        FileNotFoundError: if there is no ``valid.csv``.
        ValueError: if they do not hold each clip once.
    """
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
    row_of = {name: row for row, name in enumerate(found)}
    order = torch.tensor([row_of[name] for name in names])
    return OutOfFold(ScoreTable(names, tables[0][1].classes, scores[order]), torch.cat(folds)[order])


def blend_members(job: Job, members: Sequence[Member], out: Path) -> None:
    """Fit weights on out-of-fold scores, blend the scores of the test part, and write a submission."""
    held_out = [out_of_fold(job.run(member.name), job.corpus.curated.names) for member in members]
    tests = [read_scores(job.scores(member.name, "test")) for member in members]
    scored = {
        member.name: (one.scores, test) for member, one, test in zip(members, held_out, tests, strict=True)
    }
    write_blend(job, scored, held_out[0].fold_of, out)


def write_blend(
    job: Job,
    scored: Mapping[str, tuple[ScoreTable, ScoreTable]],
    folds: Tensor,
    out: Path,
    *,
    method: Method = "mean",
) -> None:
    """Fit weights, and write ``blend/`` and a submission.

    Args:
        job: where the tables are written.
        scored: for each name, out-of-fold scores of the curated clips, and scores of the test part.
        folds: the fold of each curated clip, for the nested figure.
        out: the submission.
        method: how scores are blended.
    """
    labels, template = job.corpus.curated, read_scores(job.data / "sample_submission.csv")
    held_out, tests = ([pair[which] for pair in scored.values()] for which in (0, 1))
    stack = stack_tables(held_out, names=labels.names, classes=labels.classes)
    fit = fit_blend_weights(stack.scores, labels.target, folds=folds, method=method)
    blends = {
        name: blend_tables(
            tests, weights=weights, method=method, names=template.names, classes=template.classes
        )
        for name, weights in (("mean", None), ("fitted", fit.weights))
    }
    folder = job.folder / "blend"
    folder.mkdir(parents=True, exist_ok=True)
    columns = ["member", "lwlrap", "weight", *(f"without_fold_{k}" for k in range(len(fit.fold_weights)))]
    values = torch.cat([fit.alone[:, None], fit.weights[:, None], fit.fold_weights.T], dim=1).tolist()
    cells = [[name, *map("{:.6f}".format, row)] for name, row in zip(scored, values, strict=True)]
    write_table(folder / "weights.csv", columns, cells)
    figures = {"mean": fit.equal, "fitted": fit.lwlrap, "nested": fit.nested}
    cells = [[name, f"{value:.6f}"] for name, value in figures.items()]
    write_table(folder / "figures.csv", ["what", "lwlrap"], cells)
    for name, table in blends.items():
        write_scores(folder / f"{name}.csv", table)
    write_scores(out, blends[chosen_blend(figures)])


def held_out_blend(job: Job, members: Sequence[Member]) -> ScoreTable:
    """Return the scores of the curated clips by the blend that is submitted.

    With fitted weights, each clip has the weights that were fitted without its fold.
    """
    labels, figures = job.corpus.curated, read_figures(job.folder)
    parts = [out_of_fold(job.run(member.name), labels.names) for member in members]
    stack = stack_tables([one.scores for one in parts], names=labels.names, classes=labels.classes).scores
    scores = blend(stack)
    if chosen_blend(figures) == "fitted":
        rows = read_weights(job.folder)
        for fold in range(int(parts[0].fold_of.max()) + 1):
            weights = [float(rows[member.name][f"without_fold_{fold}"]) for member in members]
            clips = parts[0].fold_of == fold
            scores[clips] = blend(stack[:, clips], weights=weights)
    return ScoreTable(labels.names, labels.classes, scores)


def chosen_blend(figures: dict[str, float]) -> str:
    """Return which blend is submitted: fitted weights have to help on clips that they were not fitted on."""
    return "fitted" if figures["nested"] > figures["mean"] else "mean"


def read_figures(folder: Path) -> dict[str, float]:
    """Return the values of ``figures.csv`` in the folder of a run."""
    with (folder / "blend" / "figures.csv").open(newline="", encoding="utf-8") as file:
        return {row["what"]: float(row["lwlrap"]) for row in csv.DictReader(file)}


def read_weights(folder: Path) -> dict[str, dict[str, str]]:
    """Return the rows of ``weights.csv`` in the folder of a run."""
    with (folder / "blend" / "weights.csv").open(newline="", encoding="utf-8") as file:
        return {row["member"]: row for row in csv.DictReader(file)}


def write_summary(job: Job, members: Sequence[Member], names: Sequence[str], out: Path) -> None:
    """Write out-of-fold lwlrap, weight and time of each member and of the blends.

    Args:
        job: where the plan is carried out.
        members: a row each.
        names: of all steps; those of a member have its name as a word.
        out: the table to write.
    """
    figures = read_figures(job.folder)
    of_member, rows = read_weights(job.folder), []
    for member in members:
        row = of_member[member.name]
        times = times_of([name for name in names if member.name in name.split()], job.folder)
        clips = Path(member.clips.extra or "curated").stem
        rows.append([member.name, clips, row["lwlrap"], "", row["weight"], *times])
    for name, nested in (("mean", ""), ("fitted", f"{figures['nested']:.6f}")):
        mark = " *" * (chosen_blend(figures) == name)
        rows.append([name + mark, "", f"{figures[name]:.6f}", nested, "", "", ""])
    rows.append(["all steps", "", "", "", "", *times_of(names, job.folder)])
    write_table(out, ["what", "clips", "lwlrap", "nested", "weight", "seconds", "cpu_seconds"], rows)


def times_of(names: Sequence[str], folder: Path) -> list[str]:
    """Return seconds by the clock and CPU seconds of some steps, as cells of a table."""
    return [f"{seconds:.0f}" for seconds in total_time(names, folder)]


def write_table(path: Path, columns: list[str], rows: Sequence[Sequence[str]]) -> None:
    """Write rows of cells."""
    Table(path, columns, [dict(zip(columns, row, strict=True)) for row in rows]).write()
