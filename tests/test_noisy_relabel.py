"""New labels for tables, and the quality of labels: each mode, joins by name, and error messages."""

import math
import re
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from rankaudio.data import LabelTable, ScoreTable
from rankaudio.noisy import label_quality, relabel, select_agreeing

pytestmark = pytest.mark.slow

CLASSES = ("Bark", "Meow", "Purr")


# Given labels and scores: two clips agree, one does not, one has no labels, one is half right.
CLIPS = {
    "a": ([1, 0, 0], [5.0, 0.0, 0.0]),
    "b": ([0, 1, 0], [10.0, 17.0, 10.0]),
    "c": ([0, 0, 1], [0.0, 6.0, -1.0]),
    "d": ([0, 0, 0], [3.0, 0.0, 0.0]),
    "e": ([1, 0, 0], [8.0, 8.0, 0.0]),
    "f": ([1, 0, 0], [0.1, 0.0, 0.2]),
}


def tables(names=tuple(CLIPS), score_names=None, columns=(0, 1, 2)):
    score_names = tuple(CLIPS) if score_names is None else score_names
    given = LabelTable(names, CLASSES, torch.tensor([CLIPS[n][0] for n in names]).bool().reshape(-1, 3))
    values = torch.tensor([[CLIPS[n][1][c] for c in columns] for n in score_names])
    return given, ScoreTable(score_names, tuple(CLASSES[c] for c in columns), values)


def as_dict(table):
    return {
        name: {c for c, t in zip(table.classes, row, strict=True) if t}
        for name, row in zip(table.names, table.target.tolist(), strict=True)
    }


MODES = [
    ("agreeing", {"k": 2}, {"a": {"Bark"}, "b": {"Meow"}}),
    ("agreeing", {"k": 2, "balanced": True}, {"a": {"Bark"}, "b": {"Meow"}}),
    ("agreeing", {"k": 3, "balanced": True}, {"a": {"Bark"}, "b": {"Meow"}, "c": {"Purr"}}),
    (
        "agreeing",
        {"k": 9},
        {"a": {"Bark"}, "b": {"Meow"}, "c": {"Purr"}, "e": {"Bark"}, "f": {"Bark"}},
    ),
    ("agreeing", {"k": 0}, {}),
    (
        "all",
        {"mean_labels": 1},
        {"a": {"Bark"}, "b": {"Meow"}, "c": {"Meow"}, "d": {"Bark"}, "e": {"Bark", "Meow"}},
    ),
    (
        "missing",
        {"k": 2, "mean_labels": 1},
        {"a": {"Bark"}, "b": {"Meow"}, "c": {"Meow"}, "d": {"Bark"}, "e": {"Bark", "Meow"}},
    ),
    (
        "missing",
        {"k": 6, "mean_labels": 1},
        {"a": {"Bark"}, "b": {"Meow"}, "c": {"Purr"}, "d": {"Bark"}, "e": {"Bark"}, "f": {"Bark"}},
    ),
    (
        "merge",
        {"mean_labels": 1},
        {
            "a": {"Bark"},
            "b": {"Meow"},
            "c": {"Meow", "Purr"},
            "d": {"Bark"},
            "e": {"Bark", "Meow"},
            "f": {"Bark"},
        },
    ),
    ("match", {"mean_labels": 1}, {"a": {"Bark"}, "b": {"Meow"}}),
]


@pytest.mark.parametrize(("mode", "settings", "expected"), MODES)
def test_modes(mode, settings, expected):
    given, scores = tables()
    new = relabel(given, scores, mode=mode, **settings)
    assert as_dict(new) == expected
    assert new.names == tuple(name for name in given.names if name in expected)
    assert new.classes == CLASSES


@pytest.mark.parametrize(("mode", "settings", "expected"), MODES)
@given(
    names=st.permutations(tuple(CLIPS)),
    score_names=st.permutations(tuple(CLIPS)),
    columns=st.permutations((0, 1, 2)),
)
def test_rows_and_columns_are_joined_by_name(mode, settings, expected, names, score_names, columns):
    """The original joined sorted tables by row number, which put labels on other clips."""
    given, scores = tables(tuple(names), tuple(score_names), tuple(columns))
    new = relabel(given, scores, mode=mode, **settings)
    assert as_dict(new) == expected
    assert new.names == tuple(name for name in names if name in expected)


@given(st.permutations(range(6)))
def test_the_order_of_equal_clips_in_the_table_has_no_influence(order):
    names = tuple(f"{i}.wav" for i in order)
    given = LabelTable(names, ("x", "y"), torch.tensor([[True, False]]).repeat(6, 1))
    scores = ScoreTable(names, ("x", "y"), torch.zeros(6, 2))
    assert set(relabel(given, scores, mode="agreeing", k=2).names) == {"0.wav", "1.wav"}


def test_scores_of_other_clips_have_no_influence():
    given, scores = tables(names=("f", "a", "c"))
    _, fewer = tables(score_names=("a", "c", "f"))
    for mode, settings, _ in MODES:
        every, few = (relabel(given, table, mode=mode, **settings) for table in (scores, fewer))
        assert as_dict(every) == as_dict(few)


@pytest.mark.parametrize("mode", ["all", "missing"])
def test_the_threshold_is_that_of_the_clips_with_predicted_labels(mode):
    generator = torch.Generator().manual_seed(0)
    names = tuple(f"{i}.wav" for i in torch.randperm(50, generator=generator).tolist())
    target = torch.rand(50, 3, generator=generator) < 0.4
    scores = torch.randn(50, 3, generator=generator, dtype=torch.float64) + 3 * target
    given = LabelTable(names, CLASSES, target)
    agreeing = select_agreeing(scores, target, k=20).tolist() if mode == "missing" else []
    settings = {"k": 20} if mode == "missing" else {}
    new = relabel(given, ScoreTable(names, CLASSES, scores), mode=mode, mean_labels=1.3, **settings)
    kept = [names[i] for i in agreeing]
    assert torch.equal(new.select(kept).target, given.select(kept).target)
    predicted = new.select([name for name in new.names if name not in kept])
    assert predicted.target.sum() == round(1.3 * (50 - len(kept)))


