"""Running the steps of a plan that are not done: in this process, or as Ray tasks.

Ray runs them on this machine, or on a cluster whose machines see the run's folder under the same path.
Only one process at a time works on a run's folder; another one is refused. On Ray a step prints to
RUN/logs/STEP.log.
"""

from __future__ import annotations

import contextlib
import logging
import os
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

from freesound.locks import lock
from freesound.progress import log
from freesound.steps import Step, check_steps, perform, step_file

HERE = "local"
RETRIES = 3
OBJECT_STORE = 80 * 2**20  # bytes, about the least that Ray accepts: steps exchange files, not objects
SETTINGS = {
    "RAY_USAGE_STATS_ENABLED": "0",
    # Without it Ray warns that it hides accelerators from tasks that ask for none.
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
}


def claim(folder: Path) -> contextlib.AbstractContextManager[None]:
    """Keep other processes out of a run's folder until this block or this process ends.

    Raises:
        BlockingIOError: if another process has claimed it; the message says which.
    """
    return lock(folder / ".lock", log=log)


def run(
    steps: Sequence[Step], folder: Path, *, threads: int, ray: str | None = None, gpus: float | None = None
) -> None:
    """Do the steps that are not done.

    Args:
        steps: each after those that it needs, the most urgent first.
        folder: of the run. It gets ``times``, and with Ray ``logs``.
        threads: of each step, and its CPUs on Ray. On a CPU the number of threads can change the last digits
            of a result. So one number holds with Ray and without.
        ray: None for this process, "local" to start Ray on this machine, or the address of a cluster.
        gpus: on Ray, the share of a GPU of each step with a network; by default 1 if the cluster has GPUs.
    """
    check_steps(steps)
    if ray is None:
        _run_here(steps, folder, threads)
    else:
        _run_on_ray(steps, folder, threads, ray, gpus)


def _run_here(steps: Sequence[Step], folder: Path, threads: int) -> None:
    for step in steps:
        if not step.done:
            log(f"== {step.name}")
            perform(step, folder, threads)


def _run_on_ray(steps: Sequence[Step], folder: Path, threads: int, address: str, gpus: float | None) -> None:
    """Give Ray a step when there is room for it, the first in the list first.

    Ray alone would start steps in the order in which they become ready. Then the rounds would come late, and
    most steps wait for them. Ray repeats a step if its worker is killed. After an error no further step is
    started; the error is raised when the running steps have ended.
    """
    waiting = [step for step in steps if not step.done]
    with _connected(address) as ray:
        gpus = _default_gpus(ray) if gpus is None else gpus
        room = _room(ray, threads, gpus)
        log(f"Ray: up to {room[True]} networks at the same time, each with {threads} CPUs and {gpus:g} GPUs")
        task = ray.remote(max_retries=RETRIES, num_cpus=threads)(_perform_with_log)
        running: dict[Any, Step] = {}
        error: Exception | None = None
        while running or (waiting and error is None):
            while error is None and (step := next_step(waiting, running.values(), room)) is not None:
                waiting.remove(step)
                share = gpus if step.network else 0
                running[task.options(name=step.name, num_gpus=share).remote(step, folder, threads)] = step
                log(f"== {step.name}: started, see {_log(step, folder)}")
            (ended, *_), _ = ray.wait(list(running))
            step = running.pop(ended)
            try:
                log(f"== {step.name}: done in {ray.get(ended):.0f} s")
            except ray.exceptions.RayError as failure:
                error = error or _cause(step, failure)
                log(f"== {step.name}: failed: {_cause(step, failure)}")
        if error is not None:
            raise error


def next_step(waiting: Sequence[Step], running: Collection[Step], room: dict[bool, int]) -> Step | None:
    """Return the first step that can start: what it needs is done, and there is room for it.

    Args:
        waiting: steps that are not done, most urgent first.
        running: steps that have been started.
        room: how many steps run at the same time, with a network (True) and without (False).
    """
    open_names = {step.name for step in (*waiting, *running)}
    count = {kind: sum(step.network == kind for step in running) for kind in room}
    for step in waiting:
        if open_names.isdisjoint(step.needs) and count[step.network] < room[step.network]:
            return step
    return None


@contextlib.contextmanager
def _connected(address: str) -> Iterator[ModuleType]:
    """Import Ray and connect to a cluster, or start one here; leave it in the end."""
    os.environ.update({name: os.environ.get(name, value) for name, value in SETTINGS.items()})
    try:
        import ray
    except ImportError as error:
        raise ImportError('--ray: wanted the package ray, got none; pip install "rankaudio[ray]"') from error
    here: dict[str, Any] = (
        {"include_dashboard": False, "object_store_memory": OBJECT_STORE} if address == HERE else {}
    )
    try:
        ray.init(address=address, log_to_driver=False, logging_level=logging.ERROR, **here)
    except (ConnectionError, ValueError, RuntimeError) as error:
        raise ConnectionError(f"--ray: wanted the address of a cluster, got {address!r} ({error})") from error
    try:
        yield ray
    finally:
        ray.shutdown()


def _default_gpus(ray: ModuleType) -> float:
    return 1.0 if ray.cluster_resources().get("GPU", 0) >= 1 else 0.0


def _room(ray: ModuleType, cpus: int, gpus: float) -> dict[bool, int]:
    """Return how many steps fit on the cluster at the same time, with a network (True) and without."""
    nodes = [node["Resources"] for node in ray.nodes() if node["Alive"]]
    by_cpus = [int(node.get("CPU", 0) // cpus) for node in nodes]
    by_gpus = [
        int(node.get("GPU", 0) // gpus) if gpus else count for node, count in zip(nodes, by_cpus, strict=True)
    ]
    room = {True: sum(map(min, by_cpus, by_gpus)), False: sum(by_cpus)}
    if not room[True]:
        most = {kind: max(node.get(kind, 0) for node in nodes) for kind in ("CPU", "GPU")}
        raise ValueError(
            f"--cpus-per-step, --gpus-per-step: wanted at most what one machine has ({most['CPU']:g} CPUs, "
            f"{most['GPU']:g} GPUs), got {cpus} and {gpus:g}"
        )
    return room


def _perform_with_log(step: Step, folder: Path, threads: int) -> float:
    path = _log(step, folder)
    path.parent.mkdir(parents=True, exist_ok=True)
    with (
        path.open("a", encoding="utf-8") as file,
        contextlib.redirect_stdout(file),
        contextlib.redirect_stderr(file),
    ):
        return perform(step, folder, threads)


def _log(step: Step, folder: Path) -> Path:
    return step_file(step.name, folder / "logs", ".log")


def _cause(step: Step, failure: Exception) -> Exception:
    """Return the error of the step itself, without Ray's report around it."""
    cause = getattr(failure, "cause", None)
    if isinstance(cause, Exception):
        return cause
    first = str(failure).strip().splitlines()[0]
    return ChildProcessError(
        f"{step.name}: its worker was killed {RETRIES + 1} times ({first}); there may be too little memory. "
        "What is done is kept: run this again"
    )
