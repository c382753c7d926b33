"""LSEP against its literal pairwise form and binary cross entropy: time, memory and error."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor

from _table import options, published, show
from _turns import take_turns
from rankaudio import lsep_loss


def pairwise(scores: Tensor, target: Tensor) -> Tensor:
    """The formula as it is written: a table of all pairs."""
    differences = scores[:, :, None] - scores[:, None, :]
    pairs = target[:, :, None] < target[:, None, :]
    return torch.log1p((differences.exp() * pairs).sum((1, 2))).mean()


def ours(scores: Tensor, target: Tensor, *, graded: bool) -> Tensor:
    return lsep_loss(scores, target, graded=graded)


def both_ways(loss, scores: Tensor) -> tuple[Tensor, Tensor]:
    leaf = scores.detach().requires_grad_()
    value = loss(leaf)
    value.backward()
    return value.detach(), leaf.grad


def next_to_cross_entropy() -> None:
    """Each loss and its gradient next to BCE with logits, which PyTorch has written in C++."""
    rows = []
    for classes in (80, 527, 2000):
        torch.manual_seed(0)
        scores, labels = torch.randn(64, classes), (torch.rand(64, classes) < 0.02).float()
        levels = torch.rand(64, classes)
        steps = (4 * levels).round()
        losses = {
            "BCE with logits": lambda s, t=labels: F.binary_cross_entropy_with_logits(s, t),
            "LSEP": lambda s, t=labels: ours(s, t, graded=False),
            "LSEP, graded": lambda s, t=levels: ours(s, t, graded=True),
            "LSEP, five levels": lambda s, t=steps: ours(s, t, graded=True),
        }
        turns = take_turns({name: lambda f=loss, s=scores: both_ways(f, s) for name, loss in losses.items()})
        for name, loss in losses.items():
            value, grad = both_ways(loss, scores)
            exact_value, exact_grad = both_ways(loss, scores.double())
            error = max(abs(value - exact_value).item(), (grad - exact_grad).abs().max().item())
            time, ratio = f"{1e6 * turns.median(name):.0f}", f"{turns.ratio(name, 'BCE with logits'):.1f}"
            rows.append([f"64 x {classes:,}", name, time, ratio, f"{error:.1e}"])
    show(
        "LSEP and binary cross entropy, forward and backward, float32",
        ["size", "what", "CPU us", "time / BCE", "error against float64"],
        rows,
    )


FRESH = """
import pathlib, torch, losses
def status(key):
    lines = pathlib.Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(key)) * 1024
def run(scores, target):
    losses.both_ways(lambda s: losses.{loss}, scores)
torch.manual_seed(0)
scores, target = torch.randn({rows}, {classes}), (torch.rand({rows}, {classes}) < 0.01).float()
run(scores[:2, :8], target[:2, :8])
pathlib.Path("/proc/self/clear_refs").write_text("5")
before = status("VmRSS")
run(scores, target)
print(status("VmHWM") - before)
"""


def peak_bytes(loss: str, rows: int, classes: int) -> int:
    """Peak memory of a fresh process beyond its inputs (Linux)."""
    program = FRESH.format(loss=loss, rows=rows, classes=classes)
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=Path(__file__).parent, capture_output=True, text=True, check=True
    )
    return int(done.stdout)


def speed() -> None:
    torch.manual_seed(0)
    scores = torch.randn(64, 527)
    rows = []
    for kind, target in [("0/1", (torch.rand(64, 527) < 0.01).float()), ("graded", torch.rand(64, 527))]:
        exact_value, exact_grad = both_ways(lambda s, t=target: pairwise(s, t.double()), scores.double())
        losses = {
            "pairwise table": lambda s, t=target: pairwise(s, t),
            "rankaudio": lambda s, t=target, g=kind == "graded": ours(s, t, graded=g),
        }
        turns = take_turns(
            {name: lambda f=loss: both_ways(f, scores) for name, loss in losses.items()}, rounds=7
        )
        for name, loss in losses.items():
            value, grad = both_ways(loss, scores)
            time, speed = turns.median(name), turns.ratio("pairwise table", name)
            error = max(abs(value - exact_value).item(), (grad - exact_grad).abs().max().item())
            rows.append([kind, name, f"{time * 1e3:.2f} ms", f"{speed:.0f}x", f"{error:.1e}"])
    show(
        "LSEP, forward and backward, 64 x 527, float32, CPU time",
        ["target", "what", "time", "speed", "largest error"],
        rows,
    )


def memory() -> None:
    calls = {
        "pairwise table, 0/1": "pairwise(s, target)",
        "rankaudio, 0/1": "ours(s, target, graded=False)",
        "rankaudio, graded": "ours(s, target, graded=True)",
    }
    rows = []
    for size in [(64, 527), (64, 100_000)]:
        for name, loss in calls.items():
            if "table" in name and size[1] > 10_000:
                peak = "not run: one table is 2.6 TB"
            else:
                peak = f"{peak_bytes(loss, *size) / 2**20:.1f} MB"
            rows.append([f"{size[0]} x {size[1]:,}", name, peak])
    show("LSEP, peak memory beyond the inputs", ["size", "what", "memory"], rows)


def large() -> None:
    torch.manual_seed(0)
    scores, target = torch.randn(64, 100_000), (torch.rand(64, 100_000) < 1e-3).float()
    calls = {
        kind: lambda g=graded: both_ways(lambda s: ours(s, target, graded=g), scores)
        for kind, graded in [("0/1", False), ("graded", True)]
    }
    turns = take_turns(calls, rounds=7)
    rows = [[kind, f"{turns.median(kind):.2f} s"] for kind in calls]
    show("LSEP, forward and backward, 64 x 100,000, CPU time", ["target", "time"], rows)


if __name__ == "__main__":
    arguments = options(__doc__).parse_args()
    with published(arguments.out):
        next_to_cross_entropy()
        speed()
        memory()
        large()
