"""The parts of a training run that settings describe: network, augmentation, schedule."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from torch import nn

from freesound.settings import SAMPLE_RATE, Settings
from rankaudio import Chain, CNN1d, CNN2d, LogMel, LogSTFT, ORMixup, ShuffleChunks, Tagger, ThirdPlaceEffects


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
    tagger = Tagger(frontend, backbone, classes=classes)
    if settings.start_from is not None:
        take_weights(tagger, Path(settings.start_from))
    return tagger


def take_weights(tagger: Tagger, path: Path) -> None:
    """Start from a file of ``Tagger.save``; what it knows of classes is taken over by their names."""
    other = Tagger.load(path)
    for name in ("frontend", "backbone"):
        wanted, got = (_shape_of(getattr(which, name)) for which in (tagger, other))
        if wanted != got:
            differ = sorted({key for key, _ in wanted.items() ^ got.items()})
            raise ValueError(
                f"--start-from: wanted a {name} with {_listed(wanted, differ)}, "
                f"got one with {_listed(got, differ)} in {path}"
            )
    state, last = other.state_dict(), f"backbone.classifier.{len(tagger.backbone.classifier) - 1}"
    known = {name: row for row, name in enumerate(other.classes)}
    for end in ("weight", "bias"):
        values = tagger.state_dict()[f"{last}.{end}"].clone()
        for row, name in enumerate(tagger.classes):
            if name in known:
                values[row] = state[f"{last}.{end}"][known[name]]
        state[f"{last}.{end}"] = values
    tagger.load_state_dict(state)


def _shape_of(module: nn.Module) -> dict[str, Any]:
    """The settings that decide which tensors fit and what they mean."""
    free = ("n_classes", "dropout")
    return {"type": type(module).__name__} | {k: v for k, v in module.settings().items() if k not in free}


def _listed(settings: dict[str, Any], keys: list[str]) -> str:
    return ", ".join(f"{key} {settings.get(key)}" for key in keys)


def build_augmentation(settings: Settings) -> Chain:
    """Mixup, effects and chunk shuffle of the third-place system, each with its probability."""
    return Chain(
        {
            "mixup": ORMixup(p=settings.mixup),
            "effects": ThirdPlaceEffects(p=settings.effects, sample_rate=SAMPLE_RATE),
            "shuffle": ShuffleChunks(chunk_length=SAMPLE_RATE // 2, p=settings.shuffle),
        }
    )


def one_cycle(
    step: int, total: int, *, low: float, high: float, last: float = 1e-7, rise: float = 0.3
) -> float:
    """Learning rate at a step: linear up to ``high`` over 30 % of the steps, then down to ``last``."""
    top = rise * total
    if step < top:
        return low + (high - low) * step / top
    return high + (last - high) * (step - top) / (total - top)
