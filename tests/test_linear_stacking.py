"""Linear stacking: the original's numbers, the average as first candidate, and the nested figure."""

import copy
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.nn.functional import binary_cross_entropy_with_logits

from rankaudio import lwlrap
from rankaudio.ensemble import LinearStacking, blend, fit_linear_stacking

GOLDEN = np.load(Path(__file__).parent / "golden" / "second_training.npz")
# The weights of the five models in the average of the original.
AVERAGE = [1.0, 1.9, 2.1, 1.0, 1.0]
FAST = {"lr": 3e-2, "max_epochs": 8, "stop": 8, "batch_size": 12}


def golden(name):
    return torch.from_numpy(np.asarray(GOLDEN[name]))


def original():
    """The network at its start, and the probabilities of five models as ``(5, 10, 80)``."""
    network = LinearStacking(n_classes=80, n_members=5, weights=AVERAGE)
    return network, golden("stack_input")[..., :5].movedim(-1, 0)


def first_level(clips=60, classes=6):
    """Probabilities of three models, of which the second confuses each class with the next one."""
    generator = torch.Generator().manual_seed(0)
    target = torch.eye(classes)[torch.arange(clips) % classes]
    noise = torch.rand(3, clips, classes, generator=generator)
    signal = torch.stack([0.2 * target, 0.4 * target.roll(1, 1), 0.1 * target])
    return 0.5 * noise + signal, target.bool(), torch.arange(clips) % 5


def test_the_start_is_the_average_of_the_original():
    network, scores = original()
    average = blend(scores, weights=AVERAGE)
    torch.testing.assert_close(average, golden("stack_input")[..., 5])
    torch.testing.assert_close(network(scores).sigmoid(), golden("stack_output_start"), rtol=0, atol=1e-6)


def test_three_steps_equal_those_of_the_original():
    network, scores = original()
    optimizer = torch.optim.NAdam(network.parameters(), lr=1e-4, eps=1e-7, momentum_decay=0.004)
    for step in range(3):
        loss = binary_cross_entropy_with_logits(network(scores), golden("stack_target").float())
        assert loss.item() == pytest.approx(float(golden(f"stack_loss{step}")), abs=1e-6)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        network.normalise()
    for ours, name in (
        (network.model_weights, "stack_model_weights_3"),
        (network.dense[:8], "stack_dense_weight_3"),
        (network(scores)[:, :8].sigmoid(), "stack_output_3"),
    ):
        torch.testing.assert_close(ours.detach(), golden(name), rtol=0, atol=1e-5)


def test_random_weights_give_the_output_of_the_original():
    network, scores = original()
    with torch.no_grad():
        network.model_weights.copy_(golden("stack_model_weights_random"))
        network.dense[:8] = golden("stack_dense_weight_random")
        output = network(scores)[:, :8].sigmoid()
    torch.testing.assert_close(output, golden("stack_output_random"), rtol=0, atol=1e-6)


def test_normalise_gives_each_class_a_norm_of_one():
    network = LinearStacking(n_classes=3, n_members=2)
    with torch.no_grad():
        network.model_weights.copy_(torch.tensor([[3.0, 4.0, 0.0], [-1.0, 0.0, 0.0], [0.0, 0.0, 0.0]]))
    network.normalise()
    expected = torch.tensor([[0.6, 0.8, 0.0], [-1.0, 0.0, 0.0], [0.0, 0.0, 0.0]])
    torch.testing.assert_close(network.model_weights.detach(), expected)


def test_a_fit_finds_what_an_average_cannot():
    """The second model is wrong on its own classes, and right about their neighbours."""
    scores, target, folds = first_level(120)
    fit = fit_linear_stacking(scores, target, folds=folds, lr=3e-2, max_epochs=40)
    assert fit.equal == pytest.approx(float(lwlrap(blend(scores), target)))
    assert fit.nested > fit.equal + 0.1
    assert (fit.epochs > 0).all()
    assert fit.nested == pytest.approx(float(lwlrap(fit.scores, target)))
    new = first_level(60)[0]
    members = [network(new.double()).sigmoid() for network in fit.networks]
    torch.testing.assert_close(fit.predict(new), torch.stack(members).mean(0).detach())


def test_the_average_is_kept_where_training_does_not_help():
    scores, target, folds = first_level()
    fit = fit_linear_stacking(target * 0.5 + 0.01 * scores, target, folds=folds, **FAST)
    assert fit.epochs.tolist() == [0] * 5
    assert fit.nested == fit.equal == fit.selected == 1.0


