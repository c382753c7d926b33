"""The second level: its networks, the windows that it learns from, its schedule and its nested figure."""

from pathlib import Path

import numpy as np
import pytest
import torch
from torch.nn.functional import sigmoid

from rankaudio import lwlrap
from rankaudio.ensemble import SecondLevelNetwork, WindowMean, blend, fit_second_level
from rankaudio.ensemble._plateau import Plateau
from rankaudio.ensemble._second_level_folds import check_problem

GOLDEN = np.load(Path(__file__).parent / "golden" / "argus_stacking.npz")
SCHEDULE = np.load(Path(__file__).parent / "golden" / "argus_schedule.npz")
NETS = {"a": (16, 16), "b": (24, 2), "c": (16, 1)}
SMALL = {
    "hidden": 8,
    "reduction": 2,
    "lr": 1e-2,
    "max_epochs": 4,
    "draws_per_epoch": 64,
    "batch_size": 16,
}


def golden(name):
    return torch.from_numpy(GOLDEN[name].astype(np.float32))


def original_network(net, fold):
    hidden, reduction = NETS[net]
    network = SecondLevelNetwork(n_classes=10, n_members=3, hidden=hidden, reduction=reduction).eval()
    prefix = f"{net}/sd/"
    keys = [key for key in GOLDEN.files if key.startswith(prefix)]
    network.load_reference_state_dict({key.removeprefix(prefix): golden(key)[fold] for key in keys})
    return network


def by_member(joined):
    """From ``(N, 30)`` of the original to ``(3, N, 10)``."""
    return joined.reshape(-1, 3, 10).movedim(0, 1)


@pytest.mark.parametrize("net", NETS)
def test_logits_equal_those_of_the_original(net):
    x, theirs = by_member(golden("input")), golden(f"{net}/logits")
    with torch.no_grad():
        ours = torch.stack([original_network(net, fold)(x) for fold in range(5)])
    torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-5)


def test_scales_of_inputs_equal_those_of_the_original():
    network, x = original_network("a", 0), golden("input")
    with torch.no_grad():
        torch.testing.assert_close(network.scale(x), golden("a/fold0/scale"), rtol=0, atol=1e-6)


def test_both_levels_from_windows_to_the_final_blend_equal_the_original():
    means = WindowMean().eval()
    folds = [means(golden(f"windows{clip}").flatten(0, 1)).reshape(3, 5, 10) for clip in range(6)]
    first = blend(torch.stack(folds).movedim(2, 0), method="geometric").movedim(1, 0)
    torch.testing.assert_close(first, golden("first_level"), rtol=0, atol=1e-6)
    torch.testing.assert_close(by_member(golden("joined")), first, rtol=0, atol=1e-6)
    with torch.no_grad():
        nets = [[original_network(net, fold)(first).sigmoid() for fold in range(5)] for net in NETS]
    second = torch.stack([blend(each, method="geometric") for each in nets])
    torch.testing.assert_close(second, golden("second_level"), rtol=0, atol=1e-5)
    final = blend([*first, *second], method="geometric")
    torch.testing.assert_close(final, golden("final"), rtol=0, atol=1e-5)


@pytest.mark.parametrize(("reduction", "millions"), [(16, 1.18), (2, 1.45), (1, 1.77)])
def test_networks_of_full_size_have_as_many_parameters_as_the_originals(reduction, millions):
    with torch.device("meta"):
        network = SecondLevelNetwork(n_classes=80, n_members=7, reduction=reduction)
    assert round(sum(parameter.numel() for parameter in network.parameters()) / 1e6, 2) == millions


def test_geometric_means_equal_those_of_the_original_with_a_zero_too():
    torch.testing.assert_close(blend(golden("gmean_in"), method="geometric"), golden("gmean_out"))


@pytest.mark.parametrize(
    ("kept", "name"), [(range(3, 8), "view_run_size5_start3"), ([7, 0, 2, 5], "view_subset_7_0_2_5")]
)
def test_means_over_drawn_windows_equal_those_of_the_original(kept, name):
    mask = torch.zeros(1, 9, dtype=torch.bool)
    mask[0, list(kept)] = True
    ours = WindowMean().replay(golden("view_windows")[None], mask)[0]
    torch.testing.assert_close(ours, golden(name), rtol=0, atol=1e-6)


