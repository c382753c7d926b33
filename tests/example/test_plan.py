"""The whole plan at a tiny scale: rounds, members, blend, submission; once done nothing is done again."""

import contextlib
import csv
import dataclasses
import functools
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from freesound.runs import Run
from scipy.io import wavfile
from sklearn.metrics import label_ranking_average_precision_score

import freesound2019
from freesound import console
from freesound import steps as steps_module
from freesound.blending import chosen_blend, out_of_fold
from freesound.commands import recipe as command
from freesound.plan import CURATED, GUIDES, MEMBERS, RELABELLED, SCALES, Plan, Scale, train_options
from freesound.rounds import choose_clips, label_the_rest
from freesound.steps import Step, Steps
from freesound.synthetic import SOUNDS, make_corpus
from rankaudio import lwlrap
from rankaudio.data import ScoreTable, read_labels, read_scores, write_scores

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
        ScoreTable([template.names[row] for row in order], classes, torch.zeros(len(order), len(classes))),
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


def shorten(patch):
    """A plan of three members and one round."""
    members = tuple(member for member in MEMBERS if member.name in {"2d_max", "2d_max_r1", "2d_max_all"})
    patch.setattr(command, "Plan", functools.partial(Plan, members=members, guides=GUIDES[:2]))
    patch.setitem(SCALES, "small", dataclasses.replace(TINY, sizes=(4,)))


@pytest.fixture
def three(monkeypatch):
    shorten(monkeypatch)


@pytest.fixture(scope="module")
def whole(corpus, tmp_path_factory):
    """That plan, carried out without interruption."""
    run = tmp_path_factory.mktemp("three") / "run"
    with pytest.MonkeyPatch.context() as patch:
        shorten(patch)
        recipe(corpus, run)
    return run


class TestPlan:
    """The table, and what becomes of it."""

    def test_eleven_members_of_all_kinds(self):
        assert len({member.name for member in MEMBERS}) == len(MEMBERS) == 11
        kinds = {(member.model, member.pooling) for member in MEMBERS}
        assert kinds == {("2d", "max"), ("2d", "rnn"), ("1d", "max"), ("1d", "rnn")}
        rounds = {f"round_{number}" for number in range(1, 6)}
        assert {member.clips for member in MEMBERS} == rounds | {CURATED, RELABELLED}

    def test_each_guide_was_trained_on_the_round_before(self):
        plan = Plan(SCALES["full"])
        assert [plan.round_of(plan.member(name).clips) for name in GUIDES] == [0, 1, 2, 3, 4, 5]

    def test_full_scale_is_that_of_the_original(self):
        plan = Plan(SCALES["full"])
        assert plan.scale.sizes == (1000, 2000, 3000, 4000, 5000)
        words = train_options(plan.member("2d_max_r1"), plan)
        options = dict(zip(words[::2], words[1::2], strict=True))
        assert options == {
            "--model": "2d",
            "--pooling": "max",
            "--blocks": "6",
            "--base-depth": "50",
            "--dropout": "0.7",
            "--epochs": "150",
            "--augment-until": "140",
            "--batch-size": "20",
            "--folds": "5",
            "--seed": "42",
            "--mixup": "0.5",
            "--effects": "0.75",
            "--shuffle": "0.5",
        }
        words = train_options(plan.member("2d_rnn"), plan)
        assert dict(zip(words[::2], words[1::2], strict=True))["--shuffle"] == "0.0"

    @pytest.mark.parametrize("scale", ["full", "small"])
    def test_every_member_is_something_that_train_takes(self, scale):
        plan = Plan(SCALES[scale])
        for member in plan.members:
            words = train_options(member, plan)
            args = console.parser().parse_args(["train", "--data", "d", "--run", "r", *words])
            assert args.model == member.model
            assert 1 <= args.augment_until <= args.epochs

    @pytest.mark.parametrize(
        ("member", "guides"),
        [("2d_max", 0), ("2d_rnn", 0), ("2d_max_r1", 1), ("2d_rnn_r5", 5), ("1d_max_all", 6)],
    )
    def test_a_member_brings_the_guides_it_needs(self, member, guides):
        needed = [one.name for one in Plan(SCALES["full"]).needed_by([member])]
        assert set(needed) == {member, *GUIDES[:guides]}

    @pytest.mark.parametrize("sizes", [(1, 2, 3, 4), (0, 1, 2, 3, 4), (5, 4, 3, 2, 1)])
    def test_sizes_that_make_no_sense(self, sizes):
        with pytest.raises(ValueError, match="--sizes: wanted"):
            Plan(dataclasses.replace(TINY, sizes=sizes))


