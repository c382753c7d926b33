"""Batches by length against batches in random order."""

from __future__ import annotations

import time

import torch
from torch import Tensor

from _table import options, published, seconds, show
from rankaudio.data import LengthBucketSampler

RATE = 44100
BUDGET = 200 * RATE


def log_uniform(clips: int) -> Tensor:
    generator = torch.Generator().manual_seed(0)
    return (0.3 * 100 ** torch.rand(clips, generator=generator, dtype=torch.float64) * RATE).long()


def in_random_order(clips: int, size: int) -> list[list[int]]:
    order = torch.randperm(clips, generator=torch.Generator().manual_seed(0))
    return [batch.tolist() for batch in order.split(size)]


def padded(lengths: Tensor, batches: list[list[int]]) -> int:
    return sum(len(batch) * int(lengths[batch].max()) for batch in batches)


def spectrogram_seconds(lengths: Tensor, batches: list[list[int]]) -> float:
    """One pass over the clips: magnitudes of a short-time Fourier transform of each padded batch."""
    window, total = torch.hann_window(2048), 0.0
    for batch in batches:
        waveform = torch.zeros(len(batch), int(lengths[batch].max()))
        start = time.perf_counter()
        torch.stft(waveform, 2048, 1024, window=window, return_complex=True).abs()
        total += time.perf_counter() - start
    return total


def padding() -> None:
    lengths = log_uniform(5000)
    some = lengths[:400]
    ways = [("random order, 20 clips", in_random_order(5000, 20), in_random_order(400, 20))]
    for name, settings in [
        ("by length, shuffled", {}),
        ("by length, shuffled, at most 20 clips", {"batch_size": 20}),
        ("by length, sorted", {"shuffle": False}),
    ]:
        every, few = (
            list(LengthBucketSampler(each, max_samples=BUDGET, **settings)) for each in (lengths, some)
        )
        ways.append((name, every, few))
    base = spectrogram_seconds(some, ways[0][2])
    rows = []
    for name, batches, few in ways:
        ratio = padded(lengths, batches) / int(lengths.sum())
        largest = max(padded(lengths, [batch]) for batch in batches) / BUDGET
        spent = spectrogram_seconds(some, few)
        rows.append([name, str(len(batches)), f"{ratio:.4f}", f"{largest:.2f}", f"{base / spent:.1f}x"])
    columns = ["batches", "number", "padded / real", "largest / budget", "spectrograms of 400 clips"]
    show("5,000 clips of 0.3 to 30 s, log-uniform; budget 20 x 10 s", columns, rows)
    made = seconds(lambda: LengthBucketSampler(lengths, max_samples=BUDGET))
    sampler = LengthBucketSampler(lengths, max_samples=BUDGET)
    epoch = seconds(lambda: list(sampler))
    print(f"\nTo make the sampler takes {1e3 * made:.1f} ms, an epoch of batches {1e3 * epoch:.1f} ms.")


if __name__ == "__main__":
    arguments = options(__doc__).parse_args()
    torch.set_num_threads(1)
    with published(arguments.out):
        padding()
