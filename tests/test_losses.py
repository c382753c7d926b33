"""LSEP against its definition in plain floats, the golden numbers, and edge cases."""

import math
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from rankaudio import LSEPLoss, lsep_loss

GOLDEN = np.load(Path(__file__).parent / "golden" / "lsep.npz")
CASES = [
    (size, kind) for size in ("n4_c5", "n8_c80", "n3_c527") for kind in ("binary", "graded", "graded_levels")
]


def lsep_by_definition(scores: Tensor, target: Tensor, weight: Tensor | None = None) -> float:
    """Compute one row from all pairs, in plain floats."""
    s, t = scores.tolist(), target.tolist()
    w = [1.0] * len(s) if weight is None else weight.tolist()
    classes = range(len(s))
    pairs = [w[u] * w[v] * math.exp(s[u] - s[v]) for u in classes for v in classes if t[u] < t[v]]
    return math.log1p(math.fsum(pairs))


@pytest.mark.parametrize(("size", "kind"), CASES)
def test_values_and_gradients_equal_the_originals(size, kind):
    golden = {
        key: torch.from_numpy(GOLDEN[f"{size}_{kind}_{key}"])
        for key in ("target", "loss", "loss_mean", "grad_sum", "grad_mean", "cotangent", "grad_cotangent")
    }
    scores = torch.from_numpy(GOLDEN[f"{size}_logits"]).requires_grad_()

    def loss(reduction):
        return lsep_loss(scores, golden["target"], graded=kind != "binary", reduction=reduction)

    close = {"rtol": 1e-12, "atol": 1e-12}
    torch.testing.assert_close(loss("none"), golden["loss"], **close)
    torch.testing.assert_close(loss("mean"), golden["loss_mean"], **close)
    for reduction, cotangent, expected in [
        ("sum", None, golden["grad_sum"]),
        ("mean", None, golden["grad_mean"]),
        ("none", golden["cotangent"], golden["grad_cotangent"]),
    ]:
        (gradient,) = torch.autograd.grad(loss(reduction), scores, cotangent)
        torch.testing.assert_close(gradient, expected, **close)


def test_the_fault_of_the_copied_stable_version_is_not_inherited():
    """It adds (N, 1) to (N,) and returns (N, N). Only the diagonal is the loss."""
    stable = torch.from_numpy(GOLDEN["n8_c80_binary_stable_raw"])
    scores, target = (torch.from_numpy(GOLDEN[f"n8_c80_{key}"]) for key in ("logits", "binary_target"))
    ours = lsep_loss(scores, target, reduction="none")
    assert ours.shape == (8,)
    torch.testing.assert_close(ours, stable.diagonal(), rtol=1e-12, atol=1e-12)


@given(st.integers(1, 9), st.integers(0, 2**32 - 1), st.booleans())
def test_any_row_equals_the_definition(classes, seed, weighted):
    generator = torch.Generator().manual_seed(seed)
    scores = 4 * torch.randn(classes, dtype=torch.float64, generator=generator)
    levels = torch.randint(0, 4, (classes,), generator=generator) / 4
    weight = torch.rand(classes, dtype=torch.float64, generator=generator) if weighted else None
    for target, graded in [(levels, True), ((levels > 0.5).double(), True), (levels > 0.5, False)]:
        value = lsep_loss(scores, target, graded=graded, class_weight=weight)
        assert value.item() == pytest.approx(lsep_by_definition(scores, target, weight), rel=1e-12, abs=1e-14)


def test_graded_equals_binary_on_binary_targets():
    scores, target = torch.randn(16, 7, dtype=torch.float64), torch.randint(0, 2, (16, 7))
    torch.testing.assert_close(
        lsep_loss(scores, target, graded=True), lsep_loss(scores, target), rtol=1e-14, atol=1e-14
    )


@pytest.mark.parametrize("graded", [False, True])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16])
@pytest.mark.parametrize("sign", [1, -1], ids=["wrong order", "right order"])
def test_margins_up_to_ten_thousand(dtype, sign, graded):
    """With two ties on each side, the loss is softplus(margin + log 4) and each gradient half a sigmoid."""
    for margin in [0, 0.5, 1, 5, 11.5, 12, 20, 50, 80, 88, 89, 100, 700, 1000, 5000, 10_000]:
        half = torch.tensor(sign * margin / 2, dtype=dtype)
        scores = torch.stack([half, half, -half, -half])[None].requires_grad_()
        loss = lsep_loss(scores, torch.tensor([[0, 0, 1, 1]]), graded=graded)
        loss.backward()
        z = 2 * half.item() + math.log(4)
        expected = z + math.log1p(math.exp(-z)) if z > 0 else math.log1p(math.exp(z))
        slope = (1 / (1 + math.exp(-z)) if z > -700 else 0.0) / 2
        assert loss.item() == pytest.approx(expected, rel=1e-5, abs=1e-37)
        expected_grad = torch.tensor([[slope, slope, -slope, -slope]])
        tolerance = {"rtol": max(torch.finfo(dtype).eps, 2e-5), "atol": torch.finfo(dtype).smallest_normal}
        torch.testing.assert_close(scores.grad.float(), expected_grad, **tolerance)


