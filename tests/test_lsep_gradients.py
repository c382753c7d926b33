"""The gradient of LSEP that is written out, against PyTorch's own of the plain operations, and its limits."""

import math

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.autograd import forward_ad

from rankaudio import lsep_loss
from rankaudio._checks import check_zeros_and_ones
from rankaudio.losses import _lsep


def plain_lsep(scores, target, mask=None, class_weight=None, *, graded):
    """All pairs as a table, in float64."""
    scores, target = scores.double(), target.double()
    pairs = target[..., :, None] < target[..., None, :]
    if mask is not None:
        pairs = pairs & mask[..., :, None] & mask[..., None, :]
    log_weight = torch.zeros(scores.shape[-1]) if class_weight is None else class_weight.double().log()
    exponents = scores[..., :, None] - scores[..., None, :] + log_weight[:, None] + log_weight
    exponents = exponents.masked_fill(~pairs, -math.inf).flatten(-2)
    return F.softplus(torch.cat([exponents, torch.full_like(exponents[..., :1], -1e300)], -1).logsumexp(-1))


def draw(seed, rows=5, classes=7, scale=4.0, *, graded):
    generator = torch.Generator().manual_seed(seed)
    scores = scale * torch.randn(rows, classes, dtype=torch.float64, generator=generator)
    levels = torch.randint(0, 4, (rows, classes), generator=generator) / 4
    mask = torch.rand(rows, classes, generator=generator) < 0.8
    weight = torch.rand(classes, dtype=torch.float64, generator=generator)
    weight[0] = 0
    return scores, levels if graded else levels > 0.5, mask, weight


@settings(max_examples=30)
@given(st.integers(0, 2**32 - 1), st.booleans(), st.booleans(), st.booleans())
def test_values_and_gradients_are_those_of_all_pairs(seed, graded, masked, weighted):
    scores, target, mask, weight = draw(seed, graded=graded)
    options = {"mask": mask if masked else None, "class_weight": weight if weighted else None}
    for dtype, tolerance in ((torch.float32, 2e-6), (torch.float64, 1e-8)):
        x = scores.to(dtype).requires_grad_()
        y = x.detach().double().requires_grad_()
        losses = lsep_loss(x, target, graded=graded, reduction="none", **options)
        expected = plain_lsep(y, target, graded=graded, **options)
        torch.testing.assert_close(losses.double(), expected, rtol=tolerance, atol=tolerance)
        (ours,) = torch.autograd.grad(losses.sum(), x)
        (theirs,) = torch.autograd.grad(expected.sum(), y)
        torch.testing.assert_close(ours.double(), theirs.nan_to_num(), rtol=0, atol=tolerance)
        assert losses.dtype == ours.dtype == dtype


@pytest.mark.parametrize("graded", [False, True])
def test_the_gradient_is_that_of_the_plain_operations(graded, monkeypatch):
    """At scales from close scores to spreads that only logarithms can hold, with cotangents of any sign."""
    for scale in (1e-3, 1.0, 30.0, 300.0, 1e4):
        scores, target, mask, weight = draw(1, scale=scale, graded=graded)
        cotangent = torch.randn(5, dtype=torch.float64)
        found = []
        for plain in (False, True):
            if plain:
                monkeypatch.setattr(_lsep, "has_own_gradient", lambda *_: False)
            x = scores.clone().requires_grad_()
            losses = lsep_loss(
                x, target, graded=graded, mask=mask, class_weight=weight + 1e-3, reduction="none"
            )
            (quick,) = torch.autograd.grad(losses, x, cotangent, retain_graph=True)
            (first,) = torch.autograd.grad(losses, x, cotangent, create_graph=True)
            (second,) = torch.autograd.grad(first.square().sum(), x)
            found.append((losses, quick, first, second))
        monkeypatch.undo()
        for ours, theirs in zip(*found, strict=True):
            torch.testing.assert_close(ours, theirs, rtol=1e-9, atol=1e-12)


@pytest.mark.filterwarnings("ignore:.*torch.jit.script")  # PyTorch's own, in forward mode
@pytest.mark.parametrize("graded", [False, True])
def test_every_way_to_differentiate_agrees(graded):
    scores, target, _, _ = draw(2, rows=3, graded=graded)
    tangent = torch.randn_like(scores)

    def losses(x):
        return lsep_loss(x, target, graded=graded, reduction="none")

    leaf = scores.clone().requires_grad_()
    jacobian = torch.stack([torch.autograd.grad(losses(leaf)[row], leaf)[0] for row in range(3)])
    expected = (jacobian * tangent).sum((1, 2))
    with forward_ad.dual_level():
        directional = forward_ad.unpack_dual(losses(forward_ad.make_dual(scores, tangent))).tangent
    torch.testing.assert_close(directional, expected)
    torch.testing.assert_close(torch.func.jvp(losses, (scores,), (tangent,))[1], expected)
    torch.testing.assert_close(torch.func.jacrev(losses)(scores), jacobian)
    (batched,) = torch.autograd.grad(losses(leaf), leaf, torch.eye(3).double(), is_grads_batched=True)
    torch.testing.assert_close(batched, jacobian)
    hessian = torch.autograd.functional.hessian(lambda x: losses(x).sum(), scores)
    torch.testing.assert_close(hessian, torch.func.hessian(lambda x: losses(x).sum())(scores))


