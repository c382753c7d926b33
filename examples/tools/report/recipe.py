"""What a page about a whole recipe run shows: all members, their blend, and the rounds over noisy clips."""

from __future__ import annotations

import csv
from pathlib import Path

from rankaudio.data import read_labels
from rankaudio.ensemble import blend_tables
from tools.report.data import (
    Content,
    Part,
    Selection,
    join_folds,
    read_label_sets,
    read_training,
    select_labels,
)


def is_recipe(folder: Path) -> bool:
    """Whether ``recipe`` wrote this folder."""
    return (folder / "models").is_dir()


def read_recipe(folder: Path, data: Path) -> Content:
    """Read the folder of a finished recipe run.

    Raises:
        FileNotFoundError: if the run has not reached its blend.
    """
    weights = _read_column(folder / "blend" / "weights.csv", key="member", value="weight")
    figures = _read_column(folder / "blend" / "figures.csv", key="what", value="lwlrap")
    fitted = "fitted" in figures and figures["nested"] > figures["mean"]
    read = [read_training(folder / "models" / name, title=name) for name in weights]
    return Content(
        title=f"The recipe in {folder.name}",
        trainings=[training for training, _ in read],
        # The mean of a plan with a second level has weights too, which may be equal.
        parts=[_read_blend(folder, data, weights, fitted=fitted or "fitted" not in figures)],
        selections=_read_selections(folder, data),
        figures=_tiles(figures, fitted=fitted),
        missing=[line for _, lines in read for line in lines],
    )


def _tiles(figures: dict[str, float], *, fitted: bool) -> dict[str, str]:
    """Return the figures of a fitted blend, or of a plan that ends with a second level."""
    mean = {"out-of-fold lwlrap of the mean": f"{figures['mean']:.4f}"}
    if "fitted" not in figures:
        return mean | {"with the second level, nested": f"{figures['all']:.4f}"}
    return mean | {
        "of the fitted blend": f"{figures['fitted']:.4f}",
        "... nested": f"{figures['nested']:.4f}",
        "in the submission": "fitted" if fitted else "mean",
    }


def _read_column(path: Path, *, key: str, value: str) -> dict[str, float]:
    if not path.is_file():
        raise FileNotFoundError(f"--run: wanted a recipe that has finished, got no {path}; run recipe again")
    with path.open(newline="", encoding="utf-8") as file:
        return {row[key]: float(row[value]) for row in csv.DictReader(file)}


def _read_blend(folder: Path, data: Path, weights: dict[str, float], *, fitted: bool) -> Part:
    """Blend the held-out scores of all members."""
    scores, folds = [], {}
    for name in weights:
        paths = sorted((folder / "models" / name).glob("fold_*/valid.csv"))
        if not paths:
            raise FileNotFoundError(f"{folder / 'models' / name}: wanted fold_*/valid.csv, found none")
        table, of_folds = join_folds(paths)
        scores.append(table)
        folds = folds or of_folds
    blended = blend_tables(scores, weights=list(weights.values()) if fitted else None)
    labels = read_labels(data / "train_curated.csv", classes=blended.classes)
    title = f"Blend of {len(scores)} members, out of fold"
    return Part(title, blended, select_labels(labels, blended, data), data / "train_curated", folds)


def _read_selections(folder: Path, data: Path) -> list[Selection]:
    rounds = sorted((folder / "rounds").glob("round_*.csv"), key=lambda path: int(path.stem.split("_")[1]))
    others = (
        folder / "rounds" / "relabelled.csv",
        *(folder / "noisy" / f"{n}.csv" for n in ("trusted", "kept")),
    )
    paths = [*rounds, *(path for path in others if path.is_file())]
    given = read_label_sets(data / "train_noisy.csv") if paths else {}
    return [Selection(path.stem, read_label_sets(path), given, {}) for path in paths]
