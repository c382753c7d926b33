"""Blends against numpy and scipy, joins against dictionaries, fitted weights against a grid."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats
from sklearn.metrics import label_ranking_average_precision_score

from rankaudio import lwlrap, multilabel_folds
from rankaudio.data import ScoreTable
from rankaudio.ensemble import BlendFit, blend, blend_tables, fit_blend_weights, stack_tables

METHODS = ["mean", "geometric", "rank"]
WEIGHTS = [2.0, 0.5, 1.0]
seeds = st.integers(0, 2**32 - 1)


def drawn(*shape, seed=0, dtype=torch.float64):
    """Positive numbers with some ties, so that every method takes them."""
    generator = torch.Generator().manual_seed(seed)
    return (torch.randint(1, 40, shape, generator=generator) / 8).to(dtype)


def oracle(scores, weights, method):
    """The members' average ``(N, C)`` by numpy and scipy; ``scores`` ``(M, N, C)``."""
    scores = np.asarray(scores, dtype=np.float64)
    if method == "geometric":
        return stats.gmean(scores, axis=0, weights=np.asarray(weights)[:, None, None])
    if method == "rank":
        scores = (stats.rankdata(scores, axis=-1) - 1) / (scores.shape[-1] - 1)
    return np.average(scores, axis=0, weights=weights)


def task(noise, clips=150, classes=8, seed=0):
    """Members ``(M, N, C)`` that share some errors and have others of their own, and a target."""
    generator = torch.Generator().manual_seed(seed)
    target = torch.rand(clips, classes, generator=generator) < 0.4 / classes
    target[torch.arange(clips), torch.randint(0, classes, (clips,), generator=generator)] = True
    shared = 3 * target + torch.randn(clips, classes, generator=generator)
    own = torch.randn(len(noise), clips, classes, generator=generator)
    return shared + torch.tensor(noise)[:, None, None] * own, target


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("weights", [None, WEIGHTS, [1, 0, 3]])
@pytest.mark.parametrize("shape", [(3, 5, 7), (3, 1, 2), (3, 9, 1), (3, 0, 4)], ids=str)
def test_blends_equal_numpy_and_scipy(method, weights, shape):
    scores = drawn(*shape)
    ours = blend(scores, weights=weights, method=method)
    assert ours.dtype == torch.float64
    if shape[1] == 0:
        assert ours.shape == (0, 4)
    elif method == "rank" and shape[2] == 1:
        assert (ours == 0).all()
    else:
        expected = oracle(scores, [1, 1, 1] if weights is None else weights, method)
        np.testing.assert_allclose(ours.numpy(), expected, rtol=1e-14)


@pytest.mark.parametrize("method", METHODS)
def test_all_ways_to_pass_members_and_weights_agree(method):
    scores, weights = drawn(3, 5, 7), torch.tensor(WEIGHTS)
    expected = blend(scores, weights=WEIGHTS, method=method)
    assert torch.equal(blend(list(scores), weights=weights, method=method), expected)
    assert torch.equal(blend(tuple(scores), weights=weights * 8, method=method), expected)
    everywhere = torch.ones(3, 5, dtype=torch.bool)
    assert torch.equal(blend(scores, weights=weights, method=method, present=everywhere), expected)
    assert torch.equal(blend(scores[:, 2], weights=weights, method=method), expected[2])
    assert torch.equal(blend(scores[:, :, None], weights=weights, method=method), expected[:, None])


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize(
    ("dtype", "result"),
    [
        (torch.float64, torch.float64),
        (torch.float32, torch.float32),
        (torch.float16, torch.float32),
        (torch.bfloat16, torch.float32),
    ],
)
def test_computed_in_double_and_rounded_once(method, dtype, result):
    scores = drawn(3, 5, 7, dtype=dtype)
    before, state = scores.clone(), torch.get_rng_state()
    ours = blend(scores, weights=WEIGHTS, method=method)
    assert torch.equal(ours, blend(scores.double(), weights=WEIGHTS, method=method).to(result))
    assert ours.dtype == result
    assert torch.equal(scores, before)
    assert torch.equal(torch.get_rng_state(), state)
    mixed = blend([scores[0], scores[1].double()], method=method)
    assert mixed.dtype == torch.float64


def test_large_scores_do_not_overflow():
    largest = torch.full((3, 2, 2), torch.finfo(torch.float32).max)
    assert torch.equal(blend(largest, weights=[0.7, 0.7, 0.7]), largest[0])


