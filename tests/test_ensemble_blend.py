"""Blends of tensors against numpy and scipy."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from rankaudio.ensemble import blend

METHODS = ["mean", "geometric", "rank"]
WEIGHTS = [2.0, 0.5, 1.0]
seeds = st.integers(0, 2**32 - 1)


def drawn(*shape, seed=0, dtype=torch.float64):
    """Draw positive numbers with some ties, which every method accepts."""
    generator = torch.Generator().manual_seed(seed)
    return (torch.randint(1, 40, shape, generator=generator) / 8).to(dtype)


def oracle(scores, weights, method):
    """Average members ``(M, N, C)`` by numpy and scipy."""
    scores = np.asarray(scores, dtype=np.float64)
    if method == "geometric":
        return stats.gmean(scores, axis=0, weights=np.asarray(weights)[:, None, None])
    if method == "rank":
        scores = (stats.rankdata(scores, axis=-1) - 1) / (scores.shape[-1] - 1)
    return np.average(scores, axis=0, weights=weights)


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
def test_equal_mean_ranks_are_tied(dtype):
    """Three members in three cyclic orders have equal mean ranks, to the last bit."""
    scores = torch.tensor([[[1, 2, 3]], [[2, 3, 1]], [[3, 1, 2]]], dtype=dtype)
    third = torch.full((3,), 1 / 3, dtype=torch.float64)
    for weights in (None, third, [0.1, 0.1, 0.1]):
        assert blend(scores, weights=weights, method="rank").tolist() == [[0.5, 0.5, 0.5]]


@given(st.integers(2, 70), st.integers(1, 5), seeds)
def test_labels_with_equal_scores_in_all_members_stay_tied(classes, members, seed):
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
def test_rank_blend_depends_only_on_the_order_within_a_clip(members, clips, classes, seed):
    scores = drawn(members, clips, classes, seed=seed)
    generator = torch.Generator().manual_seed(seed)
    stretch, shift = torch.rand(2, members, clips, 1, generator=generator, dtype=torch.float64)
    changed = ((scores * (stretch + 0.1)).exp() - shift) ** 3
    assert torch.equal(blend(changed, method="rank"), blend(scores, method="rank"))


@given(st.permutations(range(4)), seeds, st.sampled_from(METHODS))
def test_the_order_of_the_members_does_not_matter(order, seed, method):
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


def test_infinities_are_blended_like_other_scores():
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
