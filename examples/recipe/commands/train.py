"""``train``: one fold of a model, or all of them."""

from __future__ import annotations

import argparse
from dataclasses import asdict, fields
from pathlib import Path

from recipe.commands._options import add_machine, at_least_one
from recipe.console import say
from recipe.corpus import read_corpus, split_corpus
from recipe.runs import Run
from recipe.training import Settings, Trainer

HELP = "train on a folder in the Kaggle layout"


def run(args: argparse.Namespace) -> None:
    """Train one fold or all of them."""
    settings = Settings(**{field.name: getattr(args, field.name) for field in fields(Settings)})
    folds = list(range(settings.folds)) if args.fold is None else [args.fold]
    if args.fold is not None and not 0 <= args.fold < settings.folds:
        raise ValueError(
            f"--fold: wanted 0 to {settings.folds - 1} (there are {settings.folds} folds), got {args.fold}"
        )
    corpus = read_corpus(args.data, noisy=settings.noisy)
    folder = Run(args.run)
    splits = {
        fold: split_corpus(
            corpus, folds=settings.folds, fold=fold, max_seconds=settings.max_seconds, seed=settings.seed
        )
        for fold in folds
    }
    folder.start({"classes": list(corpus.classes), **asdict(settings)}, folds)
    for fold, split in splits.items():
        held_out = 0 if split.valid is None else len(split.valid)
        counts = f"{len(split.train)} clips to train on, {held_out} held out, {len(corpus.classes)} classes"
        say(f"fold {fold}: {counts}")
        trainer = Trainer(split, settings, corpus.classes, device=args.device, workers=args.workers)
        best = trainer.fit(folder.fold(fold), say=say)
        kept = "last model" if split.valid is None else f"best lwlrap {best:.4f}"
        say(f"fold {fold}: {kept}, in {folder.fold(fold)}")


def add_arguments(sub: argparse.ArgumentParser) -> None:
    """Data, folds, network, optimisation, machine."""
    add, default = sub.add_argument, Settings()
    add("--data", type=Path, required=True, help="folder with train_curated.csv and train_curated/")
    add("--run", type=Path, required=True, help="new folder for models, metrics and logs")
    add("--noisy", action="store_true", help="train on train_noisy too")
    add(
        "--folds",
        type=at_least_one,
        default=default.folds,
        help="folds; 1: train on all clips, no validation",
    )
    add("--fold", type=int, default=None, help="train this fold only (from 0)")
    add("--seed", type=int, default=default.seed, help="of folds, weights, batches and augmentation")
    _add_network(sub, default)
    _add_optimisation(sub, default)
    add_machine(sub)


def _add_network(sub: argparse.ArgumentParser, default: Settings) -> None:
    add = sub.add_argument
    add("--model", choices=["2d", "1d"], default=default.model, help="2d on log-mel, or 1d on log-STFT")
    add(
        "--pooling", choices=["max", "rnn"], default=default.pooling, help="how features over time become one"
    )
    add("--base-depth", type=at_least_one, default=default.base_depth, help="channels of the first block")
    add("--blocks", type=at_least_one, default=default.blocks, help="blocks, each of which halves time")
    add("--growth", type=float, default=default.growth, help="factor of channels from block to block")
    add("--dropout", type=float, default=default.dropout, help="probability before the last layer")
    add(
        "--frequency-encoding",
        action=argparse.BooleanOptionalAction,
        default=default.frequency_encoding,
        help="tell the 2d model where it is on the frequency axis",
    )


def _add_optimisation(sub: argparse.ArgumentParser, default: Settings) -> None:
    add = sub.add_argument
    add("--loss", choices=["lsep", "bce"], default=default.loss, help="ranking loss or binary cross-entropy")
    add("--epochs", type=at_least_one, default=default.epochs, help="passes over the training clips")
    add("--batch-size", type=at_least_one, default=default.batch_size, help="clips in a batch, at most")
    add(
        "--spread",
        type=float,
        default=default.spread,
        help="batches that clips of one length are spread over",
    )
    add(
        "--max-seconds",
        type=float,
        default=default.max_seconds,
        help="longer training clips are cut at random",
    )
    add("--mixup", type=float, default=default.mixup, metavar="P", help="probability of OR-mixup")
    add("--effects", type=float, default=default.effects, metavar="P", help="probability of audio effects")
    add("--shuffle", type=float, default=default.shuffle, metavar="P", help="probability of chunk shuffle")
    add(
        "--augment-until",
        type=at_least_one,
        default=None,
        metavar="EPOCH",
        help="epochs with mixup and effects",
    )
    add("--lr-min", type=float, default=default.lr_min, help="learning rate at the start of the cycle")
    add("--lr-max", type=float, default=default.lr_max, help="learning rate at its top")
