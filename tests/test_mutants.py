"""The mutation run: what it changes, which tests it chooses, and its list of equivalents."""

import ast
import importlib
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[1]
if not (ROOT / ".ci").is_dir():
    pytest.skip("the source archive has no .ci", allow_module_level=True)


@pytest.fixture(scope="module")
def tools():
    sys.path.insert(0, str(ROOT / ".ci"))
    yield {name: importlib.import_module(name) for name in ("mutant_operators", "mutant_tests", "mutants")}
    sys.path.remove(str(ROOT / ".ci"))


SOURCE = '''"""A docstring with 1."""
__all__ = ["f"]
def f(x: int = 3, *, é="é") -> int:
    if not x < 4:
        raise ValueError(f"{x + 1}")
    check_x("x", x)
    return x.clamp(min=0) + (2.5 if x and True else -x)
'''
CHANGES = {
    "3 -> 4", "not x < 4 -> x < 4", "x < 4 -> x <= 4", "4 -> 5", "check_x('x', x) -> x", "0 -> 1",
    "x.clamp(min=0) -> x", "x.clamp(min=0) -> x.clamp()", "2.5 -> 5.0", "x and True -> x or True",
    "True -> False", "-x -> x", "2.5 if x and True else -x -> -x if x and True else 2.5",
    "x.clamp(min=0) + (2.5 if x and True else -x) -> x.clamp(min=0) - (2.5 if x and True else -x)",
}  # fmt: skip


def test_changes_of_a_file(tools):
    found = tools["mutant_operators"].mutants_of("a.py", SOURCE)
    assert {one.change for one in found} == CHANGES
    assert {one.function for one in found} == {"f"}
    for one in found:
        changed = one.applied(SOURCE.encode()).decode()
        assert changed != SOURCE
        assert ast.dump(ast.parse(changed)) != ast.dump(ast.parse(SOURCE))


def test_each_file_of_the_library_has_tests_that_import_it(tools):
    choice = tools["mutant_tests"].TestChoice(ROOT)
    for path in (ROOT / "src").rglob("*.py"):
        file = path.relative_to(ROOT).as_posix()
        first, *_ = choice.stages(file)
        assert first[0] == file
        assert len(first) > 1 or path.name == "__init__.py", file
    sampler = choice.stages("src/rankaudio/data/_sampler.py")
    assert "tests/test_sampler.py" in sampler[0]
    assert sampler[-1] == ("tests/test_contracts.py",)


def test_the_seed_decides_what_is_drawn_and_equivalents_have_a_reason(tools, capsys):
    draw, only = tools["mutants"].draw, ["src/rankaudio/mixing"]
    one, same, other = (draw(only, 20, seed) for seed in (1, 1, 2))
    assert one == same != other
    assert len(one) == 20
    assert len({mutant.key for mutant in one}) == 20
    for key, reason in tools["mutants"].equivalent_keys().items():
        assert len(reason) > 20, key
    draw([], 1, 0)  # stops if an equivalent is no longer there
