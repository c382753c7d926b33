"""A whole plan of five members and two rounds: what it writes, and that nothing is done twice."""

import contextlib
import json
import shutil
import tomllib

import numpy as np
import pytest
import torch
from sklearn.metrics import label_ranking_average_precision_score

import freesound2019
from freesound import job as job_module
from freesound.ensemble import chosen_blend, out_of_fold
from freesound.plans.third import CURATED, SELECTORS, clips_of
from freesound.state import Run
from freesound.synthetic import SOUNDS
from rankaudio import lwlrap
from rankaudio.data import read_labels, read_scores
from tiny_recipe import FIVE, THREE, make_tiny_corpus, rows_of, tiny_plan, write_tiny_plan

PLAN = tiny_plan()


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    """The tiny corpus."""
    data = tmp_path_factory.mktemp("corpus")
    make_tiny_corpus(data)
    return data


@pytest.fixture(scope="module")
def finished(corpus, tmp_path_factory):
    """The run of the plan, from beginning to end."""
    folder = tmp_path_factory.mktemp("plan")
    recipe(corpus, folder / "run", "--plan", write_tiny_plan(folder / "plan.json"))
    return folder / "run"


def recipe(data, run, *options):
    """Run the command."""
    words = ["recipe", "--data", data, "--run", run, "--device", "cpu", *options]
    freesound2019.main([str(word) for word in words])


def again(data, run, *options):
    """Run the command with the plan of a run."""
    recipe(data, run, "--plan", run / "plan.json", *options)


def refused(capsys, *words, match):
    """Check that the command ends with one line."""
    with pytest.raises(SystemExit) as caught:
        recipe(*words)
    message = caught.value.code if isinstance(caught.value.code, str) else capsys.readouterr().err
    assert "Traceback" not in message
    assert match in message


def contents(folder):
    """Time and content of every file."""
    return {
        path.relative_to(folder): (path.stat().st_mtime_ns, path.read_bytes())
        for path in sorted(folder.rglob("*"))
        if path.is_file() and not path.name.endswith(".lock")
    }


def results(run):
    """Everything but times."""
    kept = [run / "submission.csv", *sorted(run.glob("*/*.csv")), *sorted(run.glob("models/*/*/valid.csv"))]
    return {path.relative_to(run): path.read_bytes() for path in kept}


def figures_of(run):
    """Values of the blends by name."""
    return {row["what"]: float(row["lwlrap"]) for row in rows_of(run / "blend" / "figures.csv")}


