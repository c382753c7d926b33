"""What the benchmarks write, and the page that shows it."""

import importlib
import re
import sys
from pathlib import Path

import pytest
import torch

ROOT = Path(__file__).parents[1]
MEASURED = sorted((ROOT / "docs" / "measured").glob("*.md"))
SCRIPTS = {path.name for path in (ROOT / "benchmarks").glob("[a-z]*.py")}


@pytest.fixture
def table(monkeypatch):
    """The module that every benchmark prints with."""
    monkeypatch.syspath_prepend(ROOT / "benchmarks")
    yield importlib.import_module("_table")
    sys.modules.pop("_table")


def test_what_is_printed_is_what_is_written(table, tmp_path, monkeypatch, capsys):
    out = tmp_path / "losses.md"
    words = ["/anywhere/losses.py", "--out", str(out), "--rounds", "3", "--data", str(tmp_path)]
    monkeypatch.setattr(sys, "argv", words)
    with table.published(out, "scikit-learn 1.5"):
        table.show("Two", ["what", "time"], [["one", "1 ms"], ["another", "20 ms"]])
    first, *rest = out.read_text().splitlines()
    assert first.startswith("`python benchmarks/losses.py --rounds 3 --data ...`: ")
    assert first.endswith(", scikit-learn 1.5.")
    assert rest[1:] == [
        "Two:",
        "",
        "| what    | time  |",
        "| ------- | ----- |",
        "| one     | 1 ms  |",
        "| another | 20 ms |",
    ]
    assert capsys.readouterr().out == out.read_text()


def test_a_benchmark_that_fails_leaves_the_old_file(table, tmp_path, capsys):
    out = tmp_path / "losses.md"
    out.write_text("as it was")
    with pytest.raises(KeyError), table.published(out):
        raise KeyError
    assert out.read_text() == "as it was"
    assert "python benchmarks/" in capsys.readouterr().out


def test_every_file_is_shown_on_one_page():
    pages = [path.read_text() for path in (ROOT / "docs").glob("*.md")]
    shown = [name for page in pages for name in re.findall(r"```\{include\} measured/(.*)", page)]
    assert sorted(shown) == [path.name for path in MEASURED]


@pytest.mark.parametrize("path", MEASURED, ids=lambda path: path.stem)
def test_every_file_says_which_script_wrote_it(path):
    said = re.match(r"`python benchmarks/(\w+\.py)[^`]*`", path.read_text())
    assert said[1] in SCRIPTS


def test_measures_of_draws_are_those_of_the_drawn_clips(table):
    """The comparison of losses weights clips by how often they are drawn. scikit-learn gets the copies."""
    metrics = pytest.importorskip("sklearn.metrics")
    decisions = importlib.import_module("_decisions")
    scores, target = torch.randn(30, 3), torch.rand(30, 3) < 0.4
    draws = torch.randint(30, (4, 30))
    counts, labels = decisions.counts_of(draws), scores > 0.2
    each = [scores[draws], target[draws], labels[draws]]
    for row, (s, t, decided) in enumerate(zip(*each, strict=True)):
        expected = {
            decisions.mean_average_precision: metrics.average_precision_score(t, s, average="macro"),
            decisions.macro_f1: metrics.f1_score(t, decided, average="macro"),
            decisions.micro_f1: metrics.f1_score(t, decided, average="micro"),
        }
        for measure, value in expected.items():
            given = scores if measure is decisions.mean_average_precision else labels
            assert float(measure(given, target, counts)[row]) == pytest.approx(value)
    cuts = [metrics.f1_score(target.flatten(), (scores >= cut).flatten()) for cut in scores.flatten()]
    best = scores > decisions.common_threshold(scores, target)
    assert metrics.f1_score(target.flatten(), best.flatten()) == pytest.approx(max(cuts))
