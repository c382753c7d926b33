"""Noisy labels against literal oracles, the golden numbers, scikit-learn, and the corners."""

import math
import re
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import label_ranking_average_precision_score

from rankaudio import _rank_sums
from rankaudio.data import LabelTable, ScoreTable
from rankaudio.noisy import (
    calibrate_scores,
    label_agreement,
    label_margin,
    label_quality,
    label_threshold,
    relabel,
    select_agreeing,
)

ROOT = Path(__file__).parent
with np.load(ROOT / "golden" / "noisy.npz") as stored:
    GOLDEN = dict(stored)
INF = math.inf
EXACT = {"rtol": 0, "atol": 1e-12}


@st.composite
def batches(draw, *, levels=(-1.5, -0.25, 0.0, 0.5, 3.0, -INF, INF)):
    """Scores with many ties and infinities, and labels: all, none and anything between."""
    rows, classes = draw(st.integers(0, 12)), draw(st.integers(1, 6))
    scores = [[draw(st.sampled_from(levels)) for _ in range(classes)] for _ in range(rows)]
    target = [[draw(st.booleans()) for _ in range(classes)] for _ in range(rows)]
    return torch.tensor(scores).reshape(rows, classes), torch.tensor(target).reshape(rows, classes).bool()


finite = batches(levels=(-1.5, -0.25, 0.0, 0.5, 3.0))


def agreement_by_definition(scores, target) -> Fraction:
    """One clip, one label at a time, in fractions."""
    present = [s for s, t in zip(scores, target, strict=True) if t]
    precisions = [Fraction(sum(s >= own for s in present), sum(s >= own for s in scores)) for own in present]
    return sum(precisions, Fraction(0)) / max(1, len(present))


def margin_by_definition(scores, target) -> float:
    present = [s for s, t in zip(scores, target, strict=True) if t]
    others = [s for s, t in zip(scores, target, strict=True) if not t]
    if not present or not others:
        return INF if present else -INF
    return 0.0 if min(present) == max(others) else min(present) - max(others)


def ranked_by_definition(scores, target) -> list[int]:
    """Rows with labels, best first."""
    rows = list(zip(scores.tolist(), target.tolist(), strict=True))
    keys = {i: (-agreement_by_definition(*row), -margin_by_definition(*row), i) for i, row in enumerate(rows)}
    return sorted((i for i in keys if any(rows[i][1])), key=keys.__getitem__)


def balanced_by_definition(scores, target, k) -> list[int]:
    ranked, taken = ranked_by_definition(scores, target), []
    while len(taken) < k and len(taken) < len(ranked):
        left = [i for i in ranked if i not in taken]
        classes = [c for c in range(target.shape[1]) if any(target[i, c] for i in left)]
        turn = min(classes, key=lambda c: sum(bool(target[i, c]) for i in taken))
        taken.append(next(i for i in left if target[i, turn]))
    return taken


# Agreement and margin


@pytest.mark.parametrize("kind", ["", "_ties"])
def test_agreement_is_the_golden_one(kind):
    scores = torch.from_numpy(GOLDEN[f"scores{kind}"]).double()
    ours = label_agreement(scores, torch.from_numpy(GOLDEN["target"]))
    torch.testing.assert_close(ours, torch.from_numpy(GOLDEN[f"score_samples{kind}"]), **EXACT)


def test_a_clip_without_labels_never_agrees_though_the_golden_one_does():
    """Counting it as agreeing perfectly put unlabelled clips first in every selection."""
    scores = torch.from_numpy(GOLDEN["scores"]).double()
    target = torch.from_numpy(GOLDEN["target_empty_row0_full_row1"])
    theirs = torch.from_numpy(GOLDEN["score_samples_empty_row0_full_row1"])
    ours = label_agreement(scores, target)
    assert (theirs[0], ours[0], ours[1]) == (1, 0, 1)
    torch.testing.assert_close(ours[1:], theirs[1:], **EXACT)


@given(batches())
def test_agreement_and_margin_are_the_definitions(batch):
    scores, target = batch
    pairs = list(zip(scores.tolist(), target.tolist(), strict=True))
    agreement = torch.tensor([float(agreement_by_definition(*pair)) for pair in pairs], dtype=torch.float64)
    torch.testing.assert_close(label_agreement(scores, target), agreement, **EXACT)
    assert label_margin(scores, target).tolist() == [margin_by_definition(*pair) for pair in pairs]


