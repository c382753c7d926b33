"""Batches by length of weighted draws: exact numbers, within the budget, shared by all processes."""

from collections import Counter

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from rankaudio.data import LengthBucketSampler

# Lengths and weights of clips; zero weights and huge ratios are among them.
CLIPS = st.lists(
    st.tuples(st.integers(1, 200), st.sampled_from([0, 0.1, 1 / 3, 1, 1, 7, 1e6])), min_size=1, max_size=40
).filter(lambda clips: any(weight for _, weight in clips))
EPOCHS = 3


def clips_of(batches: list[list[int]]) -> list[int]:
    return [clip for batch in batches for clip in batch]


@given(CLIPS, st.integers(1, 100), st.integers(1, 800), st.none() | st.integers(1, 9), st.integers(1, 4))
def test_draws_are_exact_in_number_and_within_the_budget(clips, draws, budget, batch_size, world_size):
    lengths, weights = zip(*clips, strict=True)
    settings = {"max_samples": budget, "batch_size": batch_size, "weights": weights, "draws_per_epoch": draws}
    ranks = [
        LengthBucketSampler(lengths, rank=rank, world_size=world_size, **settings)
        for rank in range(world_size)
    ]
    for _ in range(EPOCHS):
        shares = [list(sampler) for sampler in ranks]
        assert {len(share) for share in shares} == {len(ranks[0])}
        batches = [batch for share in shares for batch in share]
        assert all(len(b) == 1 or len(b) * max(lengths[i] for i in b) <= budget for b in batches)
        assert all(1 <= len(batch) <= (batch_size or draws) for batch in batches)
        drawn = Counter(clips_of(batches))
        assert all(weights[clip] > 0 for clip in drawn)
        if {len(batch) for batch in batches} == {1}:  # the last step may be filled with the shortest clips
            assert draws <= drawn.total() < draws + world_size
        else:
            assert drawn.total() == draws
            # A clip covers a part of its first and of its last interval.
            assert all(abs(drawn[i] - draws * w / sum(weights)) < 2 + 1e-6 for i, w in enumerate(weights))


def test_clips_come_as_often_as_their_weights_say():
    lengths, epochs = [40, 10, 35, 20, 5, 10, 60, 45], 600
    weights = torch.tensor([0.2, 1, 1, 3, 0, 0.5, 2, 0.3])
    sampler = LengthBucketSampler(lengths, max_samples=80, weights=weights, draws_per_epoch=10)
    counts = Counter(clip for _ in range(epochs) for clip in clips_of(list(sampler)))
    mean = torch.tensor([counts[clip] / epochs for clip in range(8)])
    # The deviation of a count is at most 0.71, from the two ends of its part of the line.
    torch.testing.assert_close(mean, 10 * weights / weights.sum(), rtol=0, atol=4 * 0.71 / epochs**0.5)


def test_equal_weights_give_every_clip_once():
    lengths = list(range(10, 60))
    sampler = LengthBucketSampler(lengths, max_samples=200, weights=[0.25] * 50)
    plain = LengthBucketSampler(lengths, max_samples=200)
    assert len(sampler) == len(plain)
    for _ in range(EPOCHS):
        assert sorted(clips_of(list(sampler))) == list(range(50))


def test_epochs_have_many_subsets_and_repeat_by_their_number():
    lengths = list(range(100, 140))
    sampler = LengthBucketSampler(lengths, max_samples=1000, weights=[1] * 40, draws_per_epoch=20, seed=3)
    epochs = [list(sampler) for _ in range(20)]
    assert len({frozenset(clips_of(epoch)) for epoch in epochs}) == 20
    sampler.set_epoch(7)
    assert list(sampler) == epochs[7]


@pytest.mark.parametrize("draws", [None, 12])
def test_processes_draw_what_one_process_draws(draws):
    lengths, weights = [30, 10, 20, 25, 15, 40], [1, 2, 0, 1, 4, 0.5]
    settings = {"max_samples": 50, "weights": weights, "draws_per_epoch": draws, "seed": 5}
    two = [clips_of(list(LengthBucketSampler(lengths, rank=r, world_size=2, **settings))) for r in range(2)]
    alone = clips_of(list(LengthBucketSampler(lengths, **settings)))
    assert Counter(two[0]) + Counter(two[1]) == Counter(alone)