def test_candidate_zero_is_the_average_to_the_last_tie():
    """Probabilities of 1e-9 keep their order, which float32 would lose in the subtraction of 1.6."""
    scores, target, folds = first_level()
    tiny = (1e-9 * scores).double()
    fit = fit_linear_stacking(tiny, target, folds=folds, weights=[1, 2, 3], lr=0.0, max_epochs=1)
    assert fit.epochs.tolist() == [0] * 5
    assert fit.nested == fit.equal == float(lwlrap(blend(tiny, weights=[1, 2, 3]), target))
    order = blend(tiny, weights=[1, 2, 3]).argsort(1)
    assert torch.equal(fit.scores.argsort(1), order)
    assert torch.equal(fit.predict(tiny).argsort(1), order)


def test_a_fold_has_no_influence_on_its_own_network():
    scores, target, folds = first_level()
    fit = fit_linear_stacking(scores, target, folds=folds, **FAST)
    other, labels = scores.clone(), target.clone()
    other[:, folds == 2] = torch.rand_like(other[:, folds == 2])
    labels[folds == 2] = labels[folds == 2].roll(3, 1)
    again = fit_linear_stacking(other, labels, folds=folds, **FAST)
    same = [
        all(torch.equal(a, b) for a, b in zip(one.parameters(), two.parameters(), strict=True))
        for one, two in zip(fit.networks, again.networks, strict=True)
    ]
    # Network 2 does not see fold 2. Networks 3, 4 and 0 learn from it, and network 1 is chosen by it.
    assert same[2]
    assert not any((same[0], same[3], same[4]))


def test_a_fit_repeats_itself_and_leaves_the_random_state():
    scores, target, folds = first_level()
    before = torch.get_rng_state()
    one = fit_linear_stacking(scores, target, folds=folds, **FAST)
    two = fit_linear_stacking(scores, target, folds=folds, **FAST)
    assert torch.equal(torch.get_rng_state(), before)
    assert torch.equal(one.scores, two.scores)
    other = fit_linear_stacking(scores, target, folds=folds, **FAST, seed=1)
    assert not torch.equal(one.scores, other.scores)


def test_training_stops_some_epochs_after_the_best(monkeypatch):
    counted = []
    step = LinearStacking.normalise
    monkeypatch.setattr(LinearStacking, "normalise", lambda self: (counted.append(1), step(self)))
    scores, target, folds = first_level()
    fit_linear_stacking(scores, target, folds=folds, lr=0.0, stop=4, batch_size=1000)
    assert len(counted) == 4 * 5


def test_weights_of_the_average_are_in_the_state():
    network = LinearStacking(n_classes=3, n_members=2, weights=[3.0, 1.0])
    again = LinearStacking(n_classes=3, n_members=2)
    again.load_state_dict(network.state_dict())
    x = torch.rand(2, 4, 3)
    assert torch.equal(again(x), network(x))
    assert torch.equal(copy.deepcopy(network)(x), network(x))
    assert "n_members=2, weights=[0.75, 0.25]" in repr(network)


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"scores": torch.rand(3, 60)}, ValueError, "scores: wanted 3 axes"),
        ({"scores": torch.rand(3, 60, 2, 6)}, ValueError, "scores: wanted 3 axes"),
        ({"scores": torch.randn(3, 60, 6)}, ValueError, "scores: wanted probabilities from 0 to 1"),
        ({"folds": torch.arange(60) % 2}, ValueError, "folds: wanted at least three different ones"),
        ({"weights": [1.0]}, ValueError, "weights: wanted one for each of the 3 members, got 1"),
        ({"weights": [0.0, 0.0, 0.0]}, ValueError, "weights: wanted at least one above 0"),
        ({"lr": -1.0}, ValueError, "lr: wanted a finite number >= 0"),
        ({"stop": 0}, ValueError, "stop: wanted an integer >= 1"),
        ({"max_epochs": 1.5}, TypeError, "max_epochs: wanted an integer"),
        ({"batch_size": 0}, ValueError, "batch_size: wanted an integer >= 1"),
        ({"seed": -1}, ValueError, "seed: wanted an integer >= 0"),
    ],
)
def test_bad_arguments_are_named(change, error, message):
    scores, target, folds = first_level()
    arguments = {"scores": scores, "target": target, "folds": folds} | change
    with pytest.raises(error, match=message):
        fit_linear_stacking(arguments.pop("scores"), arguments.pop("target"), **arguments)


def test_scores_of_other_models_are_refused():
    with pytest.raises(ValueError, match=r"scores: wanted shape \(3, N, 6\), got"):
        LinearStacking(n_classes=6, n_members=3)(torch.rand(2, 4, 6))