def test_gradients_reach_the_scores():
    scores = drawn(3, 2, 4).requires_grad_()
    assert torch.autograd.gradcheck(lambda x: blend(x, weights=WEIGHTS), (scores,))
    assert torch.autograd.gradcheck(lambda x: blend(x, weights=WEIGHTS, method="geometric"), (scores,))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_ranks_that_even_out_are_tied(dtype):
    """Three members in three cyclic orders: the mean ranks are equal, and so to the last bit."""
    scores = torch.tensor([[[1, 2, 3]], [[2, 3, 1]], [[3, 1, 2]]], dtype=dtype)
    third = torch.full((3,), 1 / 3, dtype=torch.float64)
    for weights in (None, third, [0.1, 0.1, 0.1]):
        assert blend(scores, weights=weights, method="rank").tolist() == [[0.5, 0.5, 0.5]]


@given(st.integers(2, 70), st.integers(1, 5), seeds)
def test_labels_that_all_members_score_alike_stay_tied(classes, members, seed):
    generator = torch.Generator().manual_seed(seed)
    scores = torch.randn(members, 1, classes, generator=generator, dtype=torch.float64).exp()
    weights = torch.rand(members, generator=generator) + 0.1
    scores[..., -1] = scores[..., 0]
    for method in ("mean", "rank"):
        result = blend(scores, weights=weights, method=method)
        assert result[0, -1] == result[0, 0]


@given(st.integers(1, 5), st.integers(1, 6), st.integers(1, 9), seeds, st.data())
def test_equal_members_blend_to_the_member(members, clips, classes, seed, data):
    scores = drawn(clips, classes, seed=seed)
    weights = data.draw(st.lists(st.floats(0.01, 100), min_size=members, max_size=members))
    ranks = blend([scores], method="rank")
    for method, expected in zip(METHODS, [scores, scores, ranks], strict=True):
        ours = blend([scores] * members, weights=weights, method=method)
        torch.testing.assert_close(ours, expected, rtol=1e-14, atol=1e-14)


@given(st.integers(1, 4), st.integers(1, 5), st.integers(2, 9), seeds)
def test_rank_blend_does_not_see_what_keeps_the_order_of_a_clip(members, clips, classes, seed):
    scores = drawn(members, clips, classes, seed=seed)
    generator = torch.Generator().manual_seed(seed)
    stretch, shift = torch.rand(2, members, clips, 1, generator=generator, dtype=torch.float64)
    changed = ((scores * (stretch + 0.1)).exp() - shift) ** 3
    assert torch.equal(blend(changed, method="rank"), blend(scores, method="rank"))


@given(st.permutations(range(4)), seeds, st.sampled_from(METHODS))
def test_the_order_of_the_members_is_no_matter(order, seed, method):
    scores, weights = drawn(4, 3, 5, seed=seed), torch.tensor([0.1, 0.4, 0.3, 0.2])
    ours = blend(scores[list(order)], weights=weights[list(order)], method=method)
    torch.testing.assert_close(ours, blend(scores, weights=weights, method=method), rtol=1e-14, atol=1e-14)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("weights", [None, WEIGHTS])
def test_a_clip_is_blended_from_the_members_that_have_it(method, weights):
    scores, generator = drawn(3, 12, 5), torch.Generator().manual_seed(1)
    present = torch.rand(3, 12, generator=generator) < 0.5
    present[0] |= ~present.any(0)
    spoiled = torch.where(present[..., None], scores, math.nan)
    ours = blend(spoiled, weights=weights, method=method, present=present)
    for clip in range(12):
        members = [m for m in range(3) if present[m, clip]]
        factors = [1.0 if weights is None else weights[m] for m in members]
        expected = oracle(scores[members][:, [clip]], factors, method)[0]
        np.testing.assert_allclose(ours[clip].numpy(), expected, rtol=1e-14)


def test_a_clip_of_weightless_members_gets_their_plain_mean():
    present = torch.tensor([[True, False], [True, True], [True, True]])
    scores = torch.tensor([[[1.0, 2]] * 2, [[3.0, 4]] * 2, [[6.0, 8]] * 2])
    ours = blend(scores, weights=[5, 0, 0], present=present)
    assert ours.tolist() == [[1.0, 2.0], [4.5, 6.0]]


