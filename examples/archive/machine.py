"""Ray on this machine or on a cluster, and the processes that it has room for."""

from __future__ import annotations

import contextlib
import logging
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from types import ModuleType
from typing import Any

from freesound.pipeline import OBJECT_STORE, SETTINGS


@dataclass(frozen=True)
class Machine:
    """Where to work, and how much at once.

    Attributes:
        address: of a cluster; None: start Ray here.
        cpus: CPUs that Ray may use here.
        threads: CPUs of a scorer.
        gpus: share of a GPU of each scorer; None: 1 if the cluster has GPUs, else 0.
        scorers: processes with the model; None: as many as fit.
        decoders: processes that read samples for the scorers; 0: each scorer reads them. None: 0 on CPUs, and
            with GPUs the CPUs that are left.
        batch: seconds of sound that are scored at once.
    """

    address: str | None = None
    cpus: int = 1
    threads: int = 1
    gpus: float | None = None
    scorers: int | None = None
    decoders: int | None = None
    batch: float = 60.0


@dataclass(frozen=True)
class Pool:
    """Processes that a cluster has room for."""

    scorers: int
    decoders: int
    gpus: float


@contextlib.contextmanager
def connected(machine: Machine, object_store: int = OBJECT_STORE) -> Iterator[ModuleType]:
    """Start Ray here or connect to a cluster, and leave it in the end.

    Raises:
        ImportError: if Ray Data is not installed.
        ConnectionError: if there is no cluster at the address.
    """
    os.environ.update({name: os.environ.get(name, value) for name, value in SETTINGS.items()})
    try:
        import ray
        import ray.data
    except ImportError as error:
        raise ImportError(f'wanted Ray Data, got none ({error}); pip install "rankaudio[ray]"') from error
    here: dict[str, Any] = {
        "num_cpus": machine.cpus,
        "include_dashboard": False,
        "object_store_memory": object_store,
    }
    try:
        ray.init(
            address=machine.address or "local",
            log_to_driver=False,
            logging_level=logging.ERROR,
            **({} if machine.address else here),
        )
    except (ConnectionError, ValueError, RuntimeError) as error:
        wanted = "the address of a cluster" if machine.address else "Ray to start on this machine"
        raise ConnectionError(f"--address: wanted {wanted}, got {machine.address!r} ({error})") from error
    try:
        _set_context(ray)
        yield ray
    finally:
        ray.shutdown()


def _set_context(ray: ModuleType) -> None:
    """Leave the terminal to this program. Ray Data still writes its log file."""
    context = ray.data.DataContext.get_current()
    context.enable_progress_bars = False
    context.print_on_execution_start = False
    for handler in logging.getLogger("ray.data").handlers:
        if type(handler).__name__ == "PlainRayHandler":
            handler.setLevel(logging.CRITICAL + 1)


def nodes_of(ray: ModuleType) -> list[dict[str, float]]:
    """Return the CPUs and GPUs of the machines."""
    return [node["Resources"] for node in ray.nodes() if node["Alive"]]


def pool_of(nodes: Sequence[dict[str, float]], machine: Machine) -> Pool:
    """Return the processes that fit.

    Args:
        nodes: ``CPU`` and ``GPU`` of each machine.
        machine: what is wanted.

    Raises:
        ValueError: if it does not fit.
    """
    cpus, gpus = (sum(int(node.get(kind, 0)) for node in nodes) for kind in ("CPU", "GPU"))
    share = float(gpus > 0) if machine.gpus is None else machine.gpus
    fit = sum(_fit(node, machine.threads, share) for node in nodes)
    decoders = machine.decoders
    if decoders is None:
        decoders = max(1, cpus - fit * machine.threads) if share else 0
    most = min(fit, (cpus - decoders) // machine.threads)
    scorers = most if machine.scorers is None else machine.scorers
    if not 1 <= scorers <= most:
        raise ValueError(
            f"--scorers, --decoders, --threads, --num-gpus: wanted what {cpus} CPUs and {gpus} GPUs have "
            f"room for, got {max(scorers, 1)} scorers with {machine.threads} CPUs and {share:g} GPUs each, "
            f"and {decoders} decoders; lower one of them"
        )
    return Pool(scorers, decoders, share)


def _fit(node: dict[str, float], threads: int, share: float) -> int:
    """Return the scorers that one machine has room for."""
    by_cpus = int(node.get("CPU", 0) // threads)
    return min(by_cpus, int(node.get("GPU", 0) / share + 1e-9)) if share else by_cpus