@pytest.mark.parametrize("share", [0.02, 0.5, 0.95])
def test_agreement_is_scikit_learns(share, monkeypatch):
    """Few labels are compared, many sorted; neither way nor the size of the chunks changes a thing."""
    generator = torch.Generator().manual_seed(0)
    scores = torch.randint(0, 50, (40, 90), generator=generator).double()
    target = torch.rand(40, 90, generator=generator) < share
    target[:, 0] = True
    expected = [
        label_ranking_average_precision_score(t[None], s[None])
        for t, s in zip(target.int().numpy(), scores.numpy(), strict=True)
    ]
    ours = label_agreement(scores, target)
    assert ours.tolist() == pytest.approx(expected, abs=1e-12)
    for name, value in [("CHUNK", 200), ("LABELS_TO_SORT", 0)]:
        monkeypatch.setattr(_rank_sums, name, value)
        torch.testing.assert_close(label_agreement(scores, target), ours, rtol=0, atol=1e-15)


@pytest.mark.parametrize("function", [label_agreement, label_margin])
def test_any_leading_axes_any_target_and_no_gradient(function):
    scores = torch.tensor([[2.0, 1.0, 0.0], [0.0, 5.0, 5.0]], requires_grad=True)
    target = torch.tensor([[1, 0, 1], [0, 1, 0]])
    ours = function(scores, target)
    assert ours.dtype == torch.float64
    assert not ours.requires_grad
    for dtype in (torch.bool, torch.float16, torch.uint8):
        assert torch.equal(function(scores, target.to(dtype)), ours)
    assert torch.equal(function(scores.bfloat16(), target), ours)
    assert torch.equal(function(scores[None, :, None], target[None, :, None]), ours[None, :, None])
    assert torch.equal(function(scores[0], target[0]), ours[0])
    assert function(torch.zeros(0, 3), torch.zeros(0, 3)).shape == (0,)
    assert function(torch.zeros(2, 0, 3), torch.zeros(2, 0, 3)).shape == (2, 0)


def test_margin_of_extreme_float16_scores_does_not_overflow():
    scores = torch.tensor([[65504.0, -65504.0]], dtype=torch.float16)
    assert label_margin(scores, torch.tensor([[1, 0]])) == 131008


def test_one_class():
    scores, target = torch.tensor([[3.0], [3.0]]), torch.tensor([[1], [0]])
    assert label_agreement(scores, target).tolist() == [1, 0]
    assert label_margin(scores, target).tolist() == [INF, -INF]
    assert select_agreeing(scores, target, k=2).tolist() == [0]


# Selection


@given(batches(), st.integers(0, 14))
def test_selection_is_the_definition(batch, k):
    scores, target = batch
    chosen = select_agreeing(scores, target, k=k)
    assert chosen.dtype == torch.int64
    assert chosen.tolist() == ranked_by_definition(scores, target)[:k]
    chosen = select_agreeing(scores, target, k=k, balanced=True)
    assert chosen.dtype == torch.int64
    assert chosen.tolist() == balanced_by_definition(scores, target, k)


def test_a_tie_of_perfect_agreement_is_cut_by_the_margin():
    """Three clips in four agree perfectly, so agreement alone would leave the cut to chance."""
    generator = torch.Generator().manual_seed(0)
    target = torch.nn.functional.one_hot(torch.arange(400) % 5, 5).bool()
    certainty = torch.randperm(400, generator=generator) + 1.0
    certainty[::4] *= -1
    scores = torch.randn(400, 1, generator=generator) * 100 + target * certainty[:, None]
    assert (label_agreement(scores, target) == 1).sum() == 300
    best = certainty.argsort(descending=True)[:100].tolist()
    assert select_agreeing(scores, target, k=100).tolist() == best
    order = torch.randperm(400, generator=generator)
    assert order[select_agreeing(scores[order], target[order], k=100)].tolist() == best


def test_where_all_is_equal_the_first_rows_are_taken():
    scores, target = torch.zeros(3000, 4), torch.zeros(3000, 4)
    target[:, 1] = 1
    assert select_agreeing(scores, target, k=1000).tolist() == list(range(1000))
    assert select_agreeing(scores, target, k=1000, balanced=True).tolist() == list(range(1000))


def test_rounding_does_not_decide_between_equal_agreements():
    """The same precisions summed in another order; the margins decide, here -7 before -14."""
    first = [10.0, 9.0, 8.0, 7.0, 6.0, 5.0, 4.0, 3.0, 2.0]
    given = [1, 0, 1, 0, 0, 1, 1, 0, 1]
    for seed in range(50):
        order = torch.randperm(9, generator=torch.Generator().manual_seed(seed))
        scores = torch.stack([torch.tensor(first), 2 * torch.tensor(first)[order]])
        target = torch.stack([torch.tensor(given), torch.tensor(given)[order]])
        assert select_agreeing(scores, target, k=2).tolist() == [0, 1]
        assert select_agreeing(scores.flip(0), target.flip(0), k=2).tolist() == [1, 0]


