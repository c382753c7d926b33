"""What a page shows, and how to read it from the folder of one run."""

from __future__ import annotations

import csv
import math
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from freesound.tables import read_scored as read_scores_and_labels
from rankaudio.data import LabelTable, ScoreTable, read_labels, read_scores

LOSS, LWLRAP, RATE = "train_loss", "valid_lwlrap", "learning_rate"
Labels = Mapping[str, frozenset[str]]


@dataclass(frozen=True)
class Fold:
    """The training log of one fold: columns of ``metrics.csv``, with NaN for an empty cell."""

    title: str
    epochs: list[float]
    columns: dict[str, list[float]]


@dataclass(frozen=True)
class Training:
    """The settings and the folds of one model."""

    title: str
    settings: dict[str, Any]
    folds: list[Fold]


@dataclass(frozen=True)
class Part:
    """Scores and labels of the same clips, the folder of the clips, and the clips of each fold."""

    title: str
    scores: ScoreTable
    labels: LabelTable
    audio: Path
    folds: dict[str, tuple[str, ...]] = field(default_factory=dict)


@dataclass(frozen=True)
class Selection:
    """Noisy clips that were selected, with their new labels; the given and the true labels of all clips."""

    title: str
    taken: Labels
    given: Labels
    truth: Labels


@dataclass(frozen=True)
class Content:
    """Everything on a page.

    Args:
        title: title of the page.
        trainings: models with their settings and learning curves.
        parts: clips with scores and labels.
        selections: noisy clips that were selected.
        figures: further figures for the top of the page, by what they are.
        missing: what the page cannot show, and why.
    """

    title: str
    trainings: list[Training] = field(default_factory=list)
    parts: list[Part] = field(default_factory=list)
    selections: list[Selection] = field(default_factory=list)
    figures: Mapping[str, str] = field(default_factory=dict)
    missing: list[str] = field(default_factory=list)


def read_training(folder: Path, *, title: str) -> tuple[Training, list[str]]:
    """Read the settings and curves of a run, and list what is missing."""
    settings = read_settings(folder)
    found = {path.parent: path for path in folder.glob("fold_*/metrics.csv")}
    folds = [_read_fold(found[place]) for place in sorted(found, key=_fold_order)]
    planned = settings.get("clips.folds")
    missing = []
    if isinstance(planned, int) and len(folds) < planned:
        missing.append(
            f"Curves of {len(folds)} of {planned} folds: the others have no metrics.csv in {folder}."
        )
    return Training(title, settings, folds), missing


def read_settings(folder: Path) -> dict[str, Any]:
    """Read ``settings.toml`` of a run as one dictionary, with names such as ``optim.epochs``."""
    path = folder / "settings.toml"
    if not path.is_file():
        raise FileNotFoundError(
            f"--run: wanted a folder that train or recipe wrote, got {folder} without settings.toml"
        )
    try:
        return _flat(tomllib.loads(path.read_text(encoding="utf-8")))
    except ValueError as error:
        raise ValueError(f"{path}: wanted TOML, got other text ({error})") from error


def _flat(values: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    flat = {}
    for name, value in values.items():
        inner = isinstance(value, Mapping)
        flat |= _flat(value, f"{prefix}{name}.") if inner else {prefix + name: value}
    return flat


def read_out_of_fold(folder: Path, data: Path, *, title: str) -> tuple[Part | None, list[str]]:
    """Join the scores of the held-out clips of all folds with the labels of these clips."""
    paths = sorted(folder.glob("fold_*/valid.csv"), key=lambda path: _fold_order(path.parent))
    if not paths:
        return None, [
            f"Scores of held-out clips: no fold of {folder} has a valid.csv. A run with --folds 1 trains on "
            "all clips. Train with two folds or more, or give --scores and --labels of a test part."
        ]
    scores, folds = join_folds(paths)
    labels = read_labels(data / "train_curated.csv", classes=scores.classes)
    missing = []
    if len(scores.names) < len(labels):
        count = f"{len(labels) - len(scores.names)} of {len(labels)}"
        missing.append(f"Scores of {count} curated clips: their folds have no valid.csv.")
    return Part(title, scores, select_labels(labels, scores, data), data / "train_curated", folds), missing


def join_folds(paths: list[Path]) -> tuple[ScoreTable, dict[str, tuple[str, ...]]]:
    """Join the ``valid.csv`` of several folds; return the scores, and the clips of each fold.

    Raises:
        ValueError: if the folds have different classes, or two of them the same clip.
    """
    tables_of_folds = [read_scores(path) for path in paths]
    fold_of: dict[str, Path] = {}
    for path, table in zip(paths, tables_of_folds, strict=True):
        if table.classes != tables_of_folds[0].classes:
            raise ValueError(f"{path}: wanted the classes of {paths[0]}, got other classes")
        for name in table.names:
            if name in fold_of:
                raise ValueError(
                    f"{path}: wanted clips that no other fold held out, got {name!r}, also in {fold_of[name]}"
                )
            fold_of[name] = path
    rows = torch.cat([table.scores for table in tables_of_folds])
    folds = {_fold_title(path.parent): t.names for path, t in zip(paths, tables_of_folds, strict=True)}
    return ScoreTable(tuple(fold_of), tables_of_folds[0].classes, rows), folds


def read_scored(scores_path: Path, labels_path: Path, *, audio: Path, title: str) -> Part:
    """Join the scores and labels of a part; every clip with labels must have scores."""
    scores, labels = read_scores_and_labels(scores_path, labels_path)
    return Part(title, scores, labels, audio)


def read_label_sets(path: Path) -> dict[str, frozenset[str]]:
    """Read the labels of each clip. Any label is allowed, and a clip may have none."""
    table = read_labels(path, strict=False)
    return {
        name: frozenset(table.classes[c] for c in row.nonzero().flatten().tolist())
        for name, row in zip(table.names, table.target, strict=True)
    }


def select_labels(labels: LabelTable, scores: ScoreTable, data: Path) -> LabelTable:
    """Return the labels of the clips that have scores."""
    try:
        return labels.select(scores.names)
    except ValueError as error:
        raise ValueError(
            f"--data: {data / 'train_curated.csv'} lacks clips that the run held out: {error}"
        ) from error


def _read_fold(path: Path) -> Fold:
    with path.open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    columns = {name: [_number(row.get(name)) for row in rows] for name in (LOSS, LWLRAP, RATE)}
    return Fold(_fold_title(path.parent), [float(index + 1) for index in range(len(rows))], columns)


def _number(cell: object) -> float:
    """Convert a cell to a number; text becomes a gap in the curve."""
    try:
        value = float(str(cell))
    except ValueError:
        return math.nan
    return value if math.isfinite(value) else math.nan


def _fold_title(folder: Path) -> str:
    return folder.name.replace("_", " ")


def _fold_order(folder: Path) -> tuple[int, str]:
    """Sort fold 10 after fold 9."""
    number = folder.name.removeprefix("fold_")
    return (int(number) if number.isdecimal() else -1, folder.name)
