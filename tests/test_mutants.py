"""The mutation run: what it changes, which tests it chooses and runs, and its list of equivalents."""

import ast
import importlib
import subprocess
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
    names = ("mutant_operators", "mutant_server", "mutant_tests", "mutants")
    yield {name: importlib.import_module(name) for name in names}
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


FUNCTION = """\
X = 1
def f(x, y=2):
    if (
        x > y
    ):
        y = (x +
             1)
    return y
"""


@pytest.mark.parametrize(
    ("line", "statement", "function"),
    [
        (1, set(), set()),
        (2, {3, 4, 5, 6, 7, 8}, {3, 4, 5, 6, 7, 8}),
        (4, {3, 4, 5}, {3, 4, 5, 6, 7, 8}),
        (7, {6, 7}, {3, 4, 5, 6, 7, 8}),
    ],
)
def test_the_statement_and_the_function_of_a_line(tools, line, statement, function):
    found = tools["mutant_tests"].nearest_lines(FUNCTION, line)
    assert found[1] == function
    assert found[0] == (statement or {1})


def test_tests_that_execute_the_line_come_first_and_the_quickest_of_them(tools):
    measured = tools["mutant_tests"].Measured
    tests = [
        measured("tests/a.py::slow", 20.0, {"f.py": [3, 8]}),
        measured("tests/a.py::quick", 0.1, {"f.py": [3, 7]}),
        measured("tests/b.py::same_function", 0.01, {"f.py": [3]}),
        measured("tests/b.py::same_file", 0.001, {"f.py": [1]}),
        measured("tests/c.py::other_file", 0.001, {"g.py": [8]}),
        measured("f.py::doctest", 0.002, {}),
        measured("tests/test_defaults.py::reading", 0.05, {}),
    ]
    chosen = list(tools["mutant_tests"].TestMap(tests).rounds("f.py", FUNCTION, 8, 30))
    assert [one.test.partition("::")[2] for some in chosen for one in some] == [
        "reading", "slow", "same_function", "quick", "same_file", "doctest",
    ]  # fmt: skip
    assert [len(some) for some in chosen] == [2, 4]


def test_a_fork_runs_chosen_tests_against_a_changed_file(tools, tmp_path, monkeypatch):
    server = tools["mutant_server"]
    monkeypatch.setattr(server, "HEAVY", ("pytest",))
    root = tmp_path / "root"
    (root / "src").mkdir(parents=True)
    subprocess.run(["git", "init", "-q", root], check=True)
    (root / "src" / "it.py").write_text("def f(x):\n    if x:\n        return 1\n    return 2\n")
    (root / "test_it.py").write_text(
        "from it import f\ndef test_a():\n    assert f(1) == 1\ndef test_b():\n    assert f(0) == 2\n"
    )
    checkout = server.Checkout(root, tmp_path)
    found = checkout.run(["test_it.py"], [], limit=20, trace=True)
    assert [(one["test"], one["lines"]["src/it.py"]) for one in found.tests] == [
        ("test_it.py::test_a", [1, 2, 3]),
        ("test_it.py::test_b", [1, 2, 4]),
    ]
    assert not found.failed
    changes = {
        "2": "",
        "0": "test_it.py::test_b",
        "f(x)": "test_it.py::test_b",
        "(": "test_it.py (when collected)",
    }
    for change, failed in changes.items():
        text = f"def f(x):\n    if x:\n        return 1\n    return {change}\n"
        with checkout.changed("src/it.py", text.encode()):
            result = checkout.run(["test_it.py"], ["test_it.py::test_b"], limit=1)
            assert result.failed == failed
    with checkout.changed("src/it.py", b"def f(x):\n    while not x: pass\n    return 1"):
        assert not checkout.run(["test_it.py"], ["test_it.py::test_a"], limit=20).failed
        assert checkout.run(["test_it.py"], ["test_it.py::test_b"], limit=1).failed == "time limit"


def test_the_seed_decides_what_is_drawn_and_equivalents_have_a_reason(tools, capsys):
    draw, only = tools["mutants"].draw, ["src/rankaudio/mixing"]
    one, same, other = (draw(only, 20, seed) for seed in (1, 1, 2))
    assert one == same != other
    assert len(one) == 20
    assert len({mutant.key for mutant in one}) == 20
    for key, reason in tools["mutants"].equivalent_keys().items():
        assert len(reason) > 20, key
    draw([], 1, 0)  # stops if an equivalent is no longer there


def test_a_change_of_the_library_leaves_the_draw_of_other_places_as_it_is(tools, monkeypatch):
    mutants_of = tools["mutants"].mutants_of
    before = tools["mutants"].draw(["src/rankaudio/mixing"], 50, 0)

    def changed(file, source):
        return mutants_of(
            file, source + "\n\ndef new(x):\n    return x + 1\n" * file.endswith("_partners.py")
        )

    monkeypatch.setattr(tools["mutants"], "mutants_of", changed)
    after = tools["mutants"].draw(["src/rankaudio/mixing"], 10**6, 0)
    assert [one for one in after if one.function != "new"][:50] == before
    assert {one.function for one in after} >= {"new"}
