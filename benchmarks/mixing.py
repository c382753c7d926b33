"""The time of OR-mixup and of a whole chain, compared with the training step that they feed.

python benchmarks/mixing.py [--threads 1] [--repeats 25] [--out FILE]
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable

import torch
from torch import Tensor

from _table import options, published, show
from rankaudio import CNN2d, LogMel, ORMixup, ShuffleChunks, Tagger, ThirdPlaceEffects, lsep_loss
from rankaudio.chain import Chain

RATE, CLIPS = 44100, 20


def batch() -> tuple[Tensor, Tensor, Tensor]:
    """Draw 20 clips of 0.3 to 12 s, of which most are short, as in Freesound."""
    generator = torch.Generator().manual_seed(0)
    seconds = 0.3 + 11.7 * torch.rand(CLIPS, generator=generator) ** 3.3
    lengths = (seconds * RATE).long()
    waveform = 0.1 * torch.randn(CLIPS, int(lengths.max()), generator=generator)
    target = (torch.rand(CLIPS, 80, generator=generator) > 0.98).float()
    return waveform, target, lengths


def training_step(data: tuple[Tensor, Tensor, Tensor]) -> Callable[[], None]:
    waveform, target, lengths = data
    tagger = Tagger(LogMel(), CNN2d(80, base_depth=50))
    optimizer = torch.optim.Adam(tagger.parameters(), amsgrad=True)

    def step() -> None:
        optimizer.zero_grad(set_to_none=True)
        # Two halves, because the activations of 20 clips need several gigabytes.
        for half in (slice(0, CLIPS // 2), slice(CLIPS // 2, CLIPS)):
            lsep_loss(tagger(waveform[half], lengths[half]), target[half]).backward()
        optimizer.step()

    return step


def shares(repeats: int) -> None:
    data = batch()
    parts = {"effects": ThirdPlaceEffects(p=0.75), "mixup": ORMixup(p=0.5), "shuffle": ShuffleChunks(p=0.5)}
    calls: dict[str, Callable[[], object]] = {
        "training step": training_step(data),
        "OR-mixup, p = 1": lambda: ORMixup(p=1.0)(*data),
        "chunk shuffle, p = 1": lambda: ShuffleChunks(p=1.0)(data[0], data[2]),
        "chain: effects p = 0.75, mixup and shuffle p = 0.5": lambda: Chain(parts)(*data),
    }
    spent: dict[str, list[float]] = {name: [] for name in calls}
    for turn in range(repeats):
        for name, call in calls.items():
            torch.manual_seed(turn)
            start = time.process_time()
            call()
            spent[name].append(time.process_time() - start)
    # Means, because the time of a draw depends on which clips it changes.
    step = statistics.mean(spent["training step"])
    rows = []
    for name, times in spent.items():
        mean = statistics.mean(times)
        rows.append([name, f"{1e3 * mean:.0f}", f"{100 * mean / step:.1f} %"])
    seconds = float(data[2].float().mean()) / RATE
    columns = ["what", "ms, processor time", "share of the training step"]
    show(f"{CLIPS} clips of 0.3 to 12 s, {seconds:.1f} s in the mean, base depth 50", columns, rows)


def main() -> None:
    parser = options(__doc__)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--repeats", type=int, default=25)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    with published(arguments.out):
        shares(arguments.repeats)


if __name__ == "__main__":
    main()
