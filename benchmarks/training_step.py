"""A training step of the 2d network on clips as they are, compared with the same network in plain PyTorch.

    python benchmarks/training_step.py [--corpus DIR] [--clips 20] [--depths 16 50] [--repeats 7]

All start from the same weights and get the same log-mel spectrograms. A step is forward, LSEP, backward and
AMSGrad Adam, on one thread. The networks take turns, and every turn has another batch, in random order. The
clips are those of a folder, or have drawn lengths: 0.3 to 12 s, 2.8 s in the mean. Ours gets the lengths. The
plain network does not support them, so for it padding is sound. The second table has clips of 10 s without
lengths.

Times are CPU seconds, a median over the turns. The speed is the median of the ratios to the plain network
with channels last in memory, batch by batch. The error is the difference of the first loss from that of the
same network in float64. The peak memory is that of one step in a fresh process, weights included.
"""

from __future__ import annotations

import argparse
import functools
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from _table import options, published, show
from rankaudio import CNN2d, LogMel, LSEPLoss
from rankaudio.data import load_audio

CLASSES = 80
RATE = 44_100
Loss = Callable[[Tensor, Tensor], Tensor]


class PlainResidual(nn.Module):
    def __init__(self, depth: int) -> None:
        super().__init__()
        self.conv1, self.norm1, self.act1 = nn.Conv2d(depth, depth, 1), nn.BatchNorm2d(depth), nn.PReLU(depth)
        self.conv2 = nn.Conv2d(depth, depth, 3, padding=1)
        self.norm2, self.act2 = nn.BatchNorm2d(depth), nn.PReLU(depth)
        self.conv3, self.norm3, self.act3 = nn.Conv2d(depth, depth, 1), nn.BatchNorm2d(depth), nn.PReLU(depth)

    def forward(self, x: Tensor) -> Tensor:
        y = self.act1(self.norm1(self.conv1(x)))
        y = self.act2(self.norm2(self.conv2(y)))
        return self.act3(x + self.norm3(self.conv3(y)))


class PlainBlock(nn.Module):
    def __init__(self, before: int, depth: int) -> None:
        super().__init__()
        self.norm_in, self.conv = nn.BatchNorm2d(before), nn.Conv2d(before, depth, 3, padding=1)
        self.norm, self.act, self.residual = nn.BatchNorm2d(depth), nn.PReLU(depth), PlainResidual(depth)

    def forward(self, x: Tensor) -> Tensor:
        x = F.max_pool2d(self.conv(self.norm_in(x)), 2)
        return self.residual(self.act(self.norm(x)))


class PlainNetwork(nn.Module):
    """The network without lengths, in plain PyTorch. Its names are ours, so that it takes our weights."""

    def __init__(self, base_depth: int) -> None:
        super().__init__()
        depths = [int(1.5**k * base_depth) for k in range(5)]
        self.blocks = nn.ModuleList(PlainBlock(a, b) for a, b in zip([2, *depths], depths, strict=False))
        d = sum(depths[1:])
        self.classifier = nn.Sequential(
            nn.BatchNorm1d(d),
            nn.Linear(d, d),
            nn.BatchNorm1d(d),
            nn.PReLU(d),
            nn.Dropout(0),
            nn.Linear(d, CLASSES),
        )

    def forward(self, spectrogram: Tensor) -> Tensor:
        batch, bins, frames = spectrogram.shape
        encoding = (
            torch.linspace(-1, 1, bins).to(spectrogram).reshape(1, 1, -1, 1).expand(batch, 1, bins, frames)
        )
        x = torch.cat([spectrogram.unsqueeze(1), encoding], 1)
        highest = []
        for k, block in enumerate(self.blocks):
            x = block(x)
            if k > 0:
                highest.append(x.flatten(2).amax(-1))
        return self.classifier(torch.cat(highest, -1))


def plain_lsep(scores: Tensor, target: Tensor) -> Tensor:
    wrong_way = target[:, None, :] < target[:, :, None]
    margins = scores[:, None, :] - scores[:, :, None]
    return torch.log1p((margins.exp() * wrong_way).sum((1, 2))).mean()


def sound(length: int, k: int) -> Tensor:
    """Return clip k, as different as recordings are: pulses of a tone with vibrato, over noise."""
    time_axis = torch.arange(length) / RATE
    vibrato = 3 * torch.sin(2 * torch.pi * (1 + k % 7) * time_axis)
    tone = torch.sin(2 * torch.pi * 110 * 1.3 ** (k % 20) * time_axis + vibrato)
    pulses = torch.exp(-3 * ((time_axis * (1 + k % 5)) % 1))
    return 0.3 * tone * pulses + 0.002 * (1 + k % 20) * torch.randn(length)


def drawn_lengths(clips: int) -> list[int]:
    seconds = 0.3 + 11.7 * torch.distributions.Beta(2.0, 7.4).sample((clips,))
    return (seconds * RATE).long().tolist()


Batch = tuple[Tensor, Tensor | None, Tensor]


def batches_of(clips: list[Callable[[], Tensor]], size: int, *, lengths: bool) -> Iterator[Batch]:
    """Yield spectrograms, lengths in frames and targets, in random order without end."""
    frontend = LogMel()
    while True:
        for some in torch.randperm(len(clips)).split(size):
            if len(some) < size and len(clips) >= size:
                continue
            waveforms = [clips[k]() for k in some]
            samples = torch.tensor([len(waveform) for waveform in waveforms])
            waveform = nn.utils.rnn.pad_sequence(waveforms, batch_first=True)
            target = (torch.rand(len(some), CLASSES) < 0.02).float()
            if lengths:
                yield frontend(waveform, samples), frontend.frame_lengths(samples), target
            else:
                yield frontend(waveform), None, target


