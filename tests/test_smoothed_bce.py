"""Label smoothing and its binary cross entropy: the original's numbers, masks, weights and bad input."""

from pathlib import Path

import numpy as np
import pytest
import torch
from torch.nn.functional import binary_cross_entropy

from rankaudio.losses import SmoothedBCELoss, SourceLoss, smooth_labels, smoothed_bce_loss
from rankaudio.mixing import WeightedMixup

GOLDEN = np.load(Path(__file__).parent / "golden" / "second_training.npz")


def golden(name):
    return torch.from_numpy(np.asarray(GOLDEN[name]))


@pytest.mark.parametrize(("dtype", "atol"), [(torch.float64, 1e-12), (torch.float32, 1e-6)])
def test_value_and_gradient_equal_the_originals_without_its_cut(dtype, atol):
    scores = golden("loss_logits").to(dtype).requires_grad_()
    loss = SmoothedBCELoss()(scores, golden("loss_target"))
    loss.backward()
    torch.testing.assert_close(loss.detach().double(), golden("loss_unclipped_value"), rtol=1e-6, atol=atol)
    theirs = golden("loss_unclipped_grad")
    torch.testing.assert_close(scores.grad.double(), theirs, rtol=0, atol=atol / 100)


def test_scores_beyond_16_keep_the_gradient_that_the_original_cuts():
    scores = golden("loss_logits").requires_grad_()
    smoothed_bce_loss(scores, golden("loss_target")).backward()
    far = scores[0].abs() > 16.2
    assert far.sum() == 2
    assert (golden("loss_grad")[0][far] == 0).all()
    assert (scores.grad[0][far].abs() > 1e-6).all()


@pytest.mark.parametrize("size", [17.0, 30.0, 80.0])
def test_gradients_are_exact_where_probabilities_round_to_one(size):
    """Without smoothing the gradient of a good score is tiny, and still not 0."""
    scores = torch.tensor([size, -size]).requires_grad_()
    smoothed_bce_loss(scores, torch.tensor([1, 0]), smoothing=0.0, reduction="sum").backward()
    tiny = torch.tensor(-size, dtype=torch.float64).sigmoid()
    torch.testing.assert_close(scores.grad.double(), torch.stack([-tiny, tiny]), rtol=1e-5, atol=0)


def test_smoothing_moves_each_class():
    target = torch.tensor([[1, 0, 0]])
    torch.testing.assert_close(smooth_labels(target), torch.tensor([[0.99, 0.01, 0.01]]))
    torch.testing.assert_close(smooth_labels(target.double(), 0.1), torch.tensor([[0.9, 0.1, 0.1]]).double())
    assert smooth_labels(target.bool(), 0.5).tolist() == [[0.5, 0.5, 0.5]]
    assert smooth_labels(target.half()).dtype == torch.float16
    assert torch.equal(smooth_labels(target.float(), 0.0), target.float())


def test_smoothing_and_weighted_mixup_may_change_places():
    clips, target = torch.randn(4, 20).double(), torch.eye(4).double()
    mixer = WeightedMixup(p=1.0, alpha=0.3)
    draw = mixer.draw(clips, generator=torch.Generator().manual_seed(0))
    before = mixer.replay(clips, smooth_labels(target), draw)[1]
    after = smooth_labels(mixer.replay(clips, target, draw)[1])
    torch.testing.assert_close(before, after, rtol=0, atol=1e-7)


@pytest.mark.parametrize("reduction", ["none", "sum", "mean"])
@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize("weighted", [False, True])
def test_masks_and_weights_are_those_of_the_definition(reduction, masked, weighted):
    scores, target = torch.randn(5, 7).double(), torch.rand(5, 7).double()
    mask = torch.rand(5, 7) > 0.4 if masked else None
    weight = torch.rand(5).double() if weighted else None
    ours = smoothed_bce_loss(
        scores, target, smoothing=0.2, mask=mask, sample_weight=weight, reduction=reduction
    )
    each = binary_cross_entropy(scores.sigmoid(), 0.6 * target + 0.2, reduction="none")
    factor = torch.ones(5, 7).double() if mask is None else mask.double()
    factor = factor if weight is None else factor * weight[:, None]
    expected = {
        "none": each * factor,
        "sum": (each * factor).sum(),
        "mean": (each * factor).sum() / factor.sum(),
    }
    torch.testing.assert_close(ours, expected[reduction])


