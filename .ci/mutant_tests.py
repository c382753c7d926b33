"""Which tests run for a file of the library: those that import it, first those that do so directly."""

from __future__ import annotations

import ast
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

MOST_DISTANCE = 3  # imports between a file and the names that a test imports
MOST_FILES = 12  # test files of the second stage
LAST = "tests/test_contracts.py"
# Tests of the text of files, not of what they do.
OF_TEXT = ("benchmarks", "docs", "docstrings", "imports", "mutants", "package", "readme", "typed", "writing")


class TestChoice:
    """The test files of each source file, nearest first."""

    def __init__(self, root: Path) -> None:
        self.root, source = root, root / "src"
        self.modules = {_module(path.relative_to(source)): path for path in source.rglob("*.py")}
        trees = {name: ast.parse(path.read_text(encoding="utf-8")) for name, path in self.modules.items()}
        self.defined: dict[str, set[str]] = defaultdict(set)
        for module, tree in trees.items():
            for name in _names(tree):
                self.defined[name].add(module)
        self.importers: dict[str, set[str]] = defaultdict(set)
        for module, tree in trees.items():
            if not self.modules[module].name.startswith("__init__"):
                for other in self._imported(tree):
                    self.importers[other].add(module)
        helpers = {path.stem: path for path in (root / "tests" / "helpers").glob("*.py")}
        self.of_test = {
            path.relative_to(root).as_posix(): self._imported_by_test(path, helpers)
            for path in sorted((root / "tests").rglob("test_*.py"))
            if path.stem.removeprefix("test_") not in OF_TEXT and "example" not in path.parts
        }

    def stages(self, file: str) -> list[tuple[str, ...]]:
        """Return the tests to run, in groups: direct and doctests, indirect, contracts."""
        module = _module(Path(file).relative_to("src"))
        near, seen, direct, indirect = {module}, {module}, [], []
        for distance in range(MOST_DISTANCE + 1):
            tests = [test for test, used in self.of_test.items() if used & near]
            (indirect if distance and direct else direct).extend(tests)
            near = set().union(*(self.importers[one] for one in near)) - seen
            seen |= near
        first = (file, *dict.fromkeys(direct))
        second = tuple([test for test in dict.fromkeys(indirect) if test not in (*first, LAST)][:MOST_FILES])
        return [stage for stage in (first, second, () if LAST in first else (LAST,)) if stage]

    def _imported_by_test(self, path: Path, helpers: dict[str, Path], seen: tuple[str, ...] = ()) -> set[str]:
        tree = ast.parse(path.read_text(encoding="utf-8"))
        found = self._imported(tree)
        for node in ast.walk(tree):
            helper = getattr(node, "module", None) if isinstance(node, ast.ImportFrom) else None
            if helper in helpers and helper not in seen and "table" not in helper and helper != "valid_calls":
                found |= self._imported_by_test(helpers[helper], helpers, (*seen, helper))
        return found

    def _imported(self, tree: ast.AST) -> set[str]:
        """The modules of the library that define what a file imports."""
        found = set()
        for package, name in _imports(tree):
            inner = f"{package}.{name}"
            if inner in self.modules and not self.modules[inner].name.startswith("__init__"):
                found.add(inner)
            else:
                prefix = package if package in self.modules else "rankaudio"
                found |= {one for one in self.defined[name] if f"{one}.".startswith(f"{prefix}.")}
        return found


def _module(path: Path) -> str:
    return ".".join(path.with_suffix("").parts).removesuffix(".__init__")


def _names(tree: ast.Module) -> Iterator[str]:
    for node in tree.body:
        if isinstance(node, (ast.FunctionDef, ast.ClassDef)):
            yield node.name
        elif isinstance(node, (ast.Assign, ast.AnnAssign)):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            yield from (target.id for target in targets if isinstance(target, ast.Name))


def _imports(tree: ast.AST) -> Iterator[tuple[str, str]]:
    """What a file imports from the library, as package and name."""
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and (node.module or "").partition(".")[0] == "rankaudio":
            yield from ((node.module or "", alias.name) for alias in node.names)
        elif isinstance(node, ast.Attribute) and ast.unparse(node.value).partition(".")[0] in (
            "rankaudio",
            "ra",
        ):
            yield "rankaudio", node.attr