def clips_of(arguments: argparse.Namespace, *, real: bool) -> list[Callable[[], Tensor]]:
    count = arguments.clips * (arguments.repeats + arguments.warm_up + 1)
    if real and arguments.corpus:
        files = sorted(arguments.corpus.rglob("*.wav"))
        return [functools.partial(load_audio, file, sample_rate=RATE) for file in files]
    lengths = drawn_lengths(count) if real else [10 * RATE] * count
    return [functools.partial(sound, length, k) for k, length in enumerate(lengths)]


class Trained:
    """A network with its optimizer."""

    def __init__(self, network: nn.Module, loss: Loss, *, lengths: bool) -> None:
        self.network, self.loss, self.lengths = network, loss, lengths
        self.optimizer = torch.optim.Adam(network.parameters(), lr=1e-3, amsgrad=True, fused=True)
        self.seconds: list[float] = []

    def loss_of(self, batch: Batch) -> Tensor:
        spectrogram, frames, target = batch
        given = (spectrogram,) if frames is None or not self.lengths else (spectrogram, frames)
        return self.loss(self.network(*given), target)

    def step(self, batch: Batch) -> None:
        start = time.process_time()
        self.optimizer.zero_grad()
        self.loss_of(batch).backward()
        self.optimizer.step()
        self.seconds.append(time.process_time() - start)


PEER = "plain, channels last"
NETWORKS: dict[str, Callable[[int], Trained]] = {
    "plain": lambda depth: Trained(PlainNetwork(depth), plain_lsep, lengths=False),
    PEER: lambda depth: Trained(
        PlainNetwork(depth).to(memory_format=torch.channels_last), plain_lsep, lengths=False
    ),
    "rankaudio": lambda depth: Trained(CNN2d(CLASSES, base_depth=depth), LSEPLoss(), lengths=True),
}


def runs_of(depth: int) -> dict[str, Trained]:
    runs = {name: build(depth) for name, build in NETWORKS.items()}
    for run in runs.values():
        run.network.load_state_dict(runs["plain"].network.state_dict())
    return runs


@torch.no_grad()
def error_of_loss(run: Trained, batch: Batch, depth: int, name: str) -> float:
    exact = NETWORKS[name](depth)
    exact.network.load_state_dict(run.network.state_dict())
    exact.network.double()
    spectrogram, frames, target = batch
    expected = exact.loss_of((spectrogram.double(), frames, target.double()))
    # The pass changes the running statistics, which no training step uses.
    return abs(float(run.loss_of(batch)) - float(expected))


def kilobytes(field: str) -> int:
    """Return VmRSS or VmHWM, the current and the largest memory of this process on Linux."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(field))


def print_peak(arguments: argparse.Namespace) -> None:
    """Print the memory in MB that the first step of one network needs."""
    name, depth, real = arguments.peak_of
    batch = next(
        batches_of(clips_of(arguments, real=real == "real"), arguments.clips, lengths=real == "real")
    )
    Path("/proc/self/clear_refs").write_text("5")  # forget the peak so far
    before = kilobytes("VmRSS")
    NETWORKS[name](int(depth)).step(batch)
    print((kilobytes("VmHWM") - before) / 1024)


def peak(arguments: argparse.Namespace, name: str, depth: int, *, real: bool) -> float:
    command = [sys.executable, __file__, "--clips", str(arguments.clips)]
    command += ["--corpus", str(arguments.corpus)] if arguments.corpus else []
    command += ["--peak-of", name, str(depth), "real" if real else "equal"]
    return float(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


def rows_of(arguments: argparse.Namespace, depth: int, *, real: bool) -> list[list[str]]:
    batches = batches_of(clips_of(arguments, real=real), arguments.clips, lengths=real)
    runs, batch = runs_of(depth), next(batches)
    errors = {name: error_of_loss(run, batch, depth, name) for name, run in runs.items()}
    for turn, batch in zip(range(arguments.warm_up + arguments.repeats), batches, strict=False):
        for run in runs.values():
            run.step(batch)
            if turn < arguments.warm_up:
                run.seconds.clear()
    rows = []
    for name, run in runs.items():
        ratios = [a / b for a, b in zip(runs[PEER].seconds, run.seconds, strict=True)]
        memory = peak(arguments, name, depth, real=real)
        rows.append(
            [
                f"base {depth}, {name}",
                f"{statistics.median(run.seconds):.2f} s",
                f"{statistics.median(ratios):.2f}x ({min(ratios):.2f} to {max(ratios):.2f})",
                f"{errors[name]:.1e}",
                f"{memory:.0f} MB",
            ]
        )
    return rows


def main() -> None:
    parser = options(__doc__)
    parser.add_argument("--corpus", type=Path, metavar="DIR", help="take the clips of this folder")
    parser.add_argument("--clips", type=int, default=20)
    parser.add_argument("--depths", type=int, nargs="+", default=[16, 50])
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--warm-up", type=int, default=3, help="turns that are not measured")
    parser.add_argument("--only", choices=["real", "equal"], help="one of the two tables")
    parser.add_argument("--peak-of", nargs=3, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    torch.manual_seed(0)
    torch.set_num_threads(1)
    if arguments.peak_of:
        return print_peak(arguments)
    columns = ["", "CPU time", "speed", "error of the loss", "peak memory"]
    with published(arguments.out):
        for kind, title in (("real", "clips as they are, with lengths"), ("equal", "clips of 10 s")):
            if arguments.only in (None, kind):
                rows = []
                for depth in arguments.depths:
                    rows += rows_of(arguments, depth, real=kind == "real")
                show(f"{arguments.clips} {title}, {arguments.repeats} turns", columns, rows)
    return None


if __name__ == "__main__":
    main()
