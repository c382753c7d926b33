"""Losses for noisy labels, auxiliary heads and several sources: the original's numbers, and bad input."""

import copy
import pickle
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from rankaudio.losses import (
    AuxiliaryLoss,
    AuxiliaryScores,
    LqLoss,
    LSEPLoss,
    LSoftLoss,
    SourceLoss,
    l_soft_loss,
    lq_loss,
    lsep_loss,
)

GOLDEN = np.load(Path(__file__).parent / "golden" / "argus_losses.npz")
# From the name of a case to the loss of noisy clips, and the weights of curated and of noisy clips.
CASES = {
    "lsoft0.7": (LSoftLoss(beta=0.7, reduction="none"), (0.5, 0.5)),
    "lsoft0.4_w0.3_0.7": (LSoftLoss(beta=0.4, reduction="none"), (0.7, 0.3)),
    "lq0.7": (LqLoss(q=0.7, absent=False, reduction="none"), (0.5, 0.5)),
}
STORED = [key.removesuffix("_total") for key in GOLDEN.files if key.endswith("_total")]
# The original's clamp bends the gradient of scores beyond 16.
FAR = torch.tensor([-1e4, -200.0, -104.0, -60.0, -30.0, -16.2, 0.0, 16.2, 30.0, 60.0, 104.0, 200.0, 1e4])
both_losses = pytest.mark.parametrize("loss", [l_soft_loss, lq_loss])


def bce():
    return torch.nn.BCEWithLogitsLoss(reduction="none")


@pytest.mark.parametrize("name", STORED)
def test_values_and_gradients_equal_the_originals(name):
    case = max((case for case in CASES if name.startswith(case)), key=len)
    flags = name.removeprefix(f"{case}_")
    noisy_loss, weights = CASES[case]
    heads = torch.from_numpy(GOLDEN["heads"].astype(np.float64)).requires_grad_()
    target = torch.from_numpy(GOLDEN["target"].astype(np.float64))
    noisy = torch.from_numpy(GOLDEN[f"noisy_{flags}"]).bool()
    criterion = SourceLoss([bce(), noisy_loss], weights=weights)
    head_weights = tuple(GOLDEN["aux_weights"].tolist())
    total = AuxiliaryLoss(criterion, weights=head_weights)(
        AuxiliaryScores(heads[0], (heads[1], heads[2], heads[3])), target, noisy
    )
    total.backward()
    # The original's Lq adds 1e-7 to each probability. An absent label then costs this much less.
    offset = 0.0
    if case == "lq0.7":
        p = heads.detach().sigmoid() * target
        with_eps = (1 - (p + 1e-7) ** 0.7) / 0.7
        change = (with_eps - (1 - p**0.7) / 0.7).mean(-1) * noisy * weights[1]
        offset = change.mean(-1)
    theirs = torch.from_numpy(GOLDEN[f"{name}_heads"]) - offset
    ours = torch.stack([criterion(head, target, noisy) for head in heads.detach()])
    torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-9)
    expected = (theirs * torch.tensor(head_weights, dtype=torch.float64)).sum()
    torch.testing.assert_close(total.detach(), expected, rtol=0, atol=1e-9)
    for head in (0, 3):
        gradient = torch.from_numpy(GOLDEN[f"{name}_grad{head}"])
        torch.testing.assert_close(heads.grad[head], gradient.double(), rtol=0, atol=1e-9)


@pytest.mark.parametrize("beta", [0.0, 0.4, 1.0])
@pytest.mark.parametrize("label", [0.0, 0.3, 1.0])
def test_the_gradient_of_soft_bootstrapping_is_beta_times_the_difference(beta, label):
    scores = FAR.clone().requires_grad_()
    l_soft_loss(scores, torch.full_like(FAR, label), beta=beta, reduction="sum").backward()
    expected = beta * (FAR.sigmoid() - label)
    torch.testing.assert_close(scores.grad, expected, rtol=1e-6, atol=1e-7)


def test_soft_bootstrapping_is_cross_entropy_against_the_mixture():
    scores, target = torch.randn(5, 7).double(), torch.rand(5, 7).double()
    p = scores.sigmoid()
    expected = F.binary_cross_entropy(p, 0.6 * target + 0.4 * p, reduction="none")
    torch.testing.assert_close(l_soft_loss(scores, target, beta=0.6, reduction="none"), expected)


def test_lq_is_its_formula_between_cross_entropy_and_absolute_error():
    scores, target = torch.randn(5, 7).double(), torch.randint(2, (5, 7)).double()
    p = scores.sigmoid()
    pi = torch.where(target == 1, p, 1 - p)
    torch.testing.assert_close(lq_loss(scores, target, reduction="none"), (1 - pi**0.7) / 0.7)
    torch.testing.assert_close(lq_loss(scores, target, q=1.0), (target - p).abs().mean())
    cross_entropy = F.binary_cross_entropy_with_logits(scores, target)
    torch.testing.assert_close(lq_loss(scores, target, q=1e-9), cross_entropy, rtol=1e-6, atol=0)
    soft = torch.rand(5, 7).double()
    pi = soft * p + (1 - soft) * (1 - p)
    torch.testing.assert_close(lq_loss(scores, soft, reduction="none"), (1 - pi**0.7) / 0.7)