@pytest.mark.parametrize("balanced", [False, True])
def test_clips_without_labels_are_never_taken(balanced):
    scores = torch.tensor([[9.0, -9.0], [0.0, 1.0], [9.0, -9.0]])
    target = torch.tensor([[0, 0], [1, 0], [0, 0]])
    assert select_agreeing(scores, target, k=3, balanced=balanced).tolist() == [1]
    assert select_agreeing(scores, torch.zeros(3, 2), k=3, balanced=balanced).tolist() == []
    assert select_agreeing(torch.zeros(0, 2), torch.zeros(0, 2), k=3, balanced=balanced).tolist() == []


def test_classes_take_turns():
    """Ten sure clips of one class, and fewer, less sure, of the others."""
    label = torch.tensor([0] * 10 + [1] * 3 + [2] * 2)
    target = torch.nn.functional.one_hot(label, 4).bool()
    scores = target * torch.tensor([5.0] * 10 + [-1.0] * 5)[:, None]
    counts = [
        label[select_agreeing(scores, target, k=k, balanced=True)].bincount(minlength=3).tolist()
        for k in (3, 7, 9, 15, 99)
    ]
    assert counts == [[1, 1, 1], [3, 2, 2], [4, 3, 2], [10, 3, 2], [10, 3, 2]]
    assert label[select_agreeing(scores, target, k=10)].tolist() == [0] * 10


# Threshold


@given(finite, st.floats(0, 1), st.booleans())
def test_threshold_gives_the_number_nearest_to_the_wanted(batch, share, calibrate):
    scores, _ = batch
    classes = scores.shape[1]
    compared = calibrate_scores(scores) if calibrate else scores
    cut = label_threshold(scores, mean_labels=share * classes, calibrate=calibrate)
    wanted = round(share * classes * len(scores))
    possible = [int((compared > c).sum()) for c in [-INF, *compared.flatten().tolist()]]
    nearest = min(possible, key=lambda count: (abs(count - wanted), count))
    assert int((compared > cut).sum()) == nearest
    assert cut.item() in {-INF, *compared.flatten().tolist()}


@pytest.mark.parametrize("mean_labels", [0, 0.013, 1, 1.2345, 2.5, 79.99, 80])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_threshold_is_exact_without_ties(mean_labels, dtype):
    scores = torch.randperm(200 * 80, generator=torch.Generator().manual_seed(0)).reshape(200, 80).to(dtype)
    cut = label_threshold(scores, mean_labels=mean_labels, calibrate=False)
    assert cut.dtype == dtype
    assert cut.shape == ()
    assert (scores > cut).sum() == round(mean_labels * 200)


@pytest.mark.parametrize(
    ("scores", "mean_labels", "labels"),
    [
        ([[1.0, 1.0, 1.0, 0.0]], 1, 0),
        ([[1.0, 1.0, 1.0, 0.0]], 2, 3),
        ([[1.0, 1.0, 0.0, 0.0]], 1, 0),
        ([[2.0, 1.0, 1.0, 1.0]], 2, 1),
        ([[2.0, 1.0, 1.0, 1.0]], 3, 4),
        ([[7.0, 7.0, 7.0, 7.0]], 2, 0),
        ([[7.0, 7.0, 7.0, 7.0]], 3, 4),
        ([[INF, INF, 0.0, -INF]], 1, 0),
        ([[INF, INF, 0.0, -INF]], 2, 2),
        ([[INF, INF, INF, -INF]], 2, 3),
        ([[INF, 0.0, -INF, -INF]], 3, 2),
        ([[INF, 0.0, -INF, -INF]], 4, 2),
        ([[-INF, -INF, -INF, -INF]], 4, 0),
    ],
)
def test_ties_across_the_cut_are_never_split(scores, mean_labels, labels):
    scores = torch.tensor(scores)
    for rows in (scores, scores.flip(1).repeat(3, 1)):
        cut = label_threshold(rows, mean_labels=mean_labels, calibrate=False)
        assert (rows > cut).sum() == labels * len(rows)


def test_threshold_by_selection_on_a_device_is_that_of_the_cpu():
    """What devices do instead of the partition, run here."""
    values = torch.randint(0, 500, (1000,), generator=torch.Generator().manual_seed(0)).double()
    from rankaudio.noisy import _scores

    class Elsewhere:
        device = torch.device("meta")
        topk = values.topk

    for count in (0, 1, 37, 998, 999):
        ours = _scores._one_after(values, count)
        assert ours == values.sort(descending=True).values[count] == _scores._one_after(Elsewhere(), count)


