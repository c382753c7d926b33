"""The parts of a training run that settings describe: network, augmentation, schedule."""

from __future__ import annotations

from torch import nn

from rankaudio import Chain, CNN1d, CNN2d, LogMel, LogSTFT, ORMixup, RecipeEffects, ShuffleChunks, Tagger
from recipe.settings import SAMPLE_RATE, Settings


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


def build_augmentation(settings: Settings) -> Chain:
    """Mixup, effects and chunk shuffle of the third-place system, each with its probability."""
    return Chain(
        {
            "mixup": ORMixup(p=settings.mixup),
            "effects": RecipeEffects(p=settings.effects, sample_rate=SAMPLE_RATE),
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
