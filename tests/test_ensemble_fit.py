"""Fitted blend weights against a grid, and the nested estimate against a loop over folds."""

import math

import pytest
import torch
from sklearn.metrics import label_ranking_average_precision_score

from rankaudio import lwlrap, multilabel_folds
from rankaudio.ensemble import BlendFit, blend, fit_blend_weights
from rankaudio.ensemble._members import Members
from rankaudio.ensemble._search import WeightSearch

pytestmark = pytest.mark.slow

METHODS = ["mean", "geometric", "rank"]


def task(noise, clips=150, classes=8, seed=0):
    """Make members ``(M, N, C)`` that share some errors and have separate ones, and a target."""
    generator = torch.Generator().manual_seed(seed)
    target = torch.rand(clips, classes, generator=generator) < 0.4 / classes
    target[torch.arange(clips), torch.randint(0, classes, (clips,), generator=generator)] = True
    shared = 3 * target + torch.randn(clips, classes, generator=generator)
    own = torch.randn(len(noise), clips, classes, generator=generator)
    return shared + torch.tensor(noise)[:, None, None] * own, target


# How far the fitted lwlrap may be below the best of a grid of 251 weights: half of what one of the 540
# labels can add. The best of the grid may be a step that is 0.004 wide.
GRID_TOLERANCE = 1e-3


@pytest.mark.slow
@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("seed", [0, 1])
def test_fitted_weights_are_as_good_as_the_best_of_a_grid(method, seed):
    scores, target = task([1.0, 1.5], clips=400, seed=seed)
    scores = scores.sigmoid() if method == "geometric" else scores
    fit = fit_blend_weights(scores, target, method=method, n_folds=2, starts=1)
    grid = [[w / 250, 1 - w / 250] for w in range(251)]
    best = max(lwlrap(blend(scores, weights=w, method=method), target).item() for w in grid)
    assert fit.lwlrap >= best - GRID_TOLERANCE
    assert fit.lwlrap > max(fit.equal, *fit.alone)
    blended = blend(scores, weights=fit.weights, method=method)
    assert fit.lwlrap == lwlrap(blended, target).item()
    official = label_ranking_average_precision_score(target, blended, sample_weight=target.sum(1).numpy())
    assert fit.lwlrap == pytest.approx(official, abs=1e-12)
    assert fit.equal == lwlrap(blend(scores, method=method), target).item()
    assert fit.alone.tolist() == [lwlrap(blend(s[None], method=method), target).item() for s in scores]


@pytest.fixture(scope="module")
def noisy_fit():
    """Four members, the second of which is noise. (Some noise helps by chance, this noise does not.)"""
    scores, target = task([1.0, 0.0, 1.5, 1.2], clips=400, seed=1)
    scores[1] = torch.randn(scores[1].shape, generator=torch.Generator().manual_seed(8))
    return scores, target, fit_blend_weights(scores, target, n_folds=2, starts=1)


def test_a_member_of_pure_noise_gets_almost_no_weight(noisy_fit):
    fit = noisy_fit[2]
    assert fit.weights[1] < 0.05
    assert (fit.fold_weights[:, 1] < 0.1).all()
    assert fit.nested > fit.equal
    assert fit.lwlrap >= max(fit.equal, *fit.alone)


def test_weights_are_on_the_simplex(noisy_fit):
    fit = noisy_fit[2]
    assert isinstance(fit, BlendFit)
    assert fit.weights.dtype == torch.float64
    for weights in (fit.weights, *fit.fold_weights):
        assert weights.shape == (4,)
        assert (weights >= 0).all()
        assert weights.sum().item() == pytest.approx(1, abs=1e-14)


def test_the_order_of_the_members_makes_no_difference(noisy_fit):
    scores, target, fit = noisy_fit
    order = [2, 3, 1, 0]
    state = torch.get_rng_state()
    again = fit_blend_weights(list(scores[order]), target.float(), n_folds=2, starts=1)
    assert torch.equal(again.weights, fit.weights[order])
    assert torch.equal(again.fold_weights, fit.fold_weights[:, order])
    assert (again.lwlrap, again.nested, again.equal) == (fit.lwlrap, fit.nested, fit.equal)
    assert torch.equal(torch.get_rng_state(), state)


