"""Steps on Ray: their shares, a killed worker, a killed driver, a second driver, and a cluster."""

import itertools
import os
import secrets
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

import freesound2019
from tiny_recipe import THREE, make_tiny_corpus, write_tiny_plan
from two_processes import environment, free_ports

pytest.importorskip("ray", reason="the extra ray is not installed")
pytestmark = pytest.mark.slow

TIMEOUT = 300
NOT_COMPARED = ("summary.csv", "metrics.csv")  # they have times


@pytest.fixture
def drivers():
    """Start programs that run dummy steps; end what is left of them."""
    started = []

    def start(code, *words):
        given = [sys.executable, *code, *map(str, words)]
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
        started.append(subprocess.Popen(given, env=environment(), **pipes))
        return started[-1]

    yield start
    for process in started:
        if process.poll() is None:
            process.terminate()
        process.communicate(timeout=TIMEOUT)


def driver(start, folder, *, to, address="local"):
    """Start a driver of dummy steps on Ray."""
    return start(["-m", "dummy_steps"], folder, to, address)


def turns(folder, name):
    """Process, number and time of each turn of a count."""
    path = folder / f"{name}.turns"
    lines = path.read_text().splitlines() if path.exists() else []
    return [(int(process), int(number), float(at)) for process, number, at in map(str.split, lines)]


def wait_for(condition):
    """Wait until something is true."""
    end = time.monotonic() + TIMEOUT
    while not condition():
        assert time.monotonic() < end, "it took too long"
        time.sleep(0.01)


def assert_counted_once(found, *, to, processes):
    """So many processes did all turns, one after another. The last turn of a killed one may be repeated."""
    numbers = [number for _, number, _ in found]
    assert sorted(set(numbers)) == list(range(1, to + 1))
    assert len(numbers) - to < processes
    order = [process for process, _ in itertools.groupby(process for process, _, _ in found)]
    assert len(order) == len(set(order)) <= processes


SHARES = """
import sys
from pathlib import Path
import ray
from dummy_steps import note
from freesound.pipeline import run
from freesound.steps import Step

def fail():
    print("this is for the log")
    raise ValueError("b: wanted luck, got none")

folder = Path(sys.argv[1])
start = ray.init
ray.init = lambda **options: start(**options, num_cpus=2, num_gpus=2)  # whatever this machine has
network, plain = note(folder, "network", network=True), note(folder, "plain", "network")
broken = Step("b", fail, ("network",), finished=lambda: False)
try:
    run([network, plain, broken, note(folder, "never", "b")], folder, threads=2, ray="local", gpus=0.5)
except ValueError as error:
    print("error:", type(error).__name__, error)
try:
    run([network, note(folder, "too much", network=True)], folder, threads=1, ray="local", gpus=4)
except ValueError as error:
    print("error:", type(error).__name__, error)
"""


def test_shares_errors_and_logs(drivers, tmp_path):
    """A step gets its share of the machine, and its error is raised as it is."""
    process = drivers(["-c", SHARES], tmp_path)
    printed, complaints = process.communicate(timeout=TIMEOUT)
    assert process.returncode == 0, complaints
    assert complaints == ""
    errors = [line for line in printed.splitlines() if line.startswith("error:")]
    assert errors == [
        "error: ValueError b: wanted luck, got none",
        "error: ValueError --cpus-per-step, --gpus-per-step: wanted at most what one machine has "
        "(2 CPUs, 2 GPUs), got 1 and 4",
    ]
    assert "this is for the log" not in printed
    assert "this is for the log" in (tmp_path / "logs" / "b.log").read_text()
    assert not (tmp_path / "never").exists()
    visits = {path.name: path.read_text().split()[1:] for path in (tmp_path / "visits").iterdir()}
    assert visits == {"network": ["2", "0"], "plain": ["2"]}  # threads, and the devices that are visible


@pytest.mark.long
def test_a_killed_worker_is_replaced(drivers, tmp_path):
    """Both counts run at the same time; one of them changes its process, and loses nothing."""
    process = driver(drivers, tmp_path, to=200)
    wait_for(lambda: turns(tmp_path, "a") and turns(tmp_path, "b"))
    os.kill(turns(tmp_path, "a")[0][0], signal.SIGKILL)
    printed, complaints = process.communicate(timeout=TIMEOUT)
    assert process.returncode == 0, complaints
    assert_counted_once(turns(tmp_path, "a"), to=200, processes=2)
    assert_counted_once(turns(tmp_path, "b"), to=200, processes=1)
    assert turns(tmp_path, "b")[0][2] < turns(tmp_path, "a")[-1][2]
    assert turns(tmp_path, "a")[0][2] < turns(tmp_path, "b")[-1][2]
    assert (tmp_path / "end").read_text() == "end"
    assert [line for line in printed.splitlines() if "done" in line][-1].startswith("== end: done in")