@pytest.mark.parametrize("graded", [False, True])
@pytest.mark.parametrize("fill", [0.0, 1.0], ids=["no label", "every label"])
def test_row_without_a_pair_costs_nothing(fill, graded):
    scores = torch.full((2, 4), 50.0, requires_grad=True)
    loss = lsep_loss(scores, torch.full((2, 4), fill), graded=graded)
    loss.backward()
    assert loss == 0
    assert torch.equal(scores.grad, torch.zeros(2, 4))


@pytest.mark.parametrize("graded", [False, True])
def test_second_derivatives_are_finite_on_rows_without_a_pair(graded):
    scores = torch.randn(3, 4, dtype=torch.float64, requires_grad=True)
    target = torch.tensor([[0, 0, 0, 0], [1, 1, 1, 1], [0, 1, 0, 1]])

    def loss(x):
        return lsep_loss(x, target, graded=graded, reduction="none")

    assert torch.autograd.gradcheck(loss, scores)
    assert torch.autograd.gradgradcheck(loss, scores)


@pytest.mark.parametrize("graded", [False, True])
def test_masked_labels_are_ignored(graded):
    scores = torch.randn(5, 8, dtype=torch.float64, requires_grad=True)
    target = (torch.rand(5, 8) < 0.5).double()
    mask = torch.rand(5, 8) < 0.6
    mask[0] = False
    losses = lsep_loss(scores, target, mask=mask, graded=graded, reduction="none")
    for row in range(5):
        expected = lsep_by_definition(scores[row][mask[row]].detach(), target[row][mask[row]])
        assert losses[row].item() == pytest.approx(expected, rel=1e-12)
    (gradient,) = torch.autograd.grad(losses.sum(), scores)
    assert torch.equal(gradient[~mask], torch.zeros_like(gradient[~mask]))


@pytest.mark.parametrize("graded", [False, True])
def test_a_class_of_weight_zero_is_in_no_pair(graded):
    scores, target = torch.randn(6, 5, dtype=torch.float64), torch.randint(0, 2, (6, 5))
    weight = torch.tensor([1.0, 1.0, 0.0, 1.0, 1.0], dtype=torch.float64)
    kept = [0, 1, 3, 4]
    torch.testing.assert_close(
        lsep_loss(scores, target, class_weight=weight, graded=graded),
        lsep_loss(scores[:, kept], target[:, kept], graded=graded),
    )


ZERO_WEIGHTS = [(0, 1, 1, 0, 1), (1, 1, 0, 1, 1), (1, 0, 1, 1, 1), (0, 0, 0, 0, 0), (0, 0, 1, 0, 0)]


@pytest.mark.parametrize("graded", [False, True])
@pytest.mark.parametrize("weight", ZERO_WEIGHTS)
def test_derivatives_are_right_and_finite_with_classes_of_weight_zero(weight, graded):
    scores = torch.randn(2, 5, dtype=torch.float64, requires_grad=True)
    target = torch.tensor([[0.1, 0.5, 0, 1, 0.2], [1, 1, 0, 0, 0.5]]) if graded else torch.eye(5)[:2]
    class_weight = torch.tensor(weight, dtype=torch.float64)
    for settings in ({"class_weight": class_weight}, {"mask": class_weight.bool().expand(2, 5)}):

        def loss(x, settings=settings):
            return lsep_loss(x, target, graded=graded, reduction="none", **settings)

        (gradient,) = torch.autograd.grad(loss(scores).sum(), scores)
        assert gradient.isfinite().all()
        assert torch.autograd.gradcheck(loss, scores)
        assert torch.autograd.gradgradcheck(loss, scores)


@pytest.mark.parametrize("margin", [100.0, 700.0, 800.0, 10_000.0])
def test_second_derivatives_are_finite_at_huge_margins(margin):
    for sign in (1, -1):
        scores = (sign * margin * torch.arange(5.0, dtype=torch.float64)).requires_grad_()
        loss = lsep_loss(scores, torch.tensor([0, 0.2, 0.5, 0.5, 1.0]), graded=True)
        (gradient,) = torch.autograd.grad(loss, scores, create_graph=True)
        gradient.square().sum().backward()
        assert scores.grad.isfinite().all()


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16, torch.float16])
def test_denormal_sample_weights_give_the_weighted_mean(dtype):
    """The smallest positive number times 3 and 1 weighs like 3 and 1."""
    smallest = torch.finfo(dtype).smallest_normal * torch.finfo(dtype).eps
    weight = torch.tensor([3 * smallest, smallest], dtype=dtype)
    scores = torch.tensor([[2.0, 0.0], [1.0, 3.0]], requires_grad=True)
    other = scores.detach().clone().requires_grad_()
    target = torch.tensor([[0, 1], [1, 0]])
    loss = lsep_loss(scores, target, sample_weight=weight)
    expected = lsep_loss(other, target, sample_weight=torch.tensor([3.0, 1.0]))
    torch.testing.assert_close(loss, expected)
    loss.backward()
    expected.backward()
    torch.testing.assert_close(scores.grad, other.grad)