def test_threshold_of_no_clips():
    assert label_threshold(torch.zeros(0, 3), mean_labels=1.5) == -INF


def test_the_offset_of_a_clip_changes_no_label():
    generator = torch.Generator().manual_seed(0)
    scores = torch.randn(300, 10, generator=generator, dtype=torch.float64)
    moved = scores + 50 * torch.randn(300, 1, generator=generator, dtype=torch.float64)
    labels = [calibrate_scores(s) > label_threshold(s, mean_labels=1.3) for s in (scores, moved)]
    assert torch.equal(*labels)
    assert labels[0].sum() == 390
    raw = [s > label_threshold(s, mean_labels=1.3, calibrate=False) for s in (scores, moved)]
    assert (raw[0] != raw[1]).sum() > 300


@given(finite)
def test_calibrated_scores_are_the_logarithm_of_shares(batch):
    scores, _ = batch
    expected = [[s - math.log(sum(math.exp(k) for k in row)) for s in row] for row in scores.tolist()]
    torch.testing.assert_close(calibrate_scores(scores), torch.tensor(expected).reshape(scores.shape))


def test_calibrated_infinities_are_limits():
    scores = torch.tensor([[INF, 0.0, INF], [-INF, -INF, -INF], [-INF, 0.0, 0.0], [1e38, -1e38, -3e38]])
    expected = torch.tensor([[0.5, 0, 0.5], [1 / 3] * 3, [0, 0.5, 0.5], [1, 0, 0]]).log()
    torch.testing.assert_close(calibrate_scores(scores)[:3], expected[:3])
    assert calibrate_scores(scores)[3].tolist() == pytest.approx([0, -2e38, -INF])


def test_calibration_is_in_float32_or_better_and_without_gradient():
    scores = torch.tensor([0.1, 2.0, 300.0], requires_grad=True)
    for dtype, wanted in [
        (torch.float16, torch.float32),
        (torch.bfloat16, torch.float32),
        (torch.float64, torch.float64),
    ]:
        rounded = scores.to(dtype)
        exact = calibrate_scores(rounded.double())
        assert calibrate_scores(rounded).dtype == label_threshold(rounded, mean_labels=1).dtype == wanted
        torch.testing.assert_close(calibrate_scores(rounded).double(), exact, rtol=1e-6, atol=1e-6)
        cut = label_threshold(rounded, mean_labels=1, calibrate=False)
        assert (rounded > cut).tolist() == [False, False, True]
    assert not calibrate_scores(scores).requires_grad
    assert not label_threshold(scores, mean_labels=1).requires_grad
    with torch.autocast("cpu", dtype=torch.bfloat16):
        inside = calibrate_scores(scores)
    assert torch.equal(inside, calibrate_scores(scores))


# Tables

CLASSES = ("Bark", "Meow", "Purr")
# Given labels and scores: two clips that agree, one that does not, one without labels, one half right.
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
    """Taking the rows of two sorted tables for each other put labels on other clips."""
    given, scores = tables(tuple(names), tuple(score_names), tuple(columns))
    new = relabel(given, scores, mode=mode, **settings)
    assert as_dict(new) == expected
    assert new.names == tuple(name for name in names if name in expected)


@given(st.permutations(range(6)))
def test_the_order_of_equal_clips_in_the_table_decides_nothing(order):
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
def test_the_cut_is_that_of_the_clips_that_get_predicted_labels(mode):
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


def test_tables_are_left_as_they_are_and_calibration_can_be_left_out():
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


# Bad arguments

S, T = torch.zeros(2, 3), torch.zeros(2, 3)
NAN = torch.tensor([[0.0, math.nan, 1.0], [0.0, 0.0, 0.0]])


