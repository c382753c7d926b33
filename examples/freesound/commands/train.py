"""``train``: one fold of a model, or all of them."""

from __future__ import annotations

import argparse
from dataclasses import asdict, fields

from freesound.commands._training import add_arguments
from freesound.console import say
from freesound.corpus import Corpus, Split, checksum, read_corpus, split_corpus
from freesound.journal import scalars_wanted
from freesound.processes import World, joined
from freesound.runs import Run
from freesound.settings import Settings
from freesound.training import Trainer

__all__ = ["HELP", "add_arguments", "run"]

HELP = "train on a folder in the Kaggle layout"


def run(args: argparse.Namespace) -> None:
    """Train one fold or all of them, alone or together with other processes."""
    world = joined(args.device)
    settings, corpus, splits = world.together(lambda: _prepare(args))
    kept = {"classes": list(corpus.classes), **asdict(settings), "processes": world.size}
    folder = Run(args.run)
    left = world.from_first(lambda: folder.start(kept, list(splits), resume=args.resume))
    for fold, split in splits.items():
        if fold in left:
            trainer = world.together(lambda split=split: _trainer(args, settings, corpus, split, world))
            _train(trainer, fold, folder, scalars=args.tensorboard)
        elif world.first:
            say(f"fold {fold}: finished already, in {folder.fold(fold)}")


def _prepare(args: argparse.Namespace) -> tuple[Settings, Corpus, dict[int, Split]]:
    """Read and check everything before anything is written."""
    args.tensorboard = scalars_wanted(args.tensorboard)
    if args.fold is not None and not 0 <= args.fold < args.folds:
        raise ValueError(
            f"--fold: wanted 0 to {args.folds - 1} (there are {args.folds} folds), got {args.fold}"
        )
    if args.early_stop is not None and args.folds == 1:
        raise ValueError("--early-stop: wanted clips that are held out (--folds from 2), got --folds 1")
    corpus = read_corpus(args.data, noisy=args.noisy, extra=args.extra)
    for name in ("extra", "start_from"):
        path = getattr(args, name)
        setattr(args, f"{name}_sha256", None if path is None else checksum(path))
        setattr(args, name, None if path is None else str(path))
    settings = Settings(**{field.name: getattr(args, field.name) for field in fields(Settings)})
    shared = {"folds": settings.folds, "max_seconds": settings.max_seconds, "seed": settings.seed}
    folds = range(settings.folds) if args.fold is None else [args.fold]
    return settings, corpus, {fold: split_corpus(corpus, fold=fold, **shared) for fold in folds}


def _trainer(
    args: argparse.Namespace, settings: Settings, corpus: Corpus, split: Split, world: World
) -> Trainer:
    return Trainer(
        split,
        settings,
        corpus.classes,
        world=world,
        workers=args.workers,
        checkpoint_seconds=args.checkpoint_seconds,
        say=say if world.first else lambda _: None,
    )


def _train(trainer: Trainer, fold: int, folder: Run, *, scalars: bool) -> None:
    split = trainer.split
    held_out = 0 if split.valid is None else len(split.valid)
    counts = f"{len(split.train)} clips to train on, {held_out} held out"
    trainer.say(f"fold {fold}: {counts}, {len(trainer.tagger.classes)} classes")
    best = trainer.fit(folder.fold(fold), scalars=scalars)
    kept = "last model" if split.valid is None else f"best lwlrap {best:.4f}"
    trainer.say(f"fold {fold}: {kept}, in {folder.fold(fold)}")
