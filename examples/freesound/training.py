"""Training of one fold: plain, the same again under the same seed, and to be interrupted at any moment."""

from __future__ import annotations

import copy
import hashlib
import math
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import DataLoader, Subset
from tqdm import tqdm

from freesound.averaging import build_average
from freesound.batches import EpochBatches, SeededClips
from freesound.building import build_augmentation, build_tagger, one_cycle
from freesound.corpus import Split
from freesound.journal import Epoch, Journal
from freesound.processes import World
from freesound.runs import read_state, remove_parts, write_state
from freesound.settings import SAMPLE_RATE, Settings, mixed_seed
from freesound.updates import Updates
from rankaudio import LengthBucketSampler, lwlrap, pad_collate, predict
from rankaudio.data import Batch, ScoreTable, write_scores

__all__ = ["SAMPLE_RATE", "Settings", "Trainer", "build_augmentation", "build_tagger", "one_cycle"]


@dataclass
class Progress:
    """How far training has come: epochs done, batches done of the next one, and their sums."""

    epoch: int = 0
    batch: int = 0
    loss: float = 0.0
    clips: int = 0
    seconds: float = 0.0
    best: float = -math.inf
    without_better: int = 0


class Trainer:
    """One fold's model, its clips, and the loop over them.

    Every random number is a function of the seed, the epoch, the place in it and the process, so the state
    of training is in tensors and counters alone, and what is continued ends as if it had never stopped.
    """

    def __init__(
        self,
        split: Split,
        settings: Settings,
        classes: tuple[str, ...],
        *,
        world: World,
        workers: int = 0,
        checkpoint_seconds: float = math.inf,
        say: Callable[[str], None] = print,
    ) -> None:
        torch.manual_seed(settings.seed)
        self.split, self.settings, self.world, self.workers = split, settings, world, workers
        self.tagger = build_tagger(settings, classes).to(world.device)
        self.average = build_average(settings, self.tagger, world)
        # What is validated and kept: the average in a network of its own, or the network itself.
        self.judged = self.tagger if self.average is None else copy.deepcopy(self.tagger)
        self.augmentation = build_augmentation(settings)
        self.generator = torch.Generator()
        self.batches = EpochBatches(_sampler(split, settings, world), world)
        self.loader = DataLoader(
            SeededClips(split.train, seed=settings.seed),
            batch_sampler=self.batches,
            collate_fn=pad_collate,
            num_workers=workers,
            persistent_workers=workers > 0,
        )
        steps = -(-len(self.batches) // settings.accumulate)
        self.updates = Updates(self.tagger, settings, world, total=settings.epochs * steps)
        self.progress, self.say = Progress(), say
        self.journal = Journal(epochs=settings.epochs, classes=classes, say=say)
        self.checkpoint_seconds = checkpoint_seconds
        self.saved_at, self.began = time.monotonic(), time.perf_counter()

    def fit(self, folder: Path, *, scalars: bool = False) -> float:
        """Train, or go on; keep the model that validates best, or the last one if nothing is held out."""
        self._begin(folder)
        if scalars and self.world.first:
            self.journal.show_scalars(folder)
        while not self.finished:
            self._end_epoch(folder, self.train_epoch(folder))
        self.journal.close()
        self.world.together(lambda: self._finish(folder))
        return self.progress.best

    @property
    def finished(self) -> bool:
        """Whether all epochs are done, or too many without a better model."""
        patience = self.settings.early_stop
        stopped = patience is not None and self.progress.without_better >= patience
        return stopped or self.progress.epoch >= self.settings.epochs

    def train_epoch(self, folder: Path) -> float:
        """The rest of a pass over the training clips; returns the mean loss of a clip."""
        progress = self.progress
        self.began = time.perf_counter() - progress.seconds
        self.tagger.train()
        until = self.settings.augment_until
        if until is not None and progress.epoch >= until:
            self.augmentation.disable()
        self.batches.begin(progress.epoch, first=progress.batch)
        counts, group = self.batches.counts(), self.settings.accumulate
        total = torch.tensor(progress.loss, device=self.world.device)
        for number, batch in enumerate(self._bar(), start=progress.batch):
            first = number - number % group
            members = counts[first : first + group]
            final = number == first + len(members) - 1
            total += self.train_batch(batch, number, of=sum(members), final=final) * len(batch.lengths)
            progress.clips += len(batch.lengths)
            if final:
                progress.batch = number + 1
                self._checkpoint_if_due(folder, total)
        return self._mean_loss(total)

    def train_batch(self, batch: Batch, number: int, *, of: int, final: bool) -> Tensor:
        """Add a batch to the gradient, and with the final one of a step change the weights."""
        seed = mixed_seed(self.settings.seed, self.world.rank, self.progress.epoch, number)
        torch.manual_seed(seed)
        self.generator.manual_seed(mixed_seed(seed))
        # Whether anything is padded is known on the CPU for nothing; without padding there are no masks,
        # unless one program is to serve all batches.
        padded = self.settings.compile or bool((batch.lengths < batch.waveform.shape[1]).any())
        device = self.world.device
        waveform, target = batch.waveform.to(device), batch.target.to(device)
        lengths = batch.lengths.to(device) if padded else None
        waveform, target, lengths = self.augmentation(waveform, target, lengths, generator=self.generator)
        loss = self.updates.backward(waveform, target, lengths, of=of, final=final)
        if final:
            self.updates.step()
            if self.average is not None:
                self.average.after_step(self.tagger)
        return loss

    def validate(self) -> Tensor | None:
        """Scores of the clips held out, which the processes share among them; None if there are none."""
        if self.split.valid is None:
            return None
        # Dealt out by length, so that all have about as much to do.
        lengths, world = self.split.valid.lengths, self.world
        own = lengths.argsort(descending=True, stable=True)[world.rank :: world.size]
        scores = torch.zeros(len(lengths), len(self.tagger.classes))
        mine = Subset(self.split.valid, own.tolist())
        scores[own] = predict(self.judged, mine, lengths=lengths[own].tolist(), workers=self.workers)
        world.add_up(scores)
        return scores

    def state_dict(self) -> dict[str, Any]:
        """Everything needed to go on, in tensors and plain types."""
        return {
            "clips": fingerprint(self.split),
            "progress": asdict(self.progress),
            "model": self.tagger.state_dict(),
            "updates": self.updates.state_dict(),
            "average": None if self.average is None else self.average.state_dict(),
            "journal": self.journal.state_dict(),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from there."""
        self.progress = Progress(**state["progress"])
        self.tagger.load_state_dict(state["model"])
        self.updates.load_state_dict(state["updates"])
        if self.average is not None:
            self.average.load_state_dict(state["average"])
        self.journal.load_state_dict(state["journal"])

    def _begin(self, folder: Path) -> None:
        """Take up the state that was left, or leave a first one before anything else is written."""
        path = folder / "state.pt"
        state = self.world.from_first(lambda: read_state(path) if path.exists() else None)
        if state is not None:
            self.load_state_dict(state)
        clips = self.world.from_first(lambda: fingerprint(self.split) if state is None else state["clips"])
        self.world.together(lambda: self._check_clips(clips, path))
        self.world.together(lambda: self._clear(folder, first_state=state is None))

    def _clear(self, folder: Path, *, first_state: bool) -> None:
        if self.world.first:
            remove_parts(folder)
        if first_state:
            self._write_state(folder)

    def _finish(self, folder: Path) -> None:
        if self.world.first:
            (folder / "state.pt").unlink(missing_ok=True)

    def _check_clips(self, clips: str, path: Path) -> None:
        if fingerprint(self.split) != clips:
            raise ValueError(f"--data: wanted the clips and labels that {path} was begun with, got others")

    def _end_epoch(self, folder: Path, loss: float) -> None:
        """Validate, keep what is better, write everything down."""
        progress, rate = self.progress, self.updates.learning_rate
        self.world.average(self._running_statistics())
        if self.average is not None:
            self.average.after_epoch(self.tagger)
            self.judged.load_state_dict(self.average.mean())
        scores, value, of_classes = self.validate(), math.nan, None
        if scores is not None:
            value = float(lwlrap(scores, self.split.valid_target))
            of_classes = lwlrap(scores, self.split.valid_target, average=None)
        better = scores is None or value > progress.best
        progress.best = value if better else progress.best
        progress.without_better = 0 if better else progress.without_better + 1
        progress.epoch, progress.batch, progress.loss, progress.clips = progress.epoch + 1, 0, 0.0, 0
        progress.seconds, seconds = 0.0, time.perf_counter() - self.began
        self.journal.add(Epoch(progress.epoch, loss, value, of_classes, better, rate, seconds))
        # The state comes last: killed before it, all this is done again and ends the same.
        self.world.together(lambda: self._write_epoch(folder, scores if better else None, better=better))

    def _running_statistics(self) -> list[Tensor]:
        kept = self.tagger.state_dict()
        return [kept[name] for name, _ in self.tagger.named_buffers() if name in kept]

    def _write_epoch(self, folder: Path, scores: Tensor | None, *, better: bool) -> None:
        if not self.world.first:
            return
        if better:
            self.judged.save(folder / "model.pt")
        if scores is not None:
            names, classes = self.split.valid_names, self.tagger.classes
            write_scores(folder / "valid.csv", ScoreTable(names, classes, scores))
        self.journal.write(folder)
        self._write_state(folder)

    def _write_state(self, folder: Path) -> None:
        if self.world.first:
            write_state(folder / "state.pt", self.state_dict())
        self.saved_at = time.monotonic()

    def _checkpoint_if_due(self, folder: Path, total: Tensor) -> None:
        """Several processes save at the ends of epochs only: within, each has sums of its own."""
        due = time.monotonic() - self.saved_at >= self.checkpoint_seconds
        if due and self.world.size == 1:
            self.progress.loss = float(total)
            self.progress.seconds = time.perf_counter() - self.began
            self._write_state(folder)

    def _mean_loss(self, total: Tensor) -> float:
        sums = torch.stack([total.cpu().double(), torch.tensor(self.progress.clips, dtype=torch.float64)])
        self.world.add_up(sums)
        mean = float(sums[0] / sums[1])
        if not math.isfinite(mean):
            epoch = self.progress.epoch + 1
            raise FloatingPointError(f"the training loss became {mean} in epoch {epoch}; lower --lr-max")
        return mean

    def _bar(self) -> tqdm:
        silent = None if self.world.first else True
        title, done = f"epoch {self.progress.epoch + 1}", self.progress.batch
        return tqdm(self.loader, desc=title, unit="batch", leave=False, disable=silent, initial=done)


def fingerprint(split: Split) -> str:
    """One number for all clips and labels of a split."""
    digest = hashlib.blake2b(digest_size=16)
    for clips in (split.train, split.valid):
        if clips is not None:
            digest.update("\n".join(f"{path.parent.name}/{path.name}" for path in clips.paths).encode())
            digest.update(clips.lengths.numpy().tobytes())
    digest.update(split.train.target.numpy().tobytes())
    digest.update(split.valid_target.numpy().tobytes())
    return digest.hexdigest()


def _sampler(split: Split, settings: Settings, world: World) -> LengthBucketSampler:
    """Batches of this process, of clips that are alike in length as far as the settings want it."""
    return LengthBucketSampler(
        split.train.lengths,
        batch_size=settings.batch_size,
        max_samples=round(settings.batch_size * settings.max_seconds * SAMPLE_RATE),
        spread=settings.spread,
        seed=settings.seed,
        rank=world.rank,
        world_size=world.size,
    )