def test_infinities_are_scores_like_others():
    scores = torch.tensor([[[math.inf, 0.0, -math.inf]], [[1.0, -math.inf, 2.0]]])
    assert blend(scores).tolist() == [[math.inf, -math.inf, -math.inf]]
    assert blend(scores, weights=[0, 1]).tolist() == scores[1].tolist()
    assert blend(scores, method="rank").tolist() == [[0.75, 0.25, 0.5]]
    opposed = torch.tensor([[[math.inf, 0.0]], [[-math.inf, 1.0]]])
    assert blend(opposed, method="rank").tolist() == [[0.5, 0.5]]
    probabilities = torch.tensor([[[0.0, 0.5]], [[0.9, 0.125]]])
    assert blend(probabilities, method="geometric").tolist() == [[0.0, 0.25]]


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"scores": 3}, TypeError, r"scores: wanted a tensor or a list of tensors, got 3 \(int\)"),
        ({"scores": []}, ValueError, "scores: wanted at least one member, got none"),
        ({"scores": torch.ones(0, 2, 3)}, ValueError, "scores: wanted at least one member"),
        ({"scores": torch.ones(3)}, ValueError, r"scores: wanted shape \(M, \*, C\), got a float32"),
        ({"scores": torch.ones(2, 4, 3).int()}, TypeError, "scores: wanted a floating-point tensor"),
        ({"scores": [torch.ones(4, 3), 1]}, TypeError, r"scores\[1\]: wanted a torch.Tensor, got 1"),
        ({"scores": torch.ones(2, 4, 0)}, ValueError, r"scores\[0\]: wanted shape \(\*, C\) with C >= 1"),
        (
            {"scores": [torch.ones(4, 3), torch.ones(4, 2)]},
            ValueError,
            r"scores\[1\]: wanted the shape of scores\[0\], \(4, 3\), got .* shape \(4, 2\)",
        ),
        (
            {"scores": [torch.ones(4, 3), torch.ones(4, 3, device="meta")]},
            ValueError,
            r"scores\[1\]: wanted the device of scores\[0\], cpu",
        ),
        (
            {"scores": [torch.ones(1, 2), torch.tensor([[0.0, math.nan]])]},
            ValueError,
            r"scores\[1\]: wanted numbers, got nan for clip 0, class 1$",
        ),
        (
            {"scores": torch.full((1, 1, 1, 2), math.nan)},
            ValueError,
            r"scores\[0\]: wanted numbers, got nan at \(0, 0, 0\)$",
        ),
        (
            {"scores": torch.tensor([[[math.inf]], [[-math.inf]]])},
            ValueError,
            r"scores: wanted members that can be averaged, got -inf and inf for clip 0, class 0 \(method",
        ),
        (
            {"scores": torch.tensor([[[math.inf]], [[0.0]]]), "method": "geometric"},
            ValueError,
            "scores: wanted members that can be averaged, got 0 and inf for clip 0, class 0",
        ),
        (
            {"scores": torch.tensor([[[1.0]], [[-2.0]]]), "method": "geometric"},
            ValueError,
            r"scores\[1\]: wanted numbers >= 0 for a geometric mean, got -2.0 for clip 0, class 0",
        ),
        ({"method": "median"}, ValueError, "method: wanted one of 'mean', 'geometric', 'rank', got 'median'"),
        ({"weights": [1.0]}, ValueError, "weights: wanted one for each of the 2 members, got 1"),
        ({"weights": torch.ones(3)}, ValueError, r"weights: wanted shape \(2,\), got a float32"),
        ({"weights": [1, -0.5]}, ValueError, r"weights\[1\]: wanted a finite number >= 0, got -0.5"),
        ({"weights": [math.nan, 1]}, ValueError, r"weights\[0\]: wanted a finite number >= 0, got nan"),
        ({"weights": [0, 0.0]}, ValueError, r"weights: wanted at least one above 0, got \[0, 0.0\]"),
        ({"weights": ["a", 1]}, TypeError, r"weights\[0\]: wanted a number, got 'a'"),
        ({"weights": 1.0}, TypeError, "weights: wanted a tensor or a list of numbers, got 1.0"),
        ({"present": torch.ones(2, 3) > 0}, ValueError, r"present: wanted shape \(2, 4\), got a bool"),
        ({"present": torch.ones(2, 4)}, TypeError, "present: wanted a bool tensor, got a float32"),
        ({"present": [[True]]}, TypeError, "present: wanted a torch.Tensor"),
        (
            {"present": torch.tensor([[True, False, True, True], [True, False, False, True]])},
            ValueError,
            "present: wanted a member for every clip, got none for clip 1$",
        ),
    ],
)
def test_bad_members_are_named(change, error, message):
    arguments = {"scores": torch.ones(2, 4, 3)} | change
    with pytest.raises(error, match=message):
        blend(arguments.pop("scores"), **arguments)


