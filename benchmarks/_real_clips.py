"""Batches of clips with real lengths, because most time goes to short clips and to padding."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor

from rankaudio.data import load_audio

RATE, CLIPS = 44100, 20

Batch = tuple[Tensor, Tensor]


def batches(count: int, corpus: Path | None, *, seed: int = 0) -> list[Batch]:
    """Return batches of 20 clips in random order, from the files of a folder or drawn like them."""
    generator = torch.Generator().manual_seed(seed)
    if corpus is None:
        clips = _drawn(count * CLIPS, generator)
    else:
        files = sorted(path for path in corpus.rglob("*") if path.suffix in {".wav", ".flac"})
        order = torch.randperm(len(files), generator=generator)[: count * CLIPS]
        clips = [load_audio(files[k], sample_rate=RATE) for k in order.tolist()]
    return [_padded(clips[start : start + CLIPS]) for start in range(0, len(clips), CLIPS)]


def _drawn(count: int, generator: torch.Generator) -> list[Tensor]:
    """Draw noise of 0.3 to 12 s. The mean is 2.8 s, because most clips of Freesound are short."""
    seconds = 0.3 + 11.7 * torch.rand(count, generator=generator) ** 3.7
    return [0.1 * torch.randn(int(s * RATE), generator=generator) for s in seconds.tolist()]


def _padded(clips: list[Tensor]) -> Batch:
    lengths = torch.tensor([len(clip) for clip in clips])
    return torch.nn.utils.rnn.pad_sequence(clips, batch_first=True), lengths


def mean_seconds(data: list[Batch]) -> float:
    return float(torch.cat([lengths for _, lengths in data]).double().mean()) / RATE
