"""Calibration: against scikit-learn and scipy, separable classes, unknown labels, folds."""

import copy
import io
import math
import pickle

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import minimize
from scipy.special import expit
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import log_loss

from rankaudio.decisions import Calibration, fit_calibration


def draw(rows=200, classes=4, *, seed=0):
    """Scores on four scales, with 30 % labels."""
    generator = torch.Generator().manual_seed(seed)
    target = torch.rand(rows, classes, generator=generator, dtype=torch.float64) < 0.3
    scores = torch.randn(rows, classes, generator=generator, dtype=torch.float64) + target
    scale = torch.tensor([1.0, 1e-3, 100.0, -4.0], dtype=torch.float64)[:classes]
    return scores * scale + torch.tensor([0.0, 5.0, -1000.0, 30.0], dtype=torch.float64)[:classes], target


def platt(scores, target, smooth=False):
    """Scale and shift of one class by scipy."""
    n1, n0 = target.sum(), (~target).sum()
    one, zero = ((n1 + 1) / (n1 + 2), 1 / (n0 + 2)) if smooth else (1.0, 0.0)
    goal = np.where(target, one, zero)

    def loss(parameters):
        logits = parameters[0] * scores + parameters[1]
        return (np.logaddexp(0, logits) - goal * logits).sum()

    def gradient(parameters):
        error = expit(parameters[0] * scores + parameters[1]) - goal
        return np.array([error @ scores, error.sum()])

    return minimize(loss, [0.0, 0.0], jac=gradient, method="BFGS", options={"gtol": 1e-9}).x


def test_platt_is_logistic_regression_without_penalty():
    scores, target = draw()
    fit = fit_calibration(scores, target).calibration
    for c in range(4):
        # scikit-learn's solver needs scores of one size.
        centre, spread = float(scores[:, c].mean()), float(scores[:, c].std())
        column = ((scores[:, c] - centre) / spread).numpy()[:, None]
        theirs = LogisticRegression(C=1e12, tol=1e-12, max_iter=1000).fit(column, target[:, c].numpy())
        expected = theirs.predict_proba(column)[:, 1]
        np.testing.assert_allclose(fit(scores)[:, c], expected, atol=1e-6)
        assert float(fit.scale[c]) * spread == pytest.approx(float(theirs.coef_[0, 0]), rel=1e-6)


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 2**32), st.integers(5, 40), st.floats(-3, 3))
def test_no_neighbour_is_more_likely(seed, rows, shift):
    """The loss is convex, so a minimum among neighbours is the minimum."""
    scores, target = draw(rows=rows, classes=1, seed=seed)
    column, truth = (scores[:, 0] + shift).numpy(), target[:, 0].numpy()
    fit = fit_calibration(torch.from_numpy(column)[:, None], target).calibration
    smooth = max(column[~truth], default=-9e9) <= min(column[truth], default=9e9)
    smooth = smooth or max(column[truth], default=-9e9) <= min(column[~truth], default=9e9)
    expected = platt(column - column.mean(), truth, smooth)
    ours = fit(torch.from_numpy(column)[:, None])[:, 0]
    np.testing.assert_allclose(ours, expit(expected[0] * (column - column.mean()) + expected[1]), atol=1e-6)


def test_temperature_is_one_scale_for_all_classes():
    scores, target = draw(classes=1)
    scores, target = scores.reshape(-1, 4), target.reshape(-1, 4)
    fit = fit_calibration(scores, target, method="temperature").calibration
    flat, truth = scores.flatten().numpy(), target.flatten().numpy()
    theirs = LogisticRegression(C=1e12, tol=1e-12, fit_intercept=False).fit(flat[:, None], truth)
    np.testing.assert_allclose(fit.scale, [theirs.coef_[0, 0]] * 4, rtol=1e-6)
    assert fit.shift.tolist() == [0.0] * 4


