"""Check the installed wheel in an environment that has torch and nothing else.

    PYTHON .ci/check_installed.py list              # what is installed, one name per line
    PYTHON .ci/check_installed.py check BEFORE      # BEFORE: that list from before the wheel was installed

PYTHON is the interpreter of that environment.
"""

import re
import statistics
import subprocess
import sys
from importlib.metadata import distribution, distributions
from pathlib import Path

REQUIRED = {"torch", "numpy", "scipy", "typing-extensions"}
WANTED_SECONDS = 0.2
# A busy machine may take several times as long.
MOST_SECONDS = 5 * WANTED_SECONDS

IMPORTS = """
import time, torch
start = time.perf_counter()
import rankaudio
print(time.perf_counter() - start)
"""


def normalised(name: str) -> str:
    """Name of a distribution in the form that pip compares."""
    return re.sub(r"[-_.]+", "-", name).lower()


def installed() -> set[str]:
    """Names of all installed distributions."""
    return {normalised(found.metadata["Name"]) for found in distributions()}


def requirements() -> set[str]:
    """Requirements of the wheel without an extra."""
    asked = [line for line in distribution("rankaudio").requires or [] if "extra ==" not in line]
    return {normalised(re.split(r"[^A-Za-z0-9._-]", line)[0]) for line in asked}


def seconds(times: int = 9) -> list[float]:
    """Seconds of `import rankaudio` after `import torch`, each in a new process."""
    runs = [
        subprocess.run([sys.executable, "-I", "-c", IMPORTS], capture_output=True, text=True, check=True)
        for _ in range(times)
    ]
    return sorted(float(run.stdout) for run in runs)


def problems(before: set[str]) -> list[str]:
    """List what is wrong, and print what was found."""
    wrong = []
    if requirements() != REQUIRED:
        wrong.append(f"wanted the requirements {sorted(REQUIRED)}, got {sorted(requirements())}")
    added = installed() - before - {"rankaudio"}
    print("installed in addition to torch and its requirements:", *sorted(added))
    if not added <= REQUIRED:
        wrong.append(f"wanted only {sorted(REQUIRED)}, got {sorted(added)}")
    took = seconds()
    middle = statistics.median(took)
    print(f"import rankaudio after import torch: least {took[0]:.3f} s, median {middle:.3f} s of {len(took)}")
    if took[0] > MOST_SECONDS:
        wrong.append(f"wanted at most {WANTED_SECONDS} s after import torch, got at least {took[0]:.2f} s")
    elif took[0] > WANTED_SECONDS:
        print(f"That is more than {WANTED_SECONDS} s. A busy machine may be the reason.")
    return wrong


if __name__ == "__main__":
    if sys.argv[1] == "list":
        print(*sorted(installed()), sep="\n")
    else:
        sys.exit("\n".join(problems(set(Path(sys.argv[2]).read_text().split()))) or 0)