def test_no_clips_and_no_labels():
    given, scores = tables(names=())
    for mode, settings, _ in MODES:
        new = relabel(given, scores, mode=mode, **settings)
        assert (new.names, new.target.shape) == ((), (0, 3))
    given, scores = tables()
    assert len(relabel(given, scores, mode="all", mean_labels=0)) == 0


def test_tables_are_not_changed_and_calibration_is_optional():
    given, scores = tables()
    before = given.target.clone(), scores.scores.clone()
    plain = relabel(given, scores, mode="all", mean_labels=0.5, calibrate=False)
    assert as_dict(plain) == {"b": {"Bark", "Meow", "Purr"}}
    assert torch.equal(given.target, before[0])
    assert torch.equal(scores.scores, before[1])
    relabel(given, scores, mode="missing", k=9, mean_labels=1).target.fill_(False)
    assert torch.equal(given.target, before[0])


def test_quality_counts_clips_and_labels():
    given, _ = tables()
    truth = LabelTable(
        ("g", "f", "e", "d", "c", "b", "a"),
        ("Purr", "Meow", "Bark"),
        torch.tensor([[1, 1, 1], [0, 0, 0], [0, 1, 1], [0, 0, 1], [0, 1, 0], [0, 1, 0], [0, 0, 1]]).bool(),
    )
    quality = label_quality(given, truth)
    assert quality == (5, 2, 5, 3, 9)
    assert quality.clip_precision == 2 / 5
    assert quality.precision == 3 / 5
    assert quality.recall == 3 / 9
    assert label_quality(given, truth.select(given.names)).recall == 3 / 6
    nothing = label_quality(given.select([]), truth.select([]))
    assert nothing == (0, 0, 0, 0, 0)
    assert all(math.isnan(x) for x in (nothing.clip_precision, nothing.precision, nothing.recall))


NAN = torch.tensor([[0.0, math.nan, 1.0], [0.0, 0.0, 0.0]])


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"mode": "best"}, ValueError, "mode: wanted one of 'agreeing', 'all', .*, got 'best'"),
        ({"mode": "agreeing"}, ValueError, "k: wanted a number for mode 'agreeing', got None"),
        (
            {"mode": "missing", "k": 2},
            ValueError,
            "mean_labels: wanted a number for mode 'missing', got None",
        ),
        ({"k": 2}, ValueError, "k: wanted None for mode 'all', got 2"),
        (
            {"mode": "agreeing", "k": 2, "mean_labels": 1},
            ValueError,
            "mean_labels: wanted None for mode 'agreeing', got 1",
        ),
        ({"mode": "agreeing", "k": 2.0}, TypeError, "k: wanted an integer, got 2.0"),
        ({"mean_labels": -1}, ValueError, "mean_labels: wanted a finite number"),
        ({"mean_labels": 4}, ValueError, "mean_labels: wanted a finite number from 0 to 3, got 4"),
        (
            {"balanced": True},
            ValueError,
            "balanced: wanted False for mode 'all', which selects no clips, got True",
        ),
        ({"given": None}, TypeError, "given: wanted a LabelTable, got None"),
        ({"scores": tables()[0]}, TypeError, "scores: wanted a ScoreTable, got LabelTable"),
        (
            {"scores": tables(score_names=("b", "a", "d"))[1]},
            ValueError,
            "scores: wanted a row for each clip of given, got 3 missing: 'c', 'e', 'f'$",
        ),
        (
            {"scores": tables(columns=(2, 0))[1]},
            ValueError,
            "scores: wanted every class of given, got 1 missing: 'Meow'$",
        ),
        (
            {"given": LabelTable(("a",), CLASSES[:2], torch.ones(1, 2).bool())},
            ValueError,
            "scores: wanted only classes of given, got 1 unknown: 'Purr'$",
        ),
        ({"scores": ScoreTable(tuple(CLIPS), CLASSES, NAN.repeat(3, 1))}, ValueError, "scores: .* 3 NaN"),
    ],
)
def test_bad_tables_and_modes_are_named(change, error, message):
    given, scores = tables()
    arguments = {"given": given, "scores": scores, "mode": "all"} | change
    if "mode" not in change and "k" not in change:
        arguments = {"mean_labels": 1} | arguments
    with pytest.raises(error, match=message):
        relabel(arguments.pop("given"), arguments.pop("scores"), **arguments)


def test_bad_truths_are_named():
    given, scores = tables()
    with pytest.raises(ValueError, match="truth: wanted a row for each clip of labels, got 5 missing: 'a'"):
        label_quality(given, given.select(["c"]))
    with pytest.raises(ValueError, match="truth: wanted every class of labels, got 1 missing: 'Purr'$"):
        label_quality(given, LabelTable(given.names, CLASSES[:2], given.target[:, :2]))
    with pytest.raises(TypeError, match="truth: wanted a LabelTable, got ScoreTable"):
        label_quality(given, scores)


def test_the_examples_of_the_page_run():
    page = (Path(__file__).parents[1] / "docs" / "noisy.md").read_text(encoding="utf-8")
    blocks = re.findall(r"```python\n(.*?)```", page, flags=re.DOTALL)
    assert blocks
    names = {}
    for block in blocks:
        exec(compile(block, "noisy.md", "exec"), names)
    assert names["quality"].clip_precision > 0.5