def tables(*rows, classes=("Bark", "Meow"), seed=0):
    """One table for each list of clips, rows and columns in an order of its own."""
    generator = torch.Generator().manual_seed(seed)
    made = []
    for names in rows:
        mixed = [names[i] for i in torch.randperm(len(names), generator=generator).tolist()]
        labels = [classes[i] for i in torch.randperm(len(classes), generator=generator).tolist()]
        made.append(ScoreTable(mixed, labels, torch.rand(len(mixed), len(labels), generator=generator) + 0.1))
    return made


def look_up(table):
    """{(clip, class): score}."""
    return {
        (name, label): table.scores[i, j].item()
        for i, name in enumerate(table.names)
        for j, label in enumerate(table.classes)
    }


@given(
    st.lists(st.lists(st.sampled_from("abcdefgh"), min_size=1, unique=True), min_size=1, max_size=4),
    seeds,
    st.sampled_from(["mean", "geometric"]),
)
def test_tables_are_joined_by_the_names_of_clips_and_classes(rows, seed, method):
    members = tables(*rows, classes=("x", "y", "z"), seed=seed)
    weights = [0.5, 3.0, 1.0, 2.0][: len(members)]
    ours = look_up(blend_tables(members, weights=weights, method=method))
    assert {name for name, _ in ours} == {name for row in rows for name in row}
    for key, score in ours.items():
        have = [(look_up(t)[key], w) for t, w in zip(members, weights, strict=True) if key[0] in t.names]
        values, factors = zip(*have, strict=True)
        mean = stats.gmean if method == "geometric" else np.average
        assert score == pytest.approx(float(mean(np.array(values), weights=factors)), rel=1e-6)


def test_out_of_fold_tables_of_disjoint_clips_are_put_together():
    first, second = tables(["a", "b"], ["c"])
    whole = blend_tables([first, second], weights=[0.3, 9])
    assert whole.names == (*first.names, "c")
    assert whole.classes == first.classes
    expected = look_up(first) | look_up(second)
    assert look_up(whole) == pytest.approx(expected, rel=1e-7)


def test_a_stack_marks_what_is_missing_and_follows_the_names_asked_for():
    members = tables(["a", "b", "c"], ["c", "d"])
    stack = stack_tables(members, names=["d", "c", "a"], classes=["Meow", "Bark"])
    assert stack.names == ("d", "c", "a")
    assert stack.classes == ("Meow", "Bark")
    assert stack.present.tolist() == [[False, True, True], [True, True, False]]
    assert torch.equal(stack.scores.isnan(), ~stack.present[..., None].expand_as(stack.scores))
    assert stack.scores[1, 0, 1].item() == look_up(members[1])["d", "Bark"]
    wanted = blend_tables(members, names=["d", "c", "a"], classes=["Meow", "Bark"], method="rank")
    by_hand = blend(stack.scores, present=stack.present, method="rank")
    assert torch.equal(wanted.scores, by_hand)
    assert (wanted.names, wanted.classes) == (stack.names, stack.classes)
    with pytest.raises(ValueError, match=r"scores\[0\]: wanted numbers, got nan for clip 0, class 0"):
        blend(stack.scores)


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"tables": []}, ValueError, "tables: wanted at least one, got none"),
        ({"tables": tables(["a"])[0]}, TypeError, "tables: wanted a list of ScoreTable, got ScoreTable"),
        ({"tables": [torch.ones(1, 2)]}, TypeError, r"tables\[0\]: wanted a ScoreTable, got a float32"),
        (
            {"tables": [*tables(["a"]), *tables(["a"], classes=("Bark", "Moo"))]},
            ValueError,
            r"tables\[1\]: wanted the 2 classes of the blend, but it lacks 'Meow'",
        ),
        (
            {"tables": [*tables(["a"]), *tables(["a"], classes=("Bark", "Meow", "Moo"))]},
            ValueError,
            r"tables\[1\]: wanted the 2 classes of the blend, but it has besides 'Moo'",
        ),
        ({"classes": ["Bark"]}, ValueError, r"tables\[0\]: wanted the 1 classes .* has besides 'Meow'"),
        ({"classes": ["Bark", "Bark"]}, ValueError, "classes: wanted different names, got 'Bark' twice"),
        ({"names": ["b", "c"]}, ValueError, "names: wanted clips of the tables, 1 are in none: 'c'$"),
        ({"names": list("bcdefgh")}, ValueError, r"6 are in none: 'c', 'd', 'e', 'f', 'g', \.\.\.$"),
        ({"names": ["a", "a"]}, ValueError, "names: wanted different names, got 'a' twice"),
        ({"names": "ab"}, TypeError, "names: wanted a list of strings, got 'ab'"),
        (
            {"tables": [ScoreTable(("u", "v"), ("x", "y"), torch.tensor([[0, 0], [1, math.nan]]))]},
            ValueError,
            r"tables\[0\]: wanted numbers, got nan for clip 'v', class 'y'$",
        ),
        (
            {
                "tables": [ScoreTable(("u", "v"), ("x", "y"), torch.tensor([[0, 0], [-1.0, 1]]))],
                "method": "geometric",
            },
            ValueError,
            r"tables\[0\]: wanted numbers >= 0 .*, got -1.0 for clip 'v', class 'x'$",
        ),
        ({"weights": [1, 2, 3]}, ValueError, "weights: wanted one for each of the 2 members, got 3"),
    ],
)
def test_bad_tables_are_named(change, error, message):
    arguments = {"tables": tables(["a"], ["b"])} | change
    with pytest.raises(error, match=message):
        blend_tables(arguments.pop("tables"), **arguments)


