"""Batches by length: every clip once, within the budget, for any lengths, and with little padding."""

import math
import pickle

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.utils.data import DataLoader

from rankaudio.data import LengthBucketSampler, pad_collate
from rankaudio.data._sampler import _key_bounds

LENGTHS = st.lists(st.integers(1, 200), min_size=1, max_size=80)
EPOCHS = 4


def log_uniform(count: int, *, seed: int = 0) -> torch.Tensor:
    """Draw lengths from 0.3 to 30 s at 44.1 kHz."""
    generator = torch.Generator().manual_seed(seed)
    return (0.3 * 100 ** torch.rand(count, generator=generator, dtype=torch.float64) * 44100).long()


def padded(lengths: torch.Tensor, batches: list[list[int]]) -> int:
    return sum(len(batch) * int(lengths[batch].max()) for batch in batches)


@given(
    LENGTHS,
    st.integers(1, 800),
    st.none() | st.integers(1, 9),
    st.booleans(),
    st.floats(0, 1e9) | st.floats(0, 3),
    st.integers(0, 9),
)
def test_every_clip_once_within_the_budget_in_any_epoch(lengths, budget, batch_size, shuffle, spread, seed):
    sampler = LengthBucketSampler(
        lengths, max_samples=budget, batch_size=batch_size, shuffle=shuffle, spread=spread, seed=seed
    )
    promised = len(sampler)
    for _ in range(EPOCHS):
        batches = list(sampler)
        assert len(batches) == len(sampler) == promised
        assert sorted(i for batch in batches for i in batch) == list(range(len(lengths)))
        for batch in batches:
            assert 1 <= len(batch) <= (batch_size or len(lengths))
            assert len(batch) == 1 or len(batch) * max(lengths[i] for i in batch) <= budget


@given(LENGTHS, st.integers(1, 800), st.integers(1, 7), st.booleans())
def test_ranks_share_every_clip_in_equal_steps(lengths, budget, world_size, shuffle):
    ranks = [
        LengthBucketSampler(lengths, max_samples=budget, shuffle=shuffle, rank=rank, world_size=world_size)
        for rank in range(world_size)
    ]
    for _ in range(EPOCHS):
        shares = [list(sampler) for sampler in ranks]
        assert {len(share) for share in shares} == {len(ranks[0])}
        batches = [batch for share in shares for batch in share]
        drawn = sorted(i for batch in batches for i in batch)
        assert all(len(b) == 1 or len(b) * max(lengths[i] for i in b) <= budget for b in batches)
        if len(drawn) == len(lengths):
            assert drawn == list(range(len(lengths)))
        else:  # clips are repeated only if every batch is a single clip, and only to fill the last step
            assert {len(batch) for batch in batches} == {1}
            assert set(drawn) == set(range(len(lengths)))
            assert len(drawn) - len(lengths) < world_size


def test_fewer_clips_than_ranks_repeat_the_shortest():
    ranks = [LengthBucketSampler([5, 9, 7], max_samples=30, rank=r, world_size=8) for r in range(8)]
    drawn = sorted(i for sampler in ranks for batch in sampler for i in batch)
    assert drawn == [0, 0, 0, 1, 1, 2, 2, 2]


@given(LENGTHS, st.integers(1, 800), st.integers(0, 5), st.integers(0, 5))
def test_the_same_epoch_gives_the_same_batches(lengths, budget, seed, epoch):
    first, second = (LengthBucketSampler(lengths, max_samples=budget, seed=seed) for _ in range(2))
    first.set_epoch(epoch)
    for _ in range(epoch):
        list(second)
    assert list(first) == list(second)
    first.set_epoch(epoch)
    copy = pickle.loads(pickle.dumps(first))
    assert list(first) == list(copy)


def test_epochs_and_seeds_give_other_batches_in_another_order():
    lengths = log_uniform(1000)
    sampler = LengthBucketSampler(lengths, max_samples=200 * 44100, batch_size=20)
    epochs = [list(sampler) for _ in range(5)]
    epochs.append(list(LengthBucketSampler(lengths, max_samples=200 * 44100, batch_size=20, seed=1)))
    as_sets = [{frozenset(batch) for batch in epoch} for epoch in epochs]
    for i, first in enumerate(as_sets):
        for second in as_sets[i + 1 :]:
            assert len(first & second) < 0.2 * len(first)
    longest_first = sorted(epochs[0], key=lambda batch: -int(lengths[batch].max()))
    assert epochs[0] != longest_first


def test_clips_of_one_length_are_shuffled_completely():
    sampler = LengthBucketSampler([100] * 50 + [101] * 50, max_samples=1010)
    seen = set()
    for _ in range(60):
        seen |= next(set(batch) for batch in sampler if 0 in batch)
    assert len(seen) > 90


