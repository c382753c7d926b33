"""A folder in the Kaggle layout: which clips there are, what is on them, and how they are split."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from rankaudio import ClipDataset, multilabel_folds
from rankaudio.data import LabelTable, read_classes, read_labels


@dataclass(frozen=True)
class Corpus:
    """The labelled clips of a data folder; ``noisy`` are those in ``train_noisy`` that are trained on."""

    folder: Path
    classes: tuple[str, ...]
    curated: LabelTable
    noisy: LabelTable | None


def read_corpus(folder: Path, *, noisy: bool, extra: Path | None = None) -> Corpus:
    """Read the label files; the classes are those of ``sample_submission.csv``, or those in use.

    Args:
        folder: the data folder.
        noisy: whether to take the clips and labels of ``train_noisy.csv``.
        extra: a table of clips in ``train_noisy`` to take instead, every label of which has to be a class.
    """
    if not folder.is_dir():
        raise FileNotFoundError(f"--data: wanted a folder in the Kaggle layout, got {folder}, which is none")
    submission = folder / "sample_submission.csv"
    classes = read_classes(submission) if submission.exists() else None
    curated = read_labels(folder / "train_curated.csv", classes=classes)
    more = None
    if extra is not None:
        more = read_labels(extra, classes=curated.classes)
    elif noisy:
        more = read_labels(folder / "train_noisy.csv", classes=curated.classes, strict=False)
    return Corpus(folder, curated.classes, curated, more)


def checksum(path: Path) -> str:
    """SHA-256 of a file, in hexadecimal digits."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


@dataclass(frozen=True)
class Split:
    """The clips that one fold trains on, and those that it is judged by."""

    train: ClipDataset
    valid: ClipDataset | None
    valid_names: tuple[str, ...]
    valid_target: Tensor


def split_corpus(corpus: Corpus, *, folds: int, fold: int, max_seconds: float, seed: int) -> Split:
    """Cut off one fold for validation; with one fold all clips are for training. Noisy clips always are."""
    names = corpus.curated.names
    if folds > 1:
        of_fold = multilabel_folds(corpus.curated.target, n_folds=folds, seed=seed)
        held_out = (of_fold == fold).tolist()
    else:
        held_out = [False] * len(names)
    train = corpus.curated.select([n for n, out in zip(names, held_out, strict=True) if not out])
    valid = corpus.curated.select([n for n, out in zip(names, held_out, strict=True) if out])

    paths = [corpus.folder / "train_curated" / name for name in train.names]
    target = train.target
    if corpus.noisy is not None:
        paths += [corpus.folder / "train_noisy" / name for name in corpus.noisy.names]
        target = torch.cat([target, corpus.noisy.target])
    return Split(
        train=ClipDataset(paths, target.float(), max_seconds=max_seconds, crop="random"),
        valid=ClipDataset([corpus.folder / "train_curated" / n for n in valid.names]) if len(valid) else None,
        valid_names=valid.names,
        valid_target=valid.target,
    )
