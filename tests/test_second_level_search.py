"""The random search of the second level: its draws, its parts and its honest figure."""

import pytest
import torch

from rankaudio import lwlrap
from rankaudio.ensemble import fit_second_level, search_second_level
from rankaudio.ensemble._second_level_search import _Ranges

# Settings of two second-level networks of the original, by the seeds of numpy that give them.
ORIGINAL = {
    3040: {"reduction": 16, "dropout": 0.0514108720891856, "lr": 4.5950585196710547e-05, "patience": 5,
           "factor": 0.657766056031002},
    5041: {"reduction": 2, "dropout": 0.48357033916143033, "lr": 3.897529465275052e-05, "patience": 9,
           "factor": 0.7953702239306087},
}  # fmt: skip
DEFAULTS = _Ranges(
    hidden=(64, 128, 256, 512),
    reduction=(2, 4, 8, 16),
    dropout=(0.0, 0.5),
    lr=(1e-5, 1e-4),
    patience=(3, 11),
    factor=(0.5, 0.8),
    batch_size=(32, 64, 128),
)
SMALL = {
    "hidden": (4, 8),
    "reduction": (2, 3),
    "lr": (1e-3, 3e-2),
    "batch_size": (16, 32),
    "max_epochs": 3,
    "draws_per_epoch": 64,
}


def first_level(*, clips=60, windows=None):
    generator = torch.Generator().manual_seed(0)
    target = torch.eye(5)[torch.randint(5, (clips,), generator=generator)]
    shape = (2, clips, 5) if windows is None else (2, clips, windows, 5)
    signal = target[None] if windows is None else target[None, :, None]
    scores = torch.sigmoid(torch.randn(shape, generator=generator) + signal)
    return scores, target, torch.arange(clips) % 3


@pytest.fixture(scope="module")
def search():
    scores, target, folds = first_level()
    return search_second_level(scores, target, folds=folds, trials=4, seed=5, **SMALL)


@pytest.mark.parametrize("seed", ORIGINAL)
def test_two_seeds_give_the_settings_of_the_original_to_the_last_digit(seed):
    drawn = DEFAULTS.draw(seed)
    assert {name: drawn[name] for name in ORIGINAL[seed]} == ORIGINAL[seed]
    assert (drawn["hidden"], drawn["batch_size"]) == (512, 128)


def test_draws_stay_in_their_ranges_and_reach_every_value():
    drawn = [DEFAULTS.draw(seed) for seed in range(300)]
    values = {name: {settings[name] for settings in drawn} for name in drawn[0]}
    assert values["hidden"] == {64, 128, 256, 512}
    assert values["reduction"] == {2, 4, 8, 16}
    assert values["batch_size"] == {32, 64, 128}
    assert values["patience"] == set(range(3, 12))
    for name, low, high in (("dropout", 0, 0.5), ("lr", 1e-5, 1e-4), ("factor", 0.5, 0.8)):
        assert len(values[name]) == 300
        assert low <= min(values[name]) < low + 0.05 * (high - low)
        assert high - 0.05 * (high - low) < max(values[name]) <= high
    for settings in drawn:
        assert {type(value) for value in settings.values()} <= {int, float}


def test_trials_are_sorted_and_the_winner_has_the_highest_selected(search):
    nested = [trial.nested for trial in search.trials]
    assert nested == sorted(nested, reverse=True)
    assert sorted(trial.seed for trial in search.trials) == [5, 6, 7, 8]
    assert search.winner.selected == max(trial.selected for trial in search.trials)


def test_a_trial_is_a_fit_that_can_be_repeated_alone(search):
    scores, target, folds = first_level()
    trial = next(each for each in search.trials if each.seed == 7)
    fit = fit_second_level(scores, target, folds=folds, **trial.settings)
    assert torch.equal(fit.scores, trial.scores)
    assert (fit.nested, fit.selected, fit.equal) == (trial.nested, trial.selected, search.equal)
    (alone,) = search_second_level(scores, target, folds=folds, trials=1, seed=7, **SMALL).trials
    assert alone.settings == trial.settings
    assert torch.equal(alone.scores, trial.scores)
    for fold, network in enumerate(fit.networks):
        clips = folds == (fold + 1) % 3
        value = lwlrap(network(scores[:, clips]).detach(), target[clips])
        assert trial.choosing[fold] == pytest.approx(float(value))


