"""Train with batches that are packed and with the same batches padded, and compare lwlrap on the test part.

    python benchmarks/packing.py --data DIR [--seeds 3] [--epochs 20] [--depth 16] [--out FILE]

DIR has the Kaggle layout, with labels of the test part in test.csv. The 2d network of the third-place system
trains on log-mel of the curated clips, in random batches of 20, with LSEP, AMSGrad Adam and one cycle of the
learning rate, without augmentation. For a seed, both ways have the same first weights and the same batches.
Packing changes results by rounding alone, and two trainings drift apart from such differences.

The interval of the difference is 95 %, by a paired bootstrap over the test clips and the seeds. Computed are
the frames that go through the network in training, divided by the real frames of the clips.
"""

from __future__ import annotations

import argparse
import contextlib
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple
from unittest import mock

import torch
from torch import Tensor, nn

from _bootstrap import interval, over_seeds, resampled
from _table import options, published, show
from rankaudio import CNN2d, LogMel, LSEPLoss, lwlrap
from rankaudio.backbones import hierarchical_cnn
from rankaudio.data import LabelTable, load_audio, read_labels

RATE, SIZE, LOWEST, HIGHEST = 44_100, 20, 1e-4, 3e-3


class Clips(NamedTuple):
    """Spectrograms of different lengths, each ``(F, N)``, with their labels."""

    spectrograms: list[Tensor]
    target: Tensor

    def batch(self, some: list[int]) -> tuple[Tensor, Tensor, Tensor]:
        frames = torch.tensor([self.spectrograms[k].shape[-1] for k in some])
        padded = nn.utils.rnn.pad_sequence([self.spectrograms[k].T for k in some], batch_first=True)
        return padded.mT.contiguous(), frames, self.target[some]


class Result(NamedTuple):
    scores: Tensor
    seconds: float
    computed: float


def read_clips(folder: Path, table: LabelTable) -> Clips:
    frontend = LogMel(sample_rate=RATE)
    waveforms = (load_audio(folder / name, sample_rate=RATE) for name in table.names)
    return Clips([frontend(waveform[None])[0] for waveform in waveforms], table.target.float())


@contextlib.contextmanager
def counting(counts: dict[str, int], *, packed: bool) -> Iterator[None]:
    """Count real and computed frames of each batch, and leave it padded unless ``packed``."""
    pack_rows = hierarchical_cnn.pack_rows

    def counted(x: Tensor, lengths: Tensor, size: int) -> Any:
        rows, places = pack_rows(x, lengths, size) if packed else (x, lengths)
        counts["real"] += int(lengths.sum())
        counts["computed"] += rows.shape[0] * rows.shape[-1]
        return rows, places

    with mock.patch.object(hierarchical_cnn, "pack_rows", counted):
        yield


def trained(
    clips: Clips, arguments: argparse.Namespace, seed: int, *, packed: bool
) -> tuple[nn.Module, float, float]:
    """Return the network, the CPU seconds of its steps, and computed frames for each real one."""
    torch.manual_seed(seed)
    network = CNN2d(clips.target.shape[1], base_depth=arguments.depth).train()
    optimizer = torch.optim.Adam(network.parameters(), lr=LOWEST, amsgrad=True, fused=True)
    batches = [
        some.tolist()
        for _ in range(arguments.epochs)
        for some in torch.randperm(len(clips.target)).split(SIZE)
        if len(some) == SIZE
    ]
    cycle = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, HIGHEST, len(batches), anneal_strategy="linear", cycle_momentum=False
    )
    criterion, counts, seconds = LSEPLoss(), {"real": 0, "computed": 0}, 0.0
    with counting(counts, packed=packed):
        for some in batches:
            spectrogram, frames, target = clips.batch(some)
            start = time.process_time()
            optimizer.zero_grad()
            criterion(network(spectrogram, frames), target).backward()
            optimizer.step()
            cycle.step()
            seconds += time.process_time() - start
    return network, seconds, counts["computed"] / counts["real"]


@torch.inference_mode()
def scores_of(network: nn.Module, clips: Clips) -> Tensor:
    network.eval()
    order = sorted(range(len(clips.target)), key=lambda k: clips.spectrograms[k].shape[-1])
    scores = torch.empty(clips.target.shape)
    for first in range(0, len(order), SIZE):
        some = order[first : first + SIZE]
        spectrogram, frames, _ = clips.batch(some)
        scores[some] = network(spectrogram, frames)
    return scores


def compare(arguments: argparse.Namespace) -> list[list[str]]:
    table = read_labels(arguments.data / "train_curated.csv")
    clips = read_clips(arguments.data / "train_curated", table)
    test = read_clips(
        arguments.data / "test", read_labels(arguments.data / "test.csv", classes=table.classes)
    )
    results: dict[str, list[Result]] = {"padded": [], "packed": []}
    for seed in range(1, arguments.seeds + 1):
        for name, found in results.items():
            network, seconds, computed = trained(clips, arguments, seed, packed=name == "packed")
            found.append(Result(scores_of(network, test), seconds, computed))
    rows, first = [], None
    for name, found in results.items():
        values = torch.tensor([float(lwlrap(each.scores, test.target)) for each in found])
        draws = over_seeds(values, torch.stack([resampled(each.scores, test.target) for each in found]))
        first = first or (values.mean(), draws)
        difference = f"{values.mean() - first[0]:+.3f} {interval(draws - first[1], signed=True)}"
        rows.append(
            [
                name,
                " ".join(f"{value:.3f}" for value in values),
                f"{values.mean():.3f} {interval(draws)}",
                difference if name != "padded" else "",
                f"{found[0].computed:.2f}",
                " ".join(f"{each.seconds:.0f}" for each in found),
            ]
        )
    return rows


def main() -> None:
    parser = options(__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--epochs", type=int, default=20)
    parser.add_argument("--depth", type=int, default=16)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    columns = [
        "batches",
        "lwlrap of each seed",
        "mean",
        "difference",
        "computed / real",
        "CPU seconds of steps",
    ]
    with published(arguments.out):
        title = f"{arguments.seeds} seeds, {arguments.epochs} epochs, base depth {arguments.depth}"
        show(title, columns, compare(arguments))


if __name__ == "__main__":
    main()
