#!/usr/bin/env python3
"""Change the library in one place at a time, and list the changes that no test notices.

    python .ci/mutants.py [--count 500] [--seed 0] [--jobs 1] [--only src/rankaudio/losses ...] [--list]

In each mutant one expression of `src` is another one. The tests that import the changed file run first, then
tests that import it through other files, then the contracts. A mutant is killed if a test fails, or takes
four times as long as without the change. `equivalent_mutants.toml` lists mutants that no test can notice,
with the reason, and those are not drawn. The exit status is 1 if less than 90 % are killed.
"""

from __future__ import annotations

import argparse
import random
import resource
import shutil
import subprocess
import sys
import tempfile
import time
import tomllib
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from queue import Queue

from mutant_operators import Mutant, mutants_of
from mutant_tests import TestChoice

ROOT = Path(__file__).resolve().parents[1]
EQUIVALENT = Path(__file__).with_name("equivalent_mutants.toml")
WANTED = 0.9
MEMORY = 8 << 30
# Tests that are neither slow nor of the example. Failures end the run, so the first one is enough.
PYTEST = ["-q", "-x", "-p", "no:cacheprovider", "-m", "not slow and not example", "--no-header"]


@dataclass
class Outcome:
    """What happened to a mutant."""

    mutant: Mutant
    killed_by: str
    seconds: float


@dataclass
class Checkout:
    """A copy of the checkout, in which one mutant at a time is tested."""

    folder: Path
    usual: dict[tuple[str, ...], float] = field(default_factory=dict)

    @classmethod
    def make(cls, folder: Path) -> Checkout:
        """Copy all files that git would not ignore."""
        listed = ["git", "ls-files", "-co", "--exclude-standard", "-z"]
        names = subprocess.run(listed, cwd=ROOT, check=True, stdout=subprocess.PIPE, text=True).stdout
        for name in filter(None, names.split("\0")):
            if (ROOT / name).is_file():
                (folder / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(ROOT / name, folder / name)
        return cls(folder)

    def try_out(self, mutant: Mutant, stages: list[tuple[str, ...]]) -> Outcome:
        """Test a mutant, stage after stage until a test fails."""
        start, path = time.monotonic(), self.folder / mutant.file
        before, killed_by = path.read_bytes(), ""
        for tests in stages:
            if tests not in self.usual:
                self.usual[tests] = self._time_unchanged(tests)
            try:
                path.write_bytes(mutant.applied(before))
                killed_by = self._run(tests)
            finally:
                path.write_bytes(before)
            if killed_by:
                break
        return Outcome(mutant, killed_by, time.monotonic() - start)

    def _time_unchanged(self, tests: tuple[str, ...]) -> float:
        start = time.monotonic()
        failed = self._run(tests, limit=3600)
        if failed:
            raise SystemExit(f"mutants: the tests fail without any change: {' '.join(tests)}: {failed}")
        return time.monotonic() - start

    def _run(self, tests: tuple[str, ...], limit: float | None = None) -> str:
        """Run some tests; return the one that fails, or an empty text."""
        limit = max(60.0, 4 * self.usual[tests]) if limit is None else limit
        environment = {
            "PYTHONPATH": f"{self.folder / 'src'}:{self.folder / 'examples'}",
            # A file of bytecode may look as new as a source that was changed twice in a second.
            "PYTHONDONTWRITEBYTECODE": "1",
            "OMP_NUM_THREADS": "1",
            "PATH": "/usr/local/bin:/usr/bin:/bin",
            "HOME": str(self.folder),
        }
        words = [sys.executable, "-m", "pytest", *PYTEST, *tests]
        try:
            done = subprocess.run(
                words,
                cwd=self.folder,
                env=environment,
                timeout=limit,
                check=False,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                errors="replace",
                preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_DATA, (MEMORY, MEMORY)),
            )
        except subprocess.TimeoutExpired:
            return "time limit"
        if done.returncode in (0, 5):  # 5: no tests in these files
            return ""
        names = [
            line.split()[1] for line in done.stdout.splitlines() if line.startswith(("FAILED", "ERROR "))
        ]
        return names[0] if names else f"status {done.returncode}"