def test_a_search_in_parts_is_the_search_in_one(search, monkeypatch):
    scores, target, folds = first_level()
    first = search_second_level(scores, target, folds=folds, trials=2, seed=5, **SMALL)
    last = search_second_level(scores, target, folds=folds, trials=4, seed=5, done=first.trials, **SMALL)
    assert [trial.seed for trial in last.trials] == [trial.seed for trial in search.trials]
    assert (last.nested, last.equal, last.winner.seed) == (search.nested, search.equal, search.winner.seed)
    name = "rankaudio.ensemble._second_level_search.fit_second_level"
    monkeypatch.setattr(name, lambda *_, **__: pytest.fail("a second fit"))
    again = search_second_level(scores, target, folds=folds, trials=4, seed=5, done=last.trials, **SMALL)
    assert again.nested == search.nested


def test_the_figure_takes_for_each_fold_the_trial_that_the_next_fold_prefers(search):
    _, target, folds = first_level()
    scores = torch.empty(60, 5)
    for fold in range(3):
        best = max(search.trials, key=lambda trial: trial.choosing[fold])
        scores[folds == fold] = best.scores[folds == fold]
    assert search.nested == float(lwlrap(scores, target))


def test_labels_of_a_fold_have_no_influence_on_the_trial_that_scores_it(search):
    """The labels of fold 0 change, and the scores that the figure uses in fold 0 do not."""
    scores, target, folds = first_level()
    changed = target.clone()
    changed[folds == 0] = changed[folds == 0].roll(2, 1)
    other = search_second_level(scores, changed, folds=folds, trials=4, seed=5, **SMALL)
    assert len(other.trials) == 4
    for one, two in zip(*(sorted(each.trials) for each in (search, other)), strict=True):
        assert one.choosing[0] == two.choosing[0]
        assert torch.equal(one.scores[folds == 0], two.scores[folds == 0])
        assert one.selected != two.selected


def test_windows_and_their_numbers_take_part():
    scores, target, folds = first_level(windows=3)
    counts = torch.arange(60) % 3 + 1
    arguments = {"folds": folds, "counts": counts}
    search = search_second_level(scores, target, **arguments, trials=1, **SMALL)
    fit = fit_second_level(scores, target, **arguments, **search.winner.settings)
    assert (search.nested, search.equal) == (fit.nested, fit.equal)


def test_the_global_random_state_does_not_change():
    import numpy as np

    scores, target, folds = first_level()
    before, torch_before = np.random.get_state(legacy=False), torch.get_rng_state()
    search_second_level(scores, target, folds=folds, trials=1, **SMALL | {"max_epochs": 1})
    assert repr(np.random.get_state(legacy=False)) == repr(before)
    assert torch.equal(torch.get_rng_state(), torch_before)


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"trials": 0}, ValueError, "trials: wanted an integer >= 1"),
        ({"seed": 2**32}, ValueError, "seed: wanted an integer from 0 to"),
        ({"hidden": ()}, ValueError, "hidden: wanted at least one integer, got none"),
        ({"hidden": 64}, TypeError, "hidden: wanted a list of integers"),
        ({"reduction": (2, 0)}, ValueError, "reduction: wanted an integer >= 1, got 0"),
        ({"dropout": 0.5}, TypeError, r"dropout: wanted two numbers \(low, high\)"),
        ({"dropout": (0.5, 0.0)}, ValueError, r"dropout: wanted \(low, high\) in ascending order"),
        ({"factor": (0.5, 1.0)}, ValueError, "factor: wanted numbers below 1"),
        ({"patience": (3, 4.5)}, TypeError, "patience: wanted an integer"),
        ({"lr": (-1.0, 1.0)}, ValueError, "lr: wanted a finite number >= 0"),
        ({"done": [3]}, TypeError, "done: wanted trials of search_second_level"),
        ({"folds": torch.arange(60) % 2}, ValueError, "folds: wanted at least three different ones"),
    ],
)
def test_bad_arguments_are_named(change, error, message):
    scores, target, folds = first_level()
    with pytest.raises(error, match=message):
        search_second_level(scores, target, **{"folds": folds, "trials": 1, **SMALL, **change})


def test_trials_of_other_clips_and_double_trials_are_refused(search):
    scores, target, folds = first_level(clips=30)
    with pytest.raises(ValueError, match=r"done: wanted trials with scores \(30, 5\)"):
        search_second_level(scores, target, folds=folds, done=search.trials, **SMALL)
    scores, target, folds = first_level()
    twice = [*search.trials, search.trials[-1]]
    with pytest.raises(ValueError, match="done: wanted one trial a seed, got two with seed"):
        search_second_level(scores, target, folds=folds, done=twice, **SMALL)