def test_nested_repeats_the_fit_without_each_fold(noisy_fit):
    scores, target, fit = noisy_fit
    folds, scored = multilabel_folds(target, n_folds=2), torch.zeros(target.shape)
    for fold in range(2):
        rest = folds != fold
        weights = fit_blend_weights(scores[:, rest], target[rest], n_folds=2, starts=1).weights
        assert torch.equal(weights, fit.fold_weights[fold])
        scored[~rest] = blend(scores[:, ~rest], weights=weights)
    official = label_ranking_average_precision_score(target, scored, sample_weight=target.sum(1).numpy())
    assert fit.nested == pytest.approx(official, abs=1e-12)
    assert fit.nested < fit.lwlrap


def test_nested_by_hand():
    """One member is right in the first fold, the other in the second. A fit on one fails on the other."""
    target = torch.tensor([[1, 0], [0, 1], [1, 0], [0, 1]])
    right = torch.tensor([[1.0, 0.0], [0.0, 1.0], [1.0, 0.0], [0.0, 1.0]])
    here = torch.tensor([[1.0], [1.0], [-1.0], [-1.0]])
    fit = fit_blend_weights([right * here, right * -here], target, folds=torch.tensor([7, 7, -3, -3]))
    # A label that is not the first of two classes has precision 1/2, with or without a tie.
    assert (fit.lwlrap, fit.equal, fit.alone.tolist()) == (0.75, 0.5, [0.75, 0.75])
    assert fit.fold_weights.tolist() == [[1.0, 0.0], [0.0, 1.0]]
    assert fit.nested == 0.5


def test_identical_members_keep_equal_weights():
    scores, target = task([1.0], clips=30)
    fit = fit_blend_weights([scores[0]] * 3, target, n_folds=2, starts=1)
    assert torch.equal(fit.weights, torch.full((3,), 1 / 3, dtype=torch.float64))
    assert fit.lwlrap == fit.nested == fit.equal == fit.alone[2]


def test_one_member_has_all_the_weight():
    scores, target = task([1.0], clips=30)
    fit = fit_blend_weights(scores, target)
    assert fit.weights.tolist() == [1.0]
    assert fit.fold_weights.tolist() == [[1.0]] * 5
    assert fit.lwlrap == fit.nested == fit.equal == lwlrap(scores[0], target).item()


def test_members_on_different_scales_can_be_weighted():
    scores, target = task([1.0, 1.2], clips=80)
    scores[1] *= 1e4
    fit = fit_blend_weights(scores, target, n_folds=2, starts=0)
    fair = blend(scores, weights=[1.0, 1e-4])
    assert fit.lwlrap >= lwlrap(fair, target).item() > fit.equal
    assert 0 < fit.weights[1] < 1e-3


def test_members_with_infinite_scores_can_be_fitted():
    scores, target = task([1.0, 1.2], clips=60)
    scores[1][~target & (scores[1] < 0)] = -math.inf
    fit = fit_blend_weights(scores, target, n_folds=2, starts=0)
    assert fit.lwlrap == lwlrap(blend(scores, weights=fit.weights), target).item()
    assert fit.lwlrap > max(fit.equal, *fit.alone) - 1e-12
    assert fit.weights[1] > 0


def test_members_with_different_clips_are_fitted_together():
    scores, target = task([1.0, 1.2, 0.0], clips=90)
    scores[2] = -scores[0]
    present = torch.ones(3, 90, dtype=torch.bool)
    present[0, :30], present[1, 30:50] = False, False
    scores[~present] = math.nan
    fit = fit_blend_weights(scores, target, present=present, n_folds=2, starts=1)
    assert fit.weights[2] < 0.05
    blended = blend(scores, weights=fit.weights, present=present)
    assert fit.lwlrap == lwlrap(blended, target).item()
    assert fit.lwlrap > fit.equal
    with pytest.raises(ValueError, match=r"scores\[0\]: wanted numbers, got nan for clip 0, class 0"):
        fit_blend_weights(scores, target)


