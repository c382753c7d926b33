"""Batches from several pools: shares, resumption, processes, and the source of each draw."""

import math
import pickle

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.utils.data import DataLoader

from rankaudio.data import PoolSampler
from rankaudio.data._pool_sampler import _draw_sources

CURATED, TRUSTED, NOISY = list(range(40)), [50, 51, 52, 60], list(range(50, 90))
POOLS = [CURATED, TRUSTED, NOISY]
SHARES = [0.57, 0.42, 0.01]


def sampler(**changes):
    settings = {"shares": SHARES, "draws_per_epoch": 1000, "batch_size": 32} | changes
    return PoolSampler(settings.pop("pools", POOLS), **settings)


def test_sources_and_clips_have_the_promised_frequencies():
    batches = sampler(draws_per_epoch=200_000, batch_size=1000).draws(0)
    clip, source = (torch.cat(parts) for parts in zip(*batches, strict=True))
    for number, (pool, share) in enumerate(zip(POOLS, SHARES, strict=True)):
        drawn = clip[source == number]
        # Four standard deviations of a binomial number.
        assert abs(len(drawn) / 200_000 - share) < 4 * (share * (1 - share) / 200_000) ** 0.5
        counts = torch.tensor([(drawn == each).sum() for each in pool]).double()
        expected = len(drawn) / len(pool)
        assert counts.sum() == len(drawn)
        assert (counts - expected).abs().max() < 4.5 * expected**0.5


def test_only_the_ratios_of_shares_matter():
    assert list(sampler(shares=[57, 42, 1])) == list(sampler())


@pytest.mark.parametrize("shares", [[1, 0, 0], [0, 1, 0], [0, 0, 1]])
def test_a_pool_of_share_zero_is_never_drawn(shares):
    batches = sampler(shares=shares).draws(3)
    assert {int(source) for batch in batches for source in batch.source} == {shares.index(1)}
    pools = [pool if share else [] for pool, share in zip(POOLS, shares, strict=True)]
    assert list(sampler(pools=pools, shares=shares)) == list(sampler(shares=shares))


def test_batches_are_those_of_draws_with_their_sources():
    sampled = sampler()
    for batch, draws in zip(sampled, sampled.draws(0), strict=True):
        assert batch == draws.clip.tolist()
        for clip, source in zip(batch, draws.source.tolist(), strict=True):
            assert clip in POOLS[source]