class TestResult:
    """What the finished run has, made without the labels of the test part."""

    def test_submission_has_the_layout_of_the_sample(self, finished, corpus):
        made, wanted = read_scores(finished / "submission.csv"), read_scores(corpus / "sample_submission.csv")
        assert made.classes == wanted.classes != tuple(sorted(SOUNDS))
        assert made.names == wanted.names != tuple(sorted(wanted.names))
        assert made.scores.isfinite().all()
        assert made.scores.std(0).min() > 0

    def test_submission_is_the_blend_of_the_members(self, finished):
        rows, figures = rows_of(finished / "blend" / "weights.csv"), figures_of(finished)
        assert tuple(row["member"] for row in rows) == FIVE
        weights = np.array([float(row["weight"]) for row in rows])
        assert weights.min() >= 0
        assert weights.sum() == pytest.approx(1, abs=1e-5)
        made = read_scores(finished / "submission.csv")
        tables = [read_scores(finished / "scores" / f"{name}.test.csv") for name in FIVE]
        columns = [tables[0].classes.index(name) for name in made.classes]
        scores = np.stack([table.select(made.names).scores[:, columns].double().numpy() for table in tables])
        for name, share in {"mean": np.full(5, 1 / 5), "fitted": weights}.items():
            table = read_scores(finished / "blend" / f"{name}.csv")
            np.testing.assert_allclose(table.scores, np.tensordot(share, scores, 1), atol=2e-5)
        chosen = read_scores(finished / "blend" / f"{chosen_blend(figures)}.csv")
        assert torch.equal(made.scores, chosen.scores)

    def test_figures_are_those_of_held_out_clips(self, finished, corpus):
        labels, figures = read_labels(corpus / "train_curated.csv"), figures_of(finished)
        stack = []
        for row in rows_of(finished / "blend" / "weights.csv"):
            folds = [finished / "models" / row["member"] / f"fold_{k}" / "valid.csv" for k in (0, 1)]
            folds = [read_scores(path) for path in folds]
            known = {n: s for table in folds for n, s in zip(table.names, table.scores, strict=True)}
            columns = [folds[0].classes.index(name) for name in labels.classes]
            stack.append(torch.stack([known[name][columns] for name in labels.names]).double())
            assert float(row["lwlrap"]) == pytest.approx(float(lwlrap(stack[-1], labels.target)), abs=1e-6)
        mean = torch.stack(stack).mean(0)
        assert figures["mean"] == pytest.approx(float(lwlrap(mean, labels.target)), abs=1e-6)
        assert figures["fitted"] >= max(figures["mean"], figures["nested"])

    def test_each_round_takes_the_clips_that_agree_best(self, finished, corpus):
        noisy = read_labels(corpus / "train_noisy.csv", classes=sorted(SOUNDS), strict=False)
        given = {n: t for n, t in zip(noisy.names, noisy.target, strict=True) if t.any()}
        assert "n4.wav" not in given
        for number, (selector, size) in enumerate(zip(SELECTORS, PLAN.rounds.sizes, strict=False), start=1):
            scores = read_scores(finished / "scores" / f"{selector}.train_noisy.csv")
            columns = [scores.classes.index(name) for name in noisy.classes]
            rank = {}
            for name, target in given.items():
                row = scores.select([name]).scores[0, columns]
                agreement = label_ranking_average_precision_score(target[None].int(), row[None])
                rank[name] = (-round(agreement, 9), -float(row[target].min() - row[~target].max()), name)
            chosen = read_labels(finished / "rounds" / f"round_{number}.csv", classes=noisy.classes)
            assert list(chosen.names) == sorted(given, key=rank.get)[:size]
            for name, target in zip(chosen.names, chosen.target, strict=True):
                assert torch.equal(target, given[name])
            rows = rows_of(finished / "rounds" / f"round_{number}.csv")
            assert [float(row["agreement"]) for row in rows] == pytest.approx(
                [-rank[name][0] for name in chosen.names], abs=1e-6
            )

    def test_the_rest_gets_as_many_labels_as_the_curated_clips(self, finished, corpus):
        curated = read_labels(corpus / "train_curated.csv")
        rows = rows_of(finished / "rounds" / "relabelled.csv")
        chosen = read_labels(finished / "rounds" / "round_2.csv", classes=curated.classes)
        assert {row["fname"] for row in rows if row["source"] == "given"} == set(chosen.names)
        predicted = [len(row["labels"].split(",")) for row in rows if row["source"] == "predicted"]
        mean = float(curated.target.sum(1).double().mean())
        assert sum(predicted) == round(mean * (10 - len(chosen)))

    def test_members_are_trained_on_their_clips(self, finished):
        for member in PLAN.members:
            folder, clips = finished / "models" / member.name, clips_of(member)
            settings = tomllib.loads((folder / "settings.toml").read_text())
            expected = None if clips == CURATED else str(finished / "rounds" / f"{clips}.csv")
            assert settings["clips"].get("extra") == expected
            assert settings["network"]["name"] == member.network.name
            assert settings["network"]["pooling"] == member.network.settings["pooling"]
            log = (folder / "fold_1" / "log.txt").read_text()
            assert len(log.splitlines()) == member.optim.epochs

    def test_summary(self, finished):
        rows = {row["what"]: row for row in rows_of(finished / "summary.csv")}
        figures, chosen = figures_of(finished), chosen_blend(figures_of(finished))
        assert tuple(rows)[:5] == FIVE
        assert [row["clips"] for row in rows.values()][:5] == [clips_of(m) for m in PLAN.members]
        assert sum(" *" in name for name in rows) == 1
        fitted = rows["fitted *" if chosen == "fitted" else "fitted"]
        assert float(fitted["lwlrap"]) == figures["fitted"]
        assert float(fitted["nested"]) == figures["nested"]
        times = [json.loads(path.read_text())["seconds"] for path in (finished / "times").iterdir()]
        # The table was written before its own time was known.
        assert float(rows["all steps"]["seconds"]) == pytest.approx(sum(times), abs=2)

    def test_a_missing_fold(self, finished, corpus, tmp_path):
        shutil.copytree(finished / "models" / "2d_max", tmp_path / "m")
        names = read_labels(corpus / "train_curated.csv").names
        assert out_of_fold(Run(tmp_path / "m"), names).scores.names == names
        shutil.rmtree(tmp_path / "m" / "fold_1")
        with pytest.raises(ValueError, match="wanted each of the 32 curated clips"):
            out_of_fold(Run(tmp_path / "m"), names)