@pytest.mark.parametrize("graded", [False, True])
def test_a_class_weight_can_be_learnt(graded):
    scores, target, _, weight = draw(3, graded=graded)
    weight = (weight + 0.1).requires_grad_()

    def loss(w):
        return lsep_loss(scores, target, graded=graded, class_weight=w)

    assert torch.autograd.gradcheck(loss, weight)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_scores_at_the_ends_of_the_range_count_as_a_quarter_of_it(dtype):
    largest = torch.finfo(dtype).max
    ends = torch.tensor([[-math.inf, 0, 0], [0, 0, math.inf], [-largest, 0.0, largest]], dtype=dtype)
    scores = ends.requires_grad_()
    loss = lsep_loss(scores, torch.tensor([[0, 0, 1]] * 3), reduction="none")
    torch.testing.assert_close(loss, torch.tensor([math.log(2), 0, 0], dtype=dtype))
    loss.sum().backward()
    half = torch.tensor([[0.0, 0.5, -0.5], [0, 0, 0], [0, 0, 0]], dtype=dtype)
    torch.testing.assert_close(scores.grad, half)
    wrong = lsep_loss(-scores.detach(), torch.tensor([[0, 0, 1]] * 3), reduction="none")
    assert wrong.isfinite().all()


@pytest.mark.parametrize("graded", [False, True])
def test_hidden_classes_have_no_gradient_at_all(graded):
    scores, target, mask, weight = draw(4, graded=graded)
    x = scores.float().requires_grad_()
    lsep_loss(x, target, graded=graded, mask=mask, class_weight=weight.float()).backward()
    hidden = ~mask | (weight == 0)
    assert hidden.any()
    assert (x.grad[hidden] == 0).all()
    assert (x.grad[~hidden] != 0).any()


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.float16, torch.bfloat16])
def test_only_0_and_1_pass_as_labels(dtype):
    info = torch.finfo(dtype)
    check_zeros_and_ones("target", torch.tensor([0.0, 1.0, -0.0], dtype=dtype))
    check_zeros_and_ones("target", torch.zeros(0, dtype=dtype))
    near = [1 + info.eps, 1 - info.eps / 2, info.smallest_normal, -1.0, 2.0, info.max, math.inf, math.nan]
    for value in near:
        with pytest.raises(ValueError, match="target: wanted only 0 and 1"):
            check_zeros_and_ones("target", torch.tensor([1.0, value, 0.0], dtype=dtype))


@pytest.mark.parametrize("graded", [False, True])
@pytest.mark.parametrize("margin", [10.0, 21.0, 30.0, 39.0, 41.0])
def test_losses_of_badly_ranked_pairs_have_all_digits(graded, margin):
    """A softplus that returns its input above 20 is wrong by 8e-10 at 21."""
    scores = torch.tensor([[margin, 0.0]], dtype=torch.float64)
    loss = lsep_loss(scores, torch.tensor([[0.0, 1.0]]), graded=graded)
    assert loss.item() == pytest.approx(margin + math.log1p(math.exp(-margin)), rel=1e-15)


@pytest.mark.parametrize("others", [300.0, 400.0, 690.0])
def test_graded_pairs_far_below_the_highest_score_keep_their_digits(others):
    """The loss is that of a pair of small scores, because the highest score is in order with both."""
    scores = torch.tensor([[others, 40.0, 0.0]], dtype=torch.float64, requires_grad=True)
    loss = lsep_loss(scores, torch.tensor([[1.0, 0.5, 0.0]]), graded=True)
    assert loss.item() == pytest.approx(math.exp(-40), rel=1e-12, abs=0)
    loss.backward()
    slopes = [-math.exp(40 - others), -math.exp(-40), math.exp(-40)]
    assert scores.grad[0].tolist() == pytest.approx(slopes, rel=1e-12, abs=0)


def test_graded_pairs_take_class_weights_of_any_size():
    scores, target, _, weight = draw(6, graded=True)
    for largest in (1e-200, 1e-7, 1e19, 1e21, 1e200):
        weights = torch.cat([weight[:4] + 0.1, (weight[4:] + 0.1) * largest])
        found = lsep_loss(scores, target, graded=True, class_weight=weights, reduction="none")
        expected = plain_lsep(scores, target, class_weight=weights, graded=True)
        torch.testing.assert_close(found, expected, rtol=1e-12, atol=1e-12)


def test_graded_targets_may_be_large_integers_or_part_of_a_graph():
    scores = torch.tensor([[1.0, 0.0, 3.0]])
    expected = lsep_loss(scores, torch.tensor([[1.0, 2.0, 0.0]]), graded=True)
    integers = torch.tensor([[2**30, 2**30 + 1, -(2**30)]])  # float32 has one number for the first two
    assert torch.equal(lsep_loss(scores, integers, graded=True), expected)
    learnt = torch.tensor([[1.0, 2.0, 0.0]], dtype=torch.float64, requires_grad=True)
    assert torch.equal(lsep_loss(scores, learnt, graded=True), expected)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_a_large_constant_added_to_graded_rows_changes_nothing(dtype):
    scores, target, mask, weight = draw(7, graded=True)
    scores = (8 * scores).round().to(dtype) / 8  # so that the sums below are exact
    for constant in (-(2.0**16), -512.0, 512.0, 2.0**16):
        losses = [
            lsep_loss(x, target, graded=True, mask=mask, class_weight=weight, reduction="none")
            for x in (scores, scores + constant)
        ]
        torch.testing.assert_close(losses[1], losses[0], rtol=1e-12, atol=0)


def test_graded_pairs_of_tiny_weights_are_counted():
    """The weight of the highest score is large, and the sum of all pairs is that of two others."""
    scores = torch.tensor([[340.0, 1.0, 0.0]], dtype=torch.float64)
    weight = torch.tensor([1.0, 1e-100, 1e-100], dtype=torch.float64)
    loss = lsep_loss(scores, torch.tensor([[1.0, 0.0, 0.5]]), graded=True, class_weight=weight)
    assert loss.item() == pytest.approx(math.e * 1e-200, rel=1e-12, abs=0)
