"""Batches of clips of about one length, under a budget of padded samples."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import torch
from torch import Tensor
from torch.utils.data import Sampler

from rankaudio._checks import check_integer, check_integers, check_number, check_values, describe

__all__ = ["LengthBucketSampler"]

# Clips whose lengths differ by no more than this are shuffled as if they were of one length.
_TOLERANCE = 0.01


class LengthBucketSampler(Sampler[list[int]]):
    r"""Batches of clips of about one length: every clip once per epoch, little padding, no fixed companions.

    A batch of :math:`k` clips whose longest has :math:`\ell` samples costs :math:`k \ell` samples of memory
    and time, padding included. That product stays within ``max_samples``.

    The clips are sorted by length, longest first, and each is given a random key near its rank :math:`r`:
    between :math:`a(r)` and :math:`b(r)`, up to half of ``spread`` batches to either side, or as far as
    lengths differ by no more than 1 %. In the order of the keys, only ranks :math:`q` with
    :math:`a(q) \le b(r)` can stand before rank :math:`r`; as :math:`a` and :math:`b` grow, that is a last
    place for it, which grows with :math:`r` too, and so each place has a longest clip that can stand there
    or later. The batches are cut once, for these lengths. That keeps the budget in every epoch, and their
    number is always the same.

    For ``DataLoader(dataset, batch_sampler=sampler, collate_fn=pad_collate)``. Each pass is another epoch,
    with other batches in another order; :meth:`set_epoch` chooses one. With Lightning on several devices,
    make the ``Trainer`` with ``use_distributed_sampler=False``; it calls :meth:`set_epoch` by itself.

    Args:
        lengths: length of each clip in samples, ``(N,)`` integers >= 1, such as ``ClipDataset.lengths``.
        max_samples: the budget, in samples. A clip longer than that is a batch of its own.
        batch_size: at most so many clips in a batch; None for no other limit than the budget.
        shuffle: False for inference: no randomness, exactly sorted, longest clips first, so that memory
            runs out at once or never.
        spread: over how many batches clips of one length are spread. More of it means more variety in a
            batch, and more padding: 0 keeps to clips of nearly the same length, and twice as much as there
            are batches is random order. Sounds of one kind are often of one length, so batches by length
            are less random than they look; where there are few batches to an epoch, a large spread can
            train the better model.
        seed: the epochs of two seeds are different.
        rank: which of ``world_size`` processes this is; None asks ``torch.distributed``, and is 0
            where that is not running. So make the sampler once it is; with Lightning,
            in ``train_dataloader``.
        world_size: number of processes, which share the batches of an epoch among them. All get the same
            number: where it does not divide by ``world_size``, the batches with the most clips are
            halved. Only if every batch is down to a single clip, and still there are too few, do the shortest
            clips come more than once.

    Raises:
        TypeError: if ``lengths`` are not integers, or a setting is not.
        ValueError: if there are no lengths, one is below 1, or a setting is out of range.

    >>> sampler = LengthBucketSampler([9, 2, 3, 10, 3], max_samples=20, shuffle=False)
    >>> list(sampler)
    [[3, 0], [2, 4, 1]]
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
        rank: int | None = None,
        world_size: int | None = None,
    ) -> None:
        self.lengths: Tensor = _check_lengths(lengths)
        self.max_samples: int = check_integer("max_samples", max_samples)
        self.shuffle, self.seed, self.epoch = shuffle, check_integer("seed", seed, 0), 0
        if batch_size is not None:
            check_integer("batch_size", batch_size)
        self.spread: float = check_number("spread", spread, 0)
        self.rank, self.world_size = _check_ranks(rank, world_size)

        length = self.lengths.sort(descending=True).values
        capacity = (self.max_samples // length).clamp(1, batch_size)
        places = torch.arange(len(length))
        self._low, self._high = _keys(length, capacity * self.spread) if shuffle else (places, places)
        last_place = torch.searchsorted(self._low, self._high, right=True) - 1
        # The longest clip that can stand at each place or later.
        bound = torch.searchsorted(last_place, places)
        self._sizes = _cut(capacity[bound].tolist(), self.world_size)

    @property
    def sampler(self) -> LengthBucketSampler:
        """This object again, for Lightning looks here for something to tell the epoch.

        >>> sampler = LengthBucketSampler([9, 2], max_samples=20)
        >>> sampler.sampler is sampler
        True
        """
        return self

    def set_epoch(self, epoch: int) -> None:
        """Choose the epoch of the next pass; the same epoch gives the same batches.

        Raises:
            TypeError: if it is not an integer.
            ValueError: if it is negative.

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
        generator = torch.Generator().manual_seed((self.seed * 1_000_003 + self.epoch) % 2**63)
        self.epoch += 1  # a loop that never calls set_epoch is reshuffled too
        order = self._order(generator)
        if len(order) < sum(self._sizes):
            order = torch.cat([order, self._shortest(sum(self._sizes) - len(order))])
        batches = torch.split(order, self._sizes)
        # The batches of one step are neighbours, about equally long, so that no process waits for the others.
        steps = torch.randperm(len(self), generator=generator) if self.shuffle else torch.arange(len(self))
        return (batches[step * self.world_size + self.rank].tolist() for step in steps.tolist())

    def _order(self, generator: torch.Generator) -> Tensor:
        """All clips, in the order of their keys."""
        if not self.shuffle:
            return self.lengths.argsort(descending=True, stable=True)
        shuffled = torch.randperm(len(self.lengths), generator=generator)
        ranked = shuffled[self.lengths[shuffled].argsort(descending=True, stable=True)]
        drawn = torch.rand(len(ranked), generator=generator, dtype=torch.float64)
        return ranked[(self._low + drawn * (self._high - self._low)).argsort(stable=True)]

    def _shortest(self, count: int) -> Tensor:
        return self.lengths.argsort(stable=True).repeat(count)[:count]


def _keys(length: Tensor, reach: Tensor) -> tuple[Tensor, Tensor]:
    """Lowest and highest key of each rank: half its reach away, or where clips are of nearly its length."""
    end, size = len(length) - 1, length.double()
    rank = torch.arange(len(length), dtype=torch.float64)
    # Ascending for searchsorted; the count of clips that are long enough is the place after the last of them.
    first_alike = torch.searchsorted(-size, -size * (1 + _TOLERANCE))
    last_alike = torch.searchsorted(-size, -size / (1 + _TOLERANCE), right=True) - 1
    low = torch.minimum(rank - reach / 2, first_alike).clamp(min=0)
    high = torch.maximum(rank + reach / 2, last_alike).clamp(max=end)
    # Batches of shorter clips are larger and reach further, perhaps further up than those before them.
    return low.flip(0).cummin(0).values.flip(0), high


def _cut(capacity: list[int], world_size: int) -> list[int]:
    """Sizes of the batches, a multiple of ``world_size``, each within the capacity where it starts."""
    sizes: list[int] = []
    place = 0
    while place < len(capacity):
        sizes.append(min(capacity[place], len(capacity) - place))
        place += sizes[-1]
    for _ in range(-len(sizes) % world_size):
        largest = max(range(len(sizes)), key=sizes.__getitem__)
        half = sizes[largest] // 2
        if half == 0:
            sizes.append(1)
        else:
            sizes[largest : largest + 1] = [sizes[largest] - half, half]
    return sizes


def _check_lengths(lengths: object) -> Tensor:
    if not isinstance(lengths, Tensor):
        if isinstance(lengths, str) or not isinstance(lengths, Sequence):
            raise TypeError(f"lengths: wanted a tensor or a list of integers, got {describe(lengths)}")
        lengths = torch.tensor(
            [check_integer(f"lengths[{i}]", each) for i, each in enumerate(lengths)]
        ).long()
    tensor = check_integers("lengths", lengths).cpu().long()
    if len(tensor) == 0:
        raise ValueError("lengths: wanted at least one length, got none")
    check_values("lengths", tensor, tensor >= 1, "values from 1")
    return tensor


def _check_ranks(rank: int | None, world_size: int | None) -> tuple[int, int]:
    distributed = torch.distributed.is_available() and torch.distributed.is_initialized()
    if world_size is None:
        world_size = torch.distributed.get_world_size() if distributed else 1
    if rank is None:
        rank = torch.distributed.get_rank() if distributed else 0
    check_integer("world_size", world_size)
    return check_integer("rank", rank, 0, world_size - 1), world_size