def equivalent_keys() -> dict[str, str]:
    """Return the mutants that no test can notice, with the reason."""
    listed = tomllib.loads(EQUIVALENT.read_text(encoding="utf-8"))["equivalent"]
    return {f"{one['file']}: {one['function']}: {one['change']}": one["reason"] for one in listed}


def draw(only: list[str], count: int, seed: int) -> list[Mutant]:
    """Draw mutants with a seed, in the order of their files."""
    files = sorted((ROOT / "src" / "rankaudio").rglob("*.py"))
    names = [path.relative_to(ROOT).as_posix() for path in files]
    chosen = [name for name in names if not only or name.startswith(tuple(only))]
    found = [
        mutant for name in chosen for mutant in mutants_of(name, (ROOT / name).read_text(encoding="utf-8"))
    ]
    known = equivalent_keys()
    gone = set(known) - {mutant.key for mutant in found}
    if gone and not only:
        raise SystemExit("mutants: these equivalents are no longer there:\n  " + "\n  ".join(sorted(gone)))
    left = [mutant for mutant in found if mutant.key not in known]
    print(f"{len(found)} mutants in {len(chosen)} files, {len(found) - len(left)} of them equivalent")
    drawn = random.Random(seed).sample(left, min(count, len(left)))  # noqa: S311
    return sorted(drawn, key=lambda mutant: (mutant.file, mutant.line))


def run(mutants: list[Mutant], jobs: int) -> Iterator[Outcome]:
    """Try all mutants, some at a time, each in its own copy of the checkout."""
    choice, free = TestChoice(ROOT), Queue[Checkout]()
    with tempfile.TemporaryDirectory(prefix="mutants.") as folder:
        for number in range(jobs):
            free.put(Checkout.make(Path(folder) / str(number)))

        def try_out(mutant: Mutant) -> Outcome:
            checkout = free.get()
            try:
                return checkout.try_out(mutant, choice.stages(mutant.file))
            finally:
                free.put(checkout)

        with ThreadPoolExecutor(jobs) as pool:
            yield from pool.map(try_out, mutants)


def report(outcomes: list[Outcome]) -> float:
    """Print the share of each file and the survivors; return the share of all."""
    survived = [one for one in outcomes if not one.killed_by]
    of_file, left = (Counter(one.mutant.file for one in some) for some in (outcomes, survived))
    print("\nfile: killed of tried")
    for file, tried in sorted(of_file.items()):
        print(f"  {file}: {tried - left[file]} of {tried}")
    share = 1 - len(survived) / max(1, len(outcomes))
    print(f"\n{len(outcomes) - len(survived)} of {len(outcomes)} killed, {share:.1%}. Survivors:")
    for one in survived:
        print(f"  line {one.mutant.line}: {one.mutant.key}")
    return share


def main() -> None:
    """Run the program."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--count", type=int, default=500)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--jobs", type=int, default=1, help="mutants at a time")
    parser.add_argument("--only", nargs="+", default=[], help="beginnings of file names")
    parser.add_argument("--list", action="store_true", help="print the mutants, and test none")
    args = parser.parse_args()
    mutants, outcomes = draw(args.only, args.count, args.seed), []
    if args.list:
        print(*(f"line {one.line}: {one.key}" for one in mutants), sep="\n")
        return
    for outcome in run(mutants, args.jobs):
        outcomes.append(outcome)
        what = f"killed by {outcome.killed_by}" if outcome.killed_by else "SURVIVED"
        print(
            f"{len(outcomes)}/{len(mutants)} {outcome.seconds:.0f} s {outcome.mutant.key}: {what}", flush=True
        )
    if report(outcomes) < WANTED:
        raise SystemExit(1)


if __name__ == "__main__":
    main()