def test_an_unknown_label_has_no_influence():
    scores = torch.randn(2, 3, requires_grad=True)
    mask = torch.tensor([[True, False, True], [False, False, False]])
    smoothed_bce_loss(scores, torch.ones(2, 3), mask=mask).backward()
    assert (scores.grad[~mask] == 0).all()
    assert (scores.grad[mask] != 0).all()


@pytest.mark.parametrize(
    "settings", [{"mask": torch.zeros(2, 3, dtype=torch.bool)}, {"sample_weight": torch.zeros(2)}]
)
def test_the_mean_of_nothing_is_zero_and_in_the_graph(settings):
    scores = torch.randn(2, 3, requires_grad=True)
    loss = smoothed_bce_loss(scores, torch.ones(2, 3), **settings)
    loss.backward()
    assert loss == 0
    assert (scores.grad == 0).all()


def test_no_rows_are_zero():
    scores = torch.randn(0, 3, requires_grad=True)
    loss = smoothed_bce_loss(scores, torch.ones(0, 3))
    loss.backward()
    assert loss == 0


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_is_computed_in_float32(dtype):
    scores, target = (20 * torch.randn(4, 5)).to(dtype), torch.eye(4, 5)
    loss = smoothed_bce_loss(scores, target.to(dtype))
    assert loss.dtype == torch.float32
    torch.testing.assert_close(loss, smoothed_bce_loss(scores.float(), target))


def test_it_is_a_criterion_of_a_source():
    criterion = SourceLoss(
        [SmoothedBCELoss(reduction="none"), SmoothedBCELoss(smoothing=0.1, reduction="none")]
    )
    scores, target = torch.randn(4, 3), torch.eye(4, 3)
    loss = criterion(scores, target, torch.tensor([0, 1, 0, 1]))
    rows = [smoothed_bce_loss(scores[i], target[i], smoothing=[0.01, 0.1][i % 2]) for i in range(4)]
    torch.testing.assert_close(loss, torch.stack(rows).mean())


@pytest.mark.parametrize(
    ("build", "error", "message"),
    [
        (
            lambda: SmoothedBCELoss(smoothing=0.6),
            ValueError,
            "smoothing: wanted a finite number from 0 to 0.5",
        ),
        (lambda: SmoothedBCELoss(smoothing="a"), TypeError, "smoothing: wanted a number"),
        (lambda: SmoothedBCELoss(reduction="max"), ValueError, "reduction: wanted one of"),
        (lambda: smooth_labels(torch.tensor([2.0])), ValueError, "target: wanted numbers from 0 to 1, got 2"),
        (
            lambda: smooth_labels(torch.tensor([1j])),
            TypeError,
            "target: wanted bool, integers or real numbers",
        ),
        (lambda: smooth_labels([1, 0]), TypeError, "target: wanted a torch.Tensor"),
        (
            lambda: smooth_labels(torch.ones(2), -1.0),
            ValueError,
            "amount: wanted a finite number from 0 to 0.5",
        ),
        (
            lambda: smoothed_bce_loss(torch.zeros(2, 3), torch.zeros(2, 3), mask=torch.ones(2, 3)),
            TypeError,
            "mask: wanted a bool tensor",
        ),
        (
            lambda: smoothed_bce_loss(torch.zeros(2, 3), torch.zeros(2, 3), sample_weight=torch.ones(3)),
            ValueError,
            "sample_weight: wanted shape",
        ),
        (
            lambda: smoothed_bce_loss(torch.zeros(2, 3), torch.full((2, 3), -1)),
            ValueError,
            "target: wanted numbers from 0 to 1, got -1",
        ),
    ],
)
def test_bad_input_is_named(build, error, message):
    with pytest.raises(error, match=message):
        build()