@pytest.mark.long
def test_a_killed_driver_and_a_second_one(drivers, tmp_path):
    """The second driver is refused; after the first is killed, the third goes on where its workers ended."""
    first = driver(drivers, tmp_path, to=300)
    wait_for(lambda: turns(tmp_path, "a") and turns(tmp_path, "b"))
    second = driver(drivers, tmp_path, to=300)
    message = second.communicate(timeout=TIMEOUT)[1]
    assert second.returncode == 1
    assert f"in use by process {first.pid} on " in message
    first.send_signal(signal.SIGKILL)
    third = driver(drivers, tmp_path, to=300)
    assert third.wait(timeout=TIMEOUT) == 0
    for name in ("a", "b"):
        assert_counted_once(turns(tmp_path, name), to=300, processes=2)
    assert (tmp_path / "end").exists()


@pytest.fixture
def cluster(monkeypatch):
    """A cluster on this machine that no driver has started."""
    # From version 2.59 on Ray's programs have to know a common token.
    monkeypatch.setenv("RAY_AUTH_MODE", "token")
    monkeypatch.setenv("RAY_AUTH_TOKEN", secrets.token_hex(32))
    port = free_ports(1)[0]
    words = ["start", "--head", f"--port={port}", "--num-cpus=2", "--include-dashboard=false", "--block"]
    words += ["--object-store-memory=80000000", "--disable-usage-stats"]
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    head = subprocess.Popen([sys.executable, "-m", "ray.scripts.scripts", *words], env=environment(), **quiet)
    wait_for(lambda: listens(int(port)))
    yield f"127.0.0.1:{port}"
    head.terminate()
    head.wait(timeout=TIMEOUT)


def listens(port):
    """Say whether a program listens on a port of this machine."""
    with socket.socket() as one:
        return one.connect_ex(("127.0.0.1", port)) == 0


@pytest.mark.long
def test_a_cluster_outlives_its_driver(drivers, cluster, tmp_path):
    """Workers of a killed driver end, though their cluster goes on; the next driver is given others."""
    first = driver(drivers, tmp_path, to=300, address=cluster)
    wait_for(lambda: turns(tmp_path, "a") or first.poll() is not None)
    first.send_signal(signal.SIGKILL)
    second = driver(drivers, tmp_path, to=300, address=cluster)
    complaints = second.communicate(timeout=TIMEOUT)[1]
    assert second.returncode == 0, complaints
    for name in ("a", "b"):
        assert_counted_once(turns(tmp_path, name), to=300, processes=2)


@pytest.mark.long
def test_a_real_plan_has_the_same_scores_to_the_bit(drivers, tmp_path):
    """Two members in this process; and on Ray, where a worker and then the driver are killed."""
    make_tiny_corpus(data := tmp_path / "data")
    plan = write_tiny_plan(tmp_path / "plan.json", names=THREE[:2], sizes=(4,))
    program = [str(Path(freesound2019.__file__))]
    words = ["recipe", "--data", data, "--plan", plan, "--device", "cpu", "--run"]
    here, there = tmp_path / "here", tmp_path / "there"
    assert drivers(program, *words, here).wait(timeout=TIMEOUT) == 0
    first = drivers(program, *words, there, "--ray")
    wait_for(lambda: holder(there / ".locks" / "train_2d_max_fold_0.lock"))
    os.kill(holder(there / ".locks" / "train_2d_max_fold_0.lock"), signal.SIGKILL)
    wait_for((there / "models" / "2d_max_r1" / "fold_0" / "state.pt").exists)
    first.send_signal(signal.SIGKILL)
    second = drivers(program, *words, there, "--ray")
    complaints = second.communicate(timeout=TIMEOUT)[1]
    assert second.returncode == 0, complaints
    files = sorted(path.relative_to(here) for path in here.rglob("*.csv") if path.name not in NOT_COMPARED)
    assert len(files) == 13
    assert files == sorted(p.relative_to(there) for p in there.rglob("*.csv") if p.name not in NOT_COMPARED)
    for path in files:
        assert (here / path).read_bytes() == (there / path).read_bytes(), path


def holder(lock):
    """Return the process that has a lock, or None if nobody has written there yet."""
    words = lock.read_text().split() if lock.exists() else []
    return int(words[1]) if len(words) == 4 else None
