"""The clips of one fold: what trains and what validates, seeded clips and batches."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple, Protocol

import torch
from torch import Tensor
from torch.utils.data import Dataset, Sampler

from freesound.corpus import Corpus
from freesound.distributed import Group
from freesound.trimming import open_clips
from rankaudio import ClipDataset, pad_collate
from rankaudio._files import check_regular_file

# The source of a clip, which a criterion may look at. A clip that is both trusted and noisy is there twice.
CURATED, NOISY, TRUSTED = 0, 1, 2
SAMPLED = 4096  # bytes of each file that tell whether its samples have changed


@dataclass(frozen=True)
class Split:
    """The clips that one fold trains on, their sources, and the clips that validate it."""

    train: ClipDataset
    source: Tensor
    valid: ClipDataset | None
    valid_names: tuple[str, ...]
    valid_target: Tensor


def split_corpus(
    corpus: Corpus,
    *,
    folds: int,
    fold: int,
    max_seconds: float,
    seed: int,
    sample_rate: int = 44_100,
    trim: float | None = None,
    only_noisy: bool = False,
) -> Split:
    """Hold one fold out for validation; with ``folds=1`` hold out none. Noisy clips are never held out.

    With ``only_noisy`` no curated clip is trained on.

    If folds were published, they are used, and ``folds`` only says whether clips are held out. ``trim`` cuts
    silence as :func:`freesound.trimming.open_clips` does it.
    """
    names = corpus.curated.names
    held_out = (corpus.draw_folds(folds, seed) == fold).tolist() if folds > 1 else [False] * len(names)
    trained = [n for n, out in zip(names, held_out, strict=True) if not out and not only_noisy]
    train = corpus.curated.select(trained)
    valid = corpus.curated.select([n for n, out in zip(names, held_out, strict=True) if out])

    curated = corpus.audio
    paths, target = [curated / name for name in train.names], train.target
    source = [CURATED] * len(train)
    for number, more in ((NOISY, corpus.noisy), (TRUSTED, corpus.trusted)):
        if more is not None:
            paths += [corpus.folder / "train_noisy" / name for name in more.names]
            target = torch.cat([target, more.target])
            source += [number] * len(more)
    valid_paths = [curated / name for name in valid.names]
    return Split(
        train=open_clips(paths, target.float(), sample_rate=sample_rate, max_seconds=max_seconds, trim=trim),
        source=torch.tensor(source),
        valid=open_clips(valid_paths, sample_rate=sample_rate, trim=trim) if valid_paths else None,
        valid_names=valid.names,
        valid_target=valid.target,
    )


def checksum(path: Path) -> str:
    """SHA-256 of a file, in hexadecimal digits."""
    check_regular_file(path)
    return hashlib.sha256(path.read_bytes()).hexdigest()


def fingerprint(split: Split) -> str:
    """One checksum of all clips and labels of a split.

    It covers the names, the lengths, the sizes of the files, and 4 KiB from the middle of each. A whole
    checksum would have to read all of the data. Times of files are not used, because copies have others.
    """
    digest = hashlib.blake2b(digest_size=16)
    for clips in (split.train, split.valid):
        if clips is not None:
            digest.update(b"\n".join(os.fsencode(f"{path.parent.name}/{path.name}") for path in clips.paths))
            digest.update(clips.lengths.numpy().tobytes())
            for path in clips.paths:
                digest.update(_sample_of(path))
    digest.update(split.train.target.numpy().tobytes())
    digest.update(split.valid_target.numpy().tobytes())
    return digest.hexdigest()


def _sample_of(path: Path) -> bytes:
    """Return the size of a file and some bytes from its middle."""
    with path.open("rb") as file:
        size = file.seek(0, os.SEEK_END)
        file.seek(max(0, size // 2 - SAMPLED // 2))
        return size.to_bytes(8, "big") + file.read(SAMPLED)


def mixed_seed(*parts: int) -> int:
    """Make one seed of several numbers, so that the seeds of neighbours are unrelated.

    Every random number of a training is a function of the seed, the epoch, the place in the epoch and the
    rank. So there is no random state to keep, and a resumed training draws the same numbers.
    """
    digest = hashlib.blake2b(repr(parts).encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big") >> 1


class Batch(NamedTuple):
    """Training clips in one tensor: ``(B, T)``, ``(B, C)``, ``(B,)`` samples and ``(B,)`` sources."""

    waveform: Tensor
    target: Tensor
    lengths: Tensor | None
    source: Tensor


# Epoch and index of a clip.
Place = tuple[int, int]


class SeededClips(Dataset[tuple[Tensor, Tensor, Tensor]]):
    """Training clips; a clip's random crop depends on seed, epoch and index only, in any process."""

    def __init__(self, clips: ClipDataset, source: Tensor, *, seed: int) -> None:
        self.clips, self.source, self.seed = clips, source, seed

    def __len__(self) -> int:
        return len(self.clips)

    def __getitem__(self, place: Place) -> tuple[Tensor, Tensor, Tensor]:
        epoch, index = place
        # A crop is drawn from PyTorch's global generator. Others use it too, so its state is restored.
        before = torch.default_generator.get_state()
        torch.default_generator.manual_seed(mixed_seed(self.seed, epoch, index))
        try:
            waveform, target = self.clips[index]
        finally:
            torch.default_generator.set_state(before)
        return waveform, target, self.source[index]


def collate(items: Sequence[tuple[Tensor, Tensor, Tensor]]) -> Batch:
    """Pad clips to the longest, as :func:`rankaudio.pad_collate` does, and keep their sources."""
    waveform, target, lengths = pad_collate([(waveform, target) for waveform, target, _ in items])
    return Batch(waveform, target, lengths, torch.stack([source for _, _, source in items]))


class BatchSampler(Protocol):
    """Lists of indices of training clips, of this rank; their number is the same in every epoch."""

    def set_epoch(self, epoch: int) -> None:
        """Choose the epoch of the next pass."""

    def __len__(self) -> int: ...

    def __iter__(self) -> Iterator[list[int]]: ...


class EpochBatches(Sampler[list[Place]]):
    """The batches of one epoch, from any of them on; a clip comes as (epoch, index).

    The epoch goes with the index because persistent workers hold a copy of the data set, and a new epoch
    cannot be announced to them.
    """

    def __init__(self, sampler: BatchSampler, group: Group) -> None:
        self.sampler, self.group = sampler, group
        self.epoch, self.first = 0, 0
        self.batches: list[list[int]] = []

    def begin(self, epoch: int, *, first: int) -> None:
        """Make the batches of an epoch; the next pass starts with batch ``first``."""
        self.sampler.set_epoch(epoch)
        self.batches = list(self.sampler)
        self.epoch, self.first = epoch, first

    def counts(self) -> list[int]:
        """Return the number of clips in each batch of this epoch, over all processes."""
        counts = torch.tensor([len(batch) for batch in self.batches])
        self.group.add_up(counts)
        return counts.tolist()

    def __len__(self) -> int:
        return len(self.sampler)

    def __iter__(self) -> Iterator[list[Place]]:
        return iter([[(self.epoch, index) for index in batch] for batch in self.batches[self.first :]])