class TestAgain:
    """What is done is not done again."""

    def test_nothing_is_left_to_do(self, finished, corpus, capsys):
        before = contents(finished)
        again(corpus, finished)
        assert contents(finished) == before
        printed = capsys.readouterr().out
        assert f"python examples/tools/report --run {finished} --data {corpus}" in printed
        assert "1d_max_all" in printed
        assert "==" not in printed

    def test_dry_run_lists_what_is_done(self, finished, corpus, tmp_path, capsys):
        again(corpus, finished, "--dry-run")
        done = capsys.readouterr().out.splitlines()
        recipe(corpus, tmp_path / "new", "--plan", finished / "plan.json", "--dry-run")
        to_do = capsys.readouterr().out.splitlines()
        assert not (tmp_path / "new").exists()
        assert done[-1].endswith(" steps, 0 to do")
        assert all(line.startswith("done") for line in done[:-1])
        assert all(line.startswith("to do") for line in to_do[:-1])
        assert [line[5:].strip() for line in done[:-1]] == [line[5:].strip() for line in to_do[:-1]]
        assert len(done) == 1 + 10 + 3 + 3 + 5 + 2

    def test_what_is_missing_is_made_again_and_nothing_else(self, finished, corpus, tmp_path):
        run = tmp_path / "run"
        shutil.copytree(finished, run)
        for name in ("submission.csv", "scores/2d_rnn.test.csv", "rounds/round_2.csv"):
            (run / name).unlink()
        again(corpus, run)
        before, after = contents(finished), contents(run)
        assert after.keys() == before.keys()
        fresh = {path for path in after if after[path][0] != before[path][0]} - {(run / "plan.json").name}
        made = {"submission.csv", "2d_rnn.test.csv", "round_2.csv", "mean.csv", "fitted.csv", "weights.csv"}
        assert {path.name for path in fresh if path.suffix == ".csv"} == made | {"figures.csv"}
        assert all(after[path][1] == before[path][1] for path in fresh if path.suffix == ".csv")

    def test_only_one_member_of_another_plan(self, corpus, tmp_path, capsys):
        plan = write_tiny_plan(tmp_path / "plan.json", names=THREE, sizes=(4,))
        recipe(corpus, tmp_path / "run", "--plan", plan, "--only", "2d_max", "--dry-run")
        names = [line[5:].strip() for line in capsys.readouterr().out.splitlines()][:-1]
        assert names == ["train 2d_max fold 0", "train 2d_max fold 1", "predict test 2d_max"]

    def test_interrupted_at_every_step(self, corpus, tmp_path, monkeypatch):
        """Interrupted before and after each training and prediction, it comes to the same end."""
        plan = write_tiny_plan(tmp_path / "plan.json", names=THREE[:2], sizes=(4,))
        recipe(corpus, tmp_path / "whole", "--plan", plan)
        calls = []

        def interrupted(work):
            def call(*args, **options):
                calls.append(work.__name__)
                if len(calls) % 3 == 1:
                    raise KeyboardInterrupt
                work(*args, **options)
                if len(calls) % 3 == 2:
                    raise KeyboardInterrupt

            return call

        for name in ("train", "predict_folder"):
            monkeypatch.setattr(job_module, name, interrupted(getattr(job_module, name)))
        attempts = 0
        while not (tmp_path / "run" / "summary.csv").exists():
            attempts += 1
            with contextlib.suppress(SystemExit):
                recipe(corpus, tmp_path / "run", "--plan", plan)
        assert attempts > 4
        assert results(tmp_path / "run") == results(tmp_path / "whole")
        # A training that had ended before the interruption is not repeated.
        early = [name for index, name in enumerate(calls) if index % 3 == 0]
        assert calls.count("train") == 4 + early.count("train")


