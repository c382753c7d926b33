"""ZLPR against its formula in plain floats, its zero, extreme scores, masks, weights and bad input."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from rankaudio.losses import ZLPRLoss, lsep_loss, zlpr_loss


def zlpr_by_definition(scores, target, weight=None):
    """Compute one row from both sums, in plain floats."""
    s, t = scores.tolist(), target.tolist()
    w = [1.0] * len(s) if weight is None else weight.tolist()
    absent = math.fsum(w[c] * math.exp(s[c]) for c in range(len(s)) if not t[c])
    present = math.fsum(w[c] * math.exp(-s[c]) for c in range(len(s)) if t[c])
    return math.log1p(absent) + math.log1p(present)


@settings(max_examples=30)
@given(st.integers(1, 9), st.integers(0, 2**32 - 1), st.booleans())
def test_any_row_equals_the_definition(classes, seed, weighted):
    generator = torch.Generator().manual_seed(seed)
    scores = 4 * torch.randn(classes, dtype=torch.float64, generator=generator)
    target = torch.rand(classes, generator=generator) > 0.5
    weight = torch.rand(classes, dtype=torch.float64, generator=generator) if weighted else None
    value = zlpr_loss(scores, target, class_weight=weight)
    assert value.item() == pytest.approx(zlpr_by_definition(scores, target, weight), rel=1e-12, abs=1e-14)


def test_it_is_lsep_with_a_class_of_score_zero_on_both_sides():
    """The product of both brackets is 1, the pairs, and each label with 0."""
    scores, target = torch.randn(6, 5, dtype=torch.float64), torch.eye(6, 5)
    zero = torch.zeros(6, 1, dtype=torch.float64)
    both = torch.cat([scores, zero, zero], 1)
    labels = torch.cat([target, torch.zeros(6, 1), torch.ones(6, 1)], 1)
    # The pair of the two zeros is the 1.
    pairs = torch.expm1(lsep_loss(both, labels, reduction="none"))
    torch.testing.assert_close(zlpr_loss(scores, target, reduction="none"), pairs.log())


def test_the_zero_of_the_scores_is_learnt():
    scores = torch.full((1, 4), 5.0, dtype=torch.float64, requires_grad=True)
    optimizer = torch.optim.SGD([scores], lr=1.0)
    target = torch.tensor([[1, 0, 0, 1]])
    for _ in range(40):
        optimizer.zero_grad()
        zlpr_loss(scores, target).backward()
        optimizer.step()
    assert torch.equal(scores > 0, target.bool())


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
@pytest.mark.parametrize("size", [0.5, 20, 89, 700, 10_000])
def test_one_label_has_the_value_and_gradient_of_cross_entropy(dtype, size):
    for score, label in [(size, 0), (size, 1), (-size, 0), (-size, 1)]:
        scores = torch.tensor([score], dtype=dtype, requires_grad=True)
        loss = zlpr_loss(scores, torch.tensor([label]))
        loss.backward()
        z = (1 - 2 * label) * scores.item()
        expected = max(z, 0) + math.log1p(math.exp(-abs(z)))
        slope = (1 - 2 * label) * (1 / (1 + math.exp(-z)) if z > -700 else 0.0)
        assert loss.item() == pytest.approx(expected, rel=1e-5, abs=1e-37)
        assert scores.grad.item() == pytest.approx(slope, rel=1e-2, abs=1e-7)


@pytest.mark.parametrize("dtype", [torch.float16, torch.float32, torch.float64])
def test_infinite_scores_give_no_nan(dtype):
    scores = torch.tensor([[math.inf, -math.inf, 1.0], [1.0, -1.0, math.inf]], dtype=dtype)
    scores.requires_grad_()
    losses = zlpr_loss(scores, torch.tensor([[1, 0, 0], [1, 0, 0]]), reduction="none")
    losses.sum().backward()
    assert losses[0].item() == pytest.approx(math.log1p(math.e), rel=1e-3)
    assert losses[1] == torch.finfo(losses.dtype).max
    assert scores.grad.isfinite().all()


def test_derivatives_are_right_with_masks_weights_and_empty_rows():
    scores = torch.randn(4, 5, dtype=torch.float64, requires_grad=True)
    target = torch.tensor([[0, 0, 0, 0, 0], [1, 1, 1, 1, 1], [0, 1, 0, 1, 1], [1, 0, 0, 0, 0]])
    mask = torch.ones(4, 5, dtype=torch.bool)
    mask[3], mask[2, 0] = False, False
    weight = torch.tensor([1.0, 0.0, 2.0, 0.5, 1.0], dtype=torch.float64)

    def loss(x):
        return zlpr_loss(x, target, mask=mask, class_weight=weight, reduction="none")

    assert torch.autograd.gradcheck(loss, scores)
    assert torch.autograd.gradgradcheck(loss, scores)


def test_masked_labels_are_in_no_sum():
    scores = torch.randn(5, 8, dtype=torch.float64, requires_grad=True)
    target, mask = torch.rand(5, 8) < 0.5, torch.rand(5, 8) < 0.6
    mask[0] = False
    losses = zlpr_loss(scores, target, mask=mask, reduction="none")
    for row in range(5):
        expected = zlpr_by_definition(scores[row][mask[row]].detach(), target[row][mask[row]])
        assert losses[row].item() == pytest.approx(expected, rel=1e-12)
    (gradient,) = torch.autograd.grad(losses.sum(), scores)
    assert torch.equal(gradient[~mask], torch.zeros_like(gradient[~mask]))


def test_sample_weight_gives_the_weighted_mean():
    scores, target = torch.randn(4, 5, dtype=torch.float64), torch.randint(0, 2, (4, 5))
    weight = torch.tensor([1.0, 2.0, 0.0, 0.5], dtype=torch.float64)
    each = zlpr_loss(scores, target, reduction="none")
    torch.testing.assert_close(zlpr_loss(scores, target, sample_weight=weight), (each * weight).sum() / 3.5)
    torch.testing.assert_close(zlpr_loss(scores, target, reduction="sum"), each.sum())
    assert zlpr_loss(scores, target, sample_weight=torch.zeros(4)) == 0


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"target": torch.full((2, 3), 0.5)}, ValueError, "target: wanted only 0 and 1, got 0.5"),
        ({"mask": torch.ones(2, 3)}, TypeError, "mask: wanted a bool tensor"),
        ({"class_weight": torch.ones(2)}, ValueError, r"class_weight: wanted shape \(3,\)"),
        ({"sample_weight": -torch.ones(2)}, ValueError, "sample_weight: wanted non-negative numbers"),
        ({"reduction": "max"}, ValueError, "reduction: wanted one of"),
    ],
)
def test_bad_input_is_named(change, error, message):
    arguments = {"scores": torch.zeros(2, 3), "target": torch.zeros(2, 3)} | change
    with pytest.raises(error, match=message):
        zlpr_loss(arguments.pop("scores"), arguments.pop("target"), **arguments)


def test_module_refuses_bad_settings_at_once():
    with pytest.raises(ValueError, match="reduction"):
        ZLPRLoss(reduction="average")
    with pytest.raises(TypeError, match="class_weight"):
        ZLPRLoss(class_weight=[1.0, 2.0])