def test_batches_of_a_small_set_change_too():
    lengths = log_uniform(40)
    sampler = LengthBucketSampler(lengths, max_samples=100 * 44100, batch_size=8)
    for clip in range(40):
        neighbours = set()
        for _ in range(20):
            neighbours.add(frozenset(next(batch for batch in sampler if clip in batch)))
        assert len(neighbours) >= 3


def test_spread_goes_from_one_length_to_random_order():
    lengths = log_uniform(400)
    ratios = [
        padded(lengths, list(LengthBucketSampler(lengths, max_samples=10**9, batch_size=20, spread=spread)))
        / int(lengths.sum())
        for spread in (0, 1, 3, 1000)
    ]
    assert ratios == sorted(ratios)
    assert ratios[0] < 1.15
    order = torch.randperm(400, generator=torch.Generator().manual_seed(0)).split(20)
    assert ratios[-1] == pytest.approx(
        padded(lengths, [b.tolist() for b in order]) / int(lengths.sum()), rel=0.2
    )
    firsts = {
        next(iter(LengthBucketSampler([5, 4, 3, 2], max_samples=5, spread=4, seed=s)))[0] for s in range(60)
    }
    assert firsts == {0, 1, 2, 3}


def test_keys_reach_half_a_batch_or_as_far_as_lengths_differ_by_one_percent():
    length = torch.tensor([1000, 991, 990, 980, 500])
    low, high = _key_bounds(length, torch.zeros(5))
    assert low.tolist() == [0, 0, 1, 3, 4]
    assert high.tolist() == [1, 2, 2, 3, 4]
    low, high = _key_bounds(length, torch.full((5,), 2.0))
    assert low.tolist() == [0, 0, 1, 2, 3]
    assert high.tolist() == [1, 2, 3, 4, 4]


@pytest.mark.parametrize(("shorter", "mixed"), [(100, True), (99, False)])
def test_lengths_within_one_percent_count_as_one(shorter, mixed):
    sampler = LengthBucketSampler([101] * 50 + [shorter] * 50, max_samples=505, spread=0)
    both = [min(batch) < 50 <= max(batch) for _ in range(5) for batch in sampler]
    assert (sum(both) > len(both) / 2) == mixed
    assert any(both) == mixed


def test_the_default_spread_is_one_batch():
    lengths = torch.arange(1, 200)

    def epoch(**spread):
        return list(LengthBucketSampler(lengths, max_samples=2000, **spread))

    assert epoch() == epoch(spread=1.0) != epoch(spread=0.5)


def test_a_huge_number_of_processes_is_answered_at_once():
    sampler = LengthBucketSampler([9, 2, 3], max_samples=20, world_size=2**16, rank=2**16 - 1)
    assert len(list(sampler)) == 1
    with pytest.raises(ValueError, match="world_size: wanted an integer from 1 to 65536, got 2147483648"):
        LengthBucketSampler([9, 2], max_samples=20, rank=0, world_size=2**31)


def test_inference_goes_from_the_longest_clip_to_the_shortest():
    lengths = log_uniform(300)
    sampler = LengthBucketSampler(lengths, max_samples=60 * 44100, shuffle=False)
    batches = list(sampler)
    assert lengths[torch.tensor([i for batch in batches for i in batch])].diff().max() <= 0
    assert batches == list(sampler)


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("world_size", [1, 4])
def test_padding_and_fill_on_log_uniform_lengths(seed, world_size):
    """The budget is 20 clips of 10 s. 5,000 clips of 0.3 to 30 s are shuffled as in training."""
    lengths, budget = log_uniform(5000, seed=seed), 200 * 44100
    ranks = [
        LengthBucketSampler(lengths, max_samples=budget, rank=rank, world_size=world_size)
        for rank in range(world_size)
    ]
    for _ in range(3):
        batches = [batch for sampler in ranks for batch in sampler]
        assert padded(lengths, batches) <= 1.05 * int(lengths.sum())
        assert padded(lengths, batches) >= 0.9 * budget * len(batches)


def test_works_as_batch_sampler_and_lightning_can_set_the_epoch():
    clips = [torch.ones(n) for n in (3, 9, 4, 8)]
    sampler = LengthBucketSampler([len(clip) for clip in clips], max_samples=18)
    loader = DataLoader(clips, batch_sampler=sampler, collate_fn=pad_collate)
    assert len(loader) == len(sampler)
    assert sorted(n for batch in loader for n in batch.lengths.tolist()) == [3, 4, 8, 9]
    # Lightning looks for set_epoch on dataloader.batch_sampler.sampler, not on the batch sampler.
    loader.batch_sampler.sampler.set_epoch(7)
    assert sampler.epoch == 7


