"""Batches of training clips that can be taken up again anywhere, with the same crops."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor
from torch.utils.data import Dataset, Sampler

from freesound.processes import World
from freesound.settings import mixed_seed
from rankaudio import ClipDataset, LengthBucketSampler

Place = tuple[int, int]


class SeededClips(Dataset[tuple[Tensor, Tensor]]):
    """Clips whose random crop is a function of seed, epoch and index, in whatever process they are read."""

    def __init__(self, clips: ClipDataset, *, seed: int) -> None:
        self.clips, self.seed = clips, seed

    def __len__(self) -> int:
        return len(self.clips)

    def __getitem__(self, place: Place) -> tuple[Tensor, Tensor]:
        epoch, index = place
        # A crop comes from PyTorch's global generator, which others draw from too: put it back.
        before = torch.default_generator.get_state()
        torch.default_generator.manual_seed(mixed_seed(self.seed, epoch, index))
        try:
            return self.clips[index]
        finally:
            torch.default_generator.set_state(before)


class EpochBatches(Sampler[list[Place]]):
    """The batches of one epoch, from one of them on; a clip comes as (epoch, index).

    The epoch travels with the index because workers that live on hold a copy of the data set, which nobody
    could tell of a new epoch.
    """

    def __init__(self, sampler: LengthBucketSampler, world: World) -> None:
        self.sampler, self.world = sampler, world
        self.epoch, self.first = 0, 0
        self.batches: list[list[int]] = []

    def begin(self, epoch: int, *, first: int) -> None:
        """Make the batches of an epoch; the next pass starts with ``first``."""
        self.sampler.set_epoch(epoch)
        self.batches = list(self.sampler)
        self.epoch, self.first = epoch, first

    def counts(self) -> list[int]:
        """Clips in each batch of this epoch, those of all processes together."""
        counts = torch.tensor([len(batch) for batch in self.batches])
        self.world.add_up(counts)
        return counts.tolist()

    def __len__(self) -> int:
        return len(self.sampler)

    def __iter__(self) -> Iterator[list[Place]]:
        return iter([[(self.epoch, index) for index in batch] for batch in self.batches[self.first :]])
