"""The whole second-place plan at its smallest: what it writes, and trainings that are resumed."""

import tomllib

import numpy as np
import pytest
import torch

import freesound2019
from rankaudio import Tagger, lwlrap
from rankaudio.data import read_labels, read_scores
from tiny_recipe import make_tiny_corpus, rows_of
from tiny_second import NAMES, write_tiny_plan
from training import CPU, assert_interrupted_ends_the_same

pytestmark = pytest.mark.slow

WEIGHTS = np.array([1.9, 2.1, 0.0]) / 4


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """The tiny corpus."""
    folder = tmp_path_factory.mktemp("corpus")
    make_tiny_corpus(folder)
    return folder


@pytest.fixture(scope="module")
def finished(data, tmp_path_factory):
    """The run of the plan, from beginning to end."""
    folder = tmp_path_factory.mktemp("plan")
    recipe(data, folder / "run", "--plan", write_tiny_plan(folder / "plan.json"))
    return folder / "run"


def recipe(data, run, *options):
    """Run the command."""
    words = ["recipe", "--data", data, "--run", run, "--device", "cpu", *options]
    freesound2019.main([str(word) for word in words])


def figures_of(run):
    """The figures of a run by name."""
    return {row["what"]: float(row["lwlrap"]) for row in rows_of(run / "blend" / "figures.csv")}


def probabilities(table, labels):
    """A table of raw scores as probabilities, in the order of the labels."""
    columns = [table.classes.index(name) for name in labels.classes]
    return table.select(labels.names).scores[:, columns].double().sigmoid()


class TestResult:
    """What the finished run has, made without the labels of the test part."""

    def test_the_mean_is_weighted(self, finished, data):
        made, wanted = (
            read_scores(finished / "blend" / "mean.csv"),
            read_scores(data / "sample_submission.csv"),
        )
        assert (made.names, made.classes) == (wanted.names, wanted.classes)
        tables = [read_scores(finished / "scores" / f"{name}.test.csv") for name in NAMES]
        first = np.stack([probabilities(table, made).numpy() for table in tables])
        np.testing.assert_allclose(made.scores, np.tensordot(WEIGHTS, first, 1), rtol=1e-5)
        cells = rows_of(finished / "blend" / "weights.csv")
        assert [row["member"] for row in cells] == list(NAMES)
        np.testing.assert_allclose([float(row["weight"]) for row in cells], WEIGHTS, atol=1e-6)

    def test_figures_are_those_of_held_out_clips(self, finished, data):
        labels, figures, stack = read_labels(data / "train_curated.csv"), figures_of(finished), []
        for name in NAMES:
            parts = [read_scores(finished / "models" / name / f"fold_{k}" / "valid.csv") for k in range(3)]
            known = {n: s for table in parts for n, s in zip(table.names, table.scores, strict=True)}
            columns = [parts[0].classes.index(one) for one in labels.classes]
            stack.append(torch.stack([known[n][columns] for n in labels.names]).double().sigmoid())
            assert figures[name] == pytest.approx(float(lwlrap(stack[-1], labels.target)), abs=1e-6)
        mean = torch.tensordot(torch.tensor(WEIGHTS), torch.stack(stack), 1)
        assert figures["mean"] == pytest.approx(float(lwlrap(mean, labels.target)), abs=1e-6)
        nested = read_scores(finished / "second_level" / "stacking.nested.csv")
        own = float(lwlrap(probabilities(nested, labels), labels.target))
        assert figures["stacking"] == figures["all"] == pytest.approx(own, abs=1e-6)
        shown = [row["what"].removesuffix(" *") for row in rows_of(finished / "summary.csv")]
        assert shown == [*NAMES, "stacking", "weighted mean of members", "second level", "all steps"]

    def test_the_better_answer_on_held_out_clips_is_submitted(self, finished):
        figures = figures_of(finished)
        better = "all" if figures["all"] > figures["mean"] else "mean"
        expected = (finished / "blend" / f"{better}.csv").read_bytes()
        assert (finished / "submission.csv").read_bytes() == expected
        second = read_scores(finished / "second_level" / "stacking.test.csv").scores
        assert (second >= 0).all()  # with positive weights, nothing is below silence
        every = read_scores(finished / "blend" / "all.csv")
        assert every.names == read_scores(finished / "second_level" / "stacking.test.csv").names

    def test_members_start_from_weights_of_noisy_clips(self, finished):
        for name, start in (("max3exam", "noisy_v1mix"), ("v1mix", "noisy_v1mix"), ("se", "noisy_se")):
            settings = tomllib.loads((finished / "models" / name / "settings.toml").read_text())
            path = finished / "models" / start / "fold_0" / "model.pt"
            assert settings["network"]["start_from"] == str(path)
            assert len(settings["checks"]["start_from_sha256"]) == 64
            pooled = Tagger.load(finished / "models" / name / "fold_0" / "model.pt").backbone.pool_first
            assert pooled == ("frequency" if name == "max3exam" else "time")
        settings = tomllib.loads((finished / "models" / "noisy_se" / "settings.toml").read_text())
        assert settings["clips"]["only_noisy"]
        assert not (finished / "models" / "noisy_se" / "fold_0" / "valid.csv").exists()

    def test_nothing_is_done_twice(self, finished, data, capsys):
        recipe(data, finished, "--plan", finished / "plan.json", "--dry-run")
        assert capsys.readouterr().out.splitlines()[-1].endswith("steps, 0 to do")


OPTIONS = ["--network", "AxisPoolCNN", "--base-depth", "2", "--rnn-units", "2", "--n-fft", "512"]
OPTIONS += ["--n-mels", "8", "--hop-length", "512", "--ref", "max", "--pad-mode", "same", "--trim", "60"]
OPTIONS += ["--segment-seconds", "0.3", "--weighted-mixup", "0.6", "--augment-until", "2", "--loss", "bce"]
OPTIONS += ["--label-smoothing", "0.01", "--optimizer", "nadam", "--schedule", "milestones"]
OPTIONS += ["--milestones", "1,2", "--factor", "0.5", "--lr-max", "1e-3", "--spread", "1000"]
OPTIONS += ["--batch-size", "8", "--epochs", "3", "--folds", "3", "--fold", "0", *CPU]


def test_an_interrupted_training_ends_the_same(data, tmp_path, monkeypatch):
    """Train with every part of the second-place system."""

    def train(run, *options):
        words = ["train", "--data", data, "--run", run, "--checkpoint-seconds", "0", *OPTIONS, *options]
        freesound2019.main([str(word) for word in words])

    assert_interrupted_ends_the_same(train, tmp_path, monkeypatch)