@pytest.mark.parametrize("workers", [0, 2])
def test_a_loader_takes_the_chosen_epoch_with_any_number_of_workers(workers):
    clips = torch.arange(30)
    sampler = LengthBucketSampler([5] * 30, max_samples=20)
    sampler.set_epoch(3)
    expected = list(sampler)
    sampler.set_epoch(3)
    loader = DataLoader(clips, batch_sampler=sampler, num_workers=workers)
    assert [batch.tolist() for batch in loader] == expected
    assert sampler.epoch == 4


def test_rank_and_world_size_come_from_the_process_group(monkeypatch):
    monkeypatch.setattr(torch.distributed, "is_initialized", lambda: True)
    monkeypatch.setattr(torch.distributed, "get_rank", lambda: 1)
    monkeypatch.setattr(torch.distributed, "get_world_size", lambda: 2)
    sampler = LengthBucketSampler([5, 4, 3, 2], max_samples=5)
    assert (sampler.rank, sampler.world_size) == (1, 2)
    assert list(sampler) == list(LengthBucketSampler([5, 4, 3, 2], max_samples=5, rank=1, world_size=2))


def test_the_global_random_state_is_not_changed():
    before = torch.get_rng_state()
    list(LengthBucketSampler([5, 4, 3], max_samples=9))
    assert torch.equal(torch.get_rng_state(), before)


def test_lengths_of_hours_do_not_overflow():
    lengths = torch.tensor([2**33, 2**33 + 1, 5])
    batches = list(LengthBucketSampler(lengths, max_samples=2**35, shuffle=False))
    assert batches == [[1, 0, 2]]
    assert math.prod((len(batches[0]), 2**33 + 1)) <= 2**35


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"lengths": []}, ValueError, "lengths: wanted at least one length, got none"),
        ({"lengths": torch.zeros(0).long()}, ValueError, "lengths: wanted at least one length, got none"),
        ({"lengths": [3, 0]}, ValueError, r"lengths\[1\]: wanted an integer >= 1, got 0"),
        ({"lengths": torch.tensor([3, 0])}, ValueError, "lengths: wanted values from 1, got 0"),
        ({"lengths": [3.5]}, TypeError, r"lengths\[0\]: wanted an integer, got 3.5"),
        ({"lengths": torch.ones(3)}, TypeError, "lengths: wanted integers, got a float32 tensor"),
        ({"lengths": torch.ones(3, 1).long()}, ValueError, r"lengths: wanted shape \(B,\)"),
        ({"lengths": 7}, TypeError, "lengths: wanted a tensor or a list of integers, got 7"),
        ({"max_samples": 0}, ValueError, "max_samples: wanted an integer >= 1, got 0"),
        ({"max_samples": 10.0}, TypeError, "max_samples: wanted an integer, got 10.0"),
        ({"batch_size": 0}, ValueError, "batch_size: wanted an integer >= 1, got 0"),
        ({"seed": -1}, ValueError, "seed: wanted an integer >= 0, got -1"),
        ({"weights": [1.0]}, ValueError, "weights: wanted one for each of the 2 lengths, got 1"),
        ({"weights": [1.0, -1]}, ValueError, r"weights\[1\]: wanted a finite number >= 0, got -1"),
        ({"weights": [0, 0.0]}, ValueError, "weights: wanted at least one above 0"),
        (
            {"weights": torch.tensor([1, torch.nan])},
            ValueError,
            "weights: wanted finite numbers from 0, got nan",
        ),
        ({"weights": torch.ones(2) > 0}, TypeError, "weights: wanted real numbers, got a bool tensor"),
        ({"weights": [1, 1], "shuffle": False}, ValueError, "weights: wanted None with shuffle=False"),
        ({"draws_per_epoch": 3}, ValueError, "draws_per_epoch: wanted None without weights, got 3"),
        ({"weights": [1, 1], "draws_per_epoch": 0}, ValueError, "draws_per_epoch: wanted an integer >= 1"),
        ({"world_size": 0}, ValueError, "world_size: wanted an integer from 1 to 65536, got 0"),
        ({"rank": 2, "world_size": 2}, ValueError, "rank: wanted an integer from 0 to 1, got 2"),
    ],
)
def test_bad_arguments_are_named(change, error, message):
    arguments = {"lengths": [3, 4], "max_samples": 10} | change
    with pytest.raises(error, match=message):
        LengthBucketSampler(arguments.pop("lengths"), **arguments)


def test_a_bad_epoch_is_named():
    with pytest.raises(ValueError, match="epoch: wanted an integer >= 0, got -1"):
        LengthBucketSampler([1], max_samples=1).set_epoch(-1)
