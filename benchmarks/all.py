"""Run the benchmarks that take minutes, one after the other, and write docs/measured anew: `make benchmarks`.

    python benchmarks/all.py [--only losses lwlrap ...]

Nothing else should run meanwhile. Those that need a folder of sounds, hours or 10 GB of memory are not among
them: ingredients, padding, plan, interrupt and full_size, nor is gpu. Each says how it is called.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).parent
MEASURED = HERE.parent / "docs" / "measured"
QUICK = [
    "losses",
    "lwlrap",
    "intervals",
    "frontends",
    "decoding",
    "training_step",
    "first_place_step",
    "inference",
    "streams",
    "batching",
    "noisy",
    "mixing",
    "folds",
    "resampling",
    "waveform_statistics",
    "costs",
]


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--only", nargs="+", choices=QUICK, default=QUICK)
    for name in parser.parse_args().only:
        out = MEASURED / f"{name}.md"
        subprocess.run([sys.executable, str(HERE / f"{name}.py"), "--out", str(out)], check=True)
        print(flush=True)


if __name__ == "__main__":
    main()
