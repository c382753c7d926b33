"""Thresholds and calibrated scores against counting, and their error messages."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from noisy_cases import INF, batches
from rankaudio.noisy import calibrate_scores, label_threshold
from rankaudio.noisy._threshold import _order_statistic

finite = batches(levels=(-1.5, -0.25, 0.0, 0.5, 3.0))


@given(finite, st.floats(0, 1), st.booleans())
def test_threshold_gives_the_nearest_possible_number_of_labels(batch, share, calibrate):
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
def test_ties_at_the_threshold_are_never_split(scores, mean_labels, labels):
    scores = torch.tensor(scores)
    for rows in (scores, scores.flip(1).repeat(3, 1)):
        cut = label_threshold(rows, mean_labels=mean_labels, calibrate=False)
        assert (rows > cut).sum() == labels * len(rows)


def test_threshold_on_a_device_equals_that_of_the_cpu():
    """Devices use topk instead of the partition. A stand-in runs that code here."""
    values = torch.randint(0, 500, (1000,), generator=torch.Generator().manual_seed(0)).double()

    class OnDevice:
        device = torch.device("meta")
        topk = values.topk

    for count in (0, 1, 37, 998, 999):
        ours = _order_statistic(values, count)
        assert ours == values.sort(descending=True).values[count] == _order_statistic(OnDevice(), count)


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


def test_calibrated_infinities_are_treated_as_limits():
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


S = torch.zeros(2, 3)
NAN = torch.tensor([[0.0, math.nan, 1.0], [0.0, 0.0, 0.0]])


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
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