@pytest.mark.parametrize("net", ["first", "stack43040", "stack45041", "stack50013"])
def test_the_schedule_equals_that_of_the_original(net):
    lr, patience, factor, stop = SCHEDULE[f"{net}_lr_patience_factor_stop"]
    optimizer = torch.optim.Adam([torch.nn.Parameter(torch.zeros(1))], lr=lr)
    plateau = Plateau(optimizer, patience=int(patience), factor=float(factor), stop=int(stop))
    rates, kept = [], []
    for epoch, value in enumerate(SCHEDULE[f"{net}_val"].tolist()):
        rates.append(optimizer.param_groups[0]["lr"])
        if plateau.step(value):
            kept.append(epoch)
        if plateau.finished():
            break
    assert len(rates) == int(SCHEDULE[f"{net}_epochs_run"])
    np.testing.assert_allclose(rates, SCHEDULE[f"{net}_lr_during_epoch"][: len(rates)], rtol=1e-9)
    assert kept == (SCHEDULE[f"{net}_saved_epochs"] - min(SCHEDULE[f"{net}_saved_epochs"])).tolist()
    assert plateau.best_epoch == kept[-1]


def test_in_eval_mode_the_mean_is_over_all_windows_of_a_clip():
    windows, counts = torch.rand(3, 4, 5, 2), torch.tensor([5, 1, 3, 2])
    for row, count in enumerate(counts):
        windows[:, row, count:] = torch.nan
    mean = WindowMean().eval()(windows, counts)
    expected = torch.stack([windows[:, row, :count].mean(1) for row, count in enumerate(counts)], dim=1)
    torch.testing.assert_close(mean, expected)


def draw(run, subset, counts, *, most=6):
    generator = torch.Generator().manual_seed(0)
    windows = torch.zeros(len(counts), most, 1)
    return WindowMean(run=run, subset=subset).draw(windows, counts, generator=generator)


def runs_of(row):
    """Number of runs of kept windows."""
    return int((row[1:] & ~row[:-1]).sum() + row[0])


@pytest.mark.parametrize(("run", "subset"), [(0, 0), (1, 0), (0, 1), (1, 1), (0.5, 0.5)])
def test_draws_keep_windows_of_the_clip_only_and_at_least_one(run, subset):
    counts = torch.randint(1, 7, (2000,), generator=torch.Generator().manual_seed(1))
    kept = draw(run, subset, counts)
    assert kept.any(1).all()
    assert not (kept & (torch.arange(6) >= counts[:, None])).any()
    if (run, subset) == (0, 0):
        assert torch.equal(kept.sum(1), counts)
    if (run, subset) == (1, 0):
        assert {runs_of(row) for row in kept} == {1}
    if subset == 1:
        assert max(runs_of(row) for row in kept) > 1


def test_sizes_and_starts_of_runs_are_uniform():
    kept = draw(1, 0, torch.full((60_000,), 4), most=4)
    for size in range(1, 5):
        rows = kept[kept.sum(1) == size]
        assert abs(len(rows) - 15_000) < 5 * 15_000**0.5
        starts = rows.int().argmax(1).bincount(minlength=5 - size)
        expected = len(rows) / (5 - size)
        assert len(starts) == 5 - size
        assert (starts - expected).abs().max() < 5 * expected**0.5


def test_sizes_and_members_of_subsets_are_uniform():
    kept = draw(0, 1, torch.full((60_000,), 4), most=4)
    assert (kept.sum(1).bincount(minlength=5)[1:] - 15_000).abs().max() < 5 * 15_000**0.5
    for size in range(1, 4):
        rows = kept[kept.sum(1) == size]
        assert (rows.sum(0) - len(rows) * size / 4).abs().max() < 5 * (len(rows) / 4) ** 0.5


def test_half_of_the_clips_keep_all_windows_half_of_the_time():
    """Each of the two steps has probability 1/2, and a step keeps everything with probability 1/n."""
    kept = draw(0.5, 0.5, torch.full((40_000,), 6))
    # P(all 6) = P(run keeps all) P(subset keeps all) = (1/2 + 1/2 1/6)^2.
    expected = (0.5 + 0.5 / 6) ** 2
    assert abs(float(kept.all(1).double().mean()) - expected) < 5 * (expected / 40_000) ** 0.5


def first_level(*, clips=90, windows=None, seed=0):
    """Probabilities of three members, the second of which takes each class for the next."""
    generator = torch.Generator().manual_seed(seed)
    target = torch.eye(5)[torch.randint(5, (clips,), generator=generator)]
    shape = (3, clips, 5) if windows is None else (3, clips, windows, 5)
    noise = 1.5 * torch.randn(shape, generator=generator)
    signal = torch.stack([target, target.roll(1, 1), torch.zeros_like(target)])
    signal = signal if windows is None else signal[:, :, None]
    return sigmoid(noise + 2 * signal - 2), target, torch.arange(clips) % 3


