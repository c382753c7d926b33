"""Agreement, margin and selection against literal definitions, the golden numbers and scikit-learn."""

import math
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import label_ranking_average_precision_score

from noisy_cases import INF, batches
from rankaudio.metrics import _label_precisions
from rankaudio.noisy import label_agreement, label_margin, select_agreeing

with np.load(Path(__file__).parent / "golden" / "noisy.npz") as stored:
    GOLDEN = dict(stored)
EXACT = {"rtol": 0, "atol": 1e-12}


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


@pytest.mark.parametrize("kind", ["", "_ties"])
def test_agreement_equals_the_golden_numbers(kind):
    scores = torch.from_numpy(GOLDEN[f"scores{kind}"]).double()
    ours = label_agreement(scores, torch.from_numpy(GOLDEN["target"]))
    torch.testing.assert_close(ours, torch.from_numpy(GOLDEN[f"score_samples{kind}"]), **EXACT)


def test_a_clip_without_labels_never_agrees():
    """The original counted it as perfect agreement, so unlabelled clips came first in every selection."""
    scores = torch.from_numpy(GOLDEN["scores"]).double()
    target = torch.from_numpy(GOLDEN["target_empty_row0_full_row1"])
    theirs = torch.from_numpy(GOLDEN["score_samples_empty_row0_full_row1"])
    ours = label_agreement(scores, target)
    assert (theirs[0], ours[0], ours[1]) == (1, 0, 1)
    torch.testing.assert_close(ours[1:], theirs[1:], **EXACT)


@given(batches())
def test_agreement_and_margin_equal_their_definitions(batch):
    scores, target = batch
    pairs = list(zip(scores.tolist(), target.tolist(), strict=True))
    agreement = torch.tensor([float(agreement_by_definition(*pair)) for pair in pairs], dtype=torch.float64)
    torch.testing.assert_close(label_agreement(scores, target), agreement, **EXACT)
    assert label_margin(scores, target).tolist() == [margin_by_definition(*pair) for pair in pairs]


@pytest.mark.parametrize("share", [0.02, 0.5, 0.95])
def test_agreement_equals_scikit_learn(share, monkeypatch):
    """Few labels are compared, and many are sorted. Neither way nor the chunk size changes the result."""
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
        monkeypatch.setattr(_label_precisions, name, value)
        torch.testing.assert_close(label_agreement(scores, target), ours, rtol=0, atol=1e-15)


@pytest.mark.parametrize("function", [label_agreement, label_margin])
def test_leading_axes_target_dtypes_and_gradients(function):
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


def test_equal_scores_have_margin_zero_also_if_they_are_infinite():
    scores = torch.tensor([[2.0, 2.0, 1.0], [INF, INF, 0.0], [-INF, -INF, -INF], [INF, 1.0, -INF]])
    target = torch.tensor([[1, 0, 0], [1, 0, 0], [0, 1, 0], [1, 1, 0]])
    assert label_margin(scores, target).tolist() == [0, 0, 0, INF]


def test_one_class():
    scores, target = torch.tensor([[3.0], [3.0]]), torch.tensor([[1], [0]])
    assert label_agreement(scores, target).tolist() == [1, 0]
    assert label_margin(scores, target).tolist() == [INF, -INF]
    assert select_agreeing(scores, target, k=2).tolist() == [0]


@given(batches(), st.integers(0, 14))
def test_selection_equals_its_definition(batch, k):
    scores, target = batch
    chosen = select_agreeing(scores, target, k=k)
    assert chosen.dtype == torch.int64
    assert chosen.tolist() == ranked_by_definition(scores, target)[:k]
    chosen = select_agreeing(scores, target, k=k, balanced=True)
    assert chosen.dtype == torch.int64
    assert chosen.tolist() == balanced_by_definition(scores, target, k)


def test_the_margin_decides_between_clips_that_agree_perfectly():
    """Three clips in four agree perfectly, so agreement alone would leave the selection to chance."""
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


def test_the_first_rows_are_selected_if_all_clips_are_equal():
    scores, target = torch.zeros(3000, 4), torch.zeros(3000, 4)
    target[:, 1] = 1
    assert select_agreeing(scores, target, k=1000).tolist() == list(range(1000))
    assert select_agreeing(scores, target, k=1000, balanced=True).tolist() == list(range(1000))


def test_rounding_does_not_decide_between_equal_agreements():
    """The same precisions are summed in another order. The margins decide: -7 comes before -14."""
    first = [10.0, 9.0, 8.0, 7.0, 6.0, 5.0, 4.0, 3.0, 2.0]
    given = [1, 0, 1, 0, 0, 1, 1, 0, 1]
    for seed in range(50):
        order = torch.randperm(9, generator=torch.Generator().manual_seed(seed))
        scores = torch.stack([torch.tensor(first), 2 * torch.tensor(first)[order]])
        target = torch.stack([torch.tensor(given), torch.tensor(given)[order]])
        assert select_agreeing(scores, target, k=2).tolist() == [0, 1]
        assert select_agreeing(scores.flip(0), target.flip(0), k=2).tolist() == [1, 0]


@pytest.mark.parametrize("balanced", [False, True])
def test_clips_without_labels_are_never_selected(balanced):
    scores = torch.tensor([[9.0, -9.0], [0.0, 1.0], [9.0, -9.0]])
    target = torch.tensor([[0, 0], [1, 0], [0, 0]])
    assert select_agreeing(scores, target, k=3, balanced=balanced).tolist() == [1]
    assert select_agreeing(scores, torch.zeros(3, 2), k=3, balanced=balanced).tolist() == []
    assert select_agreeing(torch.zeros(0, 2), torch.zeros(0, 2), k=3, balanced=balanced).tolist() == []


def test_classes_take_turns():
    """Ten clips of one class with a large margin, and fewer of other classes with a smaller margin."""
    label = torch.tensor([0] * 10 + [1] * 3 + [2] * 2)
    target = torch.nn.functional.one_hot(label, 4).bool()
    scores = target * torch.tensor([5.0] * 10 + [-1.0] * 5)[:, None]
    counts = [
        label[select_agreeing(scores, target, k=k, balanced=True)].bincount(minlength=3).tolist()
        for k in (3, 7, 9, 15, 99)
    ]
    assert counts == [[1, 1, 1], [3, 2, 2], [4, 3, 2], [10, 3, 2], [10, 3, 2]]
    assert label[select_agreeing(scores, target, k=10)].tolist() == [0] * 10


S, T = torch.zeros(2, 3), torch.zeros(2, 3)
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
    ],
)
def test_bad_settings_are_named(call, error, message):
    with pytest.raises(error, match=message):
        call()


def test_the_smallest_difference_of_agreement_counts_more_than_any_margin():
    """One label at place 399 or 400 of 400 classes."""
    scores = -torch.arange(400.0).repeat(2, 1)
    target = torch.zeros(2, 400)
    target[0, 399], target[1, 398] = 1, 1
    scores[1] *= 1000
    assert label_margin(scores, target)[0] > label_margin(scores, target)[1]
    assert select_agreeing(scores, target, k=2).tolist() == [1, 0]


def test_equal_clips_are_in_the_order_of_the_rows():
    scores, target = torch.eye(3).repeat(30, 1), torch.eye(3).repeat(30, 1)
    assert select_agreeing(scores, target, k=50).tolist() == list(range(50))
