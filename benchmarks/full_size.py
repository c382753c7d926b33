"""One training step of each network at full size, and an estimate of a whole plan from its operations.

    python benchmarks/full_size.py [--batch 128] [--only AuxSkipAttention ...]

Each network takes a batch of random spectrograms of the original's size, in a fresh process. A step is
forward, loss, backward and Adam, without frontend and augmentation. With an accelerator it runs there in
float16 (autocast), after a first step that is not timed. Without one it runs on the CPU in float32, and the
first step is the only one. `torch.utils.flop_counter` counts the operations without running them.

A network of another system is one more entry in MEMBERS.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import resource
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from _table import options, published, show
from rankaudio.backbones import AuxSkipAttention, Network, RnnAuxSkipAttention, SkipAttention
from rankaudio.losses import AuxiliaryLoss

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
    """Assumed for the estimate: an early stop ends the trainings, so the true number is not known."""


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
MEMBERS = {
    "AuxSkipAttention": first_place(build=partial(AuxSkipAttention, CLASSES), trainings=20),
    "RnnAuxSkipAttention": first_place(build=partial(RnnAuxSkipAttention, CLASSES), trainings=5),
    "SkipAttention, kernel 7": plain(build=partial(SkipAttention, CLASSES), trainings=5),
    "SkipAttention, kernel 3": plain(build=partial(SkipAttention, CLASSES, spatial_kernel=3), trainings=5),
}


def operations(member: Member) -> float:
    """Count the floating-point operations of forward and backward, for one clip."""
    clips = 2  # Batch norm needs more than one.
    with torch.device("meta"):
        network, x, target = member.build(), torch.empty(clips, *member.clip), torch.empty(clips, CLASSES)
    with FlopCounterMode(display=False) as counter:
        member.criterion(network(x), target).backward()
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
    optimizer = torch.optim.Adam(network.parameters(), lr=member.lr)
    x, target = (
        torch.randn(batch, *member.clip).to(device),
        torch.rand(batch, CLASSES).lt(0.02).float().to(device),
    )
    on_cpu = device.type == "cpu"
    mixed = contextlib.nullcontext() if on_cpu else torch.autocast(device.type, torch.float16)
    for _ in range(1 if on_cpu else 2):
        start, used = time.perf_counter(), time.process_time()
        optimizer.zero_grad()
        with mixed:
            outputs = network(x)
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
    parser.add_argument("--only", nargs="+", choices=list(MEMBERS), default=list(MEMBERS), metavar="NAME")
    parser.add_argument("--measure", choices=list(MEMBERS), help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.measure:
        print(json.dumps(measure(MEMBERS[arguments.measure], arguments.batch)))
        return
    rows = [step_row(name, arguments.batch) for name in arguments.only]
    plans = [plan_row(name) for name in arguments.only]
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