def test_separable_classes_get_the_targets_of_platt():
    scores = torch.tensor([-2.0, -1.0, 0.5, 3.0, 4.0], dtype=torch.float64)[:, None]
    target = torch.tensor([[0], [0], [1], [1], [1]])
    for sign in (1, -1):
        fit = fit_calibration(sign * scores, target).calibration
        expected = platt(scores[:, 0].numpy(), target[:, 0].numpy().astype(bool), smooth=True)
        np.testing.assert_allclose([sign * fit.scale[0], fit.shift[0]], expected, atol=1e-6)
    # One tie between a clip with and a clip without the class separates it too.
    scores[1] = 0.5
    fit = fit_calibration(scores, target).calibration
    expected = platt(scores[:, 0].numpy(), target[:, 0].numpy().astype(bool), smooth=True)
    np.testing.assert_allclose([fit.scale[0], fit.shift[0]], expected, atol=1e-6)
    separate = fit_calibration(torch.tensor([[1.0], [-1.0]]), torch.tensor([[1], [0]]), method="temperature")
    np.testing.assert_allclose(expit(float(separate.calibration.scale)), 2 / 3, rtol=1e-6)


def test_a_class_without_labels_has_the_probability_of_laplace():
    scores, target = draw()
    target[:, 0], target[:, 1] = False, True
    known = torch.ones_like(target)
    known[:, 2] = False
    fit = fit_calibration(scores, target, mask=known).calibration
    np.testing.assert_allclose(fit(scores)[:, 0], 1 / 202, rtol=1e-9)
    np.testing.assert_allclose(fit(scores)[:, 1], 201 / 202, rtol=1e-9)
    assert fit(scores)[:, 2].eq(0.5).all()


@pytest.mark.parametrize("method", ["platt", "temperature"])
def test_equal_scores_and_no_clips_are_no_accident(method):
    target = torch.tensor([[1], [0], [0], [0]])
    fit = fit_calibration(torch.zeros(4, 1), target, method=method)
    expected = 0.25 if method == "temperature" else (2 / 3 + 3 / 5) / 4
    expected = 0.5 if method == "temperature" else expected
    assert fit.calibration.scale.item() == 0
    assert fit.calibration(torch.zeros(1, 1)).item() == pytest.approx(expected, abs=1e-6)
    empty = fit_calibration(torch.zeros(0, 2), torch.zeros(0, 2), method=method)
    assert empty.calibration(torch.ones(1, 2)).tolist() == [[0.5, 0.5]]
    assert math.isnan(empty.log_loss)
    assert math.isnan(empty.constant)


def test_log_losses_are_those_of_scikit_learn():
    scores, target = draw(classes=1)
    fit = fit_calibration(scores, target, folds=torch.arange(200) % 4)
    truth = target[:, 0].numpy()

    def of(probability):
        return pytest.approx(log_loss(truth, probability), abs=1e-9)

    assert fit.log_loss == of(fit.calibration(scores)[:, 0].numpy())
    assert fit.uncalibrated == of(scores[:, 0].sigmoid().numpy())
    assert fit.constant == of(np.full(200, truth.mean()))
    held_out = torch.empty(200, dtype=torch.float64)
    for fold in range(4):
        rest = torch.arange(200) % 4 != fold
        other = fit_calibration(scores[rest], target[rest]).calibration
        held_out[~rest] = other(scores[~rest])[:, 0]
    assert fit.nested == of(held_out.numpy())
    assert fit.log_loss < fit.nested < fit.constant < fit.uncalibrated


@pytest.mark.parametrize("method", ["platt", "temperature"])
def test_unknown_labels_and_their_scores_do_not_count(method, monkeypatch):
    scores, target = draw()
    generator = torch.Generator().manual_seed(3)
    known = torch.rand(200, 4, generator=generator) < 0.7
    folds = torch.arange(200) % 2
    expected = fit_calibration(scores, target, method=method, mask=known, folds=folds)
    monkeypatch.setattr("rankaudio.decisions._calibration_fit._BUDGET", 300)  # one class at a time
    spoiled = scores.masked_fill(~known, math.nan)
    ours = fit_calibration(spoiled, target ^ ~known, method=method, mask=known, folds=folds)
    torch.testing.assert_close(ours.calibration.scale, expected.calibration.scale, rtol=1e-9, atol=0)
    assert ours[1:3] == pytest.approx(expected[1:3], rel=1e-12)
    alone = fit_calibration(scores[known[:, 0], :1], target[known[:, 0], :1]).calibration
    if method == "platt":
        torch.testing.assert_close(alone.scale, expected.calibration.scale[:1], rtol=1e-8, atol=0)


