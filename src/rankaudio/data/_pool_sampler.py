"""Batches from several pools of clips, each with its share of the draws."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import NamedTuple

import torch
from torch import Tensor
from torch.utils.data import Sampler

from rankaudio._checks import check_integer, describe
from rankaudio.data._epochs import check_integer_list, check_ranks, check_weights, epoch_generator

__all__ = ["PoolDraws", "PoolSampler"]


class PoolDraws(NamedTuple):
    """The result of :meth:`PoolSampler.draws`: one entry for each draw.

    >>> PoolDraws(torch.tensor([7, 3]), torch.tensor([1, 0])).source[0]
    tensor(1)
    """

    clip: Tensor
    """``(n,)`` int64, the index of the clip."""
    source: Tensor
    """``(n,)`` int64, the number of the pool that the clip was drawn from."""


class PoolSampler(Sampler[list[int]]):
    r"""Batches from several pools of clips: first a pool is drawn by its share, then a clip of this pool.

    Each draw of an epoch is independent. The probability of clip :math:`i` from pool :math:`s` is

    .. math:: P(s, i) = \frac{w_s}{\sum_r w_r} \, \frac{1}{n_s}

    with shares :math:`w` and :math:`n_s` clips in the pool. So the draws are with replacement. A clip can
    come twice in an epoch, and another clip can be missing. ``torch.utils.data.WeightedRandomSampler`` with
    one weight per clip has the same distribution. But it does not know the pool of a draw, the processes of
    distributed training, or the number of the epoch.

    All draws of an epoch depend on ``seed`` and the number of the epoch only. They do not depend on the
    time, the number of workers or the number of processes.

    Use it as ``DataLoader(dataset, batch_sampler=sampler)``. A clip may be in several pools, so the dataset
    cannot know the source of a clip. :meth:`draws` has the source of each draw. Each pass is a new epoch;
    :meth:`set_epoch` chooses the epoch and the first batch.

    Args:
        pools: the clips of each pool, as indices of one dataset: a tensor or a list of integers each.
        shares: the share :math:`w` of each pool, from 0. Only their ratios matter.
        draws_per_epoch: number of draws in an epoch, over all processes.
        batch_size: the largest number of draws in a batch of one process. The batches of an epoch differ in
            size by at most one draw, so there is no tiny last batch.
        seed: two seeds have different epochs.
        rank: the number of this process, from 0 to ``world_size - 1``. None asks ``torch.distributed``, and
            is 0 if that is not initialised.
        world_size: number of processes that share the draws of an epoch. Each draw belongs to one process,
            and all processes have the same number of batches.

    Raises:
        TypeError: if pools, shares or settings are not numbers of the right type.
        ValueError: if there is no pool, a clip is negative, a pool with a share is empty, or there is not
            one share for each pool. Also if all shares are 0, or the draws are too few for the processes.

    Reference:
        The first-place system of Freesound Audio Tagging 2019 (32,768 draws). It took seeds from the clock,
        so up to a fifth of the draws in a simulation were repeats.

    >>> curated, noisy = [0, 1, 2], [3, 4, 5, 6]
    >>> sampler = PoolSampler(
    ...     [curated, noisy], shares=[0.75, 0.25], draws_per_epoch=8, batch_size=4
    ... )
    >>> list(sampler)
    [[5, 0, 1, 3], [1, 5, 1, 1]]
    """

    def __init__(
        self,
        pools: Sequence[Tensor | Sequence[int]],
        *,
        shares: Sequence[float],
        draws_per_epoch: int,
        batch_size: int,
        seed: int = 0,
        rank: int | None = None,
        world_size: int | None = None,
    ) -> None:
        self._pools: tuple[Tensor, ...] = _check_pools(pools)
        self.shares: tuple[float, ...] = _check_shares(shares, self._pools)
        self.draws_per_epoch: int = check_integer("draws_per_epoch", draws_per_epoch)
        self.batch_size: int = check_integer("batch_size", batch_size)
        self.seed: int = check_integer("seed", seed, 0)
        self.rank: int
        self.world_size: int
        self.rank, self.world_size = check_ranks(rank, world_size)
        self._steps: int = -(-draws_per_epoch // (batch_size * self.world_size))
        if self._steps * self.world_size > draws_per_epoch:
            wanted = f"at least {self._steps * self.world_size}, one draw in each batch of each process"
            raise ValueError(f"draws_per_epoch: wanted {wanted}, got {draws_per_epoch}")
        self.epoch: int = 0
        self.start: int = 0

    @property
    def sampler(self) -> PoolSampler:
        """This object itself, because Lightning looks here for ``set_epoch``.

        >>> sampler = PoolSampler([[0, 1]], shares=[1], draws_per_epoch=4, batch_size=2)
        >>> sampler.sampler is sampler
        True
        """
        return self

    def set_epoch(self, epoch: int, *, start: int = 0) -> None:
        """Choose the epoch of the next pass, and its first batch.

        A training that stopped after ``start`` batches gets the rest of its epoch, batch for batch. The pass
        after that one is the whole next epoch.

        Raises:
            TypeError: if a number is not an integer.
            ValueError: if the epoch is negative, or an epoch has fewer batches than ``start``.

        >>> sampler = PoolSampler([[0, 1, 2]], shares=[1], draws_per_epoch=8, batch_size=2)
        >>> whole = list(sampler)
        >>> sampler.set_epoch(0, start=3)
        >>> list(sampler) == whole[3:]
        True
        """
        self.epoch, self.start = check_integer("epoch", epoch, 0), check_integer("start", start, 0, len(self))

    def draws(self, epoch: int) -> list[PoolDraws]:
        """Return the clips and their sources in each batch of an epoch of this process.

        Args:
            epoch: number of the epoch, from 0.

        Returns:
            One :class:`PoolDraws` for each batch, always from the first batch on.

        >>> sampler = PoolSampler([[0, 1], [2]], shares=[1, 1], draws_per_epoch=4, batch_size=2)
        >>> for batch, draws in zip(sampler, sampler.draws(epoch=0)):
        ...     print(batch, draws.source)
        [2, 2] tensor([1, 1])
        [0, 2] tensor([0, 1])
        """
        generator = epoch_generator(self.seed, check_integer("epoch", epoch, 0))
        drawn = torch.rand(2, self.draws_per_epoch, dtype=torch.float64, generator=generator)
        source = _draw_sources(drawn[0], self.shares)
        size = torch.tensor([len(pool) for pool in self._pools])[source]
        first = torch.tensor([0, *(len(pool) for pool in self._pools[:-1])]).cumsum(0)[source]
        # The product can round up to the size itself.
        place = first + torch.minimum((drawn[1] * size).long(), size - 1)
        clip = torch.cat(self._pools)[place]
        own = slice(self.rank, None, self.world_size)
        return [
            PoolDraws(clip[start:end][own], source[start:end][own]) for start, end in self._bounds_of_steps()
        ]

    def __len__(self) -> int:
        """Number of batches in a whole epoch."""
        return self._steps

    def __iter__(self) -> Iterator[list[int]]:
        # A generator: a DataLoader with workers calls iter twice, and uses the second result only.
        batches = self.draws(self.epoch)[self.start :]
        self.epoch, self.start = self.epoch + 1, 0  # loops that never call set_epoch get new batches too
        for batch in batches:
            yield batch.clip.tolist()

    def _bounds_of_steps(self) -> list[tuple[int, int]]:
        """First draw of each step, and the draw after its last, over all processes."""
        bounds = [step * self.draws_per_epoch // self._steps for step in range(self._steps + 1)]
        return list(pairwise(bounds))


def _draw_sources(drawn: Tensor, shares: tuple[float, ...]) -> Tensor:
    """Turn numbers in [0, 1) into numbers of pools."""
    weights = torch.tensor(shares, dtype=torch.float64)
    # Without the pools of share 0, rounding at an end cannot choose one of them.
    possible = weights.nonzero()[:, 0]
    ends = (weights / weights.sum())[possible].cumsum(0)
    return possible[torch.searchsorted(ends[:-1].contiguous(), drawn, right=True)]


def _check_pools(pools: object) -> tuple[Tensor, ...]:
    if isinstance(pools, str) or not isinstance(pools, Sequence):
        raise TypeError(f"pools: wanted a list of tensors or lists of integers, got {describe(pools)}")
    if len(pools) == 0:
        raise ValueError("pools: wanted at least one pool, got none")
    return tuple(check_integer_list(f"pools[{number}]", pool, 0) for number, pool in enumerate(pools))


def _check_shares(shares: object, pools: tuple[Tensor, ...]) -> tuple[float, ...]:
    numbers = tuple(check_weights("shares", shares, "pools", len(pools)).tolist())
    for number, (share, pool) in enumerate(zip(numbers, pools, strict=True)):
        if share and len(pool) == 0:
            raise ValueError(
                f"pools[{number}]: wanted at least one clip, because its share is {share}, got none"
            )
    return numbers
