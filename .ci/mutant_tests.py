"""Which tests execute which lines of the library, and which of them run for a mutant."""

from __future__ import annotations

import ast
import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from mutant_server import Checkout

# Tests of the text of files, and tests that compile.
LEFT_OUT = ("benchmarks", "docs", "docstrings", "imports", "mutants", "package", "readme", "typed", "writing")
LEFT_OUT += ("contracts_compiled", "lightning", "torchaudio", "timm")
# Tests that read the library and execute none of its lines. They run for each mutant.
READING = ("tests/test_defaults.py",)
TEST_FILE_SECONDS = 240  # What is done by then counts.
# A mutant meets the quickest tests first. Each round is one fork, and has a share of the processor time.
ROUNDS = (0.02, 0.18, 0.8)


@dataclass
class Measured:
    """A test without any change: its time, and the lines of each file that it executes."""

    test: str
    seconds: float
    lines: dict[str, list[int]]

    @property
    def file(self) -> str:
        """The test file."""
        return self.test.partition("::")[0]

    def executes(self, file: str, lines: set[int]) -> bool:
        """Whether the test executes one of some lines."""
        return not lines.isdisjoint(self.lines.get(file, ()))


@dataclass
class TestMap:
    """All tests with what they execute."""

    tests: list[Measured] = field(default_factory=list)

    @classmethod
    def measure(cls, checkout: Checkout, root: Path, known: Path | None) -> TestMap:
        """Run each test file once. `known` keeps what was measured, and helps while nothing has changed."""
        kept = json.loads(known.read_text()) if known and known.exists() else {}
        library = b"".join(path.read_bytes() for path in sorted((root / "src").rglob("*.py")))
        tests, now = [], {}
        for file in test_files(root):
            content = (root / file).read_bytes() if (root / file).is_file() else b""
            digest = hashlib.sha256(content + library).hexdigest()
            if digest not in kept:
                found = checkout.run([file], [], limit=TEST_FILE_SECONDS, trace=True)
                kept[digest] = [one for one in found.tests if not one.pop("failed")]
                print(f"{file}: {len(kept[digest])} tests, {found.seconds:.0f} s {found.failed}", flush=True)
            now[digest] = kept[digest]
            tests += [Measured(**one) for one in kept[digest]]
            if known:
                known.write_text(json.dumps(kept | now))
        return cls(tests)

    def rounds(self, file: str, source: str, line: int, seconds: float) -> Iterator[list[Measured]]:
        """Tests for a change of a line, those that execute it first, and the quickest of these first."""
        statement, function = nearest_lines(source, line)
        of_line = {one.test for one in self.tests if one.executes(file, statement) or one.file in READING}
        near = {one.file for one in self.tests if one.test in of_line} - set(READING)
        ranks: tuple[list[Measured], ...] = ([], [], [])
        for one in self.tests:
            if one.test in of_line or file in one.lines or one.file == file:
                in_function = one.executes(file, function) or one.file in near
                ranks[0 if one.test in of_line else 1 if in_function else 2].append(one)
        ordered = [one for rank in ranks for one in sorted(rank, key=lambda one: one.seconds)]
        for share in ROUNDS:
            some, left = [], share * seconds
            while ordered and (left > 0 or not some):
                some.append(ordered.pop(0))
                left -= some[-1].seconds
            if some:
                yield some


def test_files(root: Path) -> list[str]:
    """The test files of the library, and its doctests."""
    paths = sorted((root / "tests").glob("test_*.py")) + sorted(
        (root / "tests/with_others").glob("test_*.py")
    )
    names = [path for path in sorted(paths) if path.stem.removeprefix("test_") not in LEFT_OUT]
    return [path.relative_to(root).as_posix() for path in names] + ["src"]


def nearest_lines(source: str, line: int) -> tuple[set[int], set[int]]:
    """Return the lines of the statement at a line, and those of its function.

    A default value belongs to the whole function, and what is in no function to the whole file.
    """
    found = [
        node
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.stmt) and node.lineno <= line <= (node.end_lineno or 0)
    ]
    functions = [node for node in found if isinstance(node, ast.FunctionDef)]
    function = _lines(max(functions, key=lambda node: node.lineno).body) if functions else set[int]()
    inner = max(found, key=lambda node: node.lineno, default=None)
    if inner is None or isinstance(inner, (ast.FunctionDef, ast.ClassDef)):
        return function, function
    body = getattr(inner, "body", None)
    stop = body[0].lineno if body else (inner.end_lineno or 0) + 1
    return set(range(inner.lineno, stop)), function


def _lines(body: list[ast.stmt]) -> set[int]:
    return set(range(body[0].lineno, (body[-1].end_lineno or 0) + 1))
