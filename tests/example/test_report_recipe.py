"""The page about a whole recipe run."""

import csv

import pytest
import torch

from rankaudio import lwlrap
from rankaudio.data import ScoreTable, write_scores
from report_page import CLASSES, NASTY, Page, refused, report, tone, write_labels, write_settings

MEMBERS = {"first": 0.25, "second": 0.75}


@pytest.fixture
def recipe(tmp_path):
    """Write a data folder, and the folder of a recipe with two members of two folds and two rounds."""
    data, run = tmp_path / "data", tmp_path / "run"
    generator = torch.Generator().manual_seed(3)
    names = [f"{k}.wav" for k in range(8)]
    target = torch.rand(8, 4, generator=generator) < 0.5
    target[target.sum(1) == 0, 1] = True
    for name in names:
        tone(data / "train_curated" / name)
    write_labels(data / "train_curated.csv", names, target)
    write_labels(data / "train_noisy.csv", ["n0.wav", "n1.wav"], target[:2])
    scores = {}
    for member in MEMBERS:
        scores[member] = torch.randn(8, 4, generator=generator)
        folder = run / "models" / member
        for fold in (0, 1):
            (folder / f"fold_{fold}").mkdir(parents=True)
            (folder / f"fold_{fold}" / "metrics.csv").write_text("train_loss,valid_lwlrap\n1,0.5\n")
            rows = slice(fold, None, 2)
            table = ScoreTable(names[rows], CLASSES, scores[member][rows])
            write_scores(folder / f"fold_{fold}" / "valid.csv", table)
        write_settings(folder, note=NASTY)
    for name in ("blend", "rounds"):
        (run / name).mkdir()
    for number in (2, 1):
        write_labels(run / "rounds" / f"round_{number}.csv", ["n0.wav"], target[:1])
    write_labels(run / "rounds" / "relabelled.csv", ["n0.wav", "n1.wav"], target[:2])
    write_rows(
        run / "blend" / "weights.csv",
        [("member", "lwlrap", "weight"), *((m, 0.5, w) for m, w in MEMBERS.items())],
    )
    write_figures(run, nested=0.8)
    return data, run, names, scores, target


def write_rows(path, rows):
    with path.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows(rows)


def write_figures(run, *, nested):
    rows = [("what", "lwlrap"), ("mean", 0.7), ("fitted", 0.9), ("nested", nested)]
    write_rows(run / "blend" / "figures.csv", rows)


@pytest.mark.parametrize("nested", [0.8, 0.6])
def test_the_page_shows_the_blend_of_the_submission(recipe, tmp_path, nested):
    data, run, _, scores, target = recipe
    write_figures(run, nested=nested)
    report("--run", run, "--data", data, "--out", tmp_path / "r.html")
    page = Page((tmp_path / "r.html").read_text("utf-8"))
    weights = MEMBERS.values() if nested > 0.7 else (0.5, 0.5)
    blend = sum(weight * scores[member] for member, weight in zip(MEMBERS, weights, strict=True))
    assert f"{float(lwlrap(blend, target)):.3f}" in page.texts("strong")
    assert page.texts("strong")[:4] == [
        "0.7000",
        "0.9000",
        f"{nested:.4f}",
        "fitted" if nested > 0.7 else "mean",
    ]
    assert "Blend of 2 members, out of fold: classes" in page.texts("h2")


def test_the_page_shows_all_members_and_rounds_in_order(recipe, tmp_path):
    data, run, *_ = recipe
    report("--run", run, "--data", data, "--clips", "1", "--out", tmp_path / "r.html")
    page = Page((tmp_path / "r.html").read_text("utf-8"))
    assert [text for text in page.texts("h3") if text in MEMBERS] == list(MEMBERS)
    assert page.texts("th", scope="row") == ["round_1", "round_2", "relabelled"]
    assert page.texts("td")[::5] == ["1 of 2", "1 of 2", "2 of 2"]
    assert page.texts("h1") == ["The recipe in run"]


def test_a_recipe_that_has_not_finished(recipe, tmp_path):
    data, run, *_ = recipe
    (run / "blend" / "figures.csv").unlink()
    refused("--run", run, "--data", data, match="wanted a recipe that has finished, got no .*figures.csv")


def test_a_plan_with_a_second_level(recipe, tmp_path):
    """It has no fitted weights, and its tables of noisy clips are in another folder."""
    data, run, *_ = recipe
    write_rows(run / "blend" / "figures.csv", [("what", "lwlrap"), ("mean", 0.7), ("all", 0.75)])
    (run / "rounds").rename(run / "noisy")
    (run / "noisy" / "round_1.csv").rename(run / "noisy" / "trusted.csv")
    report("--run", run, "--data", data, "--clips", "1", "--out", tmp_path / "r.html")
    page = Page((tmp_path / "r.html").read_text("utf-8"))
    assert page.texts("strong")[:2] == ["0.7000", "0.7500"]
    assert page.texts("th", scope="row") == ["trusted"]