def test_absent_labels_have_no_gradient_where_they_do_not_count():
    scores = torch.randn(1, 4, requires_grad=True)
    losses = lq_loss(scores, torch.tensor([[1, 0, 1, 0]]), absent=False, reduction="none")
    assert losses[0, 1].item() == pytest.approx(1 / 0.7)
    losses.sum().backward()
    assert (scores.grad[0, [1, 3]] == 0).all()
    assert (scores.grad[0, [0, 2]] < 0).all()


@both_losses
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
@pytest.mark.parametrize("label", [0, 1])
def test_far_scores_have_finite_values_and_gradients(loss, dtype, label):
    scores = FAR.clone().to(dtype).requires_grad_()
    losses = loss(scores, torch.full(FAR.shape, label), reduction="none")
    losses.sum().backward()
    assert losses.dtype == (torch.float64 if dtype == torch.float64 else torch.float32)
    assert losses.isfinite().all()
    assert scores.grad.isfinite().all()


@both_losses
def test_reductions_agree_and_the_mean_of_no_rows_is_zero(loss):
    scores, target = torch.randn(3, 4), torch.randint(2, (3, 4))
    each = loss(scores, target, reduction="none")
    torch.testing.assert_close(loss(scores, target), each.mean())
    torch.testing.assert_close(loss(scores, target, reduction="sum"), each.sum())
    empty = torch.zeros(0, 4, requires_grad=True)
    result = loss(empty, torch.zeros(0, 4))
    result.backward()
    assert result.item() == 0
    assert empty.grad is not None


@both_losses
def test_targets_of_every_kind_give_the_same(loss):
    scores, target = torch.randn(3, 4), torch.randint(2, (3, 4))
    for kind in (torch.bool, torch.uint8, torch.float16, torch.float64):
        assert torch.equal(loss(scores, target.to(kind)), loss(scores, target))


@pytest.mark.parametrize("absent", [True, False])
def test_lq_has_the_gradient_of_its_value(absent):
    scores, target = torch.randn(3, 4).double().requires_grad_(), torch.rand(3, 4).double().round(decimals=1)
    assert torch.autograd.gradcheck(lambda s: lq_loss(s, target, absent=absent), scores)


def test_modules_are_twins_of_their_functions():
    scores, target = torch.randn(3, 4), torch.randint(2, (3, 4))
    pairs = [
        (LSoftLoss(beta=0.4, reduction="sum"), l_soft_loss(scores, target, beta=0.4, reduction="sum")),
        (LqLoss(q=0.5, absent=False), lq_loss(scores, target, q=0.5, absent=False)),
    ]
    for module, expected in pairs:
        for twin in (module, copy.deepcopy(module), pickle.loads(pickle.dumps(module))):
            assert torch.equal(twin(scores, target), expected)
            assert repr(twin) == repr(module)
        assert module.state_dict() == {}


def test_sources_are_weighted_by_their_share():
    torch.manual_seed(0)
    scores, target = torch.randn(6, 4), torch.randint(2, (6, 4))
    source = torch.tensor([0, 2, 1, 0, 2, 0])
    criterion = SourceLoss(
        [bce(), LSEPLoss(reduction="none"), LSoftLoss(beta=0.5, reduction="none")], weights=(1.0, 2.0, 0.5)
    )
    expected = (
        3 / 6 * F.binary_cross_entropy_with_logits(scores[source == 0], target[source == 0].float())
        + 2 * 1 / 6 * lsep_loss(scores[source == 1], target[source == 1])
        + 0.5 * 2 / 6 * l_soft_loss(scores[source == 2], target[source == 2], beta=0.5)
    )
    torch.testing.assert_close(criterion(scores, target, source), expected)
    torch.testing.assert_close(criterion(scores, target, source.to(torch.uint8)), expected)


def test_a_batch_of_one_source_and_an_empty_batch_have_a_loss():
    criterion = SourceLoss([bce(), LSoftLoss(reduction="none")])
    scores, target = torch.randn(3, 4), torch.rand(3, 4)
    curated = criterion(scores, target, torch.zeros(3, dtype=torch.bool))
    torch.testing.assert_close(curated, F.binary_cross_entropy_with_logits(scores, target))
    empty = torch.zeros(0, 4, requires_grad=True)
    loss = criterion(empty, torch.zeros(0, 4), torch.zeros(0, dtype=torch.long))
    loss.backward()
    assert loss.item() == 0


def test_a_plain_tensor_is_the_main_head():
    scores, target = torch.randn(3, 4), torch.rand(3, 4)
    criterion = AuxiliaryLoss(LSoftLoss(), weights=(2.0, 0.5))
    torch.testing.assert_close(criterion(scores, target), 2 * l_soft_loss(scores, target))
    both = criterion(AuxiliaryScores(scores, (-scores,)), target)
    torch.testing.assert_close(both, 2 * l_soft_loss(scores, target) + 0.5 * l_soft_loss(-scores, target))