@given(st.integers(1, 500), st.integers(1, 40), st.integers(1, 7), st.integers(0, 3))
def test_processes_share_every_draw_in_equal_steps(draws_per_epoch, batch_size, world_size, seed):
    settings = {"draws_per_epoch": draws_per_epoch, "batch_size": batch_size, "seed": seed}
    steps = -(-draws_per_epoch // (batch_size * world_size))
    if steps * world_size > draws_per_epoch:
        with pytest.raises(ValueError, match="draws_per_epoch: wanted at least"):
            sampler(**settings, world_size=world_size, rank=0)
        return
    shares = [list(sampler(**settings, world_size=world_size, rank=rank)) for rank in range(world_size)]
    assert {len(share) for share in shares} == {steps}
    sizes = {len(batch) for share in shares for batch in share}
    assert max(sizes) <= batch_size
    assert max(sizes) - min(sizes) <= 1
    drawn = sorted(clip for share in shares for batch in share for clip in batch)
    assert drawn == sorted(clip for batch in sampler(**settings) for clip in batch)
    assert len(drawn) == draws_per_epoch


@given(st.integers(0, 4), st.integers(0, 32), st.integers(1, 3))
def test_a_start_gives_the_rest_of_an_epoch_and_then_the_next(epoch, start, world_size):
    settings = {"world_size": world_size, "rank": world_size - 1}
    whole = sampler(**settings)
    whole.set_epoch(epoch)
    start = min(start, len(whole))
    expected = list(whole)[start:] + list(whole)
    resumed = sampler(**settings)
    resumed.set_epoch(epoch, start=start)
    assert list(resumed) + list(resumed) == expected
    assert len(resumed) == len(whole)


def test_epochs_and_seeds_differ_and_repeat():
    first = sampler()
    epochs = [list(first) for _ in range(3)]
    assert epochs[0] != epochs[1] != epochs[2] != epochs[0]
    assert list(sampler(seed=1)) not in epochs
    first.set_epoch(1)
    copy = pickle.loads(pickle.dumps(first))
    assert list(first) == list(copy) == epochs[1]


def test_repeated_draws_are_as_rare_as_chance_makes_them():
    """With seeds from the clock, a simulation of the original repeated 6 to 19 % of the draws."""
    draws, clips = 32_768, 10**6
    batches = list(sampler(pools=[torch.arange(clips)], shares=[1], draws_per_epoch=draws, batch_size=128))
    different = len({clip for batch in batches for clip in batch})
    expected = clips * (1 - (1 - 1 / clips) ** draws)
    assert abs(different - expected) < 5 * (draws - expected) ** 0.5


@pytest.mark.parametrize("workers", [0, 2])
def test_a_loader_gives_each_batch_its_sources(workers):
    clips = torch.arange(90)
    sampled = sampler(draws_per_epoch=100)
    loader = DataLoader(clips, batch_sampler=sampled, num_workers=workers)
    assert len(loader) == len(sampled)
    sampled.set_epoch(5, start=1)
    for batch, draws in zip(loader, sampled.draws(5)[1:], strict=True):
        assert torch.equal(batch, draws.clip)
    assert (sampled.epoch, sampled.start) == (6, 0)
    loader.batch_sampler.sampler.set_epoch(7)  # as Lightning does
    assert sampled.epoch == 7


def test_rank_and_world_size_come_from_the_process_group(monkeypatch):
    monkeypatch.setattr(torch.distributed, "is_initialized", lambda: True)
    monkeypatch.setattr(torch.distributed, "get_rank", lambda: 1)
    monkeypatch.setattr(torch.distributed, "get_world_size", lambda: 2)
    assert list(sampler()) == list(sampler(rank=1, world_size=2))


def test_the_global_random_state_is_not_changed():
    before = torch.get_rng_state()
    list(sampler())
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"pools": []}, ValueError, "pools: wanted at least one pool, got none"),
        ({"pools": 7}, TypeError, "pools: wanted a list of tensors or lists of integers, got 7"),
        ({"pools": [[1], [], [2]]}, ValueError, r"pools\[1\]: wanted at least one clip, because its share"),
        ({"pools": [[1], [-2], [2]]}, ValueError, r"pools\[1\]\[0\]: wanted an integer >= 0, got -2"),
        ({"pools": [[1], [1.5], [2]]}, TypeError, r"pools\[1\]\[0\]: wanted an integer, got 1.5"),
        ({"pools": [[1], 5, [2]]}, TypeError, r"pools\[1\]: wanted a tensor or a list of integers, got 5"),
        ({"pools": [[1], torch.ones(2), [2]]}, TypeError, r"pools\[1\]: wanted integers, got a float32"),
        ({"pools": [[1], torch.tensor([-1]), [2]]}, ValueError, r"pools\[1\]: wanted values from 0, got -1"),
        ({"shares": [1, 1]}, ValueError, "shares: wanted one for each of the 3 pools, got 2"),
        ({"shares": [0, 0, 0]}, ValueError, "shares: wanted at least one above 0"),
        ({"shares": [1, -1, 1]}, ValueError, r"shares\[1\]: wanted a finite number >= 0, got -1"),
        ({"shares": [1, "a", 1]}, TypeError, r"shares\[1\]: wanted a number, got 'a'"),
        ({"shares": "abc"}, TypeError, "shares: wanted a tensor or a list of numbers, got 'abc'"),
        ({"draws_per_epoch": 0}, ValueError, "draws_per_epoch: wanted an integer >= 1, got 0"),
        ({"batch_size": 2.0}, TypeError, "batch_size: wanted an integer, got 2.0"),
        ({"seed": -1}, ValueError, "seed: wanted an integer >= 0, got -1"),
        ({"rank": 2, "world_size": 2}, ValueError, "rank: wanted an integer from 0 to 1, got 2"),
        (
            {"draws_per_epoch": 3, "rank": 0, "world_size": 4},
            ValueError,
            "draws_per_epoch: wanted at least 4",
        ),
    ],
)
def test_bad_arguments_are_named(change, error, message):
    with pytest.raises(error, match=message):
        sampler(**change)


@pytest.mark.parametrize(
    ("epoch", "start", "message"),
    [(-1, 0, "epoch: wanted an integer >= 0"), (0, 33, "start: wanted an integer from 0 to 32, got 33")],
)
def test_a_bad_epoch_or_start_is_named(epoch, start, message):
    with pytest.raises(ValueError, match=message):
        sampler().set_epoch(epoch, start=start)


def test_a_pool_has_its_lower_end_and_not_its_upper_one():
    """Numbers in [0, 1) are k / 2^53, and each must belong to the pool with its share of them."""
    shares = (0.25, 0.0, 0.5, 0.25)
    drawn = [0.0, 0.25, math.nextafter(0.25, 0), 0.75, math.nextafter(0.75, 0), math.nextafter(1, 0)]
    sources = _draw_sources(torch.tensor(drawn, dtype=torch.float64), shares)
    assert sources.tolist() == [0, 2, 0, 3, 2, 3]
