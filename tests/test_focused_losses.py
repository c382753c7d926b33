"""The asymmetric and the focal loss: literal formulas, limits, extreme scores, masks, weights, bad input."""

import math

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st

from rankaudio.losses import AsymmetricLoss, FocalLoss, asymmetric_loss, focal_loss, zlpr_loss

both_losses = pytest.mark.parametrize("loss", [asymmetric_loss, focal_loss])
half_and_full = pytest.mark.parametrize(
    "dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64]
)


def asl_by_definition(score, label, gamma_pos, gamma_neg, margin):
    """Compute one entry in plain floats."""
    p = 1 / (1 + math.exp(-score))
    if label:
        return -((1 - p) ** gamma_pos) * math.log(p)
    shifted = max(p - margin, 0)
    return -(shifted**gamma_neg) * math.log(1 - shifted)


def multi_label_of_timm(x, y, gamma_neg, gamma_pos, clip, eps=1e-8):
    """The formula of timm's AsymmetricLossMultiLabel, in the order of its steps, for each entry."""
    positive = torch.sigmoid(x)
    negative = (1 - positive + clip).clamp(max=1)
    cost = y * positive.clamp(min=eps).log() + (1 - y) * negative.clamp(min=eps).log()
    right = positive * y + negative * (1 - y)
    return -cost * (1 - right) ** (gamma_pos * y + gamma_neg * (1 - y))


def focal_by_definition(scores, target, gamma, alpha):
    p = scores.sigmoid()
    right = torch.where(target, p, 1 - p)
    factor = torch.where(target, alpha, 1 - alpha)
    return -factor * (1 - right) ** gamma * right.log()


@settings(max_examples=50)
@given(
    st.floats(-15, 15),
    st.booleans(),
    st.floats(0, 5),
    st.floats(0, 5),
    st.sampled_from([0.0, 1e-3, 0.05, 0.2, 0.9]),
)
def test_asl_of_any_entry_equals_the_definition(score, label, gamma_pos, gamma_neg, margin):
    given_ = {"gamma_pos": gamma_pos, "gamma_neg": gamma_neg, "margin": margin}
    ours = asymmetric_loss(torch.tensor([score], dtype=torch.float64), torch.tensor([label]), **given_)
    expected = asl_by_definition(score, label, **given_)
    assert ours.item() == pytest.approx(expected, rel=1e-7, abs=1e-12)


