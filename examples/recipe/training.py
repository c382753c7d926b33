"""Training of one fold: plain, short, and the same again under the same seed."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.data import DataLoader
from tqdm import tqdm

from rankaudio import (
    Batch,
    Chain,
    CNN1d,
    CNN2d,
    LengthBucketSampler,
    LogMel,
    LogSTFT,
    LSEPLoss,
    ORMixup,
    RecipeEffects,
    ShuffleChunks,
    Tagger,
    lwlrap,
    pad_collate,
    predict,
    write_scores,
)
from recipe.corpus import Split
from recipe.runs import Table

SAMPLE_RATE = 44_100
COLUMNS = ["epoch", "train_loss", "valid_lwlrap", "learning_rate", "seconds"]


@dataclass(frozen=True)
class Settings:
    """Everything that decides what is trained; the command line sets it."""

    model: str = "2d"
    pooling: str = "max"
    loss: str = "lsep"
    epochs: int = 30
    batch_size: int = 20
    spread: float = 32.0
    base_depth: int = 50
    blocks: int = 5
    growth: float = 1.5
    dropout: float = 0.0
    max_seconds: float = 15.0
    mixup: float = 0.0
    effects: float = 0.0
    shuffle: float = 0.0
    augment_until: int | None = None
    frequency_encoding: bool = True
    noisy: bool = False
    lr_min: float = 1e-4
    lr_max: float = 5e-3
    folds: int = 5
    seed: int = 42


def build_tagger(settings: Settings, classes: tuple[str, ...]) -> Tagger:
    """The third-place model: log-mel and 2d, or log-STFT and 1d."""
    shared = {
        "n_blocks": settings.blocks,
        "base_depth": settings.base_depth,
        "growth_rate": settings.growth,
        "pooling": settings.pooling,
        "dropout": settings.dropout,
    }
    frontend: nn.Module
    if settings.model == "2d":
        frontend = LogMel.from_descriptor("mel_2048_1024_128", sample_rate=SAMPLE_RATE)
        backbone = CNN2d(len(classes), frequency_encoding=settings.frequency_encoding, **shared)
    else:
        frontend = LogSTFT.from_descriptor("stft_256_128", sample_rate=SAMPLE_RATE)
        backbone = CNN1d(len(classes), n_bins=frontend.n_bins, **shared)
    return Tagger(frontend, backbone, classes=classes)


def one_cycle(
    step: int, total: int, *, low: float, high: float, last: float = 1e-7, rise: float = 0.3
) -> float:
    """Learning rate at a step: linear up to ``high`` over 30 % of the steps, then down to ``last``."""
    top = rise * total
    if step < top:
        return low + (high - low) * step / top
    return high + (last - high) * (step - top) / (total - top)


def build_augmentation(settings: Settings) -> Chain:
    """Mixup, effects and chunk shuffle of the third-place system, each with its probability."""
    return Chain(
        {
            "mixup": ORMixup(p=settings.mixup),
            "effects": RecipeEffects(p=settings.effects, sample_rate=SAMPLE_RATE),
            "shuffle": ShuffleChunks(chunk_length=SAMPLE_RATE // 2, p=settings.shuffle),
        }
    )


class Trainer:
    """One fold's model, optimiser, loader and random source, and the loop over them."""

    def __init__(
        self, split: Split, settings: Settings, classes: tuple[str, ...], *, device: str, workers: int
    ) -> None:
        torch.manual_seed(settings.seed)
        self.split, self.settings, self.device = split, settings, torch.device(device)
        self.tagger = build_tagger(settings, classes).to(self.device)
        self.optimizer = torch.optim.Adam(self.tagger.parameters(), lr=settings.lr_min, amsgrad=True)
        self.criterion: Callable[[Tensor, Tensor], Tensor] = (
            LSEPLoss() if settings.loss == "lsep" else F.binary_cross_entropy_with_logits
        )
        self.augmentation = build_augmentation(settings)
        self.generator = torch.Generator().manual_seed(settings.seed)
        self.sampler = LengthBucketSampler(
            split.train.lengths,
            batch_size=settings.batch_size,
            max_samples=round(settings.batch_size * settings.max_seconds * SAMPLE_RATE),
            spread=settings.spread,
            seed=settings.seed,
        )
        self.loader = DataLoader(
            split.train,
            batch_sampler=self.sampler,
            collate_fn=pad_collate,
            num_workers=workers,
            persistent_workers=workers > 0,
        )
        self.workers = workers
        self.step, self.steps = 0, settings.epochs * len(self.loader)

    def train_epoch(self, epoch: int) -> float:
        """One pass over the training clips; returns the mean loss of a clip."""
        self.tagger.train()
        self.sampler.set_epoch(epoch)
        if self.settings.augment_until is not None and epoch >= self.settings.augment_until:
            self.augmentation.disable()
        total, clips = torch.zeros((), device=self.device), 0
        bar = tqdm(self.loader, desc=f"epoch {epoch + 1}", unit="batch", leave=False, disable=None)
        for batch in bar:
            loss = self.train_step(batch)
            total += loss * len(batch.lengths)
            clips += len(batch.lengths)
        mean = float(total / clips)
        if not math.isfinite(mean):
            raise FloatingPointError(f"the training loss became {mean} in epoch {epoch + 1}; lower --lr-max")
        return mean

    def train_step(self, batch: Batch) -> Tensor:
        """One update of the weights; returns the loss, still on the device."""
        rate = one_cycle(self.step, self.steps, low=self.settings.lr_min, high=self.settings.lr_max)
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        self.step += 1
        # Whether anything is padded is known on the CPU for nothing; without padding there are no masks.
        padded = bool((batch.lengths < batch.waveform.shape[1]).any())
        waveform, target = batch.waveform.to(self.device), batch.target.to(self.device)
        lengths = batch.lengths.to(self.device) if padded else None
        waveform, target, lengths = self.augmentation(waveform, target, lengths, generator=self.generator)
        loss = self.criterion(self.tagger(waveform, lengths), target)
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        self.optimizer.step()
        return loss.detach()

    def validate(self) -> tuple[float, Tensor | None]:
        """Lwlrap on the clips held out, and their scores; NaN if there are none."""
        if self.split.valid is None:
            return math.nan, None
        scores = predict(self.tagger, self.split.valid, workers=self.workers)
        return float(lwlrap(scores, self.split.valid_target)), scores

    def fit(self, folder: Path, *, say: Callable[[str], None]) -> float:
        """Train all epochs; keep the model that validates best, or the last one if nothing is held out."""
        table = Table(folder / "metrics.csv", COLUMNS)
        best, epochs = -math.inf, self.settings.epochs
        with (folder / "log.txt").open("a", encoding="utf-8") as log:
            for epoch in range(epochs):
                start = time.perf_counter()
                loss = self.train_epoch(epoch)
                value, scores = self.validate()
                better = scores is None or value > best
                if better:
                    best = value
                    self.tagger.save(folder / "model.pt")
                    if scores is not None:
                        names, classes = self.split.valid_names, self.tagger.classes
                        write_scores(folder / "valid.csv", names=names, classes=classes, scores=scores)
                rate, seconds = self.optimizer.param_groups[0]["lr"], time.perf_counter() - start
                row = [epoch + 1, f"{loss:.6f}", f"{value:.6f}", f"{rate:.3e}", f"{seconds:.2f}"]
                table.add(dict(zip(COLUMNS, row, strict=True)))
                judged = "" if scores is None else f"  valid lwlrap {value:.4f}{' *' if better else ''}"
                line = (
                    f"epoch {epoch + 1:3d}/{epochs}  loss {loss:.4f}{judged}  lr {rate:.1e}  {seconds:.1f} s"
                )
                say(line)
                log.write(line + "\n")
                log.flush()
        return best