class TestWholePlan:
    """Carried out once, by the fixture, without the labels of the test part."""

    def test_submission_is_in_the_layout_asked_for(self, carried_out, corpus):
        made, wanted = (
            read_scores(carried_out / "submission.csv"),
            read_scores(corpus / "sample_submission.csv"),
        )
        assert made.classes == wanted.classes != tuple(sorted(SOUNDS))
        assert made.names == wanted.names != tuple(sorted(wanted.names))
        assert made.scores.isfinite().all()
        assert made.scores.std(0).min() > 0

    def test_submission_is_the_blend_of_the_members(self, carried_out):
        rows, figures = rows_of(carried_out / "blend" / "weights.csv"), figures_of(carried_out)
        assert [row["member"] for row in rows] == [member.name for member in MEMBERS]
        weights = np.array([float(row["weight"]) for row in rows])
        assert weights.min() >= 0
        assert weights.sum() == pytest.approx(1, abs=1e-5)
        made = read_scores(carried_out / "submission.csv")
        tables = [read_scores(carried_out / "scores" / f"{member.name}.test.csv") for member in MEMBERS]
        columns = [tables[0].classes.index(name) for name in made.classes]
        scores = np.stack([table.select(made.names).scores[:, columns].double().numpy() for table in tables])
        for name, share in {"mean": np.full(11, 1 / 11), "fitted": weights}.items():
            table = read_scores(carried_out / "blend" / f"{name}.csv")
            np.testing.assert_allclose(table.scores, np.tensordot(share, scores, 1), atol=2e-5)
        chosen = read_scores(carried_out / "blend" / f"{chosen_blend(figures)}.csv")
        assert torch.equal(made.scores, chosen.scores)

    def test_figures_are_those_of_clips_held_out(self, carried_out, corpus):
        labels, figures = read_labels(corpus / "train_curated.csv"), figures_of(carried_out)
        stack = []
        for member, row in zip(MEMBERS, rows_of(carried_out / "blend" / "weights.csv"), strict=True):
            folds = [
                read_scores(carried_out / "models" / member.name / f"fold_{fold}" / "valid.csv")
                for fold in (0, 1)
            ]
            known = {n: s for table in folds for n, s in zip(table.names, table.scores, strict=True)}
            columns = [folds[0].classes.index(name) for name in labels.classes]
            stack.append(torch.stack([known[name][columns] for name in labels.names]).double())
            assert float(row["lwlrap"]) == pytest.approx(float(lwlrap(stack[-1], labels.target)), abs=1e-6)
        mean = torch.stack(stack).mean(0)
        assert figures["mean"] == pytest.approx(float(lwlrap(mean, labels.target)), abs=1e-6)
        assert figures["fitted"] >= max(figures["mean"], figures["nested"])

    def test_each_round_takes_the_clips_that_agree_best(self, carried_out, corpus):
        noisy = read_labels(corpus / "train_noisy.csv", classes=sorted(SOUNDS), strict=False)
        given = {n: t for n, t in zip(noisy.names, noisy.target, strict=True) if t.any()}
        assert "n4.wav" not in given
        for number, (guide, size) in enumerate(zip(GUIDES, TINY.sizes, strict=False), start=1):
            scores = read_scores(carried_out / "scores" / f"{guide}.noisy.csv")
            columns = [scores.classes.index(name) for name in noisy.classes]
            rank = {}
            for name, target in given.items():
                row = scores.select([name]).scores[0, columns]
                agreement = label_ranking_average_precision_score(target[None].int(), row[None])
                rank[name] = (-round(agreement, 9), -float(row[target].min() - row[~target].max()), name)
            chosen = read_labels(carried_out / "rounds" / f"round_{number}.csv", classes=noisy.classes)
            assert list(chosen.names) == sorted(given, key=rank.get)[:size]
            for name, target in zip(chosen.names, chosen.target, strict=True):
                assert torch.equal(target, given[name])
            rows = rows_of(carried_out / "rounds" / f"round_{number}.csv")
            assert [float(row["agreement"]) for row in rows] == pytest.approx(
                [-rank[name][0] for name in chosen.names], abs=1e-6
            )

    def test_the_rest_gets_as_many_labels_as_asked_for(self, carried_out, corpus):
        curated = read_labels(corpus / "train_curated.csv")
        rows = rows_of(carried_out / "rounds" / "relabelled.csv")
        chosen = read_labels(carried_out / "rounds" / "round_5.csv", classes=curated.classes)
        assert [row["fname"] for row in rows if row["source"] == "given"] == list(chosen.names)
        predicted = [len(row["labels"].split(",")) for row in rows if row["source"] == "predicted"]
        mean = float(curated.target.sum(1).double().mean())
        assert sum(predicted) == round(mean * (10 - len(chosen)))

    def test_members_are_trained_on_their_clips(self, carried_out):
        for member in MEMBERS:
            settings = json.loads((carried_out / "models" / member.name / "settings.json").read_text())
            expected = None if member.clips == CURATED else f"{member.clips}.csv"
            assert (None if settings["extra"] is None else Path(settings["extra"]).name) == expected
            assert (settings["model"], settings["pooling"]) == (member.model, member.pooling)
            log = (carried_out / "models" / member.name / "fold_1" / "log.txt").read_text()
            assert len(log.splitlines()) == max(1, round(member.epochs * TINY.epochs))

    def test_summary(self, carried_out):
        rows = {row["what"]: row for row in rows_of(carried_out / "summary.csv")}
        figures, chosen = figures_of(carried_out), chosen_blend(figures_of(carried_out))
        assert list(rows)[:11] == [member.name for member in MEMBERS]
        assert sum(" *" in name for name in rows) == 1
        fitted = rows["fitted *" if chosen == "fitted" else "fitted"]
        assert float(fitted["lwlrap"]) == figures["fitted"]
        assert float(fitted["nested"]) == figures["nested"]
        assert float(rows["all steps"]["seconds"]) > 0

    def test_again_does_nothing(self, carried_out, corpus, tiny, capsys):
        before = contents(carried_out)
        recipe(corpus, carried_out)
        assert contents(carried_out) == before
        printed = capsys.readouterr().out
        assert "nothing left to do" in printed
        assert "1d_max_all" in printed
        assert "epoch" not in printed

    def test_dry_run_says_what_is_done(self, carried_out, corpus, tiny, tmp_path, capsys):
        recipe(corpus, carried_out, "--dry-run")
        done = capsys.readouterr().out.splitlines()
        recipe(corpus, tmp_path / "new", "--dry-run")
        to_do = capsys.readouterr().out.splitlines()
        assert not (tmp_path / "new").exists()
        assert done[-1].endswith(" steps, 0 to do")
        assert all(line.startswith("done") for line in done[:-1])
        assert all(line.startswith("to do") for line in to_do[:-1])
        assert [line[5:].strip() for line in done[:-1]] == [line[5:].strip() for line in to_do[:-1]]
        assert len(done) == 1 + 22 + 6 + 6 + 11 + 2

    def test_what_is_gone_is_made_again_and_nothing_else(self, carried_out, corpus, tiny, tmp_path):
        run = tmp_path / "run"
        shutil.copytree(carried_out, run)
        for name in ("submission.csv", "scores/2d_rnn.test.csv", "rounds/round_5.csv"):
            (run / name).unlink()
        recipe(corpus, run)
        before, after = contents(carried_out), contents(run)
        assert after.keys() == before.keys()
        fresh = {path for path in after if after[path][0] != before[path][0]}
        made = {"submission.csv", "2d_rnn.test.csv", "round_5.csv", "mean.csv", "fitted.csv", "weights.csv"}
        assert {path.name for path in fresh if path.suffix == ".csv"} == made | {"figures.csv"}
        assert all(after[path][1] == before[path][1] for path in fresh if path.suffix == ".csv")