class TestRefused:
    """One line each, before anything is trained."""

    def test_options(self, corpus, tmp_path, capsys):
        run = tmp_path / "run"
        plan = write_tiny_plan(tmp_path / "plan.json")
        common = [capsys, corpus, run, "--plan", plan]
        refused(*common, "--only", "3d_max", match="--only: wanted members of the plan (2d_max, ")
        refused(*common, "--set", "rounds.sizes=1", match="rounds.sizes: wanted 2, one for each round, got 1")
        refused(*common, "--set", "clips.folds=1", match="clips.folds: wanted one number from 2")
        refused(*common, "--set", "rounds.mean_labels=17", match="rounds.mean_labels: wanted at most 16")
        refused(*common, "--device", "abacus", match="--device: wanted one that this machine has")
        refused(*common, "--cpus-per-step", "0", match="wanted an integer from 1")
        refused(capsys, corpus, run, "--scale", "tiny", match="invalid choice: 'tiny'")
        refused(capsys, corpus, run, "--plan", corpus / "test", match=str(corpus / "test"))
        assert not run.exists()

    def test_folders(self, corpus, finished, tmp_path, capsys):
        plan = ["--plan", finished / "plan.json"]
        refused(capsys, tmp_path / "no", tmp_path / "run", *plan, match="--data: wanted a folder")
        other = [*plan, "--set", "optim.seed=1"]
        refused(capsys, corpus, finished, *other, match="holds a run of another plan: optim.seed 42, now 1. ")
        (tmp_path / "mine").write_text("")
        refused(capsys, corpus, tmp_path, *plan, match="holds other things")

    def test_clips(self, corpus, finished, tmp_path, capsys):
        data, run = tmp_path / "data", tmp_path / "run"
        shutil.copytree(corpus, data)
        common = [capsys, data, run, "--plan", finished / "plan.json"]
        for path in (next((data / "test").iterdir()), data / "train_noisy" / "n3.wav"):
            content = path.read_bytes()
            path.write_bytes(b"no sound")
            refused(*common, match=path.name)
            path.write_bytes(content)
        for name in ("train_noisy.csv", "sample_submission.csv"):
            (data / name).rename(tmp_path / name)
            refused(*common, match=name)
            (tmp_path / name).rename(data / name)
        assert not run.exists()

    def test_a_clip_that_is_in_no_table(self, corpus, tmp_path, capsys):
        """Its prediction fails, and its table of scores is not there afterwards."""
        data, run = tmp_path / "data", tmp_path / "run"
        shutil.copytree(corpus, data)
        (data / "test" / "stray.wav").write_bytes(b"no sound")
        plan = write_tiny_plan(tmp_path / "plan.json", names=THREE, sizes=(4,))
        refused(capsys, data, run, "--plan", plan, "--only", "2d_max", match="stray.wav")
        assert not (run / "scores" / "2d_max.test.csv").exists()
        (data / "test" / "stray.wav").unlink()
        capsys.readouterr()
        recipe(data, run, "--plan", plan, "--only", "2d_max")
        assert [line for line in capsys.readouterr().out.splitlines() if "==" in line] == [
            "== predict test 2d_max"
        ]


def test_threads_of_the_first_call_are_kept(corpus, finished, tmp_path, capsys):
    run = tmp_path / "run"
    shutil.copytree(finished, run)
    threads = []
    for options in ([], ["--cpus-per-step", "2"], []):
        (run / "summary.csv").unlink()
        again(corpus, run, *options)
        threads.append(json.loads((run / "plan.json").read_text())["cpus_per_step"])
    assert threads == [1, 2, 2]
    assert "--cpus-per-step 2: the plan had 1" in capsys.readouterr().out
