"""The options of ``train``."""

from __future__ import annotations

import argparse
from pathlib import Path

from freesound.commands._options import add_machine, at_least_one, number
from freesound.settings import Settings


def add_arguments(sub: argparse.ArgumentParser) -> None:
    """Data, folds, network, optimisation, what to write, machine."""
    add, default = sub.add_argument, Settings()
    add("--data", type=Path, required=True, help="folder with train_curated.csv and train_curated/")
    add("--run", type=Path, required=True, help="folder for models, metrics and logs; new, or see --resume")
    more = sub.add_mutually_exclusive_group()
    more.add_argument("--noisy", action="store_true", help="train on train_noisy too")
    more.add_argument(
        "--extra",
        type=Path,
        default=None,
        metavar="CSV",
        help="table (fname, labels) of clips in train_noisy/ to train on too, in place of --noisy",
    )
    add(
        "--folds",
        type=at_least_one,
        default=default.folds,
        help="folds; 1: train on all clips, no validation",
    )
    add("--fold", type=int, default=None, help="train this fold only (from 0)")
    add("--seed", type=int, default=default.seed, help="of folds, weights, batches and augmentation")
    _add_network(sub, default)
    _add_clips(sub, default)
    _add_optimisation(sub, default)
    _add_averaging(sub, default)
    _add_run(sub)
    add_machine(sub)


def _add_network(sub: argparse.ArgumentParser, default: Settings) -> None:
    add = sub.add_argument
    add("--model", choices=["2d", "1d"], default=default.model, help="2d on log-mel, or 1d on log-STFT")
    add(
        "--pooling", choices=["max", "rnn"], default=default.pooling, help="how features over time become one"
    )
    add(
        "--start-from",
        type=Path,
        default=None,
        metavar="MODEL",
        help="a model.pt of the same network to start from; its classes may be others",
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


def _add_clips(sub: argparse.ArgumentParser, default: Settings) -> None:
    add = sub.add_argument
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


def _add_optimisation(sub: argparse.ArgumentParser, default: Settings) -> None:
    add = sub.add_argument
    add("--loss", choices=["lsep", "bce"], default=default.loss, help="ranking loss or binary cross-entropy")
    add("--epochs", type=at_least_one, default=default.epochs, help="passes over the training clips")
    add(
        "--accumulate",
        type=at_least_one,
        default=default.accumulate,
        metavar="N",
        help="batches to a step: its gradient is that of the mean loss over all their clips",
    )
    add("--lr-min", type=float, default=default.lr_min, help="learning rate at the start of the cycle")
    add("--lr-max", type=float, default=default.lr_max, help="learning rate at its top")
    add(
        "--clip-norm",
        type=number(above=0),
        default=None,
        metavar="X",
        help="longest gradient; a longer one is shortened to it",
    )
    add(
        "--precision",
        choices=["fp32", "bf16", "fp16"],
        default=default.precision,
        help="of the network in training; weights, spectrograms, losses and validation stay in fp32",
    )
    add(
        "--compile",
        action="store_true",
        help="compile the network for training, which takes minutes; on a CPU again for new lengths",
    )
    add(
        "--early-stop",
        type=at_least_one,
        default=None,
        metavar="N",
        help="stop after so many epochs without a better one",
    )


def _add_averaging(sub: argparse.ArgumentParser, default: Settings) -> None:
    add = sub.add_argument
    add(
        "--average",
        choices=["none", "ema", "last"],
        default=default.average,
        help="validate and keep, in place of the model, an exponential moving average of it over the steps, "
        "or its mean over the last epochs; running statistics are averaged like weights",
    )
    add(
        "--average-decay",
        type=number(at_least=0, below=1),
        default=default.average_decay,
        metavar="D",
        help="what an exponential average keeps at each step; less in the first steps",
    )
    add(
        "--average-last",
        type=at_least_one,
        default=default.average_last,
        metavar="K",
        help="epochs of a mean over the last ones",
    )


def _add_run(sub: argparse.ArgumentParser) -> None:
    add = sub.add_argument
    add(
        "--resume",
        action="store_true",
        help="go on with a run that was interrupted, to the same end; start it if there is none",
    )
    add(
        "--checkpoint-seconds",
        type=number(at_least=0),
        default=600.0,
        metavar="S",
        help="save the state of training so often within an epoch too, where one process trains",
    )
    add(
        "--tensorboard",
        action=argparse.BooleanOptionalAction,
        default=None,
        help="write scalars for TensorBoard; by default if it is installed",
    )
