"""The whole first-place plan at its smallest: what it writes, and trainings that are resumed."""

import tomllib

import numpy as np
import pytest
import torch

import freesound2019
from freesound.state import read_state
from freesound.two_levels import chosen
from rankaudio import lwlrap
from rankaudio.data import read_labels, read_scores
from tiny_first import NAMES, write_tiny_plan
from tiny_recipe import make_tiny_corpus, rows_of, write_csv
from training import CPU, assert_interrupted_ends_the_same

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """The tiny corpus, and a table that corrects one clip and removes another."""
    folder = tmp_path_factory.mktemp("corpus")
    make_tiny_corpus(folder)
    names = read_labels(folder / "train_curated.csv").names
    write_csv(folder / "corrections.csv", ["fname", "labels"], [[names[0], "Drum"], [names[5], ""]])
    return folder


@pytest.fixture(scope="module")
def finished(data, tmp_path_factory):
    """The run of the plan, from beginning to end."""
    folder = tmp_path_factory.mktemp("plan")
    plan = write_tiny_plan(folder / "plan.json")
    recipe(data, folder / "run", "--plan", plan, "--corrections", data / "corrections.csv")
    return folder / "run"


def recipe(data, run, *options):
    """Run the command."""
    words = ["recipe", "--data", data, "--run", run, "--device", "cpu", *options]
    freesound2019.main([str(word) for word in words])


def probabilities(path, labels):
    """A table of raw scores as probabilities, in the order of the labels."""
    table = read_scores(path)
    columns = [table.classes.index(name) for name in labels.classes]
    return table.select(labels.names).scores[:, columns].double().sigmoid().numpy()


class TestResult:
    """What the finished run has, made without the labels of the test part."""

    def test_both_answers_are_geometric_means(self, finished, data):
        made, wanted = (
            read_scores(finished / "blend" / "all.csv"),
            read_scores(data / "sample_submission.csv"),
        )
        assert (made.names, made.classes) == (wanted.names, wanted.classes)
        first = [probabilities(finished / "scores" / f"{name}.test.csv", made) for name in NAMES]
        net = read_scores(finished / "second_level" / "net.test.csv")
        columns = [net.classes.index(name) for name in made.classes]
        second = net.select(made.names).scores[:, columns].double().numpy()
        assert 0 < second.min() < second.max() < 1
        expected = np.exp(np.log([*first, second]).mean(0))
        np.testing.assert_allclose(made.scores, expected, rtol=1e-5)
        mean = read_scores(finished / "blend" / "mean.csv").scores
        np.testing.assert_allclose(mean, np.exp(np.log(first).mean(0)), rtol=1e-5)

    def test_the_better_mean_on_held_out_clips_is_submitted(self, finished):
        figures = {row["what"]: float(row["lwlrap"]) for row in rows_of(finished / "blend" / "figures.csv")}
        better, other = ("all", "mean") if figures["all"] > figures["mean"] else ("mean", "all")
        submission = (finished / "submission.csv").read_bytes()
        assert submission == (finished / "blend" / f"{better}.csv").read_bytes()
        assert submission != (finished / "blend" / f"{other}.csv").read_bytes()
        assert (chosen({"mean": 0.7, "all": 0.71}), chosen({"mean": 0.7, "all": 0.7})) == ("all", "mean")

    def test_corrections_hold_everywhere(self, finished, data):
        names = read_labels(data / "train_curated.csv").names
        for member in NAMES:
            folds = [finished / "models" / member / f"fold_{k}" / "valid.csv" for k in range(3)]
            found = [name for path in folds for name in read_scores(path).names]
            assert sorted(found) == sorted(set(names) - {names[5]})
            settings = tomllib.loads((finished / "models" / member / "settings.toml").read_text())
            assert settings["clips"]["corrections"] == str(data / "corrections.csv")
            assert len(settings["checks"]["corrections_sha256"]) == 64

    def test_figures_are_those_of_held_out_clips(self, finished, data):
        labels = read_labels(data / "train_curated.csv")
        labels = labels.select([name for row, name in enumerate(labels.names) if row != 5])
        labels.target[0] = torch.tensor([name == "Drum" for name in labels.classes])
        figures = {row["what"]: float(row["lwlrap"]) for row in rows_of(finished / "blend" / "figures.csv")}
        stack = []
        for name in NAMES:
            parts = [read_scores(finished / "models" / name / f"fold_{k}" / "valid.csv") for k in range(3)]
            known = {n: s for table in parts for n, s in zip(table.names, table.scores, strict=True)}
            columns = [parts[0].classes.index(name) for name in labels.classes]
            stack.append(torch.stack([known[n][columns] for n in labels.names]).double().sigmoid())
            assert figures[name] == pytest.approx(float(lwlrap(stack[-1], labels.target)), abs=1e-6)
        mean = torch.stack(stack).log().mean(0)
        assert figures["mean"] == pytest.approx(float(lwlrap(mean, labels.target)), abs=1e-6)
        summary = {row["what"]: row["lwlrap"] for row in rows_of(finished / "summary.csv")}
        shown = {name.removesuffix(" *"): value for name, value in summary.items()}
        assert shown["members and second level"] == f"{figures['all']:.6f}"
        assert shown["geometric mean of members"] == f"{figures['mean']:.6f}"
        assert [name.endswith(" *") for name in summary].count(True) == 1
        assert set(summary) >= {*NAMES, "net", "all steps"}

    def test_windows_are_those_of_scoring(self, finished):
        state = read_state(finished / "scores" / f"{NAMES[0]}.windows.pt")
        means = torch.stack([one.mean(0) for one in state["windows"].split(state["counts"].tolist())])
        assert state["counts"].max() > 1
        row_of = {name: row for row, name in enumerate(state["names"])}
        table = read_scores(finished / "models" / NAMES[0] / "fold_1" / "valid.csv")
        assert table.classes == tuple(state["classes"])
        expected = means[[row_of[name] for name in table.names]]
        torch.testing.assert_close(table.scores.sigmoid(), expected, rtol=1e-4, atol=1e-6)

    def test_members_are_trained_on_their_pools(self, finished):
        trusted = rows_of(finished / "noisy" / "trusted.csv")
        kept, dropped = (rows_of(finished / "noisy" / f"{name}.csv") for name in ("kept", "dropped"))
        assert (len(trusted), len(kept), len(dropped)) == (1, 6, 4)
        assert "n4.wav" in [row["fname"] for row in dropped]
        settings = tomllib.loads((finished / "models" / NAMES[0] / "settings.toml").read_text())
        assert settings["clips"]["extra"] == str(finished / "noisy" / "kept.csv")
        assert settings["pools"]["trusted"] == str(finished / "noisy" / "trusted.csv")
        assert len(settings["checks"]["trusted_sha256"]) == 64

    def test_nothing_is_done_twice(self, finished, data, capsys):
        recipe(data, finished, "--plan", finished / "plan.json", "--dry-run")
        assert capsys.readouterr().out.splitlines()[-1].endswith("steps, 0 to do")

    def test_another_table_of_corrections_is_another_plan(self, finished, data, tmp_path):
        (tmp_path / "other.csv").write_text((data / "corrections.csv").read_text())
        with pytest.raises(SystemExit, match=r"holds a run of another plan: clips.corrections "):
            recipe(data, finished, "--plan", finished / "plan.json", "--corrections", tmp_path / "other.csv")


