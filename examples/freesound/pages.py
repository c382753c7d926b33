"""The page about a whole plan."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from freesound.blending import blended_out_of_fold, chosen_blend, read_figures
from freesound.plan import RELABELLED
from freesound.report import Part, Selection, write_report
from freesound.report.data import read_label_sets, read_training

if TYPE_CHECKING:
    from freesound.assembly import Recipe


def write_page(recipe: Recipe, path: Path) -> None:
    """Curves of all members, the blend on the clips held out, and the noisy clips of each round."""
    figures = read_figures(recipe)
    scores, labels, fold_of = blended_out_of_fold(recipe)
    folds = {
        f"fold {fold}": tuple(
            name for name, k in zip(labels.names, fold_of.tolist(), strict=True) if k == fold
        )
        for fold in range(recipe.plan.scale.folds)
    }
    title = f"Blend of {len(recipe.plan.members)} members, out of fold"
    given = read_label_sets(recipe.data / "train_noisy.csv") if recipe.plan.rounds else {}
    rounds = [f"round_{number}" for number in range(1, recipe.plan.rounds + 1)] + [RELABELLED]
    tables = [recipe.clips(name) for name in rounds if recipe.clips(name).exists()]
    read = [read_training(recipe.model(member).folder, title=member.name) for member in recipe.plan.members]
    write_report(
        path,
        title=f"The plan of {recipe.folder.name}",
        trainings=[training for training, _ in read],
        parts=[Part(title, scores, labels.select(scores.names), recipe.data / "train_curated", folds)],
        selections=[Selection(table.stem, read_label_sets(table), given, {}) for table in tables],
        figures={
            "out-of-fold lwlrap of the mean": f"{figures['mean']:.4f}",
            "of the fitted blend": f"{figures['fitted']:.4f}",
            "... nested": f"{figures['nested']:.4f}",
            "handed in": chosen_blend(figures),
        },
        missing=[line for _, lines in read for line in lines],
    )
