"""The memory and the CPU seconds of a program with all processes that it starts, sampled twice a second."""

from __future__ import annotations

import os
import subprocess
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

CLOCK = os.sysconf("SC_CLK_TCK")
PAGE = os.sysconf("SC_PAGE_SIZE")


@dataclass
class Usage:
    """What a program and its descendants take."""

    memory: dict[str, float] = field(default_factory=dict)
    cpu: dict[int, float] = field(default_factory=dict)
    seconds: float = 0.0
    text: str = ""
    status: int | None = None

    def sample(self, root: int) -> None:
        """Note the memory and the CPU seconds of the program and all that it has started."""
        parents = {pid: stat for pid in _processes() if (stat := _stat(pid)) is not None}
        for pid, (_, cpu, memory) in parents.items():
            if not _descends(pid, root, parents):
                continue
            kind = "driver" if pid == root else "worker" if "MapWorker" in _title(pid) else "other"
            self.memory[kind] = max(self.memory.get(kind, 0.0), memory)
            self.cpu[pid] = max(self.cpu.get(pid, 0.0), cpu)


def _processes() -> list[int]:
    return [int(path.name) for path in Path("/proc").iterdir() if path.name.isdigit()]


def _stat(pid: int) -> tuple[int, float, float] | None:
    """Return the parent, the CPU seconds and the resident MB of a process."""
    try:
        words = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None
    return int(words[1]), (int(words[11]) + int(words[12])) / CLOCK, int(words[21]) * PAGE / 1e6


def _title(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().decode(errors="replace")
    except OSError:
        return ""


def _descends(pid: int, root: int, parents: dict[int, tuple[int, float, float]]) -> bool:
    while pid in parents:
        if pid == root:
            return True
        pid = parents[pid][0]
    return False


def watched(words: list[str], hook: Callable[[subprocess.Popen[str]], None] | None = None) -> Usage:
    """Run a program to its end; ``hook`` is called twice a second."""
    usage, begin = Usage(), time.perf_counter()
    process = subprocess.Popen(
        words, stderr=subprocess.PIPE, text=True, env=os.environ | {"RAY_USAGE_STATS_ENABLED": "0"}
    )
    lines: list[str] = []
    reader = threading.Thread(target=lambda: lines.extend(process.stderr or ()))
    reader.start()
    while process.poll() is None:
        usage.sample(process.pid)
        if hook is not None:
            hook(process)
        time.sleep(0.5)
    usage.seconds, usage.status = time.perf_counter() - begin, process.returncode
    reader.join(10)
    usage.text = "".join(lines)
    return usage
