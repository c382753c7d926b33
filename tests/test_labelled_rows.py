"""Rows that are sorted with their labels, against Python's own sort, in each of the ways to sort."""

import numpy as np
import pytest
import torch
from sklearn.metrics import label_ranking_average_precision_score

from rankaudio.metrics import _labelled_rows, lwlrap
from rankaudio.metrics._labelled_rows import sort_labelled_rows

INFINITY, TINY, LARGEST = float("inf"), 1e-45, 3.4e38
KINDS = {
    "probabilities": [0.0, TINY, 1e-30, 0.25, 0.5, 1.0, INFINITY],
    "negative": [-INFINITY, -LARGEST, -7.5, -1e-30, -TINY],
    "both signs": [-1e19, -2.5, -1.1e-19, 1.1e-19, 1.5, 1e19],
    "both signs and 0": [-20.0, -1e-6, -0.0, 0.0, 1e-6, 30.0],
    "all there are": [-INFINITY, -LARGEST, -1.0, -TINY, -0.0, 0.0, TINY, 2.0, LARGEST, INFINITY],
    "no other value between": [-1.0, -TINY, 0.0, 1.0],
    "one value": [2.0],
}


def draw(values, dtype=torch.float32, *, rows=5, columns=23, labels=0.4):
    generator = torch.Generator().manual_seed(0)
    pick = torch.randint(len(values), (rows, columns), generator=generator)
    scores = torch.tensor(values, dtype=dtype)[pick]
    present = torch.rand(rows, columns, generator=generator) < labels
    hidden = torch.rand(rows, columns, generator=generator) < 0.3
    present[-1] = False
    return scores, present & ~hidden, hidden


def check(scores, present, hidden):
    """Compare with Python's sort of (score, column); every hidden entry comes first."""
    off = torch.zeros_like(present) if hidden is None else hidden
    found = sort_labelled_rows(scores, present, hidden, present.sum(-1))
    ranked = (found.scores >> found.lowest_bits).tolist()
    start = 0
    for row, (numbers, labels, absent) in enumerate(
        zip(scores.tolist(), present.tolist(), off.tolist(), strict=True)
    ):
        keys = [(not gone, 0 if gone else number) for number, gone in zip(numbers, absent, strict=True)]
        ordered = sorted(keys)
        changes = [one != other for one, other in zip(ordered[1:], ordered[:-1], strict=True)]
        pairs = list(zip(ranked[row][1:], ranked[row][:-1], strict=True))
        assert [one != other for one, other in pairs] == changes
        assert all(one >= other for one, other in pairs)
        mine = slice(start, start + sum(labels))
        assert sorted(found.columns[mine]) == [column for column, label in enumerate(labels) if label]
        places = [int(place) - row * len(numbers) for place in found.labels[mine]]
        assert places == sorted(set(places))
        assert [ordered[place] for place in places] == [keys[column] for column in found.columns[mine]]
        start = mine.stop
    assert len(found.labels) == len(found.columns) == start
    return found.lowest_bits


@pytest.mark.parametrize("short_row", [22, 23])
@pytest.mark.parametrize("kind", KINDS)
def test_rows_are_in_the_order_of_scores(kind, short_row, monkeypatch):
    monkeypatch.setattr(_labelled_rows, "SHORT_ROW", short_row)
    scores, present, hidden = draw(KINDS[kind])
    short = short_row == 22 and kind != "all there are" and np.__version__ >= "2"
    for off in (None, hidden):
        assert check(scores, present, off) == (1 if short else 32)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_other_dtypes(dtype, monkeypatch):
    monkeypatch.setattr(_labelled_rows, "SHORT_ROW", 22)
    check(*draw([-2.0, -1.5, -0.0, 0.0, 1.5, 1.0 + 2**-7, 1.0], dtype))


@pytest.mark.parametrize("kind", KINDS)
def test_neighbouring_numbers_stay_apart(kind):
    """Each score and the next float32 number are different, also in 31 bits, or the scores do not fit."""
    values = np.array(KINDS[kind], np.float32)
    both = np.unique(np.concatenate([values, np.nextafter(values, np.float32(0))]))
    order = _labelled_rows.order_of_floats(torch.from_numpy(both))
    short = _labelled_rows._short_order(order)
    if kind == "all there are":
        assert short is None
    else:
        assert (short[1:].astype(np.int64) > short[:-1]).all()
        assert short.min() == 1
        assert short.max() < 2**31


@pytest.mark.parametrize("kind", ["probabilities", "both signs", "with infinities", "ties", "many labels"])
def test_long_rows_equal_scikit_learn(kind, monkeypatch):
    generator = torch.Generator().manual_seed(0)
    scores = torch.randn(8, 300, generator=generator)
    target = torch.rand(8, 300, generator=generator) < (0.95 if kind == "many labels" else 0.3)
    if kind == "probabilities":
        scores = (30 * scores).sigmoid()
    elif kind == "with infinities":
        scores[::2, ::3], scores[:, ::7] = INFINITY, -INFINITY
    elif kind == "ties":
        scores = scores.round(decimals=1)
    counts = target.sum(1).numpy()
    # scikit-learn refuses infinities. Ranks have the same order and the same ties.
    ranks = np.unique(scores.numpy(), return_inverse=True)[1].reshape(scores.shape)
    peer = label_ranking_average_precision_score(target.numpy(), ranks, sample_weight=counts)
    found = lwlrap(scores, target, average=None)
    assert lwlrap(scores, target).item() == pytest.approx(peer, rel=1e-12)
    monkeypatch.setattr(_labelled_rows, "SHORT_ROW", 10**6)
    torch.testing.assert_close(lwlrap(scores, target, average=None), found, rtol=0, atol=0, equal_nan=True)
