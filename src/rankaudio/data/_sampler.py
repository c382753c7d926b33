"""Batches of clips of similar length, within a budget of padded samples."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import torch
from torch import Tensor
from torch.utils.data import Sampler

from rankaudio._checks import check_flag, check_integer, check_number
from rankaudio.data._epochs import check_integer_list, check_ranks, check_weights, epoch_generator
from rankaudio.data._weighted_draws import WeightedDraws

__all__ = ["LengthBucketSampler"]

# Clips whose lengths differ by at most this share are shuffled as if they had one length.
_TOLERANCE = 0.01


class LengthBucketSampler(Sampler[list[int]]):
    r"""Batches of clips of similar length: each clip once per epoch, little padding, new batches every time.

    A batch of :math:`k` clips, the longest of :math:`\ell` samples, costs :math:`k \ell` samples of memory
    and time, padding included. This product stays within ``max_samples``.

    The clips are sorted by length, longest first. The clip of rank :math:`r` gets a random key between
    :math:`a(r)` and :math:`b(r)`. These bounds are half of ``spread`` batches away from the rank, or further,
    as long as lengths differ by at most 1 %. The clips are then ordered by key. Only ranks :math:`q` with
    :math:`a(q) \le b(r)` can come before rank :math:`r`, so :math:`r` has a last possible place. Both bounds
    grow with the rank, and the last place grows too. So each place has a longest clip that can be there
    or later. Batches are cut once, for these longest clips. The budget then holds in every epoch, and the
    number of batches is always the same.

    Use it as ``DataLoader(dataset, batch_sampler=sampler, collate_fn=pad_collate)``. Each pass is a new epoch
    with new batches in a new order; :meth:`set_epoch` chooses the epoch. With Lightning on several devices,
    make the ``Trainer`` with ``use_distributed_sampler=False``. Lightning calls :meth:`set_epoch` itself.

    Args:
        lengths: length of each clip in samples, ``(N,)`` integers >= 1, such as ``ClipDataset.lengths``.
        max_samples: the budget, in samples. A clip longer than the budget is a batch alone.
        batch_size: the largest number of clips in a batch; None for no limit but the budget.
        shuffle: False for inference. Batches are then exactly sorted, longest clips first, so memory runs out
            in the first batch or never.
        spread: number of batches over which clips of one length are spread. A larger spread gives more
            variety in a batch, and more padding. 0 keeps to clips of nearly equal length; twice the number of
            batches gives random order. Sounds of one kind often have similar lengths, so batches by length
            are less random than they look. With few batches in an epoch, a large spread can train a better
            model.
        seed: two seeds have different epochs.
        weights: how often a clip comes, ``(N,)`` numbers from 0. Only their ratios matter. In the mean over
            epochs, clip :math:`i` comes :math:`M w_i / \sum_j w_j` times in an epoch. A clip can come twice,
            and another one can be missing. The draws are spread over the lengths. So the number of batches is
            the same in every epoch, and counts vary less than with independent draws. None: each clip once.
        draws_per_epoch: the number :math:`M` of draws with weights, over all processes; None: one per clip.
        rank: the number of this process, from 0 to ``world_size - 1``. None asks ``torch.distributed``, and
            is 0 if that is not initialised. Make the sampler after the initialisation; with Lightning, in
            ``train_dataloader``.
        world_size: number of processes that share the batches of an epoch, at most 65,536. All processes get
            the same number of batches: the batches with the most clips are halved until the number divides by
            ``world_size``. If every batch is one clip and there are still too few, the shortest are repeated.

    Raises:
        TypeError: if ``lengths`` or a setting have another type.
        ValueError: if there are no lengths, a length is below 1, or a setting is out of range. Also if there
            is not one weight for each length, all weights are 0, or weights come with ``shuffle=False``.

    >>> sampler = LengthBucketSampler([9, 2, 3, 10, 3], max_samples=20, shuffle=False)
    >>> list(sampler)
    [[3, 0], [2, 4, 1]]
    >>> sampler = LengthBucketSampler(
    ...     [9, 9, 9], max_samples=18, weights=[0.5, 0.5, 0], draws_per_epoch=4
    ... )
    >>> sorted(clip for batch in sampler for clip in batch)
    [0, 0, 1, 1]
    """

    shuffle: bool
    seed: int
    epoch: int
    rank: int
    world_size: int

    def __init__(
        self,
        lengths: Tensor | Sequence[int],
        *,
        max_samples: int,
        batch_size: int | None = None,
        shuffle: bool = True,
        spread: float = 1.0,
        seed: int = 0,
        weights: Tensor | Sequence[float] | None = None,
        draws_per_epoch: int | None = None,
        rank: int | None = None,
        world_size: int | None = None,
    ) -> None:
        self.lengths: Tensor = check_integer_list("lengths", lengths, 1)
        if len(self.lengths) == 0:
            raise ValueError("lengths: wanted at least one length, got none")
        self.max_samples: int = check_integer("max_samples", max_samples)
        self.shuffle, self.seed, self.epoch = (
            check_flag("shuffle", shuffle),
            check_integer("seed", seed, 0),
            0,
        )
        if batch_size is not None:
            check_integer("batch_size", batch_size)
        self.spread: float = check_number("spread", spread, 0)
        self.rank, self.world_size = check_ranks(rank, world_size)

        self._draws = self._weighted_draws(weights, draws_per_epoch)
        length = self.lengths.sort(descending=True).values if self._draws is None else self._draws.longest
        capacity = (self.max_samples // length).clamp(1, batch_size)
        places = torch.arange(len(length))
        self._low, self._high = _key_bounds(length, capacity * self.spread) if shuffle else (places, places)
        last_place = torch.searchsorted(self._low, self._high, right=True) - 1
        # The rank of the longest clip that can be at each place or later.
        longest = torch.searchsorted(last_place, places)
        self._sizes = _batch_sizes(capacity[longest].tolist(), self.world_size)

    @property
    def sampler(self) -> LengthBucketSampler:
        """This object itself, because Lightning looks here for ``set_epoch``.

        >>> sampler = LengthBucketSampler([9, 2], max_samples=20)
        >>> sampler.sampler is sampler
        True
        """
        return self

    def set_epoch(self, epoch: int) -> None:
        """Choose the epoch of the next pass. The same epoch gives the same batches.

        Raises:
            TypeError: if the epoch is not an integer.
            ValueError: if the epoch is negative.

        >>> sampler = LengthBucketSampler([9, 2, 3, 10, 3], max_samples=20)
        >>> first = list(sampler)
        >>> sampler.set_epoch(0)
        >>> list(sampler) == first
        True
        """
        self.epoch = check_integer("epoch", epoch, 0)

    def __len__(self) -> int:
        return len(self._sizes) // self.world_size

    def __iter__(self) -> Iterator[list[int]]:
        # A generator: a DataLoader with workers calls iter twice, and uses the second result only.
        generator = epoch_generator(self.seed, self.epoch)
        self.epoch += 1  # loops that never call set_epoch get new batches too
        order = self._order(generator)
        if len(order) < sum(self._sizes):
            order = torch.cat([order, self._shortest(sum(self._sizes) - len(order))])
        batches = torch.split(order, self._sizes)
        # Batches of one step are adjacent and similarly long, so no process waits long for another.
        steps = torch.randperm(len(self), generator=generator) if self.shuffle else torch.arange(len(self))
        for step in steps.tolist():
            yield batches[step * self.world_size + self.rank].tolist()

    def _weighted_draws(self, weights: object, draws: int | None) -> WeightedDraws | None:
        if weights is None:
            if draws is not None:
                raise ValueError(f"draws_per_epoch: wanted None without weights, got {draws}")
            return None
        checked = check_weights("weights", weights, "lengths", len(self.lengths))
        if not self.shuffle:
            raise ValueError("weights: wanted None with shuffle=False, because draws are random, got weights")
        draws = len(checked) if draws is None else check_integer("draws_per_epoch", draws)
        return WeightedDraws(self.lengths, checked, draws)

    def _order(self, generator: torch.Generator) -> Tensor:
        """All clips or draws in the order of their keys."""
        if not self.shuffle:
            return self.lengths.argsort(descending=True, stable=True)
        if self._draws is None:
            shuffled = torch.randperm(len(self.lengths), generator=generator)
            ranked = shuffled[self.lengths[shuffled].argsort(descending=True, stable=True)]
        else:
            ranked = self._draws.draw(generator)
        drawn = torch.rand(len(ranked), generator=generator, dtype=torch.float64)
        return ranked[(self._low + drawn * (self._high - self._low)).argsort(stable=True)]

    def _shortest(self, count: int) -> Tensor:
        if self._draws is not None:
            return self._draws.shortest(count)
        return self.lengths.argsort(stable=True).repeat(count)[:count]


def _key_bounds(length: Tensor, reach: Tensor) -> tuple[Tensor, Tensor]:
    """Lowest and highest key of each rank: half its reach away, or further while lengths are nearly equal."""
    end, size = len(length) - 1, length.double()
    rank = torch.arange(len(length), dtype=torch.float64)
    # searchsorted needs ascending values, hence the signs.
    first_similar = torch.searchsorted(-size, -size * (1 + _TOLERANCE))
    last_similar = torch.searchsorted(-size, -size / (1 + _TOLERANCE), right=True) - 1
    low = torch.minimum(rank - reach / 2, first_similar).clamp(min=0)
    high = torch.maximum(rank + reach / 2, last_similar).clamp(max=end)
    # Batches of shorter clips have more clips, so their lower bounds may pass those of longer clips. The
    # minimum keeps the bounds in ascending order.
    return low.flip(0).cummin(0).values.flip(0), high


def _batch_sizes(capacity: list[int], world_size: int) -> list[int]:
    """Sizes of the batches, at most the capacity at the first place; ``world_size`` divides the count."""
    sizes: list[int] = []
    place = 0
    while place < len(capacity):
        sizes.append(min(capacity[place], len(capacity) - place))
        place += sizes[-1]
    wanted = -(-len(sizes) // world_size) * world_size
    while len(sizes) < wanted and max(sizes) > 1:
        largest = max(range(len(sizes)), key=sizes.__getitem__)
        half = sizes[largest] // 2
        sizes[largest : largest + 1] = [sizes[largest] - half, half]
    return sizes + [1] * (wanted - len(sizes))
