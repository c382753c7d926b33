"""Folds have equal sizes, and every label is spread better than at random."""

from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from rankaudio.data import fold_balance, multilabel_folds, random_folds

GOLDEN = np.load(Path(__file__).parent / "golden" / "argus_folds.npz")


def labels(clips: int, classes: int, *, seed: int, mean: float = 1.2) -> Tensor:
    """Draw rare and frequent labels, about ``mean`` per clip."""
    generator = torch.Generator().manual_seed(seed)
    rate = torch.rand(classes, generator=generator) ** 3
    return torch.rand(clips, classes, generator=generator) < rate / rate.sum() * mean


def unevenness(target: Tensor, folds: Tensor, n_folds: int) -> float:
    """Mean distance of a label's count in a fold from its share."""
    counts = torch.nn.functional.one_hot(folds, n_folds).double().T @ target.double()
    return float((counts - counts.mean(0)).abs().mean())


def least_unevenness(target: Tensor, n_folds: int) -> float:
    """Unevenness if each fold has its share of every label, rounded up or down."""
    over = target.sum(0).double() % n_folds
    return float((2 * over * (n_folds - over) / n_folds**2).mean())


def recordings(clips: int, *, seed: int) -> Tensor:
    """Draw the recording of each clip: most have one to four clips, in any order."""
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(clips // 2, (clips,), generator=generator) * 7 - 100


def shuffled_folds(clips: int, n_folds: int, *, seed: int = 0) -> Tensor:
    return torch.randperm(clips, generator=torch.Generator().manual_seed(seed)) % n_folds


@given(st.integers(2, 60), st.integers(1, 8), st.integers(2, 7), st.integers(0, 2**31), st.floats(0, 3))
def test_folds_have_equal_sizes(clips, classes, n_folds, seed, mean):
    n_folds = min(n_folds, clips)
    folds = multilabel_folds(labels(clips, classes, seed=seed, mean=mean), n_folds=n_folds, seed=seed)
    assert folds.dtype == torch.int64
    assert folds.shape == (clips,)
    sizes = folds.bincount(minlength=n_folds)
    assert len(sizes) == n_folds
    assert sizes.max() - sizes.min() <= 1


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize(("clips", "classes", "n_folds"), [(280, 20, 5), (1000, 80, 5), (400, 30, 10)])
def test_labels_are_spread_far_better_than_at_random(clips, classes, n_folds, seed):
    target = labels(clips, classes, seed=seed)
    ours = unevenness(target, multilabel_folds(target, n_folds=n_folds, seed=seed), n_folds)
    chance = min(unevenness(target, shuffled_folds(clips, n_folds, seed=s), n_folds) for s in range(20))
    assert ours < 0.5 * chance


@pytest.mark.parametrize(("clips", "classes", "n_folds"), [(300, 20, 5), (400, 30, 3), (500, 40, 10)])
def test_every_label_has_its_share_rounded_up_or_down(clips, classes, n_folds):
    """Also if every clip has a label, so that no clips are left that could make the sizes equal."""
    target = labels(clips, classes, seed=clips, mean=1.5)
    target[:, 0] |= ~target.any(1)
    folds = multilabel_folds(target, n_folds=n_folds)
    assert unevenness(target, folds, n_folds) == pytest.approx(least_unevenness(target, n_folds))
    assert folds.bincount().max() - folds.bincount().min() <= 1


@given(st.integers(4, 60), st.integers(0, 6), st.integers(2, 5), st.integers(0, 2**31))
def test_no_group_is_in_two_folds(clips, classes, n_folds, seed):
    target, groups = labels(clips, classes, seed=seed), recordings(clips, seed=seed)
    n_folds = min(n_folds, len(groups.unique()))
    if n_folds < 2:
        return
    folds = multilabel_folds(target, n_folds=n_folds, seed=seed, groups=groups)
    assert folds.unique().tolist() == list(range(n_folds))
    for group in groups.unique():
        assert len(folds[groups == group].unique()) == 1


@pytest.mark.parametrize("seed", range(3))
def test_folds_of_groups_are_far_more_even_than_random_ones(seed):
    target, groups = labels(1000, 40, seed=seed), recordings(1000, seed=seed)
    names, unit = groups.unique(return_inverse=True)
    balance = fold_balance(target, multilabel_folds(target, groups=groups))
    chance = min(unevenness(target, shuffled_folds(len(names), 5, seed=s)[unit], 5) for s in range(20))
    assert balance.mean_deviation < 0.3 * chance
    assert balance.sizes.max() - balance.sizes.min() <= 4


def test_groups_may_be_strings_and_only_their_equality_counts():
    target, groups = labels(60, 5, seed=1), recordings(60, seed=1)
    folds = multilabel_folds(target, groups=groups)
    assert torch.equal(folds, multilabel_folds(target, groups=[f"clip {g}" for g in groups.tolist()]))
    assert not torch.equal(folds, multilabel_folds(target, groups=groups, seed=1))


def test_one_large_group_is_a_fold():
    target = torch.ones(12, 1)
    folds = multilabel_folds(target, n_folds=3, groups=[0] * 8 + [1, 2, 3, 4])
    assert sorted(folds.bincount().tolist()) == [2, 2, 8]


@given(st.integers(1, 30), st.integers(0, 5), st.integers(1, 6), st.integers(0, 2**31))
def test_balance_by_its_definition(clips, classes, n_folds, seed):
    target, n_folds = labels(clips, classes, seed=seed, mean=2), min(n_folds, clips)
    folds = shuffled_folds(clips, n_folds, seed=seed)
    balance, rows = fold_balance(target, folds), target.tolist()
    members = [
        [row for row, fold in zip(rows, folds.tolist(), strict=True) if fold == k] for k in range(n_folds)
    ]
    off, share = [0.0], [0.0]
    for k, c in ((k, c) for k in range(n_folds) for c in range(classes)):
        count, total = sum(row[c] for row in members[k]), sum(row[c] for row in rows)
        assert balance.counts[k, c] == count
        off.append(abs(count - total / n_folds))
        share.append(abs(count / len(members[k]) - total / clips))
    assert balance.sizes.tolist() == [len(each) for each in members]
    assert balance.mean_deviation == pytest.approx(sum(off) / max(len(off) - 1, 1))
    assert balance.largest_deviation == pytest.approx(max(off))
    assert balance.largest_share_deviation == pytest.approx(max(share))


@pytest.mark.parametrize("n_folds", [2, 5])
def test_single_labels_are_divided_exactly(n_folds):
    target = torch.eye(6, dtype=torch.bool).repeat_interleave(10, 0)[torch.randperm(60)]
    folds = multilabel_folds(target, n_folds=n_folds)
    for fold in range(n_folds):
        assert (target[folds == fold].sum(0) == 10 // n_folds).all()


def test_clips_without_labels_are_spread_evenly():
    target = torch.zeros(53, 3, dtype=torch.bool)
    target[:20, 0] = True
    folds = multilabel_folds(target, n_folds=5)
    assert folds[20:].bincount(minlength=5).sort().values.tolist() == [6, 6, 7, 7, 7]
    nothing = multilabel_folds(torch.zeros(11, 4), n_folds=3)
    assert nothing.bincount().sort().values.tolist() == [3, 4, 4]


def test_three_clips_of_a_label_are_in_three_folds():
    target = labels(200, 10, seed=3)
    target[:, 0] = False
    target[torch.tensor([7, 70, 170]), 0] = True
    assert len(multilabel_folds(target, n_folds=5)[target[:, 0]].unique()) == 3


def test_only_the_seed_decides():
    target, before = labels(100, 8, seed=0), torch.get_rng_state()
    folds = multilabel_folds(target)
    assert torch.equal(folds, multilabel_folds(target.float(), n_folds=5, seed=42))
    assert not torch.equal(folds, multilabel_folds(target, seed=43))
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"target": [[1]]}, TypeError, "target: wanted a torch.Tensor"),
        ({"target": torch.ones(4)}, ValueError, r"target: wanted \(N, C\), got a float32 tensor"),
        ({"target": torch.full((4, 2), 0.5)}, ValueError, "target: wanted only 0 and 1, got 0.5"),
        ({"n_folds": 1}, ValueError, "n_folds: wanted an integer from 2 to 4, got 1"),
        ({"n_folds": 5}, ValueError, "n_folds: wanted an integer from 2 to 4, got 5"),
        ({"n_folds": 2.0}, TypeError, "n_folds: wanted an integer, got 2.0"),
        ({"target": torch.ones(1, 2), "n_folds": 2}, ValueError, "n_folds: .*one fold per clip, 1, got 2"),
        ({"target": torch.ones(0, 2), "n_folds": 2}, ValueError, "n_folds: .*one fold per clip, 0, got 2"),
        ({"seed": -1}, ValueError, "seed: wanted an integer >= 0, got -1"),
        ({"groups": [1, 2, 3]}, ValueError, "groups: wanted one for each of the 4 clips, got 3"),
        ({"groups": [1, 2, 3, 4.5]}, TypeError, "groups: wanted integers or strings, got 4.5"),
        ({"groups": torch.ones(4)}, TypeError, "groups: wanted integers, got a float32 tensor"),
        ({"groups": "abcd"}, TypeError, "groups: wanted a list of numbers or strings, got 'abcd'"),
        ({"groups": [7, 7, 7, 7]}, ValueError, "n_folds: wanted at most one fold per group, 1, got 2"),
    ],
)
def test_bad_arguments_are_named(change, error, message):
    arguments = {"target": torch.ones(4, 2)} | change
    if "groups" in change:
        arguments["n_folds"] = 2
    with pytest.raises(error, match=message):
        multilabel_folds(arguments.pop("target"), **arguments)


