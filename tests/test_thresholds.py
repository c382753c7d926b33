"""Thresholds: against the best of all cuts, with ties, unknown labels, wanted precisions and folds."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import f1_score, precision_score, recall_score

from rankaudio.decisions import fit_thresholds
from rankaudio.metrics import f1


def draw(rows=40, classes=6, *, levels=None, seed=0):
    generator = torch.Generator().manual_seed(seed)
    target = torch.rand(rows, classes, generator=generator) < 0.3
    scores = torch.randn(rows, classes, generator=generator) + target
    return (scores if levels is None else (scores * levels).round()), target


def figures(scores, target, threshold):
    """Precision, recall and F1 of one class in plain Python."""
    claimed = [score >= threshold for score in scores]
    hits = sum(one and two for one, two in zip(claimed, target, strict=True))
    labels, claims = sum(target), sum(claimed)
    return hits / claims if claims else math.nan, hits / labels, 2 * hits / (labels + claims)


def best(scores, target, *, precision=None, recall=None):
    """The value of the goal for the best threshold of one class, by trying each score."""
    values = [0.0]
    for threshold in set(scores):
        of_precision, of_recall, of_f1 = figures(scores, target, threshold)
        if precision is not None:
            values.append(of_recall if of_precision >= precision else 0.0)
        elif recall is not None:
            values.append(of_precision if of_recall >= recall else 0.0)
        else:
            values.append(of_f1)
    return max(values)


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_no_cut_is_better(data):
    rows = data.draw(st.integers(1, 12))
    score = st.sampled_from([-math.inf, -1.5, 0.0, 0.1, 0.2, 2.0, 3e38, math.inf])
    scores = data.draw(st.lists(score, min_size=rows, max_size=rows))
    target = data.draw(st.lists(st.booleans(), min_size=rows, max_size=rows))
    known = data.draw(st.lists(st.booleans(), min_size=rows, max_size=rows))
    goal = data.draw(st.sampled_from([{}, {"precision": 0.5}, {"precision": 2 / 3}, {"recall": 0.6}]))
    table = torch.tensor(scores, dtype=torch.float32)[:, None]
    mask = torch.tensor(known)[:, None]
    fit = fit_thresholds(table, torch.tensor(target)[:, None], mask=mask, **goal)
    kept = [i for i in range(rows) if known[i]]
    exact, labels = table[kept, 0].tolist(), [target[i] for i in kept]
    threshold = float(fit.thresholds)
    if not any(labels) or best(exact, labels, **goal) == 0:
        assert threshold == math.inf
        return
    place = 1 if "precision" in goal else 0 if "recall" in goal else 2
    assert figures(exact, labels, threshold)[place] == best(exact, labels, **goal)
    assert float(fit.fitted.f1) == pytest.approx(figures(exact, labels, threshold)[2], abs=1e-12)


def test_a_threshold_is_the_middle_between_two_scores():
    scores = torch.tensor([[4.0], [3.0], [1.0], [0.0]])
    assert fit_thresholds(scores, torch.tensor([[1], [1], [0], [0]])).thresholds.item() == 2.0
    assert fit_thresholds(scores, torch.ones(4, 1)).thresholds.item() == 0.0
    # Cuts after one and after three clips have the same precision of 1 and 2/3 of two labels: 2/3 and 4/5.
    assert fit_thresholds(scores, torch.tensor([[1], [0], [1], [0]])).thresholds.item() == 0.5


def test_equally_good_cuts_give_the_highest_threshold():
    # F1 is 2/3 after one clip, and 4/6 after four.
    scores = torch.tensor([[5.0], [4.0], [3.0], [2.0]])
    assert fit_thresholds(scores, torch.tensor([[1], [0], [0], [1]])).thresholds.item() == 4.5


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
def test_neighbouring_numbers_are_told_apart(dtype):
    low = torch.tensor([[1.0]], dtype=dtype)
    high = torch.nextafter(low, low + 1)
    scores = torch.cat([high, low])
    fit = fit_thresholds(scores, torch.tensor([[1], [0]]))
    assert fit.thresholds.dtype == (torch.float64 if dtype == torch.float64 else torch.float32)
    assert (scores >= fit.thresholds).tolist() == [[True], [False]]


def test_classes_do_not_influence_each_other(monkeypatch):
    scores, target = draw(levels=2)
    whole = fit_thresholds(scores, target).thresholds
    for c in range(6):
        assert fit_thresholds(scores[:, c : c + 1], target[:, c : c + 1]).thresholds == whole[c]
    monkeypatch.setattr("rankaudio.decisions._thresholds._BUDGET", 90)
    assert torch.equal(fit_thresholds(scores, target).thresholds, whole)


def test_figures_are_those_of_scikit_learn():
    scores, target = draw()
    fit = fit_thresholds(scores, target)
    decided = (scores >= fit.thresholds).numpy()
    for ours, theirs in zip(fit.fitted, (f1_score, precision_score, recall_score), strict=False):
        np.testing.assert_allclose(ours, theirs(target.numpy(), decided, average=None), atol=1e-12)
    assert fit.fitted.support.tolist() == target.sum(0).tolist()


def test_nested_figures_use_thresholds_of_the_other_folds():
    scores, target = draw(rows=60)
    folds = torch.arange(60) % 3 * 5
    fit = fit_thresholds(scores, target, folds=folds)
    decided = torch.empty_like(target)
    for row, fold in enumerate((0, 5, 10)):
        kept = folds != fold
        limits = fit_thresholds(scores[kept], target[kept]).thresholds
        assert torch.equal(fit.fold_thresholds[row], limits)
        decided[~kept] = scores[~kept] >= limits
    expected = f1_score(target.numpy(), decided.numpy(), average=None)
    np.testing.assert_allclose(fit.nested.f1, expected, atol=1e-12)
    assert fit.nested.f1.mean() < fit.fitted.f1.mean()


def test_a_class_without_labels_is_never_decided_for():
    scores, target = draw()
    target[:, 2] = False
    fit = fit_thresholds(scores, target, folds=torch.arange(40) % 2)
    assert fit.thresholds[2] == math.inf
    assert fit.thresholds[[0, 1, 3, 4, 5]].isfinite().all()
    assert fit.fitted.f1[2].isnan()
    assert fit_thresholds(scores[:0], target[:0]).thresholds.tolist() == [math.inf] * 6
    # With other goals too. A precision of 1 that no cut has is no reason for a guess.
    assert fit_thresholds(scores, target, recall=0.5).thresholds[2] == math.inf
    worst = torch.tensor([[2.0], [1.0]]), torch.tensor([[0], [1]])
    assert fit_thresholds(*worst, precision=0.6).thresholds.item() == math.inf
    assert fit_thresholds(*worst, precision=0.5).thresholds.item() == 1.0


def test_arrays_are_taken():
    scores, target = draw()
    expected = fit_thresholds(scores, target).thresholds
    assert torch.equal(fit_thresholds(scores.numpy(), target.numpy()).thresholds, expected)


def test_unknown_labels_and_their_scores_do_not_count():
    scores, target = draw()
    known = scores < 1.2
    spoiled, other = scores.masked_fill(~known, math.nan), target ^ ~known
    folds = torch.arange(40) % 2
    ours = fit_thresholds(spoiled, other, mask=known, folds=folds)
    expected = fit_thresholds(scores, target, mask=known, folds=folds)
    assert torch.equal(ours.thresholds, expected.thresholds)
    torch.testing.assert_close(tuple(ours.nested), tuple(expected.nested), equal_nan=True)


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"scores": torch.zeros(6)}, ValueError, "target: wanted the shape of scores"),
        ({"scores": torch.full((40, 6), math.nan)}, ValueError, "scores: wanted numbers, got 240 NaN"),
        ({"target": torch.full((40, 6), 0.5)}, ValueError, "target: wanted only 0 and 1"),
        ({"precision": 0.0}, ValueError, "precision: wanted a number above 0"),
        ({"recall": 1.5}, ValueError, "recall: wanted a finite number from 0 to 1"),
        ({"precision": 0.5, "recall": 0.5}, ValueError, "recall: wanted None, because precision is 0.5"),
        ({"folds": torch.zeros(40)}, TypeError, "folds: wanted integers"),
        ({"folds": torch.zeros(40, dtype=torch.long)}, ValueError, "folds: wanted at least two"),
        ({"folds": torch.arange(39)}, ValueError, "folds: wanted shape"),
    ],
)
def test_wrong_arguments_are_named(change, error, message):
    scores, target = draw()
    with pytest.raises(error, match=message):
        fit_thresholds(**{"scores": scores, "target": target, **change})
    with pytest.raises(ValueError, match=r"scores: wanted shape \(N, C\)"):
        fit_thresholds(scores[None], target[None])


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 2**32), st.sampled_from(["macro", "micro", None]), st.booleans())
def test_f1_is_that_of_scikit_learn(seed, average, weighted):
    scores, target = draw(rows=12, classes=3, levels=1, seed=seed)
    target[0] = True
    limits = torch.tensor([0.0, 1.0, -1.0])
    weight = torch.rand(12, generator=torch.Generator().manual_seed(seed)) if weighted else None
    ours = f1(scores, target, thresholds=limits, average=average, sample_weight=weight)
    theirs = f1_score(
        target.numpy(),
        (scores >= limits).numpy(),
        average=average,
        sample_weight=None if weight is None else weight.double().numpy(),
    )
    np.testing.assert_allclose(ours.f1 if average is None else ours, theirs, atol=1e-12)