def figures_of(run):
    return {row["what"]: float(row["lwlrap"]) for row in rows_of(run / "blend" / "figures.csv")}


def results(run):
    """Everything but times."""
    kept = [run / "submission.csv", *sorted(run.glob("*/*.csv")), *sorted(run.glob("models/*/*/valid.csv"))]
    return {path.relative_to(run): path.read_bytes() for path in kept}


class TestInterruption:
    """Whenever it ends, the next call goes on to the same end."""

    @pytest.mark.parametrize("when", ["before", "after"])
    def test_killed_at_every_command(self, corpus, three, whole, tmp_path, monkeypatch, when):
        real, calls = steps_module.run_command, []

        def run_command(words):
            if when == "after":
                real(words)
            calls.append(words[0])
            if len(calls) % 2:
                raise KeyboardInterrupt
            if when == "before":
                real(words)

        monkeypatch.setattr(steps_module, "run_command", run_command)
        attempts = 0
        while not (tmp_path / "run" / "submission.csv").exists():
            attempts += 1
            with contextlib.suppress(SystemExit):
                recipe(corpus, tmp_path / "run")
        # Of 11 commands half the calls fail; training that was done before it failed is not done again.
        assert attempts > 5
        recipe(corpus, tmp_path / "run")
        assert results(tmp_path / "run") == results(whole)

    def test_several_at_a_time_and_a_mistake_in_one_of_them(self, corpus, three, whole, tmp_path, capsys):
        data, run = tmp_path / "data", tmp_path / "run"
        shutil.copytree(corpus, data)
        # In no table, so that it is not looked at beforehand.
        (data / "train_noisy" / "stray.wav").write_bytes(b"no sound")
        words = ["recipe", "--data", data, "--run", run, "--scale", "small", "--jobs", "2", *CPU]
        with pytest.raises(SystemExit, match="stray.wav"):
            freesound2019.main([str(word) for word in words])
        printed = capsys.readouterr().out
        assert "train 2d_max fold 1: done" in printed
        assert "epoch" not in printed
        assert "epoch" in (run / "logs" / "train_2d_max_fold_1.log").read_text()
        assert (run / "times" / "train_2d_max_fold_1.json").exists()
        assert not (run / "scores" / "2d_max.noisy.csv").exists()
        (data / "train_noisy" / "stray.wav").unlink()
        recipe(data, run)
        assert results(run).keys() == results(whole).keys()
        assert "train 2d_max fold" not in capsys.readouterr().out