def test_sample_weight_gives_the_weighted_mean():
    scores, target = torch.randn(4, 5, dtype=torch.float64), torch.randint(0, 2, (4, 5))
    weight = torch.tensor([1.0, 2.0, 0.0, 0.5], dtype=torch.float64)
    each = lsep_loss(scores, target, reduction="none")
    torch.testing.assert_close(lsep_loss(scores, target, sample_weight=weight), (each * weight).sum() / 3.5)
    torch.testing.assert_close(
        lsep_loss(scores, target, sample_weight=weight, reduction="sum"), (each * weight).sum()
    )
    assert lsep_loss(scores, target, sample_weight=torch.zeros(4)) == 0


@pytest.mark.parametrize("graded", [False, True])
@pytest.mark.parametrize("reduction", ["mean", "sum"])
def test_no_rows_cost_nothing_and_stay_in_the_graph(reduction, graded):
    scores = torch.zeros(0, 5, requires_grad=True)
    loss = lsep_loss(scores, torch.zeros(0, 5), reduction=reduction, graded=graded)
    loss.backward()
    assert loss == 0
    assert scores.grad.shape == (0, 5)


@pytest.mark.parametrize("graded", [False, True])
def test_one_class_has_no_pair(graded):
    assert lsep_loss(torch.randn(3, 1), torch.ones(3, 1), graded=graded) == 0


def test_a_constant_added_to_the_scores_changes_nothing():
    scores, target = torch.randn(4, 6), torch.randint(0, 2, (4, 6))
    torch.testing.assert_close(lsep_loss(scores + 4096, target), lsep_loss(scores, target), rtol=1e-3, atol=0)


def test_leading_axes_are_free():
    scores, target = torch.randn(2, 3, 5), torch.randint(0, 2, (2, 3, 5))
    each = lsep_loss(scores, target, reduction="none")
    assert each.shape == (2, 3)
    torch.testing.assert_close(each[1, 2], lsep_loss(scores[1, 2], target[1, 2]))


def test_per_sample_gradients_with_vmap():
    scores, target = torch.randn(4, 6, dtype=torch.float64), torch.randint(0, 2, (4, 6))
    each = torch.func.vmap(torch.func.grad(lsep_loss))(scores, target)
    whole = torch.func.grad(lambda s: lsep_loss(s, target, reduction="sum"))(scores)
    torch.testing.assert_close(each, whole)


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"scores": [[1.0]]}, TypeError, r"scores: wanted a torch.Tensor, got \[\[1.0\]\]"),
        (
            {"scores": torch.zeros(2, 3).long()},
            TypeError,
            "scores: wanted a floating-point tensor, got a int64",
        ),
        ({"scores": torch.zeros(2, 0), "target": torch.zeros(2, 0)}, ValueError, "C >= 1 classes"),
        ({"target": torch.zeros(2, 4)}, ValueError, r"target: wanted the shape of scores, \(2, 3\)"),
        (
            {"target": torch.zeros(2, 3, device="meta")},
            ValueError,
            "target: wanted the device of scores, cpu",
        ),
        ({"target": torch.full((2, 3), 0.5)}, ValueError, "target: wanted only 0 and 1 .*got 0.5"),
        ({"target": torch.full((2, 3), math.nan)}, ValueError, "target: wanted only 0 and 1 .*got nan"),
        (
            {"target": torch.full((2, 3), math.nan), "graded": True},
            ValueError,
            "target: wanted finite numbers, got nan",
        ),
        (
            {"target": torch.zeros(2, 3, dtype=torch.complex64)},
            TypeError,
            "target: wanted bool, integers or real",
        ),
        ({"mask": torch.ones(2, 3)}, TypeError, "mask: wanted a bool tensor"),
        ({"mask": torch.ones(3, dtype=torch.bool)}, ValueError, r"mask: wanted shape \(2, 3\)"),
        ({"class_weight": torch.ones(2)}, ValueError, r"class_weight: wanted shape \(3,\)"),
        ({"class_weight": -torch.ones(3)}, ValueError, "class_weight: wanted non-negative numbers, got -1.0"),
        ({"class_weight": torch.ones(3).long()}, TypeError, "class_weight: wanted a floating-point tensor"),
        ({"sample_weight": torch.ones(2, 1)}, ValueError, r"sample_weight: wanted shape \(2,\)"),
        ({"reduction": "median"}, ValueError, "reduction: wanted one of 'none', 'mean', 'sum', got 'median'"),
    ],
)
def test_bad_input_is_named(change, error, message):
    arguments = {"scores": torch.zeros(2, 3), "target": torch.zeros(2, 3)} | change
    with pytest.raises(error, match=message):
        lsep_loss(arguments.pop("scores"), arguments.pop("target"), **arguments)


def test_module_refuses_bad_settings_at_once():
    with pytest.raises(ValueError, match="reduction"):
        LSEPLoss(reduction="average")
    with pytest.raises(TypeError, match="class_weight"):
        LSEPLoss(class_weight=[1.0, 2.0])