@pytest.mark.parametrize(("gamma_neg", "gamma_pos", "margin"), [(4, 0, 0.05), (4, 1, 0.05), (2, 2, 0.0)])
def test_asl_equals_that_of_timm(gamma_neg, gamma_pos, margin):
    """In float64, because in float32 that formula is off by more than 1e-6 itself."""
    scores = (3 * torch.randn(16, 20, dtype=torch.float64)).requires_grad_()
    target = (torch.rand(16, 20) < 0.3).double()
    ours = asymmetric_loss(
        scores, target, gamma_neg=gamma_neg, gamma_pos=gamma_pos, margin=margin, reduction="sum"
    )
    theirs = multi_label_of_timm(scores, target, gamma_neg, gamma_pos, margin).sum()
    torch.testing.assert_close(ours, theirs, rtol=1e-9, atol=1e-9)
    gradients = [torch.autograd.grad(loss, scores)[0] for loss in (ours, theirs)]
    torch.testing.assert_close(*gradients, rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize("gamma", [0.0, 0.5, 2.0])
def test_focal_equals_the_definition(gamma):
    scores, target = 3 * torch.randn(5, 6, dtype=torch.float64), torch.rand(5, 6) < 0.4
    ours = focal_loss(scores, target, gamma=gamma, alpha=0.3, reduction="none")
    torch.testing.assert_close(ours, focal_by_definition(scores, target, gamma, 0.3))


def test_without_focusing_both_are_binary_cross_entropy():
    scores, target = 30 * torch.randn(5, 6, dtype=torch.float64), torch.randint(0, 2, (5, 6)).double()
    expected = F.binary_cross_entropy_with_logits(scores, target)
    torch.testing.assert_close(focal_loss(scores, target, gamma=0, alpha=None), expected)
    plain = asymmetric_loss(scores, target, gamma_pos=0, gamma_neg=0, margin=0)
    torch.testing.assert_close(plain, expected)


def test_asl_without_a_margin_and_with_equal_gammas_is_focal():
    scores, target = torch.randn(5, 6), torch.randint(0, 2, (5, 6))
    ours = asymmetric_loss(scores, target, gamma_pos=1.5, gamma_neg=1.5, margin=0)
    assert torch.equal(ours, focal_loss(scores, target, gamma=1.5, alpha=None))


def test_only_labels_within_the_margin_have_no_gradient():
    """The margin of 0.05 is at a score of -2.944."""
    scores = torch.tensor([-50.0, -3.0, -2.95, -2.94, -2.0, 0.0, 30.0, 80.0]).requires_grad_()
    losses = asymmetric_loss(scores, torch.zeros(8), gamma_neg=1, reduction="none")
    losses.sum().backward()
    assert (losses[:3] == 0).all()
    assert (scores.grad[:3] == 0).all()
    assert (losses[3:] > 0).all()
    assert (scores.grad[3:] > 0).all()


@pytest.mark.parametrize("gamma_neg", [0.0, 0.5, 4.0])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_derivatives_at_the_margin_are_finite(gamma_neg, dtype):
    """Among these scores are some whose shifted probability rounds to 0."""
    scores = torch.linspace(-2.94445, -2.94443, 201, dtype=dtype).requires_grad_()
    loss = asymmetric_loss(scores, torch.zeros(201), gamma_neg=gamma_neg, reduction="sum")
    (gradient,) = torch.autograd.grad(loss, scores, create_graph=True)
    assert gradient[0] == 0
    assert ((gradient >= 0) & (gradient < 0.06)).all()
    (second,) = torch.autograd.grad(gradient.sum(), scores)
    assert second.isfinite().all()


@pytest.mark.parametrize("loss", [asymmetric_loss, focal_loss, zlpr_loss])
def test_gradients_of_each_clip_with_vmap(loss):
    scores, target = torch.randn(4, 6, dtype=torch.float64), torch.randint(0, 2, (4, 6))
    each = torch.func.vmap(torch.func.grad(lambda s, t: loss(s, t, reduction="sum")))(scores, target)
    whole = torch.func.grad(lambda s: loss(s, target, reduction="sum"))(scores)
    torch.testing.assert_close(each, whole)


@half_and_full
@pytest.mark.parametrize("label", [0, 1])
@pytest.mark.parametrize(
    ("loss", "given_"),
    [
        (asymmetric_loss, {}),
        (asymmetric_loss, {"gamma_pos": 1.0, "gamma_neg": 0.5}),
        (focal_loss, {}),
        (focal_loss, {"gamma": 0.5}),
    ],
)
def test_huge_scores_have_the_values_and_gradients_of_float64(loss, given_, label, dtype):
    """Computed in half precision, every score beyond 17 would lose its gradient."""
    scores = torch.tensor([0.5, 8, 17, 30, 80, 200, 1e4]).to(dtype)
    scores = torch.cat([scores, -scores]).requires_grad_()
    exact = scores.detach().double().requires_grad_()
    labels = torch.full((14,), label)
    ours = loss(scores, labels, reduction="none", **given_)
    expected = loss(exact, labels, reduction="none", **given_)
    ours.sum().backward()
    expected.sum().backward()
    torch.testing.assert_close(ours.double(), expected, rtol=1e-5, atol=1e-7)
    tolerance = {"rtol": max(2e-5, torch.finfo(dtype).eps), "atol": torch.finfo(dtype).smallest_normal}
    tolerance["atol"] = max(tolerance["atol"], 1e-12)
    torch.testing.assert_close(scores.grad.double(), exact.grad, **tolerance)


@both_losses
@half_and_full
def test_infinite_scores_give_no_nan(loss, dtype):
    scores = torch.tensor([[math.inf, -math.inf]] * 2, dtype=dtype).requires_grad_()
    losses = loss(scores, torch.tensor([[1, 0], [0, 1]]), reduction="none")
    losses.sum().backward()
    assert (losses[0] == 0).all()
    assert losses[1, 1] > 1e37
    assert not losses.isnan().any()
    assert (scores.grad == 0).all()


@pytest.mark.parametrize("gammas", [(0.0, 4.0), (1.0, 0.0), (0.5, 0.5)])
@pytest.mark.parametrize("margin", [0.0, 0.05])
def test_derivatives_of_asl_are_right(gammas, margin):
    scores = torch.tensor([[-8.0, -1.0, 0.3, 2.0, 9.0]] * 2, dtype=torch.float64, requires_grad=True)
    target = torch.tensor([[0] * 5, [1] * 5])

    def loss(x):
        return asymmetric_loss(
            x, target, gamma_pos=gammas[0], gamma_neg=gammas[1], margin=margin, reduction="none"
        )

    assert torch.autograd.gradcheck(loss, scores)
    assert torch.autograd.gradgradcheck(loss, scores)


def test_derivatives_of_focal_are_right():
    scores = torch.tensor([[-8.0, -1.0, 0.3, 2.0, 9.0]], dtype=torch.float64, requires_grad=True)
    target = torch.tensor([[0, 1, 0, 1, 0]])
    for gamma in (0.0, 0.5, 2.0):
        assert torch.autograd.gradcheck(lambda x, g=gamma: focal_loss(x, target, gamma=g), scores)
        assert torch.autograd.gradgradcheck(lambda x, g=gamma: focal_loss(x, target, gamma=g), scores)


def test_a_detached_focus_gives_the_weighted_gradient_of_cross_entropy():
    scores = torch.randn(3, 4, dtype=torch.float64, requires_grad=True)
    target = torch.randint(0, 2, (3, 4)).double()
    given_ = {"gamma_pos": 1.0, "gamma_neg": 3.0, "margin": 0.0, "reduction": "sum"}
    attached, detached = (asymmetric_loss(scores, target, **given_, detach_focus=d) for d in (False, True))
    assert attached == detached
    detached.backward()
    p = scores.detach().sigmoid()
    weight = torch.where(target > 0, 1 - p, p**3)
    torch.testing.assert_close(scores.grad, weight * (p - target))


@both_losses
@pytest.mark.parametrize("reduction", ["none", "sum", "mean"])
@pytest.mark.parametrize("present", [("mask",), ("class_weight", "sample_weight"), ("mask", "class_weight")])
def test_masks_and_weights_are_those_of_the_definition(loss, reduction, present):
    scores, target = torch.randn(5, 7).double(), torch.randint(0, 2, (5, 7))
    given_ = {
        "mask": torch.rand(5, 7) > 0.4,
        "class_weight": torch.rand(7).double(),
        "sample_weight": torch.rand(5).double(),
    }
    given_ = {name: given_[name] for name in present}
    each = loss(scores, target, reduction="none")
    factor = torch.ones(5, 7).double()
    for name, value in given_.items():
        factor = factor * (value[:, None] if name == "sample_weight" else value)
    expected = {"none": each * factor, "sum": (each * factor).sum()}
    expected["mean"] = expected["sum"] / factor.sum()
    torch.testing.assert_close(loss(scores, target, reduction=reduction, **given_), expected[reduction])


@both_losses
@pytest.mark.parametrize(
    "given_",
    [
        {"mask": torch.zeros(2, 3, dtype=torch.bool)},
        {"sample_weight": torch.zeros(2)},
        {"class_weight": torch.zeros(3)},
    ],
)
def test_the_mean_of_nothing_is_zero_and_in_the_graph(loss, given_):
    scores = torch.randn(2, 3, requires_grad=True)
    value = loss(scores, torch.ones(2, 3), **given_)
    value.backward()
    assert value == 0
    assert (scores.grad == 0).all()


@both_losses
def test_tiny_class_weights_give_the_weighted_mean(loss):
    scores, target = torch.randn(2, 3), torch.eye(2, 3)
    weight = torch.tensor([1e-43, 2e-43, 0.0])
    expected = loss(scores, target, class_weight=weight.double())
    torch.testing.assert_close(loss(scores, target, class_weight=weight), expected)


@pytest.mark.parametrize(
    ("build", "error", "message"),
    [
        (lambda: AsymmetricLoss(gamma_pos=-1.0), ValueError, "gamma_pos: wanted a finite number >= 0"),
        (lambda: AsymmetricLoss(gamma_neg="a"), TypeError, "gamma_neg: wanted a number"),
        (lambda: AsymmetricLoss(margin=1.0), ValueError, "margin: wanted a number below 1"),
        (lambda: AsymmetricLoss(detach_focus=1), TypeError, "detach_focus: wanted True or False"),
        (lambda: FocalLoss(gamma=math.inf), ValueError, "gamma: wanted a finite number"),
        (lambda: FocalLoss(alpha=1.5), ValueError, "alpha: wanted a finite number from 0 to 1"),
        (lambda: FocalLoss(reduction="max"), ValueError, "reduction: wanted one of"),
        (lambda: FocalLoss(class_weight=[1.0]), TypeError, "class_weight: wanted a torch.Tensor"),
        (
            lambda: focal_loss(torch.zeros(2, 3), torch.full((2, 3), 0.5)),
            ValueError,
            "target: wanted only 0 and 1, got 0.5",
        ),
        (
            lambda: asymmetric_loss(torch.zeros(2, 3), torch.zeros(2, 3), class_weight=torch.ones(2)),
            ValueError,
            r"class_weight: wanted shape \(3,\)",
        ),
    ],
)
def test_bad_input_is_named(build, error, message):
    with pytest.raises(error, match=message):
        build()