@pytest.mark.slow
def test_a_second_level_learns_what_a_blend_cannot():
    """A member with permuted classes is useless for a blend and as good as any for a network."""
    scores, target, folds = first_level(clips=600)
    settings = SMALL | {"hidden": 32, "max_epochs": 12, "draws_per_epoch": 1024, "batch_size": 32}
    fit = fit_second_level(scores, target, folds=folds, **settings)
    assert fit.equal == pytest.approx(float(lwlrap(blend(scores, method="geometric"), target)))
    assert fit.nested > fit.equal + 0.05
    others, other_target, _ = first_level(clips=600, seed=1)
    assert float(lwlrap(fit.predict(others), other_target)) == pytest.approx(fit.nested, abs=0.05)


def test_the_same_seed_gives_the_same_fit_and_the_global_state_does_not_matter():
    scores, target, folds = first_level(windows=4)
    before = torch.get_rng_state()
    first = fit_second_level(scores, target, folds=folds, **SMALL)
    assert torch.equal(torch.get_rng_state(), before)
    torch.manual_seed(1)
    second = fit_second_level(scores, target, folds=folds, **SMALL)
    assert torch.equal(first.scores, second.scores)
    assert first[2:5] == second[2:5]
    assert torch.equal(first.predict(scores[:, :, 0]), second.predict(scores[:, :, 0]))
    other = fit_second_level(scores, target, folds=folds, **SMALL, seed=1)
    assert not torch.equal(first.scores, other.scores)


def test_a_fold_has_no_influence_on_the_network_that_scores_it():
    scores, target, folds = first_level()
    fit = fit_second_level(scores, target, folds=folds, **SMALL)
    changed, spoiled = target.clone(), scores.clone()
    changed[folds == 1] = changed[folds == 1].roll(2, 1)
    spoiled[:, folds == 1] = 1 - spoiled[:, folds == 1]
    other = fit_second_level(spoiled, changed, folds=folds, **SMALL)
    for one, two in zip(fit.networks[1].parameters(), other.networks[1].parameters(), strict=True):
        assert torch.equal(one, two)
    pairs = zip(fit.networks[0].parameters(), other.networks[0].parameters(), strict=True)
    assert not all(torch.equal(one, two) for one, two in pairs)


def test_nested_scores_are_those_of_the_network_of_each_fold():
    scores, target, folds = first_level(windows=3)
    counts = torch.randint(1, 4, (90,), generator=torch.Generator().manual_seed(2))
    fit = fit_second_level(scores, target, folds=folds, counts=counts, **SMALL)
    means = WindowMean().eval()(scores, counts)
    with torch.no_grad():
        for fold, network in enumerate(fit.networks):
            assert not network.training
            torch.testing.assert_close(fit.scores[folds == fold], network(means)[folds == fold])
    assert fit.nested == float(lwlrap(fit.scores, target))
    probabilities = [network(means).sigmoid().detach() for network in fit.networks]
    torch.testing.assert_close(fit.predict(means), blend(probabilities, method="geometric"))


def test_the_best_epoch_is_kept():
    """With an absurd learning rate later epochs are worse, and the chosen epoch gives ``selected``."""
    scores, target, folds = first_level()
    short = fit_second_level(scores, target, folds=folds, **SMALL | {"lr": 0.5, "max_epochs": 1})
    long = fit_second_level(scores, target, folds=folds, **SMALL | {"lr": 0.5, "max_epochs": 8})
    assert short.epochs.tolist() == [0, 0, 0]
    stopped = fit_second_level(scores, target, folds=folds, **SMALL | {"lr": 0.5, "max_epochs": 8, "stop": 1})
    assert (stopped.epochs <= long.epochs).all()
    for fold in range(3):
        chosen = folds == (fold + 1) % 3
        values = [
            float(lwlrap(fit.networks[fold](scores[:, chosen]).detach(), target[chosen]))
            for fit in (short, stopped, long)
        ]
        assert values == sorted(values)


