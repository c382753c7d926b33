"""Batches by length against batches in random order, and what a training step of CNN2d computes of them.

    python benchmarks/batching.py [--corpus DIR]

The last table counts the frames of log-mel that go through the network, divided by the real frames of the
clips. Lengths are those of a folder, or drawn: 0.3 to 12 s, 2.8 s in the mean. A network without lengths
computes the whole padded batch.
"""

from __future__ import annotations

import time
from pathlib import Path

import torch
from torch import Tensor

from _table import options, published, seconds, show
from rankaudio.backbones._packing import pack
from rankaudio.data import LengthBucketSampler, audio_info

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


def frames_of(corpus: Path | None) -> Tensor:
    """Return the frames of log-mel of each clip."""
    if corpus is None:
        torch.manual_seed(0)
        samples = (0.3 + 11.7 * torch.distributions.Beta(2.0, 7.4).sample((5000,))) * RATE
    else:
        samples = torch.tensor([audio_info(file).frames for file in sorted(corpus.rglob("*.wav"))])
    return samples.long() // 1024 + 1


def computed(frames: Tensor) -> int:
    """Count the frames that CNN2d computes in training: those of the packed batch, or of the padded one."""
    batch = torch.zeros(len(frames), max(int(frames.max()), 32))
    packed = pack(batch, frames, 32)
    return batch.numel() if packed is None else packed[0].numel()


def packing(corpus: Path | None) -> None:
    frames, rows = frames_of(corpus), []
    for size in (8, 20, 64):
        batches = [frames[batch] for batch in in_random_order(len(frames), size)]
        padded_frames = sum(len(batch) * int(batch.max()) for batch in batches)
        real, ours = int(frames.sum()), sum(computed(batch) for batch in batches)
        rows.append([f"{size} clips", f"{padded_frames / real:.2f}", f"{ours / real:.2f}"])
    columns = ["batches in random order", "padded / real", "computed in training / real"]
    show("Clips as they are", columns, rows)


if __name__ == "__main__":
    parser = options(__doc__)
    parser.add_argument("--corpus", type=Path, metavar="DIR", help="take the lengths of this folder")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    with published(arguments.out):
        padding()
        packing(arguments.corpus)