def test_a_table_of_trusted_clips(data, tmp_path, capsys):
    write_csv(tmp_path / "trusted.csv", ["fname", "labels"], [["n3.wav", "Drum"]])
    plan = write_tiny_plan(tmp_path / "plan.json", names=NAMES[:1])
    options = ["--plan", plan, "--trusted", tmp_path / "trusted.csv", "--only", NAMES[0]]
    recipe(data, tmp_path / "run", *options)
    assert "train selector" not in capsys.readouterr().out
    assert [tuple(row.values()) for row in rows_of(tmp_path / "run" / "noisy" / "trusted.csv")] == [
        ("n3.wav", "Drum")
    ]
    write_csv(tmp_path / "trusted.csv", ["fname"], [["n3.wav"], ["x.wav"]])
    with pytest.raises(SystemExit, match=r"trusted.csv, line 3: wanted the name of a clip in the data"):
        recipe(data, tmp_path / "other", *options)
    with pytest.raises(SystemExit, match="--trusted: wanted --system first, got third"):
        recipe(data, tmp_path / "third", "--scale", "small", "--trusted", tmp_path / "trusted.csv")


OPTIONS = ["--network", "AuxSkipAttention", "--base-depth", "1", "--n-fft", "512", "--n-mels", "16"]
OPTIONS += ["--hop-length", "512", "--trim", "60", "--crop-frames", "16", "--wrap", "0.5", "--resize", "0.5"]
OPTIONS += ["--ratio-low", "0.8", "--ratio-high", "1.2", "--spec-augment", "0.5", "--mixers", "0.8"]
OPTIONS += ["--noisy", "--draws", "12", "--noisy-share", "0.4", "--noisy-loss", "l_soft", "--loss", "bce"]
OPTIONS += ["--optimizer", "adam", "--schedule", "plateau", "--patience", "0", "--early-stop", "2"]
OPTIONS += ["--batch-size", "3", "--epochs", "3", "--folds", "3", "--fold", "0", "--precision", "bf16", *CPU]


def test_an_interrupted_training_ends_the_same(data, tmp_path, monkeypatch):
    """Train with every part of the first-place system."""

    def train(run, *options):
        words = ["train", "--data", data, "--run", run, "--checkpoint-seconds", "0", *OPTIONS, *options]
        freesound2019.main([str(word) for word in words])

    assert_interrupted_ends_the_same(train, tmp_path, monkeypatch)
