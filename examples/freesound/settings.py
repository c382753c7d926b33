"""What decides how a model turns out."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

SAMPLE_RATE = 44_100


@dataclass(frozen=True)
class Settings:
    """Everything that decides what is trained; the command line sets it, ``settings.json`` keeps it."""

    model: str = "2d"
    pooling: str = "max"
    loss: str = "lsep"
    epochs: int = 30
    batch_size: int = 20
    accumulate: int = 1
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
    extra: str | None = None
    extra_sha256: str | None = None
    start_from: str | None = None
    start_from_sha256: str | None = None
    lr_min: float = 1e-4
    lr_max: float = 5e-3
    clip_norm: float | None = None
    precision: str = "fp32"
    compile: bool = False
    average: str = "none"
    average_decay: float = 0.999
    average_last: int = 5
    early_stop: int | None = None
    folds: int = 5
    seed: int = 42


def mixed_seed(*parts: int) -> int:
    """One seed from several numbers, such that neighbours have nothing in common.

    Random numbers of a training run are a function of the seed, the epoch, the place in it and the process,
    so there is no random state to keep: a run that is continued draws what it would have drawn.
    """
    digest = hashlib.blake2b(repr(parts).encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big") >> 1
