"""One training step of each network at full size, and an estimate of a whole plan from its operations.

    python benchmarks/full_size.py [--system second] [--batch 32] [--only AuxSkipAttention ...]

Each network takes a batch of random spectrograms and side inputs of the original's size, in a fresh process.
A step is forward, loss, backward and optimiser, without frontend and augmentation. With an accelerator it
runs there in float16 (autocast), after five steps that are not timed. Without one it runs on the CPU in
float32, and the first step is the only one. `torch.utils.flop_counter` counts the operations without running
them.

A network of another system is one more entry in SYSTEMS.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import resource
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_map_only
from torch.utils.flop_counter import FlopCounterMode

from _table import options, published, show
from rankaudio.backbones import (
    AuxSkipAttention,
    AxisPoolCNN,
    CNN1d,
    CNN2d,
    Network,
    RnnAuxSkipAttention,
    SkipAttention,
)
from rankaudio.losses import AuxiliaryLoss, LSEPLoss, SmoothedBCELoss

CLASSES = 80
# Operations per second that the training may reach on one GPU in mixed precision: an assumption.
THROUGHPUTS = (10e12, 30e12, 60e12)


@dataclass(frozen=True)
class Member:
    """A kind of member: its network, its batches, and how often the plan trains it."""

    build: Callable[[], Network]
    clip: tuple[int, ...]
    batch: int
    criterion: Callable[[Any, Tensor], Tensor]
    lr: float
    trainings: int
    """Members of this kind times folds."""
    draws: int
    """Clips in an epoch."""
    epochs: int
    """Assumed for the estimate where an early stop ends the trainings, so the true number is not known."""
    optimizer: Callable[..., torch.optim.Optimizer] = torch.optim.Adam
    side: Mapping[str, tuple[int, ...]] = field(default_factory=dict)
    """Shapes of the side inputs of a clip."""

    def inputs(self, clips: int) -> tuple[Any, ...]:
        """Return random inputs of the network."""
        side = {name: torch.randn(clips, *shape) for name, shape in self.side.items()}
        return (torch.randn(clips, *self.clip), None, side) if side else (torch.randn(clips, *self.clip),)


# The one published fold of the original has its best epoch at 72. It stops 18 epochs later.
first_place = partial(
    Member,
    clip=(3, 128, 256),
    batch=128,
    criterion=AuxiliaryLoss(nn.BCEWithLogitsLoss()),
    lr=9e-4,
    draws=32_768,
    epochs=90,
)
plain = partial(first_place, criterion=nn.BCEWithLogitsLoss())
FIRST = {
    "AuxSkipAttention": first_place(build=partial(AuxSkipAttention, CLASSES), trainings=20),
    "RnnAuxSkipAttention": first_place(build=partial(RnnAuxSkipAttention, CLASSES), trainings=5),
    "SkipAttention, kernel 7": plain(build=partial(SkipAttention, CLASSES), trainings=5),
    "SkipAttention, kernel 3": plain(build=partial(SkipAttention, CLASSES, spatial_kernel=3), trainings=5),
}

# Ten folds of 4,970 curated clips for 40 epochs: each trains on nine tenths of them.
second_place = partial(
    Member,
    clip=(64, 431),
    batch=32,
    criterion=SmoothedBCELoss(),
    lr=5e-4,
    trainings=10,
    draws=4473,
    epochs=40,
    optimizer=partial(torch.optim.NAdam, eps=1e-7),
    side={"statistics": (128, 12), "duration": (1,)},
)
# 19,815 noisy clips for 35 epochs.
noisy_clips = partial(second_place, trainings=1, draws=19_815, epochs=35)
squeezed = partial(AxisPoolCNN, CLASSES, squeeze_excite=True)
KINDS = {
    "plain": partial(AxisPoolCNN, CLASSES),
    "squeeze-excite": squeezed,
    **{
        f"multi-scale x{width:g}": partial(squeezed, stem="multi_scale", width=width) for width in (1, 1.5, 2)
    },
}
SECONDS = {"curated": 7.6, "noisy": 14.5}
"""Mean length of a clip of each part: 10.5 and 80 hours in all."""
CURATED = 3976
"""Clips of four folds."""


def third_place(
    network: type[Network], depth: int, *, noisy: int = 0, trainings: int = 5, **settings: Any
) -> Member:
    """Return a kind of member that is trained on four folds and some noisy clips, all of the mean length."""
    draws = CURATED + noisy
    seconds = (CURATED * SECONDS["curated"] + noisy * SECONDS["noisy"]) / draws
    bins, hop = (128, 1024) if network is CNN2d else (129, 128)
    blocks, epochs = (6, 150) if noisy else (5, 100)
    return Member(
        build=partial(network, CLASSES, base_depth=depth, n_blocks=blocks, **settings),
        clip=(bins, round(seconds * 44_100 / hop)),
        batch=20,
        criterion=LSEPLoss(),
        lr=5e-3,
        trainings=trainings,
        draws=draws,
        epochs=epochs,
    )


# A round has 3,000 clips on average.
THIRD = {
    "2d max": third_place(CNN2d, 50),
    "2d rnn": third_place(CNN2d, 50, pooling="rnn"),
    "1d rnn": third_place(CNN1d, 100, pooling="rnn"),
    "2d max, a round": third_place(CNN2d, 50, noisy=3000, trainings=25),
    "2d rnn, round 5": third_place(CNN2d, 50, noisy=5000, pooling="rnn"),
    "2d max, relabelled": third_place(CNN2d, 50, noisy=19_815),
    "1d max, relabelled": third_place(CNN1d, 100, noisy=19_815),
}
NOISY = ", noisy clips"
SECOND = {
    name: second_place(build=build, trainings=20 if name == "plain" else 10) for name, build in KINDS.items()
} | {f"{name}{NOISY}": noisy_clips(build=build) for name, build in KINDS.items()}
SYSTEMS = {"third": THIRD, "second": SECOND, "first": FIRST}
MEMBERS = THIRD | SECOND | FIRST


def operations(member: Member) -> float:
    """Count the floating-point operations of forward and backward, for one clip."""
    clips = 2  # Batch norm needs more than one.
    with torch.device("meta"):
        network, inputs, target = member.build(), member.inputs(clips), torch.zeros(clips, CLASSES)
    checked = isinstance(member.criterion, (SmoothedBCELoss, LSEPLoss))  # they read the target
    criterion = nn.BCEWithLogitsLoss() if checked else member.criterion
    with FlopCounterMode(display=False) as counter:
        criterion(network(*inputs), target).backward()
    return counter.get_total_flops() / clips


def accelerator() -> torch.device:
    """Return the accelerator of this machine, or the CPU."""
    found = torch.accelerator.current_accelerator() if torch.accelerator.is_available() else None
    return found or torch.device("cpu")


def measure(member: Member, batch: int) -> dict[str, float]:
    """Train for one step; return its seconds, CPU seconds and peak memory in GB."""
    torch.manual_seed(0)
    device = accelerator()
    network = member.build().to(device)
    optimizer = member.optimizer(network.parameters(), lr=member.lr)
    inputs = tree_map_only(Tensor, lambda tensor: tensor.to(device), member.inputs(batch))
    target = torch.rand(batch, CLASSES).lt(0.02).float().to(device)
    on_cpu = device.type == "cpu"
    mixed = contextlib.nullcontext() if on_cpu else torch.autocast(device.type, torch.float16)
    for _ in range(1 if on_cpu else 6):
        start, used = time.perf_counter(), time.process_time()
        optimizer.zero_grad()
        with mixed:
            outputs = network(*inputs)
        member.criterion(outputs, target).backward()
        optimizer.step()
        if not on_cpu:
            torch.accelerator.synchronize()
        seconds, processor = time.perf_counter() - start, time.process_time() - used
    if on_cpu:
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 2**10
    else:
        peak = torch.get_device_module(device).max_memory_allocated()
    return {"seconds": seconds, "processor": processor, "peak": peak / 2**30}


def measured(name: str, batch: int) -> dict[str, float]:
    """Measure a member in a fresh process, so that its peak memory is its alone."""
    command = [sys.executable, __file__, "--measure", name, "--batch", str(batch)]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    return json.loads(done.stdout.splitlines()[-1])


def step_row(name: str, batch: int | None) -> list[str]:
    member = MEMBERS[name]
    clips = batch or member.batch
    found = measured(name, clips)
    with torch.device("meta"):
        parameters = sum(parameter.numel() for parameter in member.build().parameters())
    return [
        name,
        f"{parameters / 1e6:.2f} M",
        str(clips),
        f"{operations(member) * clips / 1e12:.2f}e12",
        f"{found['seconds']:.3g} s",
        f"{found['processor']:.3g} s",
        f"{found['peak']:.1f} GB",
    ]


def plan_row(name: str) -> tuple[list[str], float]:
    member = MEMBERS[name]
    total = operations(member) * member.draws * member.epochs * member.trainings
    hours = [f"{total / rate / 3600:.0f}" for rate in THROUGHPUTS]
    return [name, str(member.trainings), str(member.epochs), f"{total / 1e18:.2f}e18", *hours], total


def main() -> None:
    parser = options(__doc__)
    parser.add_argument("--batch", type=int, help="clips in a batch (default: as in the original)")
    parser.add_argument(
        "--system", choices=list(SYSTEMS), default="first", help="whose plan (default: first)"
    )
    parser.add_argument("--only", nargs="+", choices=list(MEMBERS), metavar="NAME")
    parser.add_argument("--measure", choices=list(MEMBERS), help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.measure:
        print(json.dumps(measure(MEMBERS[arguments.measure], arguments.batch)))
        return
    names = arguments.only or list(SYSTEMS[arguments.system])
    # A network on noisy clips takes the same step as on curated ones.
    rows = [step_row(name, arguments.batch) for name in names if not name.endswith(NOISY)]
    plans = [plan_row(name) for name in names]
    total = sum(each for _, each in plans)
    whole = ["all", "", "", f"{total / 1e18:.2f}e18", *(f"{total / rate / 3600:.0f}" for rate in THROUGHPUTS)]
    rates = [f"hours at {rate / 1e12:.0f}e12 a second" for rate in THROUGHPUTS]
    with published(arguments.out):
        columns = ["", "parameters", "clips", "operations", "time", "CPU time", "peak memory"]
        show(f"One step on {accelerator().type}", columns, rows)
        columns = ["", "trainings", "epochs", "operations", *rates]
        show("Estimate of the whole plan on one GPU", columns, [*(row for row, _ in plans), whole])


if __name__ == "__main__":
    main()