def test_the_module_keeps_the_contracts():
    scores, target = draw()
    module = fit_calibration(scores, target).calibration
    expected = torch.sigmoid(module.scale * scores + module.shift)
    assert torch.equal(module(scores), expected)
    for twin in (copy.deepcopy(module), pickle.loads(pickle.dumps(module))):
        assert repr(twin) == "Calibration(n_classes=4)"
        assert torch.equal(twin(scores), expected)
    buffer = io.BytesIO()
    torch.save(module.state_dict(), buffer)
    buffer.seek(0)
    again = Calibration(torch.ones(4).double(), torch.zeros(4).double())
    again.load_state_dict(torch.load(buffer, weights_only=True))
    assert torch.equal(again(scores), expected)
    for dtype in (torch.float16, torch.bfloat16, torch.float32):
        simple = Calibration(torch.tensor([2.0, 1.0, 0.5, -1.0]), torch.tensor([0.0, 1.0, 2.0, 3.0]))
        rounded = torch.randn(5, 4).to(dtype)
        assert simple(rounded).dtype == torch.float32
        with torch.autocast("cpu", dtype=torch.bfloat16):
            close = simple(rounded)
        torch.testing.assert_close(close.double(), simple.double()(rounded.double()), rtol=1e-6, atol=1e-6)
    assert module.to("meta")(scores.to("meta")).shape == scores.shape
    assert simple(torch.zeros(0, 4)).shape == (0, 4)
    assert torch.autograd.gradcheck(simple.double(), scores[:2, :, None].transpose(1, 2).requires_grad_())


@pytest.mark.slow
def test_the_module_compiles_and_exports():
    module = Calibration(torch.tensor([2.0, 1.0]), torch.tensor([0.0, 1.0]))
    scores = torch.randn(3, 2)
    compiled = torch.compile(module, fullgraph=True, backend="eager")
    assert torch.equal(compiled(scores), module(scores))
    batch = torch.export.Dim("batch")
    program = torch.export.export(module, (scores,), dynamic_shapes=({0: batch},))
    assert torch.equal(program.module()(scores[:2]), module(scores[:2]))


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda s, t: fit_calibration(s, t, method="isotonic"), ValueError, "method: wanted one of 'platt'"),
        (lambda s, t: fit_calibration(s / 0, t), ValueError, "scores: wanted finite numbers"),
        (lambda s, t: fit_calibration(s[0], t[0]), ValueError, r"scores: wanted shape \(N, C\)"),
        (lambda s, t: fit_calibration(s, t * 0.5), ValueError, "target: wanted only 0 and 1"),
        (lambda s, t: Calibration(s[0], t[0]), TypeError, "shift: wanted a floating-point"),
        (lambda s, t: Calibration(s[0], s[0, :2]), ValueError, "shift: wanted shape"),
        (lambda s, t: Calibration(s[0], s[0] / 0), ValueError, "shift: wanted finite numbers"),
        (lambda s, t: Calibration(s[0], s[0])(s[:, :3]), ValueError, "scores: wanted 4 classes"),
        (lambda s, t: Calibration(s[0], s[0])(t), TypeError, "scores: wanted a floating-point"),
    ],
)
def test_wrong_arguments_are_named(call, error, message):
    scores, target = draw()
    with pytest.raises(error, match=message):
        call(scores, target)


def test_a_calibration_is_a_constant_even_if_its_numbers_were_trained():
    scale, shift = torch.ones(3, requires_grad=True), torch.zeros(3, requires_grad=True)
    module = Calibration(scale * 2, shift + 1)
    assert not any(values.requires_grad for values in module.buffers())
    scores = torch.ones(2, 3, requires_grad=True)
    module(scores).sum().backward()
    assert scores.grad is not None
    assert scale.grad is None
    assert shift.grad is None
