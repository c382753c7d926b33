"""A step: something that is done once, with what it needs and the time it took (RUN/times/STEP.json)."""

from __future__ import annotations

import contextlib
import json
import os
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

from freesound.locks import lock
from freesound.progress import log
from rankaudio.data import write_text


@dataclass(frozen=True)
class Step:
    """Something that is done once.

    Attributes:
        name: unique in the plan.
        work: does it. If there is an ``out``, ``work`` receives the path to write as ``out=``. The file gets
            its final name after ``work`` has returned, so ``out`` is whole or not there.
        needs: names of the steps that have to be done before this one.
        out: the file that this step makes.
        finished: says whether the step is done; by default it is if ``out`` exists.
        network: whether a network is trained or used, so that an accelerator is worth having.
    """

    name: str
    work: Callable[..., object]
    needs: tuple[str, ...] = ()
    out: Path | None = None
    finished: Callable[[], bool] | None = None
    network: bool = False

    @property
    def done(self) -> bool:
        """Whether there is nothing to do."""
        if self.finished is not None:
            return self.finished()
        return self.out is not None and self.out.exists()


def step_file(name: str, folder: Path, suffix: str) -> Path:
    """Return a file of a step in a folder, such as its log."""
    return folder / f"{name.replace(' ', '_')}{suffix}"


def check_steps(steps: Sequence[Step]) -> None:
    """Check that names are unique and that each step comes after those that it needs.

    Raises:
        ValueError: if not.
    """
    before: set[str] = set()
    for step in steps:
        missing = [name for name in step.needs if name not in before]
        if missing:
            raise ValueError(f"{step.name}: wanted the steps that it needs before it, got no {missing[0]!r}")
        if step.name in before:
            raise ValueError(f"steps: wanted unique names, got {step.name!r} twice")
        before.add(step.name)


def perform(step: Step, folder: Path, threads: int) -> float:
    """Do one step and note its time; return the seconds.

    The step has a lock. A process that has lost its driver can still be at the same step for some seconds.
    """
    with lock(step_file(step.name, folder / ".locks", ".lock"), log=log, wait=True), _threads(threads):
        if step.done:
            return 0.0
        start, cpu_start = time.perf_counter(), _cpu_seconds()
        if step.out is None:
            step.work()
        else:
            part = step.out.with_name(f".{step.out.name}.part")
            part.parent.mkdir(parents=True, exist_ok=True)
            step.work(out=part)
            part.replace(step.out)
        seconds = time.perf_counter() - start
        cost = {
            "step": step.name,
            "seconds": round(seconds, 2),
            "cpu_seconds": round(_cpu_seconds() - cpu_start, 2),
        }
        path = step_file(step.name, folder / "times", ".json")
        path.parent.mkdir(parents=True, exist_ok=True)
        write_text(path, json.dumps(cost) + "\n")
        return seconds


def total_time(names: Iterable[str], folder: Path) -> tuple[float, float]:
    """Return seconds by the clock and CPU seconds of some steps, as far as they are known."""
    paths = [step_file(name, folder / "times", ".json") for name in names]
    costs = [_read_cost(path) for path in paths if path.exists()]
    return sum(seconds for seconds, _ in costs), sum(cpu for _, cpu in costs)


def _read_cost(path: Path) -> tuple[float, float]:
    try:
        cost = json.loads(path.read_text(encoding="utf-8"))
        return float(cost["seconds"]), float(cost["cpu_seconds"])
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise ValueError(f"{path}: wanted the times of a step, got another or a damaged file") from error


def _cpu_seconds() -> float:
    """Return seconds of CPUs for this process and for its child processes that have ended."""
    return sum(os.times()[:4])


@contextlib.contextmanager
def _threads(count: int) -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)
