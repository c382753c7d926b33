"""``recipe --system all``: three small systems, and one submission."""

import shutil

import pytest
import torch

import freesound2019
import tiny_first
import tiny_recipe
import tiny_second
from freesound import recipe
from freesound.job import Job
from rankaudio import lwlrap
from rankaudio.data import read_scores
from rankaudio.ensemble import blend, stack_tables
from tiny_recipe import make_tiny_corpus, rows_of

pytestmark = pytest.mark.slow

PLANS = {
    "third": tiny_recipe.tiny_plan(names=("2d_max", "2d_rnn"), sizes=()),
    "second": tiny_second.tiny_plan(names=("v1mix",)),
    "first": tiny_first.tiny_plan(names=("corrections_003",)),
}


def run(data, folder, *options):
    """Run the command on the tiny plans."""
    words = ["recipe", "--system", "all", "--scale", "small", "--data", data, "--run", folder]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(recipe, "SYSTEMS", {name: {"small": plan} for name, plan in PLANS.items()})
        freesound2019.main([str(word) for word in (*words, "--device", "cpu", *options)])


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """The tiny corpus."""
    folder = tmp_path_factory.mktemp("corpus")
    make_tiny_corpus(folder)
    return folder


@pytest.fixture(scope="module")
def finished(data, tmp_path_factory):
    """The run of all systems, from beginning to end."""
    folder = tmp_path_factory.mktemp("all") / "run"
    run(data, folder)
    return folder


def test_answers_of_all_systems_are_blended_by_rank(finished, data):
    template = read_scores(data / "sample_submission.csv")
    made = read_scores(finished / "blend" / "mean.csv")
    assert (made.names, made.classes) == (template.names, template.classes)
    tables = [read_scores(finished / system / "submission.csv") for system in PLANS]
    stack = stack_tables(tables, names=made.names, classes=made.classes).scores
    torch.testing.assert_close(made.scores, blend(stack, method="rank"))
    rows = {row["what"]: row for row in rows_of(finished / "summary.csv")}
    assert {name.removesuffix(" *") for name in rows} == {*PLANS, "mean", "fitted"}
    chosen = next(name for name in rows if name.endswith(" *")).removesuffix(" *")
    expected = (finished / "blend" / f"{chosen}.csv").read_bytes()
    assert (finished / "submission.csv").read_bytes() == expected


def test_figures_of_systems_are_those_of_their_submissions(finished, data):
    """The value of each system is the one that its own run reports, nested where weights were fitted."""
    target = Job(data, finished).corpus.curated.target
    for row in rows_of(finished / "blend" / "weights.csv"):
        system = row["member"]
        figures = {
            row["what"]: float(row["lwlrap"]) for row in rows_of(finished / system / "blend" / "figures.csv")
        }
        better = max(figures["mean"], figures["nested" if system == "third" else "all"])
        assert float(row["lwlrap"]) == pytest.approx(better, abs=1e-5)
        scores = PLANS[system].held_out(Job(data, finished / system)).scores
        assert float(lwlrap(scores, target)) == pytest.approx(better, abs=1e-5)


def test_nothing_is_done_twice(finished, data, capsys):
    run(data, finished, "--dry-run")
    counts = [line for line in capsys.readouterr().out.splitlines() if line.endswith("to do")]
    assert len(counts) == 4
    assert all(line.endswith("steps, 0 to do") for line in counts)


def test_wrong_options(finished, data, tmp_path):
    with pytest.raises(SystemExit, match="--only: wanted one system, got --system all"):
        run(data, finished, "--only", "v1mix")
    shutil.copytree(finished / "second", tmp_path / "second")
    with pytest.raises(SystemExit, match="holds a run of one system"):
        run(data, tmp_path / "second")
    with pytest.raises(SystemExit, match="--set: wanted"):
        run(data, tmp_path / "run", "--set", "rounds.relabel=merge")
