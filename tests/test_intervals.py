"""Bootstrap intervals: every resample is the metric of those clips, and the intervals cover."""

import math

import numpy as np
import pytest
import torch

from rankaudio.metrics import average_precision, bootstrap, f1, lwlrap, paired_test
from rankaudio.metrics._resampling import draw_counts

CHOICES = [
    ("lwlrap", "label", lwlrap),
    ("lwlrap", "sample", lwlrap),
    ("average_precision", "macro", average_precision),
    ("average_precision", "micro", average_precision),
    ("f1", "macro", f1),
    ("f1", "micro", f1),
]
every_choice = pytest.mark.parametrize(("metric", "average", "function"), CHOICES)


def draw(rows=40, classes=5, *, levels=4, seed=0):
    """Scores with many ties; class 0 has no label, and row 0 has none."""
    generator = torch.Generator().manual_seed(seed)
    target = torch.rand(rows, classes, generator=generator) < 0.3
    target[:, 0], target[0] = False, False
    scores = torch.randint(0, levels, (rows, classes), generator=generator).float() + target
    return scores, target


def options(metric):
    return {"thresholds": torch.tensor([0.0, 1.0, 2.0, 3.0, 4.0])} if metric == "f1" else {}


@every_choice
@pytest.mark.parametrize("masked", [False, True])
def test_each_resample_is_the_metric_of_those_clips(metric, average, function, masked):
    scores, target = draw()
    known = torch.rand(40, 5, generator=torch.Generator().manual_seed(1)) < 0.7 if masked else None
    spoiled = scores if known is None else scores.masked_fill(~known, math.nan)
    more = options(metric)
    found = bootstrap(
        spoiled, target, metric=metric, average=average, mask=known, resamples=12, seed=5, **more
    )
    (counts,) = draw_counts(40, None, 12, 5)
    for value, count in zip(found.values, counts, strict=True):
        rows = torch.arange(40).repeat_interleave(count.long())
        mask = None if known is None else known[rows]
        expected = function(scores[rows], target[rows], average=average, mask=mask, **more)
        torch.testing.assert_close(value, expected, rtol=1e-6, atol=1e-6)
    whole = function(scores, target, average=average, mask=known, **more)
    assert found.value == pytest.approx(float(whole), abs=1e-6)
    assert found.values.dtype == torch.float64
    ends = np.quantile(found.values, [0.025, 0.975]) - 2 * (float(found.values.mean()) - found.value)
    np.testing.assert_allclose(found[1:3], ends.clip(0, 1), atol=1e-12)


def test_draws_are_of_as_many_clips_and_repeat():
    (counts,) = draw_counts(40, None, 50, 0)
    assert counts.sum(1).eq(40).all()
    assert counts.mean(0).std() < 0.3
    (again,) = draw_counts(40, None, 50, 0)
    assert torch.equal(counts, again)
    scores, target = draw()
    assert torch.equal(
        bootstrap(scores, target, resamples=7).values, bootstrap(scores, target, resamples=9).values[:7]
    )
    assert bootstrap(scores, target, seed=1).low != bootstrap(scores, target, seed=2).low


def test_parts_of_the_resamples_are_the_whole(monkeypatch):
    scores, target = draw()
    whole = bootstrap(scores, target, resamples=9).values
    monkeypatch.setattr("rankaudio.metrics._resampling._BUDGET", 80)  # two resamples at a time
    torch.testing.assert_close(bootstrap(scores, target, resamples=9).values, whole, rtol=1e-12, atol=0)


def test_groups_are_drawn_whole():
    groups = torch.tensor([3, 3, 3, 9, 9, 4])
    (counts,) = draw_counts(6, groups, 30, 0)
    assert torch.equal(counts[:, 0], counts[:, 1])
    assert torch.equal(counts[:, 3], counts[:, 4])
    assert counts[:, [0, 3, 5]].sum(1).eq(3).all()
    # Copies of each clip say nothing new, so groups of copies give the interval of the clips.
    scores, target = draw()
    copies = [part.repeat_interleave(3, 0) for part in (scores, target, torch.arange(40))]
    once = bootstrap(scores, target)
    grouped = bootstrap(*copies[:2], groups=copies[2])
    torch.testing.assert_close(grouped.values, once.values, rtol=1e-12, atol=0)
    assert bootstrap(*copies[:2]).high < grouped.high


