"""A training step of AuxSkipAttention, compared with the same network and loss in plain PyTorch.

    python benchmarks/first_place_step.py [--crops 16] [--depth 64] [--rounds 5]

Both start from the same weights and get the same crops of 256 frames with three channels. A step is
forward, binary cross-entropy of all heads, backward and Adam. The networks take turns on one thread, and each
figure is a median. The second row is the plain network with channels last in memory. The difference of the
scores is measured against the plain network in float64. The peak memory of each network is that of one more
step in a fresh process, compared with the memory before the step.
"""

from __future__ import annotations

import argparse
import json
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from _table import options, published, show
from rankaudio import AuxSkipAttention
from rankaudio.losses import AuxiliaryLoss, AuxiliaryScores

CLASSES = 80
HEAD_WEIGHTS = (1.0, 0.4, 0.2, 0.1)
Loss = Callable[[Any, Tensor], Tensor]


class PlainConv(nn.Module):
    def __init__(self, before: int, depth: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(before, depth, 3, padding=1, bias=False)
        self.norm = nn.BatchNorm2d(depth)

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(self.norm(self.conv(x)), inplace=True)


class PlainBlock(nn.Module):
    def __init__(self, before: int, depth: int) -> None:
        super().__init__()
        self.conv1, self.conv2 = PlainConv(before, depth), PlainConv(depth, depth)

    def forward(self, x: Tensor) -> Tensor:
        return F.avg_pool2d(self.conv2(self.conv1(x)), 2)


class PlainAttention(nn.Module):
    def __init__(self, channels: int) -> None:
        super().__init__()
        self.reduce = nn.Linear(channels, channels // 16, bias=False)
        self.expand = nn.Linear(channels // 16, channels, bias=False)
        self.spatial = nn.Conv2d(2, 1, 7, padding=3, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        mean, highest = F.adaptive_avg_pool2d(x, 1).flatten(1), F.adaptive_max_pool2d(x, 1).flatten(1)
        channel = sum(self.expand(F.relu(self.reduce(pooled))) for pooled in (mean, highest))
        x = x * torch.sigmoid(channel)[:, :, None, None]
        maps = torch.cat([x.mean(1, keepdim=True), x.max(1, keepdim=True).values], 1)
        return x * torch.sigmoid(self.spatial(maps))


class PlainNetwork(nn.Module):
    """The network without lengths, in plain PyTorch. Its names are ours, so that it takes our weights."""

    def __init__(self, base: int) -> None:
        super().__init__()
        depths = [base * 2**k for k in range(4)]
        self.blocks = nn.ModuleList(PlainBlock(a, b) for a, b in zip([3, *depths], depths, strict=False))
        self.skips = nn.ModuleList(PlainConv(depth, depths[-1]) for depth in depths[:-1])
        self.attention = PlainAttention(4 * depths[-1])
        self.merge = PlainConv(4 * depths[-1], depths[-1])
        self.classifier, *auxiliary = (self.head(depths[-1], 4 * base) for _ in range(4))
        self.auxiliary = nn.ModuleList(auxiliary)

    @staticmethod
    def head(depth: int, hidden: int) -> nn.Sequential:
        first = [nn.Dropout(0), nn.Linear(depth, hidden), nn.PReLU()]
        return nn.Sequential(*first, nn.BatchNorm1d(hidden), nn.Dropout(0), nn.Linear(hidden, CLASSES))

    def forward(self, x: Tensor) -> list[Tensor]:
        skips = []
        for k, block in enumerate(self.blocks):
            x = block(x)
            if k < 3:
                skips.append(self.skips[k](F.avg_pool2d(x, 2 ** (3 - k))))
        x = self.merge(self.attention(torch.cat([x, *skips], 1)))
        heads = [head(skip.mean((2, 3))) for head, skip in zip(self.auxiliary, skips, strict=True)]
        return [self.classifier(x.mean((2, 3))), *reversed(heads)]


def plain_loss(outputs: Iterable[Tensor], target: Tensor) -> Tensor:
    pairs = zip(outputs, HEAD_WEIGHTS, strict=True)
    return sum(weight * F.binary_cross_entropy_with_logits(scores, target) for scores, weight in pairs)


def heads_of(outputs: AuxiliaryScores | list[Tensor]) -> list[Tensor]:
    return outputs if isinstance(outputs, list) else [outputs.scores, *outputs.auxiliary]


@dataclass
class Trained:
    """A network with its optimizer, and the times of its steps."""

    network: nn.Module
    loss: Loss
    crops: Tensor
    target: Tensor
    heads: list[Tensor] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)
    processor: list[float] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.optimizer = torch.optim.Adam(self.network.parameters(), lr=9e-4)

    def step(self) -> None:
        start, used = time.perf_counter(), time.process_time()
        self.optimizer.zero_grad()
        outputs = self.network(self.crops)
        self.loss(outputs, self.target).backward()
        self.optimizer.step()
        self.seconds.append(time.perf_counter() - start)
        self.processor.append(time.process_time() - used)
        self.heads = self.heads or [head.detach() for head in heads_of(outputs)]


def batch_of(crops: int) -> tuple[Tensor, Tensor]:
    return 0.3 * torch.randn(crops, 3, 128, 256), (torch.rand(crops, CLASSES) < 0.02).float()


def runs_of(depth: int, crops: int) -> dict[str, Trained]:
    torch.manual_seed(0)
    x, target = batch_of(crops)
    ours = AuxSkipAttention(CLASSES, base_depth=depth, dropout=0.0)
    plain, last = PlainNetwork(depth), PlainNetwork(depth)
    for network in (plain, last):
        network.load_state_dict(ours.state_dict())
    last.to(memory_format=torch.channels_last)
    return {
        "written plainly": Trained(plain, plain_loss, x, target),
        "... channels last": Trained(
            last, plain_loss, x.contiguous(memory_format=torch.channels_last), target
        ),
        "rankaudio": Trained(ours, AuxiliaryLoss(nn.BCEWithLogitsLoss(), weights=HEAD_WEIGHTS), x, target),
    }


def exact_heads(depth: int, crops: int) -> list[Tensor]:
    """Return the scores of the plain network in float64, from the same weights and crops."""
    run = runs_of(depth, crops)["written plainly"]
    with torch.no_grad():
        return heads_of(run.network.double()(run.crops.double()))


def resident() -> float:
    """Return the largest memory of this process so far, in GB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20


def peak_in_fresh_process(name: str, arguments: argparse.Namespace) -> float:
    command = [sys.executable, __file__, "--memory-of", name]
    command += ["--crops", str(arguments.crops), "--depth", str(arguments.depth)]
    return float(json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout))


def rows_of(runs: dict[str, Trained], exact: list[Tensor], peaks: dict[str, float]) -> list[list[str]]:
    first, rows = runs["written plainly"], []
    for name, run in runs.items():
        error = max((a - b).abs().max().item() for a, b in zip(run.heads, exact, strict=True))
        ratios = [a / b for a, b in zip(run.processor, first.processor, strict=True)]
        seconds, processor = statistics.median(run.seconds), statistics.median(run.processor)
        share = f"{statistics.median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f})"
        rows.append(
            [name, f"{seconds:.2f} s", f"{processor:.2f} s", share, f"{error:.1e}", f"{peaks[name]:.2f} GB"]
        )
    return rows


def main() -> None:
    parser = options(__doc__)
    parser.add_argument("--crops", type=int, default=16)
    parser.add_argument("--depth", type=int, default=64)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--memory-of", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    runs = runs_of(arguments.depth, arguments.crops)
    if arguments.memory_of:
        before = resident()
        runs[arguments.memory_of].step()
        print(json.dumps(resident() - before))
        return
    peaks = {name: peak_in_fresh_process(name, arguments) for name in runs}
    exact = exact_heads(arguments.depth, arguments.crops)
    for _ in range(arguments.rounds):
        for run in runs.values():
            run.step()
    crops, depth, rounds = arguments.crops, arguments.depth, arguments.rounds
    title = f"{crops} crops of 256 frames, base depth {depth}, median of {rounds} rounds"
    columns = ["", "time", "CPU time", "CPU time / plain", "error of the scores", "peak memory"]
    with published(arguments.out):
        show(title, columns, rows_of(runs, exact, peaks))


if __name__ == "__main__":
    main()
