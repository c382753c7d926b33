"""Short trainings with the example, and how to compare them."""

import csv
import re

import pytest
import torch

import freesound2019
from freesound.build import MemberSystem, build_average
from freesound.corpus import read_corpus
from freesound.data import split_corpus
from freesound.distributed import Group
from freesound.engine import Trainer
from freesound.plans.base import Clips, Member, Network, Optim
from rankaudio import Tagger

ALONE = Group(torch.device("cpu"))
CPU = ["--device", "cpu", "--no-tensorboard"]
SMALL = ["--base-depth", "4", "--n-blocks", "2", "--folds", "2", "--fold", "0", "--batch-size", "3", *CPU]
SMALL += ["--checkpoint-seconds", "0"]


class Interrupted(BaseException):
    """Stops a training in the middle, as a signal would."""


def train(corpus, run, *options):
    """Train a small network on half of the clips, by the command line."""
    freesound2019.main(["train", "--data", str(corpus), "--run", str(run), *SMALL, *map(str, options)])


def make_trainer(corpus, *, system=MemberSystem, **optim):
    """A trainer of the same kind; settings of ``Optim`` can be given."""
    member = Member(
        network=Network("CNN2d", {"base_depth": 4, "n_blocks": 2}),
        clips=Clips(folds=2, batch_size=3),
        optim=Optim(**optim),
    )
    data = read_corpus(corpus)
    split = split_corpus(data, folds=2, fold=0, max_seconds=15.0, seed=42)
    system = system(member, data.classes)
    average = build_average(member.optim, system.tagger, ALONE)
    return Trainer(system, split, member.optim, group=ALONE, average=average, log=lambda _: None)


def without_seconds(folder):
    """Metrics and log of a fold, without the time that its epochs took."""
    with (folder / "metrics.csv").open() as file:
        rows = list(csv.DictReader(file))
    log = re.sub(r"\d+\.\d s", "", (folder / "log.txt").read_text())
    return [{key: value for key, value in row.items() if key != "seconds"} for row in rows], log


def assert_same_outcome(one, other):
    """Every file of two folds is the same to the bit, except for the seconds."""
    assert {path.name for path in one.iterdir()} == {path.name for path in other.iterdir()}
    states = [Tagger.load(folder / "model.pt").state_dict() for folder in (one, other)]
    for key, value in states[0].items():
        assert torch.equal(value, states[1][key]), key
    assert (one / "model.pt").read_bytes() == (other / "model.pt").read_bytes()
    assert (one / "valid.csv").read_bytes() == (other / "valid.csv").read_bytes()
    assert without_seconds(one) == without_seconds(other)


def interrupt_at(call, plain):
    """A function that is ``plain`` until the given call, which raises Interrupted."""
    left = call

    def instead(*args, **kwargs):
        nonlocal left
        left -= 1
        if left == 0:
            raise Interrupted
        return plain(*args, **kwargs)

    return instead


def assert_interrupted_ends_the_same(train, folder, monkeypatch):
    """A training ends the same if it stops within an epoch, and between validation and the next epoch.

    ``train(run, *options)`` trains fold 0 in three epochs of at least three batches.
    """
    train(folder / "whole")
    for name, call in (("train_batch", 3), ("validate", 1), ("train_batch", 4)):
        with monkeypatch.context() as patch:
            patch.setattr(Trainer, name, interrupt_at(call, getattr(Trainer, name)))
            with pytest.raises(Interrupted):
                train(folder / "run", "--resume")
    train(folder / "run", "--resume")
    assert_same_outcome(folder / "run" / "fold_0", folder / "whole" / "fold_0")
