"""Run chosen tests in forks of one process, which has imported everything but the library."""

from __future__ import annotations

import contextlib
import gc
import importlib
import json
import os
import pkgutil
import resource
import shutil
import signal
import subprocess
import sys
import time
import traceback
import warnings
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType
from typing import Any

from hypothesis import Phase, settings

# Each fork has these at no cost. None of them may start a thread when it is imported.
HEAVY = (
    *("torch", "torch.utils.data", "torch.export", "torch.testing", "numpy", "soundfile", "soxr", "librosa"),
    *("scipy.signal", "scipy.optimize", "scipy.special", "scipy.stats", "sklearn.metrics", "torchmetrics"),
    *("hypothesis.strategies", "hypothesis.extra.numpy", "doctest", "unittest.mock", "pytest", "_pytest"),
)
PYTEST = ["-q", "--no-header", "-p", "no:cacheprovider"]
MEMORY = 4 << 30
# A fork that waits for something uses no processor time.
WALL = 20


@dataclass
class Result:
    """What the tests of one fork did."""

    failed: str = ""
    # Each test with its processor time, and the lines of the library that it executed.
    tests: list[dict[str, Any]] = field(default_factory=list)
    seconds: float = 0.0


class Plugin:
    """Puts tests in order, and writes a line of JSON after each."""

    def __init__(self, order: list[str], out: Path, traced: str) -> None:
        self.order = {test: i for i, test in enumerate(order)}
        self.out, self.traced = out.open("a"), traced
        self.lines: dict[str, set[int]] = defaultdict(set)
        self.failed = False

    def pytest_collection(self) -> None:
        """Do not shrink examples, which takes most of the time of a test that fails."""
        phases = (Phase.explicit, Phase.generate)
        settings.register_profile("mutants", deadline=None, phases=phases, database=None, derandomize=True)
        settings.load_profile("mutants")

    def pytest_collection_modifyitems(self, items: list[Any]) -> None:
        """Put the tests in order."""
        if self.order:
            items[:] = [item for item in items if item.nodeid in self.order]
            items.sort(key=lambda item: self.order[item.nodeid])

    def pytest_collectreport(self, report: Any) -> None:
        """Note a file that cannot be imported."""
        if report.failed:
            self._write(failed=f"{report.nodeid} (when collected)")

    def pytest_runtest_logreport(self, report: Any) -> None:
        """Note a failure of a fixture or of the test."""
        self.failed |= report.failed

    def pytest_runtest_logstart(self) -> None:
        """Begin to measure."""
        self.lines.clear()
        self.failed, self.start = False, time.process_time()
        if self.traced:
            sys.settrace(self._trace)

    def pytest_runtest_logfinish(self, nodeid: str) -> None:
        """Write what the test did."""
        sys.settrace(None)
        seconds = time.process_time() - self.start
        lines = {file: sorted(found) for file, found in self.lines.items()}
        self._write(test=nodeid, seconds=seconds, lines=lines, failed=nodeid if self.failed else "")

    def _write(self, **what: object) -> None:
        self.out.write(json.dumps(what) + "\n")
        self.out.flush()

    def _trace(self, frame: FrameType, *_: object) -> Any:
        file = frame.f_code.co_filename
        if not file.startswith(self.traced):
            return None
        found = self.lines[file.removeprefix(self.traced)]

        def local(frame: FrameType, *_: object) -> Any:
            found.add(frame.f_lineno)
            return local

        return local(frame)


class Checkout:
    """A copy of the checkout, whose tests run in forks of this process."""

    def __init__(self, root: Path, folder: Path) -> None:
        """Copy all files that git would not ignore, and import what tests need."""
        self.folder, self.out, self.text = folder / "copy", folder / "result", folder / "text"
        listed = ["git", "ls-files", "-co", "--exclude-standard", "-z"]
        names = subprocess.run(listed, cwd=root, check=True, stdout=subprocess.PIPE, text=True).stdout
        for name in filter(None, names.split("\0")):
            if (root / name).is_file():
                (self.folder / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(root / name, self.folder / name)
        _import_heavy()

    @contextlib.contextmanager
    def changed(self, file: str, content: bytes) -> Iterator[None]:
        """Change a file for a while. Its time tells Python that old bytecode is of no use."""
        path = self.folder / file
        before, times = path.read_bytes(), path.stat()
        try:
            path.write_bytes(content)
            os.utime(path, (1e9, 1e9))
            yield
        finally:
            path.write_bytes(before)
            os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))

    def run(self, files: list[str], order: list[str], *, limit: float, trace: bool = False) -> Result:
        """Run the tests `order` of some files, or all of them. Stop at the first failure, unless tracing."""
        self.out.unlink(missing_ok=True)
        start = _children_seconds()
        child = os.fork()
        if child == 0:
            self._run_in_fork(files, order, limit, trace=trace)
        status = _wait(child, WALL * limit)
        found = [json.loads(line) for line in self.out.read_text().splitlines()] if self.out.exists() else []
        failed = next((one["failed"] for one in found if one["failed"]), "")
        if not failed and status not in (0, 1, 5):  # 5: no tests
            failed = "time limit" if -status in (signal.SIGXCPU, signal.SIGKILL) else f"status {status}"
        return Result(failed, [one for one in found if "test" in one], _children_seconds() - start)

    def _run_in_fork(self, files: list[str], order: list[str], limit: float, *, trace: bool) -> None:
        status = 70
        try:
            os.setsid()
            resource.setrlimit(resource.RLIMIT_CPU, (int(limit) + 1, int(limit) + 5))
            resource.setrlimit(resource.RLIMIT_DATA, (MEMORY, MEMORY))
            self._set_up_fork(trace=trace)
            plugin = Plugin(order, self.out, f"{self.folder}/" if trace else "")
            words = [*PYTEST, f"--basetemp={self.folder.parent / 'tmp'}", *([] if trace else ["-x"]), *files]
            status = importlib.import_module("pytest").main(words, plugins=[plugin])
        except BaseException:  # noqa: BLE001  (a fork must not go on as its parent)
            traceback.print_exc()
        finally:
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(int(status))

    def _set_up_fork(self, *, trace: bool) -> None:
        null = os.open(os.devnull, os.O_RDONLY)
        text = os.open(self.text, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        for stream, to in ((0, null), (1, text), (2, text)):
            os.dup2(to, stream)
        os.chdir(self.folder)
        sources = [str(self.folder / "src"), str(self.folder / "examples")]
        sys.path[:0] = sources
        # Tests without a mutant write the bytecode that later forks read.
        sys.dont_write_bytecode = not trace
        os.environ |= {"PYTHONPATH": os.pathsep.join(sources), "HOME": str(self.folder)}
        os.environ |= {"PYTHONDONTWRITEBYTECODE": "1", "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}


def _import_heavy() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for name in HEAVY:
            with contextlib.suppress(ImportError):
                importlib.import_module(name)
    inner = importlib.import_module("_pytest").__path__
    for found in pkgutil.iter_modules(inner, "_pytest."):
        importlib.import_module(found.name)
    gc.freeze()  # pytest collects garbage, which would take most of the time of a fork


def _wait(child: int, limit: float) -> int:
    """Wait for a fork, and end it with all that it started after `limit` seconds."""
    end, status = time.monotonic() + limit, None
    while status is None and time.monotonic() < end:
        done, code = os.waitpid(child, os.WNOHANG)
        status = os.waitstatus_to_exitcode(code) if done else None
        time.sleep(0.01)
    with contextlib.suppress(ProcessLookupError):
        os.killpg(child, signal.SIGKILL)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) if status is None else status


def _children_seconds() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime
