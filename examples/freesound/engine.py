"""The training of one fold: step, epoch, validation, fit. It knows no plan, only a system.

Training is deterministic under a seed, and can be interrupted at any moment and resumed.
"""

from __future__ import annotations

import copy
import math
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import DataLoader, Subset

from freesound.averaging import Average
from freesound.data import Batch, EpochBatches, SeededClips, Split, collate, fingerprint, mixed_seed
from freesound.decisions import save_with_decisions
from freesound.distributed import Group
from freesound.plans.base import Optim
from freesound.progress import log, with_progress
from freesound.state import read_state, remove_temporary_files, write_state
from freesound.system import System
from freesound.training_log import Epoch, TrainingLog
from freesound.updates import Updates
from rankaudio import lwlrap
from rankaudio.data import ScoreTable, write_scores


@dataclass
class Progress:
    """Epochs done, batches done of the next epoch and their sums, and the best validation so far."""

    epoch: int = 0
    batch: int = 0
    loss: float = 0.0
    clips: int = 0
    seconds: float = 0.0
    best: float = -math.inf
    without_better: int = 0

    def check(self, *, epochs: int, batches: int) -> None:
        """Raise ValueError for a count that a training of this length cannot have."""
        highest = {"epoch": epochs, "batch": batches, "clips": math.inf, "without_better": epochs}
        for name, most in highest.items():
            value = getattr(self, name)
            if type(value) is not int or not 0 <= value <= most:
                raise ValueError(f"progress: wanted {name} from 0 to {most}, got {value!r}")
        for name in ("loss", "seconds", "best"):
            if type(getattr(self, name)) is not float:
                raise ValueError(f"progress: wanted a number as {name}, got {getattr(self, name)!r}")


class Trainer:
    """A system, the clips of one fold, and the loop over them.

    Every random number is a function of the seed, the epoch, the place in it and the rank. So the state of
    training is made of tensors and counters, and a resumed training ends as if it had not been interrupted.
    """

    def __init__(
        self,
        system: System,
        split: Split,
        optim: Optim,
        *,
        group: Group,
        average: Average | None = None,
        workers: int = 0,
        checkpoint_seconds: float = math.inf,
        log: Callable[[str], None] = log,
    ) -> None:
        self.system, self.split, self.optim, self.group, self.workers = system, split, optim, group, workers
        self.average = average
        # The tagger that is validated and saved: a copy with averaged weights, or the tagger itself.
        self.validated = system.tagger if average is None else copy.deepcopy(system.tagger)
        self.generator = torch.Generator()
        self.batches = EpochBatches(system.batches(split, group), group)
        self.loader = DataLoader(
            SeededClips(split.train, split.source, seed=optim.seed),
            batch_sampler=self.batches,
            collate_fn=collate,
            num_workers=workers,
            persistent_workers=workers > 0,
        )
        steps = -(-len(self.batches) // optim.accumulate)
        self.updates = Updates(system, optim, group, steps=optim.epochs * steps)
        self.progress, self.log = Progress(), log
        self.training_log = TrainingLog(epochs=optim.epochs, classes=system.tagger.classes, log=log)
        self.checkpoint_seconds = checkpoint_seconds
        self.saved_at, self.began = time.monotonic(), time.perf_counter()

    def fit(self, folder: Path, *, tensorboard: bool = False) -> float:
        """Train, or resume; keep the model that validates best, or the last one if no clips are held out.

        Returns:
            The best lwlrap.
        """
        self._begin(folder)
        if tensorboard and self.group.is_main:
            self.training_log.open_tensorboard(folder)
        while not self.finished:
            self._end_epoch(folder, self.train_epoch(folder))
        self.training_log.close()
        self.group.run_on_all(lambda: self._finish(folder))
        return self.progress.best

    @property
    def finished(self) -> bool:
        """Whether all epochs are done, or too many without a better model."""
        patience = self.optim.early_stop
        stopped = patience is not None and self.progress.without_better >= patience
        return stopped or self.progress.epoch >= self.optim.epochs

    def train_epoch(self, folder: Path) -> float:
        """Train on the rest of an epoch; return the mean loss of a clip."""
        progress = self.progress
        self.began = time.perf_counter() - progress.seconds
        self.system.tagger.train()
        self.system.begin_epoch(progress.epoch)
        self.batches.begin(progress.epoch, first=progress.batch)
        counts, group = self.batches.counts(), self.optim.accumulate
        total = torch.tensor(progress.loss, device=self.group.device)
        for number, batch in enumerate(self._with_progress(), start=progress.batch):
            first = number - number % group
            clips = counts[first : first + group]
            final = number == first + len(clips) - 1
            total += self.train_batch(batch, number, of=sum(clips), final=final) * len(batch.waveform)
            progress.clips += len(batch.waveform)
            if final:
                progress.batch = number + 1
                self._checkpoint_if_due(folder, total)
        return self._mean_loss(total)

    def train_batch(self, batch: Batch, number: int, *, of: int, final: bool) -> Tensor:
        """Add the gradient of a batch, and with the final one of a step change the weights."""
        seed = mixed_seed(self.optim.seed, self.group.rank, self.progress.epoch, number)
        torch.manual_seed(seed)
        self.generator.manual_seed(mixed_seed(seed))
        loss = self.updates.backward(self._on_device(batch), of=of, final=final, generator=self.generator)
        if final:
            self.updates.step()
            if self.average is not None:
                self.average.after_step(self.system.tagger)
        return loss

    def _on_device(self, batch: Batch) -> Batch:
        """Move a batch. Without padding there are no lengths, so no masks, unless the network is compiled."""
        padded = self.optim.compile or bool((batch.lengths < batch.waveform.shape[1]).any())
        waveform, target, lengths, source = (part.to(self.group.device) for part in batch)
        return Batch(waveform, target, lengths if padded else None, source)

    def validate(self) -> Tensor | None:
        """Return the scores of the held-out clips, which the processes share; None if there are none."""
        if self.split.valid is None:
            return None
        # Every process takes clips of all lengths, so that all need about the same time.
        lengths, group = self.split.valid.lengths, self.group
        own = lengths.argsort(descending=True, stable=True)[group.rank :: group.world_size]
        scores = torch.zeros(len(lengths), len(self.validated.classes))
        clips = Subset(self.split.valid, own.tolist())
        scores[own] = self.system.scores(
            self.validated, clips, lengths=lengths[own].tolist(), workers=self.workers
        )
        group.add_up(scores)
        return scores

    @cached_property
    def clips(self) -> str:
        """One checksum of all clips and labels; every file is opened, so it is computed once."""
        return fingerprint(self.split)

    def state_dict(self) -> dict[str, Any]:
        """Return everything that is needed to resume, in tensors and plain types."""
        return {
            "clips": self.clips,
            "progress": asdict(self.progress),
            "model": self.system.tagger.state_dict(),
            "updates": self.updates.state_dict(),
            "average": None if self.average is None else self.average.state_dict(),
            "training_log": self.training_log.state_dict(),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Resume from there."""
        self.progress = Progress(*(state["progress"][name] for name in asdict(Progress())))
        self.system.tagger.load_state_dict(state["model"])
        self.updates.load_state_dict(state["updates"])
        if self.average is not None:
            self.average.load_state_dict(state["average"])
        self.training_log.load_state_dict(state["training_log"])

    def _begin(self, folder: Path) -> None:
        """Load the state if there is one; else write a first state before any other file."""
        path = folder / "state.pt"
        state = self.group.broadcast(lambda: read_state(path) if path.exists() else None)
        if state is not None:
            self.group.run_on_all(lambda: self._resume(state, path))
        clips = self.group.broadcast(lambda: self.clips if state is None else state["clips"])
        self.group.run_on_all(lambda: self._check_clips(clips, path))
        self.group.run_on_all(lambda: self._clear(folder, first_state=state is None))

    def _resume(self, state: dict[str, Any], path: Path) -> None:
        """Load a state; ValueError with the file if it has other parts or impossible counts."""
        try:
            _ = state["clips"]
            self.load_state_dict(state)
            self.progress.check(epochs=self.optim.epochs, batches=len(self.batches))
        except (KeyError, TypeError, AttributeError, IndexError, ValueError, RuntimeError) as error:
            reason = str(error).partition("\n")[0]
            raise ValueError(f"{path}: wanted a state of this training, got another: {reason}") from error

    def _clear(self, folder: Path, *, first_state: bool) -> None:
        if self.group.is_main:
            remove_temporary_files(folder)
        if first_state:
            self._write_state(folder)

    def _finish(self, folder: Path) -> None:
        if self.group.is_main:
            (folder / "state.pt").unlink(missing_ok=True)

    def _check_clips(self, clips: str, path: Path) -> None:
        if self.clips != clips:
            raise ValueError(f"--data: wanted the clips and labels that {path} was begun with, got others")

    def _end_epoch(self, folder: Path, loss: float) -> None:
        """Validate, keep a better model, write all files."""
        progress, rate = self.progress, self.updates.learning_rate
        self.group.average(self._running_statistics())
        if self.average is not None:
            self.average.after_epoch(self.system.tagger)
            self.validated.load_state_dict(self.average.mean())
        scores, value, of_classes = self.validate(), math.nan, None
        if scores is not None:
            value = float(lwlrap(scores, self.split.valid_target))
            of_classes = lwlrap(scores, self.split.valid_target, average=None)
        self.updates.schedule.after_epoch(value)
        better = scores is None or value > progress.best
        progress.best = value if better else progress.best
        progress.without_better = 0 if better else progress.without_better + 1
        progress.epoch, progress.batch, progress.loss, progress.clips = progress.epoch + 1, 0, 0.0, 0
        progress.seconds, seconds = 0.0, time.perf_counter() - self.began
        self.training_log.add(Epoch(progress.epoch, loss, value, of_classes, better, rate, seconds))
        # The state comes last. If the process is killed before, the epoch is repeated with the same result.
        self.group.run_on_all(lambda: self._write_epoch(folder, scores if better else None, better=better))

    def _running_statistics(self) -> list[Tensor]:
        kept = self.system.tagger.state_dict()
        return [kept[name] for name, _ in self.system.tagger.named_buffers() if name in kept]

    def _write_epoch(self, folder: Path, scores: Tensor | None, *, better: bool) -> None:
        if not self.group.is_main:
            return
        if better:
            path = folder / "model.pt"
            save_with_decisions(self.validated, path, scores, self.split.valid_target)
        if scores is not None:
            names, classes = self.split.valid_names, self.validated.classes
            write_scores(folder / "valid.csv", ScoreTable(names, classes, scores))
        self.training_log.write(folder)
        self._write_state(folder)

    def _write_state(self, folder: Path) -> None:
        if self.group.is_main:
            write_state(folder / "state.pt", self.state_dict())
        self.saved_at = time.monotonic()

    def _checkpoint_if_due(self, folder: Path, total: Tensor) -> None:
        """Save within an epoch, if one process trains. Several have different sums, and save after epochs."""
        due = time.monotonic() - self.saved_at >= self.checkpoint_seconds
        if due and self.group.world_size == 1:
            self.progress.loss = float(total)
            self.progress.seconds = time.perf_counter() - self.began
            self._write_state(folder)

    def _mean_loss(self, total: Tensor) -> float:
        sums = torch.stack([total.cpu().double(), torch.tensor(self.progress.clips, dtype=torch.float64)])
        self.group.add_up(sums)
        mean = float(sums[0] / sums[1])
        if not math.isfinite(mean):
            epoch = self.progress.epoch + 1
            raise FloatingPointError(f"the training loss became {mean} in epoch {epoch}; lower --lr-max")
        return mean

    def _with_progress(self) -> Any:
        title, first = f"epoch {self.progress.epoch + 1}", self.progress.batch
        return with_progress(self.loader, title, unit="batch", first=first, shown=self.group.is_main)