@pytest.mark.parametrize("parameters", [(0.3, 0.7), (-1.0, 2.0), (0.5, -0.1)])
def test_the_search_minimises_minus_the_lwlrap_of_members_with_spread_one(parameters):
    generator = torch.Generator().manual_seed(4)
    scores = torch.randn(2, 30, 5, dtype=torch.float64, generator=generator)
    scores[0] *= 9
    # What is added to all classes of a clip does not change their order, so it is no spread.
    scores[1] += 50 * torch.arange(30.0)[:, None]
    target = torch.rand(30, 5, generator=generator) > 0.6
    members = Members(tuple(scores), torch.ones(2, 30, 1, dtype=torch.bool), "mean", torch.float64)
    search = WeightSearch(members, target, [0, 1])
    known = scores[:, target.any(1)]
    spread = (known - known.mean(-1, keepdim=True)).abs().mean((1, 2))
    share = torch.tensor(parameters, dtype=torch.float64).clamp(min=0)
    blended = (share / spread) @ scores.flatten(1)
    expected = -float(lwlrap(blended.reshape(30, 5), target))
    assert search._cost(torch.tensor(parameters, dtype=torch.float64)) == pytest.approx(expected, abs=1e-13)


def test_a_blend_of_nothing_is_worse_than_any_other():
    present, scores = torch.ones(1, 3, 1, dtype=torch.bool), torch.eye(3, dtype=torch.float64)
    search = WeightSearch(Members((scores,), present, "mean", torch.float64), scores.bool(), [0])
    assert search._cost(torch.tensor([-1.0])) == 0
    assert search._cost(torch.tensor([1.0])) == -1


def test_weights_stay_equal_if_one_fold_has_all_the_labels():
    scores, target = task([1.0, 1.5], clips=40)
    target[20:] = False
    fit = fit_blend_weights(scores, target, folds=torch.arange(40) // 20, starts=0)
    assert fit.fold_weights[0].tolist() == [0.5, 0.5]
    assert fit.nested == fit.equal


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"scores": torch.ones(2, 6)}, ValueError, r"scores: wanted members of shape \(N, C\), got"),
        ({"scores": torch.full((2, 6, 3), math.nan)}, ValueError, r"scores\[0\]: wanted numbers, got nan"),
        ({"target": torch.ones(5, 3)}, ValueError, r"target: wanted the shape of scores, \(6, 3\)"),
        ({"target": [[1]]}, TypeError, "target: wanted a torch.Tensor"),
        ({"target": torch.full((6, 3), 0.5)}, ValueError, "target: wanted only 0 and 1"),
        ({"target": torch.zeros(6, 3)}, ValueError, "target: wanted at least one label, got none"),
        ({"method": "best"}, ValueError, "method: wanted one of"),
        ({"folds": torch.zeros(5).long()}, ValueError, r"folds: wanted shape \(6,\), got"),
        ({"folds": torch.zeros(6)}, TypeError, "folds: wanted integers, got a float32"),
        (
            {"folds": torch.ones(6).long()},
            ValueError,
            r"folds: wanted at least two different ones, got \[1\]",
        ),
        ({"n_folds": 7}, ValueError, "n_folds: wanted an integer from 2 to 6, got 7"),
        ({"starts": -1}, ValueError, "starts: wanted an integer >= 0, got -1"),
        ({"seed": 1.5}, TypeError, "seed: wanted an integer, got 1.5"),
    ],
)
def test_bad_arguments_of_a_fit_are_named(change, error, message):
    arguments = {"scores": torch.ones(2, 6, 3), "target": torch.eye(3).repeat(2, 1)} | change
    with pytest.raises(error, match=message):
        fit_blend_weights(arguments.pop("scores"), arguments.pop("target"), **arguments)