# How far a fitted figure may stay below the best of a grid of 251 weights: half of what one of the 540
# labels can add. The grid's best may be a stair that is 0.004 wide.
GRID_TOLERANCE = 1e-3


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
    """Four members, the second of which knows nothing. (Some noise helps by chance, this one does not.)"""
    scores, target = task([1.0, 0.0, 1.5, 1.2], clips=400, seed=1)
    scores[1] = torch.randn(scores[1].shape, generator=torch.Generator().manual_seed(8))
    return scores, target, fit_blend_weights(scores, target, n_folds=2, starts=1)


def test_a_member_of_pure_noise_gets_next_to_no_weight(noisy_fit):
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


def test_the_nested_figure_repeats_the_fit_without_each_fold(noisy_fit):
    scores, target, fit = noisy_fit
    folds, judged = multilabel_folds(target, n_folds=2), torch.zeros(target.shape)
    for fold in range(2):
        rest = folds != fold
        weights = fit_blend_weights(scores[:, rest], target[rest], n_folds=2, starts=1).weights
        assert torch.equal(weights, fit.fold_weights[fold])
        judged[~rest] = blend(scores[:, ~rest], weights=weights)
    official = label_ranking_average_precision_score(target, judged, sample_weight=target.sum(1).numpy())
    assert fit.nested == pytest.approx(official, abs=1e-12)
    assert fit.nested < fit.lwlrap


def test_nested_by_hand():
    """One member is right in the one fold, the other in the other: what fits one fold fails the next."""
    target = torch.tensor([[1, 0], [0, 1], [1, 0], [0, 1]])
    right = torch.tensor([[1.0, 0.0], [0.0, 1.0], [1.0, 0.0], [0.0, 1.0]])
    here = torch.tensor([[1.0], [1.0], [-1.0], [-1.0]])
    fit = fit_blend_weights([right * here, right * -here], target, folds=torch.tensor([7, 7, -3, -3]))
    # A label that is not first of two has precision 1/2, tied or not.
    assert (fit.lwlrap, fit.equal, fit.alone.tolist()) == (0.75, 0.5, [0.75, 0.75])
    assert fit.fold_weights.tolist() == [[1.0, 0.0], [0.0, 1.0]]
    assert fit.nested == 0.5


def test_members_that_are_all_the_same_keep_equal_weights():
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


def test_a_member_on_another_scale_is_weighted_all_the_same():
    scores, target = task([1.0, 1.2], clips=80)
    scores[1] *= 1e4
    fit = fit_blend_weights(scores, target, n_folds=2, starts=0)
    fair = blend(scores, weights=[1.0, 1e-4])
    assert fit.lwlrap >= lwlrap(fair, target).item() > fit.equal
    assert 0 < fit.weights[1] < 1e-3


def test_infinite_scores_are_fitted_with():
    scores, target = task([1.0, 1.2], clips=60)
    scores[1][~target & (scores[1] < 0)] = -math.inf
    fit = fit_blend_weights(scores, target, n_folds=2, starts=0)
    assert fit.lwlrap == lwlrap(blend(scores, weights=fit.weights), target).item()
    assert fit.lwlrap > max(fit.equal, *fit.alone) - 1e-12
    assert fit.weights[1] > 0


def test_members_with_clips_of_their_own_are_fitted_together():
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


def test_a_fold_that_has_all_the_labels_leaves_nothing_to_fit():
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
