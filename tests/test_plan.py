"""The whole plan at a tiny scale: rounds, members, blend, submission; once done nothing is done again."""

import csv
import dataclasses
import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.io import wavfile

import freesound2019
from rankaudio import lwlrap, read_classes, read_labels, read_scores, write_scores
from recipe import members as members_module
from recipe import plan as plan_module
from recipe import steps as steps_module
from recipe.blending import chosen_blend, out_of_fold
from recipe.members import Recipe
from recipe.plan import CURATED, GUIDES, MEMBERS, RELABELLED, SCALES, Plan, Scale, train_options
from recipe.rounds import choose_clips, label_the_rest
from recipe.runs import Run
from recipe.steps import Step, Steps
from recipe.synthetic import SOUNDS, make_corpus

EXAMPLE = Path(freesound2019.__file__)
TINY = Scale(sizes=(2, 3, 4, 5, 6), folds=2, depth=0.04, epochs=0.01, effects=0.0)
CPU = ["--device", "cpu"]


def write_csv(path, header, rows):
    with path.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([header, *rows])


def rows_of(path):
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    """Two clips a class, one to test, and ten noisy ones: two in three are right, one has no class."""
    data = tmp_path_factory.mktemp("corpus")
    make_corpus(data, per_class=2, test_per_class=1)
    for part in ("train_curated", "test"):  # what is heard does not matter here, how long it takes does
        for path in (data / part).iterdir():
            rate, wave = wavfile.read(path)
            wavfile.write(path, rate, wave[: rate // 4])
    curated = read_labels(data / "train_curated.csv")
    (data / "train_noisy").mkdir()
    given, true = [], []
    for index, name in enumerate(curated.names[:10]):
        labels = [curated.classes[c] for c in curated.target[index].nonzero().flatten().tolist()]
        shutil.copy(data / "train_curated" / name, data / "train_noisy" / f"n{index}.wav")
        wrong = [curated.classes[(curated.classes.index(labels[0]) + 5) % len(SOUNDS)]]
        said = ["Traffic_jam"] if index == 4 else wrong if index % 3 == 2 else labels
        given.append([f"n{index}.wav", ",".join(said)])
        true.append([f"n{index}.wav", ",".join(labels), "ok" if said == labels else "wrong"])
    write_csv(data / "train_noisy.csv", ["fname", "labels"], given)
    write_csv(data / "train_noisy_truth.csv", ["fname", "labels", "error"], true)
    # The recipe has to do without the labels of the test part.
    (data / "test.csv").rename(data / "kept_back.csv")
    # Neither the classes of a submission nor its clips need be in order.
    template = read_scores(data / "sample_submission.csv")
    order = torch.arange(len(template.names)).flip(0)
    classes = template.classes[3:] + template.classes[:3]
    write_scores(
        data / "sample_submission.csv",
        names=[template.names[row] for row in order],
        classes=classes,
        scores=torch.zeros(len(order), len(classes)),
    )
    return data


@pytest.fixture
def tiny(monkeypatch):
    monkeypatch.setitem(SCALES, "small", TINY)


@pytest.fixture(scope="module")
def carried_out(corpus, tmp_path_factory):
    """The plan, carried out; and what was printed."""
    run = tmp_path_factory.mktemp("plan") / "run"
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(SCALES, "small", TINY)
        recipe(corpus, run)
    return run


def recipe(data, run, *options):
    freesound2019.main(["recipe", "--data", str(data), "--run", str(run), "--scale", "small", *CPU, *options])


def contents(folder):
    return {
        path.relative_to(folder): (path.stat().st_mtime_ns, path.read_bytes())
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def refused(capsys, *command, match):
    with pytest.raises(SystemExit) as caught:
        freesound2019.main([str(word) for word in command])
    message = caught.value.code if isinstance(caught.value.code, str) else capsys.readouterr().err
    assert "Traceback" not in message
    assert match in message


def test_first(carried_out):
    pass
