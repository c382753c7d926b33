"""How the clips of a fold are put into batches, from the settings of a model."""

from __future__ import annotations

from freesound.data import BatchSampler, Split
from freesound.distributed import Group
from freesound.plans.base import Member
from rankaudio import LengthBucketSampler
from rankaudio.data import PoolSampler


def build_batches(member: Member, split: Split, group: Group) -> BatchSampler:
    """Return the batches of this rank: draws from pools if the settings say so, else all clips by length."""
    return (
        _by_length(member, split, group) if member.pools.draws is None else _from_pools(member, split, group)
    )


def _by_length(member: Member, split: Split, group: Group) -> LengthBucketSampler:
    """Return batches of clips of similar length, each clip once."""
    clips, rate = member.clips, member.sound.sample_rate
    return LengthBucketSampler(
        split.train.lengths,
        batch_size=clips.batch_size,
        max_samples=round(clips.batch_size * clips.max_seconds * rate),
        spread=clips.spread,
        seed=member.optim.seed,
        rank=group.rank,
        world_size=group.world_size,
    )


def _from_pools(member: Member, split: Split, group: Group) -> PoolSampler:
    """Return draws from the clips of each source; every entry of the split has one source."""
    shares = member.pools.shares
    return PoolSampler(
        [(split.source == number).nonzero()[:, 0] for number in range(len(shares))],
        shares=shares,
        draws_per_epoch=member.pools.draws,
        batch_size=member.clips.batch_size,
        seed=member.optim.seed,
        rank=group.rank,
        world_size=group.world_size,
    )