def test_names_of_folds_do_not_matter():
    scores, target, folds = first_level()
    renamed = torch.tensor([-3, 5, 40])[folds]
    one = fit_second_level(scores, target, folds=folds, **SMALL)
    two = fit_second_level(scores, target, folds=renamed, **SMALL)
    assert torch.equal(one.scores, two.scores)


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"scores": torch.rand(3, 90)}, ValueError, "scores: wanted 3 or 4 axes"),
        ({"scores": torch.rand(3, 90, 5).long()}, TypeError, "scores: wanted a floating-point tensor"),
        ({"scores": torch.randn(3, 90, 5)}, ValueError, "scores: wanted probabilities from 0 to 1"),
        ({"scores": torch.full((3, 90, 5), torch.nan)}, ValueError, "scores: wanted probabilities"),
        ({"scores": torch.rand(0, 90, 5)}, ValueError, "scores: wanted at least one member"),
        ({"target": torch.zeros(90, 5)}, ValueError, "target: wanted at least one label, got none"),
        ({"target": torch.zeros(89, 5)}, ValueError, "target: wanted the shape of scores"),
        ({"folds": torch.zeros(90)}, TypeError, "folds: wanted integers"),
        ({"folds": torch.arange(90) % 2}, ValueError, "folds: wanted at least three different ones"),
        ({"folds": torch.zeros(89).long()}, ValueError, r"folds: wanted shape \(90,\)"),
        ({"counts": torch.full((90,), 2)}, ValueError, "counts: wanted values from 1 to 1, got 2"),
        ({"lr": -1.0}, ValueError, "lr: wanted a finite number >= 0"),
        ({"factor": 1.0}, ValueError, "factor: wanted a number below 1"),
        ({"patience": 1.5}, TypeError, "patience: wanted an integer"),
        ({"stop": 0}, ValueError, "stop: wanted an integer >= 1"),
        ({"hidden": 0}, ValueError, "hidden: wanted an integer >= 1"),
        ({"reduction": 16}, ValueError, "reduction: wanted an integer from 1 to 15"),
        ({"dropout": 1.5}, ValueError, "dropout: wanted a finite number from 0 to 1"),
        ({"run": 2}, ValueError, "run: wanted a finite number from 0 to 1"),
        ({"seed": -1}, ValueError, "seed: wanted an integer >= 0"),
    ],
)
def test_bad_arguments_of_a_fit_are_named(change, error, message):
    scores, target, folds = first_level()
    arguments = {"scores": scores, "target": target, "folds": folds} | SMALL | change
    with pytest.raises(error, match=message):
        fit_second_level(arguments.pop("scores"), arguments.pop("target"), **arguments)


def test_a_fold_without_labels_is_named():
    scores, target, folds = first_level()
    target[folds == 2] = 0
    with pytest.raises(ValueError, match="folds: wanted a label in each fold, got none in fold 2"):
        fit_second_level(scores, target, folds=folds, **SMALL)


def test_bad_arguments_of_the_parts_are_named():
    with pytest.raises(ValueError, match=r"windows: wanted shape \(\*, B, K, C\) with K from 1"):
        WindowMean()(torch.rand(3, 5))
    with pytest.raises(ValueError, match="counts: wanted values from 1 to 4, got 5"):
        WindowMean()(torch.rand(2, 4, 5), torch.tensor([5, 1]))
    with pytest.raises(TypeError, match="kept: wanted a bool tensor"):
        WindowMean().replay(torch.rand(2, 4, 5), torch.ones(2, 4))
    with pytest.raises(ValueError, match=r"scores: wanted shape \(3, N, 5\), got"):
        SecondLevelNetwork(n_classes=5, n_members=3, reduction=2)(torch.rand(2, 4, 5))
    with pytest.raises(RuntimeError, match="linear9"):
        SecondLevelNetwork(n_classes=5, n_members=3, reduction=2).load_reference_state_dict(
            {"linear9.weight": torch.zeros(2)}
        )


def test_a_network_can_be_built_again_from_its_settings():
    network = SecondLevelNetwork(n_classes=5, n_members=3, hidden=8, reduction=2).eval()
    again = SecondLevelNetwork(**network.settings()).eval()
    again.load_state_dict(network.state_dict())
    x = torch.rand(3, 4, 5)
    assert torch.equal(again(x), network(x))
    assert "n_members=3" in repr(network)
    assert "run=0.5" in repr(WindowMean())


def test_probabilities_of_exactly_0_and_1_are_taken():
    scores = torch.tensor([[[0.0, 1.0], [1.0, 0.0], [1.0, 1.0]]])
    target = torch.tensor([[0, 1], [1, 0], [1, 1]])
    problem = check_problem(scores, target, None)
    assert torch.equal(problem.means.float(), scores)
    for wrong in (torch.nextafter(torch.tensor(1.0), torch.tensor(2.0)), -1e-30):
        with pytest.raises(ValueError, match="scores: wanted probabilities from 0 to 1"):
            check_problem(scores * 0 + wrong, target, None)