@pytest.mark.slow
def test_criteria_compile_into_one_graph():
    torch.compiler.reset()
    criterion = AuxiliaryLoss(SourceLoss([bce(), LqLoss(reduction="none")]), weights=(1.0, 0.5))
    outputs = AuxiliaryScores(torch.randn(3, 4), (torch.randn(3, 4),))
    target, source = torch.rand(3, 4), torch.tensor([0, 1, 1])
    compiled = torch.compile(criterion, fullgraph=True, backend="aot_eager")
    torch.testing.assert_close(compiled(outputs, target, source), criterion(outputs, target, source))


def test_low_precision_under_autocast_is_computed_in_float32():
    criterion = SourceLoss([bce(), LSoftLoss(reduction="none")])
    scores, target, source = torch.randn(3, 4), torch.rand(3, 4), torch.tensor([0, 1, 1])
    with torch.autocast("cpu", dtype=torch.bfloat16):
        half = criterion(scores.bfloat16(), target, source)
    assert half.dtype == torch.float32
    torch.testing.assert_close(half, criterion(scores.bfloat16().float(), target, source))


@pytest.mark.parametrize(
    ("given", "taken"),
    [(torch.float16, torch.float32), (torch.float32, torch.float32), (torch.float64, torch.float64)],
)
@pytest.mark.parametrize(
    "target", [torch.ones(2, 3), torch.ones(2, 3, dtype=torch.bool)], ids=["soft", "bool"]
)
def test_criteria_of_sources_get_float32_or_float64(given, taken, target):
    seen = []

    def criterion(scores, target):
        seen.append((scores.dtype, target.dtype))
        return scores

    loss = SourceLoss([criterion, criterion])(torch.ones(2, 3, dtype=given), target, torch.tensor([0, 1]))
    assert loss.dtype == taken
    assert seen == 2 * [(taken, target.dtype if target.is_floating_point() else taken)]


def test_bool_and_small_integer_sources_count_as_numbers():
    loss = SourceLoss([bce(), LSoftLoss(reduction="none")], weights=(1.0, 0.25))
    scores, target = torch.randn(2, 3), torch.rand(2, 3)
    expected = loss(scores, target, torch.tensor([0, 1]))
    for dtype in (torch.bool, torch.uint8, torch.int32):
        assert loss(scores, target, torch.tensor([0, 1]).to(dtype)) == expected


SCORES = torch.zeros(2, 3)


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: l_soft_loss(SCORES, SCORES, beta=2), ValueError, "beta: wanted a finite number from 0 to 1"),
        (lambda: l_soft_loss(SCORES, SCORES + 2), ValueError, "target: wanted numbers from 0 to 1, got 2"),
        (lambda: l_soft_loss(SCORES.int(), SCORES), TypeError, "scores: wanted a floating-point"),
        (lambda: l_soft_loss(SCORES, SCORES, reduction="max"), ValueError, "reduction: wanted one of"),
        (lambda: LSoftLoss(beta="0"), TypeError, "beta: wanted a number"),
        (lambda: lq_loss(SCORES, SCORES, q=0), ValueError, "q: wanted a number above 0, got 0"),
        (lambda: LqLoss(q=0.0), ValueError, "q: wanted a number above 0"),
        (lambda: lq_loss(SCORES, SCORES[:1]), ValueError, "target: wanted the shape of scores"),
        (lambda: AuxiliaryLoss(bce(), weights=()), ValueError, "weights: wanted at least one number"),
        (lambda: AuxiliaryLoss(bce(), weights=(-1.0,)), ValueError, "weights: wanted a finite number >= 0"),
        (lambda: AuxiliaryLoss(bce())([SCORES], SCORES), TypeError, "outputs: wanted a tensor or Auxil"),
        (
            lambda: AuxiliaryLoss(bce())(AuxiliaryScores(SCORES, (SCORES,)), SCORES),
            ValueError,
            "outputs: wanted 4 heads, one for each weight, got 2",
        ),
        (lambda: SourceLoss([bce()], weights=(1.0, 2.0)), ValueError, "weights: wanted one for each of 1"),
        (lambda: SourceLoss([]), ValueError, "criteria: wanted at least one"),
        (lambda: SourceLoss(["bce"]), TypeError, "criteria: wanted Modules or functions"),
        (lambda: sourced(torch.zeros(2)), TypeError, "source: wanted bool or integers"),
        (lambda: sourced(torch.zeros(3).long()), ValueError, r"source: wanted shape \(2,\)"),
        (lambda: sourced(torch.tensor([0, 2])), ValueError, "source: wanted numbers from 0 to 1, got 2"),
        (
            lambda: SourceLoss([torch.nn.BCEWithLogitsLoss()])(SCORES, SCORES, torch.zeros(2).long()),
            ValueError,
            "criteria: wanted",
        ),
    ],
)
def test_bad_input_is_named(call, error, message):
    with pytest.raises(error, match=message):
        call()


def sourced(source):
    return SourceLoss([bce(), bce()])(SCORES, SCORES, source)
