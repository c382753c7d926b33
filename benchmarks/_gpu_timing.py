"""Times of contenders on a GPU, by events."""

from __future__ import annotations

import statistics
from collections.abc import Callable

import torch
from torch import Tensor

ROUNDS = 9
GPU = torch.device("cuda")
Work = Callable[[], object]
Row = list[str]


def milliseconds(contenders: dict[str, Work], *, at_least: float = 20.0) -> dict[str, float]:
    """Return the time of one call of each, by events on the GPU."""
    calls, found = {}, {name: [] for name in contenders}
    for name, run in contenders.items():
        for _ in range(3):
            run()
        calls[name] = max(1, round(at_least / max(_timed(run, 1), 1e-3)))
    for _ in range(ROUNDS):
        for name, run in contenders.items():
            found[name].append(_timed(run, calls[name]))
    return {name: statistics.median(times) for name, times in found.items()}


def _timed(run: Work, calls: int) -> float:
    start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
    start.record()
    for _ in range(calls):
        run()
    end.record()
    torch.cuda.synchronize()
    return start.elapsed_time(end) / calls


def rows_of(work: str, contenders: dict[str, Work], errors: dict[str, float] | None = None) -> list[Row]:
    """Return a row for each contender; the first one is ours."""
    times = milliseconds(contenders)
    ours = times[next(iter(times))]
    return [
        [
            work,
            name,
            f"{times[name]:.3g}",
            f"{times[name] / ours:.2f}",
            f"{errors[name]:.1e}" if errors else "",
        ]
        for name in contenders
    ]


def difference(ours: Tensor, exact: Tensor) -> float:
    return float((ours.double() - exact.double()).abs().max())


def both_ways(loss: Callable[[Tensor], Tensor], x: Tensor) -> Tensor:
    leaf = x.detach().requires_grad_()
    return torch.autograd.grad(loss(leaf).sum(), leaf)[0]
