"""The labelled clips of a data folder: their files, their labels, and the folds that were published."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath

import torch
from torch import Tensor

from freesound.corrections import with_corrections
from freesound.plans.base import KAGGLE, Table
from freesound.tables import in_order, read_labels_of, read_values
from rankaudio._messages import first_few
from rankaudio.data import LabelTable, multilabel_folds, read_classes, read_labels
from rankaudio.data._audio_folder import list_files
from rankaudio.data._file_names import NameIndex

TRAIN, VALID = ("train", "training"), ("val", "valid", "validation")
NOT_USED = ("test", "testing", "eval", "evaluation")
MOST_LISTED = 12  # classes


@dataclass(frozen=True)
class Corpus:
    """The labelled clips of a data folder.

    Attributes:
        folder: the data folder.
        classes: names of the classes.
        curated: labels; the names are paths in ``audio``.
        noisy: clips of ``train_noisy`` to train on.
        trusted: clips of ``train_noisy`` whose labels count like curated ones; they may be in ``noisy`` too.
        original: labels of all curated clips before corrections, from which folds are drawn.
        kept: rows of ``original`` that ``curated`` has.
        audio: folder of the curated clips.
        fold_of: published fold of each curated clip; None if folds are to be drawn. A published split has
            fold 0 for the clips to hold out and 1 for the others.
        folds: names of the published folds that can be held out.
        remarks: lines to print.
    """

    folder: Path
    classes: tuple[str, ...]
    curated: LabelTable
    noisy: LabelTable | None
    audio: Path
    fold_of: Tensor | None = None
    folds: tuple[str, ...] = ()
    remarks: tuple[str, ...] = ()
    trusted: LabelTable | None = None
    original: Tensor | None = None
    kept: Tensor | None = None

    def draw_folds(self, count: int, seed: int) -> Tensor:
        """Return the fold of each curated clip: the published one, or a drawn one.

        Corrections do not move other clips to another fold.
        """
        if self.fold_of is not None:
            return self.fold_of
        if self.original is None or self.kept is None:
            return multilabel_folds(self.curated.target, n_folds=count, seed=seed)
        return multilabel_folds(self.original, n_folds=count, seed=seed)[self.kept]

    def count_folds(self, wanted: int) -> int:
        """Return how many folds there are; with ``wanted=1`` no clips are held out."""
        return wanted if self.fold_of is None or wanted == 1 else len(self.folds)


def _skipped_remarks(path: Path, skipped: Sequence[str]) -> list[str]:
    """Say which clips have no label, if there are any."""
    shown = first_few(skipped, show=repr)
    return [f"{path}: {len(skipped)} clips without a label are left out: {shown}"] if skipped else []


def read_corpus(
    folder: Path,
    *,
    noisy: bool = False,
    extra: str | Path | None = None,
    trusted: str | Path | None = None,
    corrections: str | Path | None = None,
    table: Table = KAGGLE,
) -> Corpus:
    """Read the label files.

    In the Kaggle layout the classes are those of ``sample_submission.csv``. Without it, or with another
    ``table.table``, they are the labels in use.

    Args:
        folder: the data folder.
        noisy: take the clips and labels of ``train_noisy.csv``, without labels that are no class.
        extra: a table of clips in ``train_noisy`` to take instead; each of its labels must be a class.
        trusted: a table of clips in ``train_noisy`` whose labels count like curated ones.
        corrections: a table of curated clips with other labels, or without labels to remove them.
        table: where the curated clips are, and which columns their table has.
    """
    if not folder.is_dir():
        raise FileNotFoundError(f"--data: wanted a folder in the Kaggle layout, got {folder}, which is none")
    submission, path = folder / "sample_submission.csv", folder / table.table
    kaggle = table.table == KAGGLE.table and submission.exists()
    classes = read_classes(submission) if kaggle else None
    labels, skipped = read_labels_of(path, table, classes=classes)
    labels, fold_of, folds = _published_folds(path, labels, table)
    original, kept = labels.target, torch.arange(len(labels))
    if corrections is not None:
        labels, kept = with_corrections(labels, Path(corrections))
        fold_of = None if fold_of is None else fold_of[kept]
    curated = replace(labels, names=locate(folder / table.audio, labels.names))
    more, trust = (_read_noisy(path, table, curated.classes) for path in (extra, trusted))
    if noisy:
        more = read_labels(folder / "train_noisy.csv", classes=curated.classes, strict=False)
    return Corpus(
        folder,
        curated.classes,
        curated,
        more,
        folder / table.audio,
        fold_of,
        folds,
        (*_skipped_remarks(path, skipped), *class_remarks(curated)),
        trusted=trust,
        original=original,
        kept=kept,
    )


def _read_noisy(path: str | Path | None, table: Table, classes: tuple[str, ...]) -> LabelTable | None:
    """Read a table of noisy clips, which has the columns of the Kaggle layout."""
    if path is None:
        return None
    return read_labels_of(Path(path), Table(skip_unlabelled=table.skip_unlabelled), classes=classes)[0]


def locate(folder: Path, names: Sequence[str]) -> tuple[str, ...]:
    """Return the paths in a folder that names mean; a name without a file stays as it is.

    Raises:
        ValueError: if a name is a path out of the folder, or several files fit equally well.
    """
    for name in names:
        if PurePosixPath(name).is_absolute() or ".." in PurePosixPath(name).parts:
            raise ValueError(f"{folder}: wanted names of files in this folder, got {name!r}")
    if not folder.is_dir() or all((folder / name).exists() for name in names):
        return tuple(names)
    index = NameIndex(path.relative_to(folder).as_posix() for path in sorted(list_files(folder)))
    try:
        return tuple(index.find_all(names))
    except ValueError as error:
        raise ValueError(f"{folder}: {error}") from error


def _published_folds(
    path: Path, labels: LabelTable, table: Table
) -> tuple[LabelTable, Tensor | None, tuple[str, ...]]:
    """Return the labels without clips for tests, the fold of each clip, and the names of the folds."""
    if table.fold_column is not None:
        value_of = read_values(path, table.name_column, table.fold_column)
        values = [value_of[name] for name in labels.names]
        folds = in_order(values)
        if len(folds) < 2:
            raise ValueError(
                f"{path}: wanted at least 2 folds in {table.fold_column!r}, got {folds[0]!r} only"
            )
        return labels, torch.tensor([folds.index(value) for value in values]), tuple(folds)
    if table.split_column is not None:
        value_of = read_values(path, table.name_column, table.split_column)
        labels = labels.select([name for name in labels.names if value_of[name].lower() not in NOT_USED])
        values = [value_of[name].lower() for name in labels.names]
        wrong = [value for value in values if value not in TRAIN + VALID]
        if wrong or len({value in VALID for value in values}) < 2:
            got = repr(wrong[0]) if wrong else f"only {', '.join(sorted(set(values))) or 'test'}"
            raise ValueError(f"{path}: wanted train and val in {table.split_column!r}, got {got}")
        return labels, torch.tensor([int(value in TRAIN) for value in values]), ("val",)
    return labels, None, ()


def class_remarks(labels: LabelTable) -> list[str]:
    """Return lines about the classes: their names, and classes about which nothing can be learned."""
    names = labels.classes
    most = len(names) if len(names) <= MOST_LISTED else 5
    lines = [f"{len(names)} classes: {first_few(names, most=most, show=repr)}"]
    if len(names) == 1:
        return [*lines, "There is only one class, so ranking can learn nothing: no class competes with it"]
    always = [name for name, every in zip(names, labels.target.all(0).tolist(), strict=True) if every]
    if always:
        listed = first_few(always, show=repr)
        lines.append(f"Ranking can learn nothing about a class that is in every clip: {listed}")
    return lines