class TestSteps:
    """Order and readiness, without anything to train."""

    def test_each_waits_for_what_it_needs(self, tmp_path):
        order = []

        def step(name, *needs):
            out = tmp_path / name
            return Step(name, needs, work=lambda: (order.append(name), out.write_text("")), out=out)

        (tmp_path / "b").write_text("")
        steps = [step("a"), step("b", "a"), step("c", "b"), step("d", "a", "c")]
        Steps(steps, tmp_path).run(devices=["cpu"])
        assert order == ["a", "c", "d"]
        Steps(steps, tmp_path).run(devices=["cpu"])
        assert order == ["a", "c", "d"]

    def test_the_first_that_can_begin_is_next(self, tmp_path):
        def step(name, *needs, work=None):
            return Step(name, needs, command=("train",), work=work)

        a, b, c = step("a"), step("b", "a"), step("c")
        quick = step("quick", "a", work=lambda: None)
        steps = Steps([a, b, c, quick], tmp_path)
        assert steps._next([a, b, c, quick], {}, room=True) is a
        assert steps._next([b, c, quick], {None: (a, "cpu")}, room=True) is c
        assert steps._next([b, c, quick], {}, room=True) is b
        assert steps._next([b, c, quick], {}, room=False) is quick
        assert steps._next([b, quick], {None: (a, "cpu")}, room=True) is None


CLASSES = ("Bark", "Meow", "Purr")
GIVEN = [["a.wav", "Bark"], ["b.wav", "Meow"], ["c.wav", "Hum"], ["d.wav", "Purr,Bark"], ["e.wav", "Purr"]]
SCORES = [[3, 1, 0], [2, 1, 0], [5, 0, 0], [1, 9, 2], [0, 1, 4.5]]


