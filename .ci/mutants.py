#!/usr/bin/env python3
"""Change the library in one place at a time, and list the changes that no test notices.

    python .ci/mutants.py [--count 500] [--seed 0] [--only src/rankaudio/losses ...] [--again LOG]

In each mutant one expression of `src` is another one. First all tests run once, which tells their time and
the lines that each executes. For a mutant, tests that execute its line run first, the quickest first, then
other tests that use its file, for at most `--seconds`. A mutant is killed if a test fails, or takes
four times as long as without the change. `equivalent_mutants.toml` lists mutants that no test can notice,
with the reason, and those are not drawn. The exit status is 1 if less than 90 % are killed.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import tempfile
import tomllib
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

# The process is forked, and threads do not survive that.
os.environ |= {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}

from mutant_operators import Mutant, mutants_of
from mutant_server import Checkout
from mutant_tests import TestMap

ROOT = Path(__file__).resolve().parents[1]
EQUIVALENT = Path(__file__).with_name("equivalent_mutants.toml")
WANTED = 0.9


@dataclass
class Outcome:
    """What happened to a mutant."""

    mutant: Mutant
    killed_by: str
    seconds: float
    tests: int


def equivalent_keys() -> dict[str, str]:
    """Return the mutants that no test can notice, with the reason."""
    listed = tomllib.loads(EQUIVALENT.read_text(encoding="utf-8"))["equivalent"]
    return {f"{one['file']}: {one['function']}: {one['change']}": one["reason"] for one in listed}


def draw(only: list[str], count: int, seed: int) -> list[Mutant]:
    """Draw mutants with a seed. A shorter run tries the first of them, and equivalents are passed over.

    The order is that of hashes, so a change of the library leaves the draw of all other places as it is.
    """
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
    found.sort(key=lambda mutant: hashlib.sha256(f"{seed} {mutant.key}".encode()).digest())
    left = [mutant for mutant in found if mutant.key not in known]
    print(f"{len(found)} mutants in {len(chosen)} files, {len(found) - len(left)} of them equivalent")
    return left[:count]


def run(mutants: list[Mutant], known: Path | None, seconds: float) -> Iterator[Outcome]:
    """Measure the tests, then try one mutant after the other."""
    with tempfile.TemporaryDirectory(prefix="mutants.") as folder:
        checkout = Checkout(ROOT, Path(folder))
        tests = TestMap.measure(checkout, ROOT, known)
        for mutant in mutants:
            yield try_out(mutant, checkout, tests, seconds)


def try_out(mutant: Mutant, checkout: Checkout, tests: TestMap, seconds: float) -> Outcome:
    """Run the tests of a mutant, round after round, until one fails."""
    source = (ROOT / mutant.file).read_bytes()
    outcome = Outcome(mutant, "", 0.0, 0)
    with checkout.changed(mutant.file, mutant.applied(source)):
        for chosen in tests.rounds(mutant.file, source.decode(), mutant.line, seconds):
            files = list(dict.fromkeys(one.file for one in chosen))
            limit = 10 + 4 * sum(one.seconds for one in chosen)
            result = checkout.run(files, [one.test for one in chosen], limit=limit)
            outcome.seconds += result.seconds
            outcome.tests += len(chosen)
            outcome.killed_by = result.failed
            if result.failed:
                break
    return outcome


def report(outcomes: list[Outcome]) -> float:
    """Print the share of each file and the survivors; return the share of all."""
    survived = [one for one in outcomes if not one.killed_by]
    of_file, left = (Counter(one.mutant.file for one in some) for some in (outcomes, survived))
    print("\nfile: killed of tried")
    for file, tried in sorted(of_file.items()):
        print(f"  {file}: {tried - left[file]} of {tried}")
    share = 1 - len(survived) / max(1, len(outcomes))
    print(f"\n{len(outcomes) - len(survived)} of {len(outcomes)} killed, {share:.1%}. Survivors:")
    for one in sorted(survived, key=lambda one: (one.mutant.file, one.mutant.line)):
        print(f"  line {one.mutant.line}: {one.mutant.key}")
    return share


def main() -> None:
    """Run the program."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--count", type=int, default=500)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", nargs="+", default=[], help="beginnings of file names")
    parser.add_argument("--seconds", type=float, default=30, help="processor time of the tests of a mutant")
    parser.add_argument("--again", type=Path, help="the output of a run, whose survivors are tried again")
    parser.add_argument("--measured", type=Path, help="a file that keeps what tests do, for later runs")
    parser.add_argument("--list", action="store_true", help="print the mutants, and test none")
    args = parser.parse_args()
    mutants, outcomes = draw(args.only, args.count, args.seed), []
    if args.again:
        survivors = args.again.read_text(encoding="utf-8")
        mutants = [one for one in mutants if f" {one.key}: SURVIVED" in survivors]
    if args.list:
        print(*(f"line {one.line}: {one.key}" for one in mutants), sep="\n")
        return
    for outcome in run(mutants, args.measured, args.seconds):
        outcomes.append(outcome)
        what = f"killed by {outcome.killed_by}" if outcome.killed_by else f"SURVIVED {outcome.tests} tests"
        print(
            f"{len(outcomes)}/{len(mutants)} {outcome.seconds:.1f} s {outcome.mutant.key}: {what}", flush=True
        )
    if report(outcomes) < WANTED:
        raise SystemExit(1)


if __name__ == "__main__":
    main()
