"""The programs in ``examples/tools``: help, missing packages, and independence from each other."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

from tools import adversarial, listen, noisy_audit
from tools.download import command as download
from tools.report import command as report

EXAMPLES = Path(__file__).parents[2] / "examples"
PROGRAMS = {
    "adversarial.py": adversarial,
    "download": download,
    "listen.py": listen,
    "noisy_audit.py": noisy_audit,
    "report": report,
}
# Importing one of these fails, as if it were not installed.
WITHOUT_EXTRAS = """
import runpy, sys
for name in ("jinja2", "matplotlib", "sklearn", "soundfile", "tensorboard", "tqdm"):
    sys.modules[name] = None
sys.argv = sys.argv[1:]
runpy.run_path(sys.argv[0], run_name="__main__")
"""


@pytest.mark.parametrize("name", PROGRAMS)
def test_help_is_grouped_and_has_an_example(name):
    text = PROGRAMS[name].build_parser().format_help()
    assert f"python examples/tools/{name} --" in text
    assert "None" not in text
    assert "usage: " + name in text
    assert sum(line.endswith(":") and not line.startswith(" ") for line in text.splitlines()) >= 2


@pytest.mark.parametrize("name", PROGRAMS)
def test_help_needs_no_extra_and_works_in_any_folder(tmp_path, name):
    command = [sys.executable, "-c", WITHOUT_EXTRAS, str(EXAMPLES / "tools" / name), "--help"]
    done = subprocess.run(command, cwd=tmp_path, check=False, capture_output=True, text=True, timeout=120)
    assert done.stderr == ""
    assert done.stdout.startswith("usage: ")


@pytest.mark.parametrize(
    ("name", "package", "options"),
    [
        ("report", "jinja2", ["--run", "r", "--data", "d"]),
        ("report", "matplotlib", ["--run", "r", "--data", "d"]),
        ("listen.py", "matplotlib", ["--data", "d", "--out", "o"]),
        ("adversarial.py", "scikit-learn", ["--data", "d"]),
    ],
)
def test_a_missing_package_is_named_with_the_pip_command(monkeypatch, tmp_path, name, package, options):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setitem(sys.modules, {"scikit-learn": "sklearn"}.get(package, package), None)
    with pytest.raises(SystemExit) as caught:
        PROGRAMS[name].main(options)
    assert caught.value.code == f"{name}: wanted the package {package}; pip install {package}"
    assert list(tmp_path.iterdir()) == []


def imports_of(path):
    """The names of all modules that a file imports."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom):
            yield node.module or ""
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)


def test_nothing_imports_the_programs():
    imported = [(path, name) for path in EXAMPLES.rglob("*.py") for name in imports_of(path)]
    of_tools = [(path, name.split(".")) for path, name in imported if name.startswith("tools")]
    assert of_tools
    for path, name in of_tools:
        # A program imports shared parts (with an underscore) and its own files.
        inside = path.relative_to(EXAMPLES).parts
        assert inside[0] == "tools", path
        assert name[1].startswith("_") or name[1] == inside[1], (path, name)