@pytest.mark.parametrize(
    "function",
    [label_agreement, label_margin, lambda s, t: select_agreeing(s, t, k=1)],
    ids=["agreement", "margin", "selection"],
)
@pytest.mark.parametrize(
    ("scores", "target", "error", "message"),
    [
        ([[1.0]], T, TypeError, "scores: wanted a torch.Tensor, got"),
        (S.int(), T, TypeError, "scores: wanted a floating-point tensor, got a int32"),
        (S, [[1]], TypeError, "target: wanted a torch.Tensor"),
        (S, T[:1], ValueError, r"target: wanted the shape of scores, \(2, 3\), got"),
        (S, T + 0.5, ValueError, "target: wanted only 0 and 1, got 0.5"),
        (S[:, :0], T[:, :0], ValueError, r"scores: wanted shape \(\*, C\) with C >= 1"),
        (S, T.to("meta"), ValueError, "target: wanted the device of scores"),
        (NAN, T, ValueError, "scores: wanted numbers, got 1 NaN in a float32 tensor"),
    ],
)
def test_bad_scores_and_targets_are_named(function, scores, target, error, message):
    with pytest.raises(error, match=message):
        function(scores, target)


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: select_agreeing(S, T, k=-1), ValueError, "k: wanted an integer >= 0, got -1"),
        (lambda: select_agreeing(S, T, k=1.0), TypeError, "k: wanted an integer, got 1.0"),
        (lambda: select_agreeing(S[0], T[0], k=1), ValueError, "scores: wanted 2 axes"),
        (lambda: calibrate_scores(NAN), ValueError, "scores: wanted numbers, got 1 NaN"),
        (lambda: calibrate_scores(S.int()), TypeError, "scores: wanted a floating-point"),
        (lambda: calibrate_scores(S[:, :0]), ValueError, r"scores: wanted shape \(\*, C\)"),
        (lambda: calibrate_scores(torch.tensor(1.0)), ValueError, r"scores: wanted shape \(\*, C\)"),
        (lambda: label_threshold(NAN, mean_labels=1), ValueError, "scores: wanted numbers, got 1 NaN"),
        (lambda: label_threshold(NAN, mean_labels=1, calibrate=False), ValueError, "scores: .* 1 NaN"),
        (lambda: label_threshold(S, mean_labels=3.1), ValueError, "mean_labels: .* from 0 to 3, got 3.1"),
        (lambda: label_threshold(S, mean_labels=math.nan), ValueError, "mean_labels: wanted a finite"),
        (lambda: label_threshold(S, mean_labels="1"), TypeError, "mean_labels: wanted a number, got '1'"),
    ],
)
def test_bad_settings_are_named(call, error, message):
    with pytest.raises(error, match=message):
        call()


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"mode": "best"}, ValueError, "mode: wanted one of 'agreeing', 'all', .*, got 'best'"),
        ({"mode": "agreeing"}, ValueError, "k: mode 'agreeing' wants one, got None"),
        ({"mode": "missing", "k": 2}, ValueError, "mean_labels: mode 'missing' wants one, got None"),
        ({"k": 2}, ValueError, "k: mode 'all' has no use for it, got 2"),
        (
            {"mode": "agreeing", "k": 2, "mean_labels": 1},
            ValueError,
            "mean_labels: mode 'agreeing' has no use for it, got 1",
        ),
        ({"mode": "agreeing", "k": 2.0}, TypeError, "k: wanted an integer, got 2.0"),
        ({"mean_labels": -1}, ValueError, "mean_labels: wanted a finite number"),
        ({"mean_labels": 4}, ValueError, "mean_labels: wanted a finite number from 0 to 3, got 4"),
        ({"balanced": True}, ValueError, "balanced: mode 'all' selects no clips, got True"),
        ({"given": None}, TypeError, "given: wanted a LabelTable, got None"),
        ({"scores": tables()[0]}, TypeError, "scores: wanted a ScoreTable, got LabelTable"),
        (
            {"scores": tables(score_names=("b", "a", "d"))[1]},
            ValueError,
            "scores: wanted a row for each clip of given, got 3 without: 'c', 'e', 'f'$",
        ),
        (
            {"scores": tables(columns=(2, 0))[1]},
            ValueError,
            "scores: wanted every class of given, got 1 without: 'Meow'$",
        ),
        (
            {"given": LabelTable(("a",), CLASSES[:2], torch.ones(1, 2).bool())},
            ValueError,
            "scores: wanted no class that given does not have, got 1 without: 'Purr'$",
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
    with pytest.raises(ValueError, match="truth: wanted a row for each clip of labels, got 5 without: 'a'"):
        label_quality(given, given.select(["c"]))
    with pytest.raises(ValueError, match="truth: wanted every class of labels, got 1 without: 'Purr'$"):
        label_quality(given, LabelTable(given.names, CLASSES[:2], given.target[:, :2]))
    with pytest.raises(TypeError, match="truth: wanted a LabelTable, got ScoreTable"):
        label_quality(given, scores)


def test_the_examples_of_the_page_run():
    page = (ROOT.parent / "docs" / "noisy.md").read_text(encoding="utf-8")
    blocks = re.findall(r"```python\n(.*?)```", page, flags=re.DOTALL)
    assert blocks
    names = {}
    for block in blocks:
        exec(compile(block, "noisy.md", "exec"), names)
    assert names["quality"].clip_precision > 0.5