class TestRounds:
    """Choosing and labelling, by hand."""

    def tables(self, folder):
        write_csv(folder / "noisy.csv", ["fname", "labels"], GIVEN)
        rows = [[row[0], *scores] for row, scores in zip(GIVEN, SCORES, strict=True)]
        write_csv(folder / "scores.csv", ["fname", *CLASSES], reversed(rows))
        return folder / "noisy.csv", folder / "scores.csv", folder / "out.csv"

    def test_choice(self, tmp_path):
        noisy, scores, out = self.tables(tmp_path)
        assert choose_clips(noisy, scores, out, classes=CLASSES, size=3) == 3
        # d: Purr is second of two labels and three classes, Bark third: (1/2 + 2/3) / 2; b: 1/2.
        assert [tuple(row.values()) for row in rows_of(out)] == [
            ("e.wav", "Purr", "1.000000", "3.5", "given"),
            ("a.wav", "Bark", "1.000000", "2", "given"),
            ("d.wav", "Bark,Purr", "0.583333", "-8", "given"),
        ]
        assert choose_clips(noisy, scores, out, classes=CLASSES, size=99) == 4

    @pytest.mark.parametrize(
        ("mode", "rest"),
        [
            ("all", {"b.wav": "Bark", "c.wav": "Bark", "d.wav": "Meow"}),
            ("merge", {"b.wav": "Bark,Meow", "c.wav": "Bark", "d.wav": "Bark,Meow,Purr"}),
            ("match", {}),
        ],
    )
    def test_labels_of_the_rest(self, tmp_path, mode, rest):
        noisy, scores, out = self.tables(tmp_path)
        chosen = tmp_path / "chosen.csv"
        choose_clips(noisy, scores, chosen, classes=CLASSES, size=2)
        count = label_the_rest(noisy, scores, chosen, out, classes=CLASSES, mode=mode, mean_labels=1)
        rows = {row["fname"]: row for row in rows_of(out)}
        assert count == len(rows) == 2 + len(rest)
        kept = {"e.wav": "Purr", "a.wav": "Bark"}
        assert {name: row["labels"] for name, row in rows.items()} == kept | rest
        assert {name for name, row in rows.items() if row["source"] == "given"} == set(kept)

    def test_no_rest(self, tmp_path):
        noisy, scores, out = self.tables(tmp_path)
        write_csv(noisy, ["fname", "labels"], GIVEN[:2])
        chosen = tmp_path / "chosen.csv"
        choose_clips(noisy, scores, chosen, classes=CLASSES, size=2)
        label_the_rest(noisy, scores, chosen, out, classes=CLASSES, mean_labels=1)
        assert out.read_bytes() == chosen.read_bytes()

    def test_nothing_to_choose_from(self, tmp_path):
        noisy, scores, out = self.tables(tmp_path)
        write_csv(noisy, ["fname", "labels"], [["c.wav", "Hum"]])
        with pytest.raises(ValueError, match="wanted at least one clip with a label"):
            choose_clips(noisy, scores, out, classes=CLASSES, size=2)
        assert not out.exists()


class TestMistakes:
    """One line each, before anything is trained."""

    def refused(self, capsys, data, run, *options, match):
        refused(
            capsys, "recipe", "--data", data, "--run", run, "--scale", "small", *CPU, *options, match=match
        )

    def test_options(self, corpus, tiny, tmp_path, capsys):
        run = tmp_path / "run"
        self.refused(capsys, corpus, run, "--only", "3d_max", match="invalid choice: '3d_max'")
        self.refused(capsys, corpus, run, "--sizes", "1", "2", match="--sizes: wanted 5, one a round, got 2")
        self.refused(capsys, corpus, run, "--folds", "1", match="--folds: wanted 2 or more")
        self.refused(capsys, corpus, run, "--mean-labels", "17", match="--mean-labels: wanted at most 16")
        self.refused(capsys, corpus, run, "--mean-labels", "0", match="wanted a number above 0")
        self.refused(
            capsys, corpus, run, "--device", "abacus", match="--device: wanted one that this machine has"
        )
        assert not run.exists()

    def test_folders(self, corpus, tiny, carried_out, tmp_path, capsys):
        self.refused(capsys, tmp_path / "no", tmp_path / "run", match="--data: wanted a folder")
        self.refused(
            capsys, corpus, carried_out, "--seed", "1", match="begun with another plan: seed 42, now 1"
        )
        (tmp_path / "mine").write_text("")
        self.refused(capsys, corpus, tmp_path, match="holds other things")

    def test_clips(self, corpus, tiny, tmp_path, capsys):
        data, run = tmp_path / "data", tmp_path / "run"
        shutil.copytree(corpus, data)
        test, noisy = next((data / "test").iterdir()), data / "train_noisy" / "n3.wav"
        for path in (test, noisy):
            content = path.read_bytes()
            path.write_bytes(b"no sound")
            self.refused(capsys, data, run, match=path.name)
            path.write_bytes(content)
        for name in ("train_noisy.csv", "sample_submission.csv"):
            (data / name).rename(tmp_path / name)
            self.refused(capsys, data, run, match=name)
            (tmp_path / name).rename(data / name)
        assert not run.exists()

    def test_a_fold_that_is_missing(self, carried_out, corpus, tmp_path):
        shutil.copytree(carried_out / "models" / "2d_max", tmp_path / "m")
        names = read_labels(corpus / "train_curated.csv").names
        assert out_of_fold(Run(tmp_path / "m"), names).scores.names == names
        shutil.rmtree(tmp_path / "m" / "fold_1")
        with pytest.raises(ValueError, match="wanted each of the 32 curated clips"):
            out_of_fold(Run(tmp_path / "m"), names)
