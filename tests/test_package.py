"""What pyproject.toml promises: floors without ceilings, and extras that hold what is imported."""

import ast
import re
import sys
import tomllib
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest

import rankaudio

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
EXTRAS = PROJECT["optional-dependencies"]


def normalised(requirement: str) -> str:
    """Name of the distribution that a requirement asks for."""
    return re.split(r"[^A-Za-z0-9._-]", requirement)[0].lower().replace("_", "-")


def names(requirements: list[str]) -> set[str]:
    return {normalised(requirement) for requirement in requirements}


def distributions_imported(folder: str) -> dict[str, str]:
    """From each distribution that the files of a folder import, wherever in them, to one such file."""
    known = packages_distributions()
    own = {path.stem for path in (ROOT / folder).rglob("*") if path.suffix in ("", ".py")} | {"rankaudio"}
    own |= {path.stem for path in (ROOT / "tests" / "helpers").iterdir()}
    found = {}
    for file in sorted((ROOT / folder).rglob("*.py")):
        for node in ast.walk(ast.parse(file.read_text())):
            modules = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            if isinstance(node, ast.ImportFrom) and node.module:
                modules = [node.module]
            for top in {module.partition(".")[0] for module in modules} - own - set(sys.stdlib_module_names):
                found[normalised(known.get(top, [top])[0])] = str(file.relative_to(ROOT))
    return found


def lacking(folder: str, offered: set[str]) -> dict[str, str]:
    return {name: file for name, file in distributions_imported(folder).items() if name not in offered}


REQUIRED = names(PROJECT["dependencies"])


def test_four_requirements_without_ceilings():
    assert sorted(REQUIRED) == ["numpy", "scipy", "torch", "typing-extensions"]
    for requirement in PROJECT["dependencies"] + [r for extra in EXTRAS.values() for r in extra]:
        assert "<" not in requirement
        assert "==" not in requirement


@pytest.mark.slow
def test_library_imports_what_is_required_or_an_extra():
    assert lacking("src", REQUIRED | names(EXTRAS["flac"] + EXTRAS["torchmetrics"])) == {}


@pytest.mark.slow
def test_examples_import_what_their_extras_hold():
    assert lacking("examples", REQUIRED | names(EXTRAS["examples"] + EXTRAS["onnx"] + EXTRAS["ray"])) == {}


@pytest.mark.slow
def test_tests_import_what_their_extra_holds():
    """Only torchaudio and timm, which needs torchvision, may be missing: their tests are then skipped."""
    example = {normalised(path.stem) for path in (ROOT / "examples").iterdir()}
    assert lacking("tests", REQUIRED | names(EXTRAS["test"]) | {"torchaudio", "timm"} | example) == {}


@pytest.mark.slow
def test_docs_import_what_their_extra_holds():
    """What sphinx itself stands on, docutils, comes with it. Pictures also use the example's sounds."""
    assert lacking("docs", REQUIRED | names(EXTRAS["docs"]) | {"docutils", "freesound"}) == {}


@pytest.mark.parametrize("extra", ["examples", "onnx", "ray", "torchmetrics"])
def test_extra_of_tests_holds_that_of(extra):
    assert names(EXTRAS[extra]) <= names(EXTRAS["test"])


def test_torchaudio_is_in_no_extra_but_its_own():
    """Asking for tests or examples must not bring a torchaudio that fails to import."""
    assert [name for name, wanted in EXTRAS.items() if "torchaudio" in names(wanted)] == ["torchaudio"]


@pytest.mark.parametrize("name", ["LICENSE", "README.md", "CHANGELOG.md", "src/rankaudio/py.typed"])
def test_file_is_there(name):
    assert (ROOT / name).is_file()


def test_version_stands_in_one_place():
    """The build reads it there, the documentation in what is installed."""
    paths = [ROOT / name for name in ("pyproject.toml", "README.md", "Makefile", "docs/conf.py")]
    paths += [*(ROOT / "src").rglob("*.py"), *(ROOT / "docs").glob("*.md")]
    written = re.compile(rf"(?<![\d.=]){re.escape(rankaudio.__version__)}(?![\d.])")
    found = [path for path in paths if written.search(path.read_text())]
    assert found == [ROOT / "src" / "rankaudio" / "__init__.py"]
    assert PROJECT["dynamic"] == ["version"]


def test_changelog_begins_with_the_next_version_or_this():
    headings = re.findall(r"^## \[(.*?)\]", (ROOT / "CHANGELOG.md").read_text(), flags=re.MULTILINE)
    assert headings[0] in ("Unreleased", rankaudio.__version__)
    assert headings == ["Unreleased"] or rankaudio.__version__ in headings[:2]


def test_the_page_on_dependencies_names_the_floors():
    """Requirements, Python, and what `.ci/matrix` runs."""
    page = (ROOT / "docs" / "dependencies.md").read_text()
    floors = [requirement.replace(">=", " ") for requirement in PROJECT["dependencies"]]
    floors += [f"Python {PROJECT['requires-python'].removeprefix('>=')}"]
    claimed = re.search(r"The oldest releases claimed are (.*?), and the\s", page)[1]
    assert sorted(re.split(r", | and ", claimed)) == sorted(floors)


def test_the_page_on_dependencies_lists_the_legs():
    script = ROOT / ".ci" / "matrix"
    if not script.exists():
        pytest.skip("the source archive has no .ci")
    legs = re.search(r"for name in (.*?); do run", script.read_text())[1].split()
    page = (ROOT / "docs" / "dependencies.md").read_text()
    assert re.findall(r"^\| `(.*?)` \| 3", page, flags=re.MULTILINE) == legs


def skips():
    """The source of each call that leaves out a test, a block of a page or a file of tests."""
    for path in sorted((ROOT / "tests").rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call):
                called = ast.unparse(node.func)
                if called in ("pytest.skip", "pytest.mark.skipif", "pytest.importorskip"):
                    yield path.name, ast.unparse(node)


def test_contributors_read_where_each_skipped_test_runs():
    page = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    table = page.partition("| a test needs |")[2].partition("\n\n")[0]
    words = re.findall(r"`([^`]+)`", " ".join(row.split("|")[1] for row in table.splitlines()[2:]))
    # A block of a page names the packages that it needs.
    found = [(file, call) for file, call in skips() if "only the other blocks" not in call]
    assert len(found) > 30
    for file, call in found:
        assert any(word in call for word in words), (file, call)
    # Tests marked long are not skipped but left out.
    assert {word for word in words if not any(word in call for _, call in found)} == {"long"}
