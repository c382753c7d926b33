"""What a report is made of, and where a run folder keeps it."""

from __future__ import annotations

import csv
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from freesound import tables
from rankaudio.data import LabelTable, ScoreTable, read_labels, read_scores

LOSS, LWLRAP, RATE = "train_loss", "valid_lwlrap", "learning_rate"
Labels = Mapping[str, frozenset[str]]


@dataclass(frozen=True)
class Fold:
    """How one fold was trained: columns of ``metrics.csv``, NaN where a cell is empty."""

    title: str
    epochs: list[float]
    columns: dict[str, list[float]]


@dataclass(frozen=True)
class Training:
    """The folds of a run, and its settings."""

    title: str
    settings: dict[str, Any]
    folds: list[Fold]


@dataclass(frozen=True)
class Part:
    """Scores and labels of the same clips, row by row; their folder, and which of them each fold scored."""

    title: str
    scores: ScoreTable
    labels: LabelTable
    audio: Path
    folds: dict[str, tuple[str, ...]] = field(default_factory=dict)


@dataclass(frozen=True)
class Selection:
    """Noisy clips that were taken, with the labels they got; the labels given to all, and the true ones."""

    title: str
    taken: Labels
    given: Labels
    truth: Labels


def read_training(folder: Path, *, title: str) -> tuple[Training, list[str]]:
    """Read settings and curves of a run folder, and say what it lacks."""
    path = folder / "settings.json"
    if not path.is_file():
        raise FileNotFoundError(
            f"--run: wanted a folder that train wrote, got {folder} without settings.json"
        )
    try:
        settings = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ValueError(f"{path}: wanted JSON, got other text ({error})") from error
    if not isinstance(settings, dict):
        raise ValueError(f"{path}: wanted settings by name, got {type(settings).__name__}")  # noqa: TRY004
    found = {path.parent: path for path in folder.glob("fold_*/metrics.csv")}
    folds = [_read_fold(found[place]) for place in sorted(found, key=_fold_order)]
    promised = settings.get("folds")
    if isinstance(promised, int) and len(folds) < promised:
        return Training(title, settings, folds), [
            f"Curves of {len(folds)} of {promised} folds: the others have no metrics.csv in {folder}."
        ]
    return Training(title, settings, folds), []


def read_out_of_fold(folder: Path, data: Path, *, title: str) -> tuple[Part | None, list[str]]:
    """Join the scores that each fold gave to the clips it had not seen with their labels."""
    paths = sorted(folder.glob("fold_*/valid.csv"), key=lambda path: _fold_order(path.parent))
    if not paths:
        return None, [
            f"Scores of clips held out: no fold of {folder} has a valid.csv. A run with --folds 1 trains on "
            "all clips; train with two folds or more, or give --scores and --labels of a test part."
        ]
    scored = [read_scores(path) for path in paths]
    fold_of: dict[str, Path] = {}
    for path, table in zip(paths, scored, strict=True):
        if table.classes != scored[0].classes:
            raise ValueError(f"{path}: wanted the classes of {paths[0]}, got other ones")
        for name in table.names:
            if name in fold_of:
                raise ValueError(
                    f"{path}: wanted clips that no other fold held out, got {name!r}, also in {fold_of[name]}"
                )
            fold_of[name] = path
    labels = read_labels(data / "train_curated.csv", classes=scored[0].classes)
    scores = ScoreTable(tuple(fold_of), scored[0].classes, torch.cat([table.scores for table in scored]))
    folds = {_fold_title(path.parent): table.names for path, table in zip(paths, scored, strict=True)}
    missing = []
    if len(scores.names) < len(labels):
        count = f"{len(labels) - len(scores.names)} of {len(labels)}"
        missing.append(f"Scores of {count} curated clips: their folds have no valid.csv.")
    return Part(title, scores, _select(labels, scores, data), data / "train_curated", folds), missing


def read_scored(scores_path: Path, labels_path: Path, *, audio: Path, title: str) -> Part:
    """Join scores and labels of a part; every clip with labels has to have scores."""
    scores, labels = tables.read_scored(scores_path, labels_path)
    return Part(title, scores, labels, audio)


def read_label_sets(path: Path) -> dict[str, frozenset[str]]:
    """Labels of each clip, whatever they are; a clip may have none."""
    table = read_labels(path, strict=False)
    return {
        name: frozenset(table.classes[c] for c in row.nonzero().flatten().tolist())
        for name, row in zip(table.names, table.target, strict=True)
    }


def _select(labels: LabelTable, scores: ScoreTable, data: Path) -> LabelTable:
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
    """A cell as a number; what is none is a gap in the curve."""
    try:
        value = float(str(cell))
    except ValueError:
        return math.nan
    return value if math.isfinite(value) else math.nan


def _fold_title(folder: Path) -> str:
    return folder.name.replace("_", " ")


def _fold_order(folder: Path) -> tuple[int, str]:
    """Fold 10 comes after fold 9."""
    number = folder.name.removeprefix("fold_")
    return (int(number) if number.isdecimal() else -1, folder.name)