@pytest.mark.parametrize(
    ("folds", "error", "message"),
    [
        (torch.zeros(4), TypeError, "folds: wanted integers"),
        (torch.tensor([0, 1]), ValueError, r"folds: wanted shape \(4,\), got an? int64 tensor"),
        (torch.tensor([0, 1, -1, 0]), ValueError, "folds: wanted numbers from 0, got -1"),
        (torch.tensor([0, 2, 2, 0]), ValueError, "folds: wanted at least one clip in each fold, got 0"),
    ],
)
def test_bad_folds_are_named(folds, error, message):
    with pytest.raises(error, match=message):
        fold_balance(torch.ones(4, 2), folds)


@pytest.mark.parametrize("clips", [103, 600, 4970])
def test_random_folds_equal_those_of_the_first_place_system(clips):
    assert random_folds(clips).tolist() == GOLDEN[f"fold_n{clips}"].tolist()


@pytest.mark.parametrize(("clips", "n_folds", "sizes"), [(7, 3, [3, 2, 2]), (2, 2, [1, 1]), (10, 5, [2] * 5)])
def test_random_folds_have_equal_sizes_and_depend_on_the_seed(clips, n_folds, sizes):
    before = repr(np.random.get_state(legacy=False))
    folds = [random_folds(clips, n_folds=n_folds, seed=seed) for seed in range(20)]
    assert all(each.bincount().tolist() == sizes for each in folds)
    assert len({tuple(each.tolist()) for each in folds}) > 1
    assert repr(np.random.get_state(legacy=False)) == before


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"clips": 1}, ValueError, "clips: wanted an integer >= 2, got 1"),
        ({"clips": torch.ones(3, 2)}, TypeError, "clips: wanted an integer"),
        ({"n_folds": 8}, ValueError, "n_folds: wanted an integer from 2 to 7, got 8"),
        ({"seed": 2**32}, ValueError, "seed: wanted an integer from 0 to"),
    ],
)
def test_bad_settings_of_random_folds_are_named(change, error, message):
    arguments = {"clips": 7, "n_folds": 3, "seed": 0} | change
    with pytest.raises(error, match=message):
        random_folds(arguments.pop("clips"), **arguments)
