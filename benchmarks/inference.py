"""Scores of clips of many lengths: batches of similar length, compared with batches in random order."""

from __future__ import annotations

import math
import time

import torch
from torch import Tensor

from _table import options, published, show
from rankaudio import CNN1d, CNN2d, LengthBucketSampler, LogMel, LogSTFT, Tagger, pad_collate, predict

RATE = 44_100
BATCH = 20


def clips_of_many_lengths(count: int) -> list[Tensor]:
    generator = torch.Generator().manual_seed(0)
    lengths = (
        (0.3 * 100 ** torch.rand(count, generator=generator, dtype=torch.float64) * RATE).long().tolist()
    )
    return [0.1 * torch.randn(length, generator=generator) for length in lengths]


@torch.inference_mode()
def in_random_order(tagger: Tagger, clips: list[Tensor], *, lengths: bool) -> Tensor:
    """Score batches of 20 in the given order. Without lengths, padding changes the scores."""
    scores = []
    for start in range(0, len(clips), BATCH):
        batch = pad_collate(clips[start : start + BATCH])
        scores.append(tagger(batch.waveform, batch.lengths if lengths else None))
    return torch.cat(scores)


@torch.inference_mode()
def one_by_one(tagger: Tagger, clips: list[Tensor]) -> Tensor:
    return torch.cat([tagger(clip[None]) for clip in clips])


def padded_over_real(sizes: list[int], batches: list[list[int]]) -> float:
    return sum(len(batch) * max(sizes[i] for i in batch) for batch in batches) / sum(sizes)


def compare(name: str, tagger: Tagger, clips: list[Tensor], rounds: int) -> None:
    tagger.train()
    tagger(torch.stack([clip[:13_000] for clip in clips[:20]]))  # running statistics that are not 0 and 1
    tagger.eval()
    exact, sizes = one_by_one(tagger, clips), [len(clip) for clip in clips]
    budget = 60 * RATE
    plain = [list(range(start, min(start + BATCH, len(clips)))) for start in range(0, len(clips), BATCH)]
    ordered = list(LengthBucketSampler(sizes, max_samples=budget, shuffle=False))
    ways = {
        "random order, padding not masked": (plain, lambda: in_random_order(tagger, clips, lengths=False)),
        "random order, lengths": (plain, lambda: in_random_order(tagger, clips, lengths=True)),
        "predict": (ordered, lambda: predict(tagger, clips, max_samples=budget)),
        "one by one": ([[i] for i in range(len(clips))], lambda: one_by_one(tagger, clips)),
    }
    times, errors = dict.fromkeys(ways, math.inf), {}
    for _ in range(rounds):  # taking turns, so other load affects all alike; the first round warms up
        for what, (_, run) in ways.items():
            start = time.perf_counter()
            scores = run()
            times[what] = min(times[what], time.perf_counter() - start)
            errors[what] = float((scores - exact).abs().max())
    base = times["random order, lengths"]
    rows = [
        [what, f"{ratio:.3f}", f"{times[what]:.2f} s", f"{base / times[what]:.1f}x", f"{errors[what]:.1e}"]
        for what, ratio in ((what, padded_over_real(sizes, batches)) for what, (batches, _) in ways.items())
    ]
    columns = ["batches", "padded / real", "time", "speed", "largest difference from the clip alone"]
    show(f"{name}: {len(clips)} clips of 0.3 to 30 s, {sum(sizes) / RATE:.0f} s in all", columns, rows)


if __name__ == "__main__":
    parser = options(__doc__)
    parser.add_argument("--clips", type=int, default=400)
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args()
    torch.manual_seed(0)
    some = clips_of_many_lengths(arguments.clips)
    with published(arguments.out):
        compare("2d, base depth 16", Tagger(LogMel(), CNN2d(80, base_depth=16)), some, arguments.rounds)
        compare("1d, base depth 16", Tagger(LogSTFT(), CNN1d(80, base_depth=16)), some, arguments.rounds)
