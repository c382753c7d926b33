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


@pytest.fixture
def run_of_all(tmp_path):
    """Labels of a test part, and what a run of three systems writes: one is right, one wrong, one between."""
    (tmp_path / "blend").mkdir()
    names, classes = [f"{k}.wav" for k in range(8)], ["a", "b"]
    labels = [f"{name},{classes[k % 2]}" for k, name in enumerate(names)]
    (tmp_path / "test.csv").write_text("\n".join(["fname,labels", *labels]) + "\n")
    right_clips = {"third": 8, "second": 0, "first": 4, "blend/mean": 6, "blend/fitted": 8}
    for name, right in right_clips.items():
        path = tmp_path / (f"{name}.csv" if "/" in name else f"{name}/submission.csv")
        path.parent.mkdir(exist_ok=True)
        rows = [f"{clip},{int((k % 2 == 0) == (k < right))},0.5" for k, clip in enumerate(names)]
        path.write_text("\n".join(["fname,a,b", *rows]) + "\n")
    summary = ["third,0.9,,0.5,20,10", "second,0.8,,0.25,20,10", "first,0.7,,0.25,20,10"]
    summary += ["mean,0.91,,,,", "fitted *,0.95,0.92,,,"]
    text = "\n".join(["what,lwlrap,nested,weight,seconds,cpu_seconds", *summary]) + "\n"
    (tmp_path / "summary.csv").write_text(text)
    return tmp_path


def test_a_run_of_all_systems_is_one_table_and_one_of_differences(table, run_of_all, monkeypatch, capsys):
    for name in ("plan", "_bootstrap"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    plan = importlib.import_module("plan")
    words = ["plan.py", "--data", str(run_of_all), "--run", str(run_of_all)]
    monkeypatch.setattr(sys, "argv", words)
    plan.main()
    lines = [line for line in capsys.readouterr().out.splitlines() if line.startswith("|")]
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
    assert cells[0] == [
        "", "out of fold", "test part [95 %]", "difference [95 %]", "weight", "seconds", "CPU seconds",
    ]  # fmt: skip
    # A wrong clip has its label at rank 2, which counts half.
    found = {row[0]: row[1:3] for row in cells[2:7]}
    assert found["third"] == ["0.900", "1.000 [1.000, 1.000]"]
    assert found["second"] == ["0.800", "0.500 [0.500, 0.500]"]
    assert [found[name][1][:5] for name in ("first", "mean", "fitted")] == ["0.750", "0.875", "1.000"]
    assert found["fitted"][0] == "0.920"  # nested
    assert cells[7] == ["", "third", "second", "first", "mean"]
    assert cells[9] == ["second", "-0.500 [-0.500, -0.500]", "", "", ""]
    assert cells[12] == [
        "fitted", "+0.000 [+0.000, +0.000]", "+0.500 [+0.500, +0.500]", *cells[12][3:],
    ]  # fmt: skip
    # Three of eight clips apart by a half, give or take.
    assert 0.2 < float(cells[12][3][:6]) < 0.3
    assert 0.1 < float(cells[12][4][:6]) < 0.15


def test_every_file_is_shown_on_one_page():
    pages = [path.read_text() for path in (ROOT / "docs").glob("*.md")]
    shown = [name for page in pages for name in re.findall(r"```\{include\} measured/(.*)", page)]
    assert sorted(shown) == [path.name for path in MEASURED]


@pytest.mark.parametrize("path", MEASURED, ids=lambda path: path.stem)
def test_every_file_says_which_script_wrote_it(path):
    said = re.match(r"`python benchmarks/(\w+\.py)[^`]*`", path.read_text())
    assert said[1] in SCRIPTS


def test_thresholds_and_measures_of_the_comparison_of_losses(table):
    metrics = pytest.importorskip("sklearn.metrics")
    which_loss = importlib.import_module("which_loss")
    scores, target = torch.randn(30, 3), torch.rand(30, 3) < 0.4
    target[0, :2], target[:, 2] = True, False
    cuts = [metrics.f1_score(target.flatten(), (scores >= cut).flatten()) for cut in scores.flatten()]
    common = which_loss.common_threshold(scores, target)
    assert metrics.f1_score(target.flatten(), (scores >= common).flatten()) == pytest.approx(max(cuts))
    thresholds = which_loss.class_thresholds(scores, target)
    assert thresholds[2].item() == pytest.approx(common)  # a class without a label
    for column in (0, 1):
        cuts = [metrics.f1_score(target[:, column], scores[:, column] >= cut) for cut in scores[:, column]]
        best = metrics.f1_score(target[:, column], scores[:, column] >= thresholds[column])
        assert best == pytest.approx(max(cuts))
    labels, draws = scores > 0.2, torch.randint(30, (2000, 30), generator=torch.Generator().manual_seed(0))
    for average, columns in (("micro", 3), ("macro", 2)):
        found = which_loss.f1_of(labels, target, average)
        truth, decided = target[:, :columns], labels[:, :columns]
        assert found.value == pytest.approx(metrics.f1_score(truth, decided, average=average))
        for row in range(4):
            expected = metrics.f1_score(truth[draws[row]], decided[draws[row]], average=average)
            assert float(found.values[row]) == pytest.approx(expected)


def test_intervals_over_seeds_have_the_standard_error_of_their_mean(table):
    bootstrap = importlib.import_module("_bootstrap")
    of_seeds, clips = torch.tensor([0.5, 0.7, 0.9, 0.5]), 0.01 * torch.randn(1, 20_000)
    draws = bootstrap.over_seeds(of_seeds, of_seeds[:, None] + 3 + clips.expand(4, -1))
    # The clips are common to the seeds, so their variance is added once.
    expected = (of_seeds.var() / 4 + clips.var()).sqrt()
    assert draws.std() == pytest.approx(float(expected), rel=0.03)
    assert draws.mean() == pytest.approx(0.65, abs=0.005)
