"""Labels of a test part by heads that are trained on the embeddings of held-out clips."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor

from rankaudio import ClipDataset, Tagger, predict
from rankaudio.data import read_labels, read_scores
from rankaudio.decisions import CountHead, ThresholdHead

STEPS = 300


def decided_by_heads(
    known: Tensor, unknown: Tensor, held_out: Tensor, target: Tensor, test: Tensor
) -> dict[str, Tensor]:
    """Train both heads on the embeddings and scores of held-out clips; return decisions for the test part."""
    centre, spread = known.mean(0), known.std(0).clamp(min=1e-3)
    known, unknown = ((x - centre) / spread for x in (known, unknown))
    torch.manual_seed(0)
    by_threshold = ThresholdHead(n_features=known.shape[1], n_classes=target.shape[1])
    by_count = CountHead(n_features=known.shape[1])
    _fit(by_threshold, known, held_out, target)
    _fit(by_count, known, target)
    with torch.no_grad():
        return {
            "ThresholdHead": by_threshold.decide(unknown, test),
            "CountHead": by_count.decide(unknown, test),
        }


def embeddings_of(data: Path, fold: Path) -> tuple[Tensor, Tensor]:
    """Return the embeddings of the clips that a fold held out, and those of the test part."""
    tagger = Tagger.load(fold / "model.pt")
    known = _embeddings(tagger, data / "train_curated", read_scores(fold / "valid.csv").names)
    return known, _embeddings(tagger, data / "test", read_labels(data / "test.csv").names)


def _embeddings(tagger: Tagger, folder: Path, names: tuple[str, ...]) -> Tensor:
    clips = ClipDataset([folder / name for name in names], sample_rate=tagger.sample_rate)
    return predict(tagger, clips, embed=True)


def _fit(head: ThresholdHead | CountHead, *given: Tensor) -> None:
    """Train with weight decay, on all clips at once."""
    optimizer = torch.optim.AdamW(head.parameters(), lr=1e-3, weight_decay=0.1)
    for _ in range(STEPS):
        optimizer.zero_grad()
        head.loss(*given).backward()
        optimizer.step()