@every_choice
def test_a_pair_is_compared_on_the_same_draws(metric, average, function):
    scores, target = draw()
    other, more = draw(seed=3)[0], {"metric": metric, "average": average, "resamples": 30, **options(metric)}
    ours = paired_test(scores, other, target, **more)
    one, two = (bootstrap(part, target, **more) for part in (scores, other))
    torch.testing.assert_close(ours.values, one.values - two.values)
    assert ours.difference == pytest.approx(one.value - two.value)
    assert ours.low <= ours.difference <= ours.high
    least = min((ours.values <= 0).sum(), (ours.values >= 0).sum()).item()
    assert ours.p_value == pytest.approx(min(1.0, 2 * (1 + least) / 31))
    back = paired_test(other, scores, target, **more)
    assert back.difference == -ours.difference
    assert back.p_value == ours.p_value


def test_equal_models_do_not_differ_and_no_labels_are_no_accident():
    scores, target = draw()
    assert paired_test(scores, scores, target)[:4] == (0.0, 0.0, 0.0, 1.0)
    for metric in ("lwlrap", "average_precision", "f1"):
        more = {"metric": metric, "resamples": 5, **options(metric)}
        for rows in (0, 40):
            empty = bootstrap(scores[:rows], torch.zeros(rows, 5), **more)
            assert all(math.isnan(end) for end in empty[:3])
            assert math.isnan(paired_test(scores[:rows], scores[:rows], torch.zeros(rows, 5), **more).p_value)
    # A resample without the only labelled clip has no value, and the others count.
    few = bootstrap(torch.tensor([[1.0, 0.0], [1.0, 0.0]]), torch.tensor([[0, 1], [0, 0]]))
    assert few[:3] == (0.5, 0.5, 0.5)
    assert 0 < int(few.values.isnan().sum()) < 1000


def test_the_bias_of_rare_classes_is_taken_out():
    """The mean over many classes with few clips is too high, and in resamples twice as much."""
    generator = torch.Generator().manual_seed(0)

    def simulated(rows):
        target = torch.rand(rows, 60, generator=generator) < 0.02
        return torch.randn(rows, 60, generator=generator) + 2 * target, target

    truth = float(average_precision(*simulated(40_000)))
    scores, target = simulated(400)
    found = bootstrap(scores, target, metric="average_precision", resamples=200)
    assert found.value > truth
    assert found.values.quantile(0.025) > truth
    assert found.low < truth < found.high


def test_arrays_and_half_precision_are_taken():
    scores, target = draw()
    expected = bootstrap(scores, target, resamples=5).values
    assert torch.equal(bootstrap(scores.numpy(), target.numpy(), resamples=5).values, expected)
    assert torch.equal(bootstrap(scores.half(), target, resamples=5).values, expected)


@pytest.mark.slow
def test_intervals_of_simulated_models_cover_the_truth():
    """benchmarks/intervals.py measures the share with more clips and simulations."""
    generator = torch.Generator().manual_seed(0)

    def simulated(rows):
        target = torch.rand(rows, 5, generator=generator) < 0.3
        return torch.randn(rows, 5, generator=generator) + target, target

    truth = float(lwlrap(*simulated(200_000)))
    found = [bootstrap(*simulated(150), resamples=200) for _ in range(200)]
    covered = sum(one.low <= truth <= one.high for one in found)
    assert 180 <= covered <= 198


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"metric": "accuracy"}, ValueError, "metric: wanted one of 'lwlrap', 'average_precision', 'f1'"),
        ({"average": "macro"}, ValueError, "average: wanted one of 'label', 'sample'"),
        ({"metric": "f1"}, ValueError, "thresholds: wanted a tensor or a number"),
        ({"thresholds": 0.0}, ValueError, "thresholds: wanted None for the metric 'lwlrap'"),
        ({"resamples": 0}, ValueError, "resamples: wanted an integer >= 1"),
        ({"level": 1.0}, ValueError, "level: wanted a number between 0 and 1"),
        ({"seed": -1}, ValueError, "seed: wanted an integer >= 0"),
        ({"groups": torch.zeros(40)}, TypeError, "groups: wanted integers"),
        ({"groups": torch.arange(39)}, ValueError, "groups: wanted shape"),
        ({"scores": torch.zeros(2, 20, 5)}, ValueError, "target: wanted the shape of scores"),
    ],
)
def test_wrong_arguments_are_named(change, error, message):
    scores, target = draw()
    with pytest.raises(error, match=message):
        bootstrap(**{"scores": scores, "target": target, **change})
    with pytest.raises(ValueError, match=r"scores: wanted shape \(N, C\)"):
        bootstrap(scores[None], target[None])
    with pytest.raises(ValueError, match="other: wanted numbers, got 200 NaN"):
        paired_test(scores, scores * math.nan, target)
