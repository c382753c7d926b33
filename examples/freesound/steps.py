"""Steps that are done once: each knows what it needs and whether it is done. Several can run at a time."""

from __future__ import annotations

import contextlib
import json
import multiprocessing
import os
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from pathlib import Path

import torch

from freesound.console import run_command, say
from freesound.runs import write_text


@dataclass(frozen=True)
class Step:
    """A command of this program, or a function; and the steps that have to be done before it.

    ``out`` is the file that it makes. A command gets it as ``--out``, under another name until all is in it.
    ``finished`` says whether the step is done, by default whether ``out`` is there.
    """

    name: str
    needs: tuple[str, ...] = ()
    command: tuple[str, ...] = ()
    work: Callable[[], object] | None = None
    out: Path | None = None
    finished: Callable[[], bool] | None = None

    @property
    def done(self) -> bool:
        """Whether there is nothing to do."""
        if self.finished is not None:
            return self.finished()
        return self.out is not None and self.out.exists()


class Steps:
    """Steps in an order in which they could be done one by one; ``folder/times`` has what each took."""

    def __init__(self, steps: Sequence[Step], folder: Path) -> None:
        self.steps, self.folder = list(steps), folder

    def run(self, *, devices: Sequence[str], jobs: int = 1) -> None:
        """Do whatever is not done.

        Args:
            devices: where commands compute; jobs take them in turn.
            jobs: how many commands run at a time. One runs in this process, several in processes of their
                own, which share the threads of this one and write what they print to ``folder/logs``.
        """
        if jobs == 1:
            for step in self.steps:
                if not step.done:
                    say(f"== {step.name}")
                    self._here(step, devices[0])
            return
        threads = max(1, torch.get_num_threads() // jobs)
        context = multiprocessing.get_context("spawn")
        with ProcessPoolExecutor(jobs, context, initializer=_begin, initargs=(threads,)) as pool:
            self._share_out(pool, [devices[job % len(devices)] for job in range(jobs)])

    def seconds(self, names: Sequence[str] | None = None) -> tuple[float, float]:
        """Seconds by the clock and of processors, of these steps or of all, where they are known."""
        names = [step.name for step in self.steps] if names is None else names
        found = [self._time(name) for name in names]
        costs = [json.loads(path.read_text(encoding="utf-8")) for path in found if path.exists()]
        return sum(cost["seconds"] for cost in costs), sum(cost["cpu_seconds"] for cost in costs)

    def _share_out(self, pool: ProcessPoolExecutor, free: list[str]) -> None:
        running: dict[Future[tuple[float, float]], tuple[Step, str]] = {}
        left, mistake = [step for step in self.steps if not step.done], None
        while running or (left and mistake is None):
            # The first in the list goes first; it has most steps waiting for it.
            while mistake is None and (step := self._next(left, running, room=bool(free))) is not None:
                left.remove(step)
                if step.work is not None:
                    say(f"== {step.name}")
                    self._here(step, "")
                    continue
                say(f"== {step.name}: begun, see {self._log(step)}")
                device = free.pop()
                task = (step.command, step.out, device, self._log(step))
                running[pool.submit(perform, *task)] = step, device
            ended, _ = wait(running, timeout=1, return_when=FIRST_COMPLETED)
            for future in ended:
                step, device = running.pop(future)
                free.append(device)
                try:
                    self._note(step, *future.result())
                except BrokenProcessPool as error:
                    raise ChildProcessError(
                        f"{step.name}: its process was killed, maybe for want of memory; what is done is "
                        "kept. Run this again, if need be with fewer --jobs"
                    ) from error
                except Exception as error:  # noqa: BLE001 - raised again once the others have ended
                    say(f"== {step.name}: failed: {error}")
                    mistake = error
        if mistake is not None:
            raise mistake

    def _next(
        self, left: list[Step], running: dict[Future[tuple[float, float]], tuple[Step, str]], *, room: bool
    ) -> Step | None:
        """The first step that can be begun: what it needs is neither to be done nor being done."""
        open_names = {step.name for step in left} | {step.name for step, _ in running.values()}
        for step in left:
            waits = any(name in open_names for name in step.needs)
            if not waits and (room or step.work is not None):
                return step
        return None

    def _here(self, step: Step, device: str) -> None:
        if step.work is None:
            self._note(step, *perform(step.command, step.out, device, None), quiet=True)
            return
        start, used = time.perf_counter(), processor_seconds()
        if step.out is not None:
            step.out.parent.mkdir(parents=True, exist_ok=True)
        step.work()
        self._note(step, time.perf_counter() - start, processor_seconds() - used, quiet=True)

    def _note(self, step: Step, seconds: float, cpu_seconds: float, *, quiet: bool = False) -> None:
        cost = {"step": step.name, "seconds": round(seconds, 2), "cpu_seconds": round(cpu_seconds, 2)}
        path = self._time(step.name)
        path.parent.mkdir(parents=True, exist_ok=True)
        write_text(path, json.dumps(cost) + "\n")
        if not quiet:
            say(f"== {step.name}: done in {seconds:.0f} s")

    def _time(self, name: str) -> Path:
        return self.folder / "times" / f"{name.replace(' ', '_')}.json"

    def _log(self, step: Step) -> Path:
        return self.folder / "logs" / f"{step.name.replace(' ', '_')}.log"


def perform(command: Sequence[str], out: Path | None, device: str, log: Path | None) -> tuple[float, float]:
    """Run one command; returns its seconds, by the clock and of processors."""
    start, used = time.perf_counter(), processor_seconds()
    words = [*command, "--device", device]
    beside = None if out is None else out.with_name(f".{out.name}.part")
    if beside is not None:
        beside.parent.mkdir(parents=True, exist_ok=True)
        words += ["--out", str(beside)]
    with _printing_to(log):
        run_command(words)
    if beside is not None and out is not None:
        beside.replace(out)
    return time.perf_counter() - start, processor_seconds() - used


def processor_seconds() -> float:
    """Seconds that processors have worked for this process, and for those it has started that have ended."""
    return sum(os.times()[:4])


@contextlib.contextmanager
def _printing_to(log: Path | None) -> Iterator[None]:
    if log is None:
        yield
        return
    log.parent.mkdir(parents=True, exist_ok=True)
    with (
        log.open("a", encoding="utf-8") as file,
        contextlib.redirect_stdout(file),
        contextlib.redirect_stderr(file),
    ):
        yield


def _begin(threads: int) -> None:
    """Set up a process that works for another: its share of threads, and an end when the other one ends."""
    torch.set_num_threads(threads)
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    """Otherwise one that is left over would go on writing to folders that the next one takes up."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)
