"""Check the wheel and the source archive that `make dist` made: python .ci/check_wheel.py DIST."""

import sys
import tarfile
import zipfile
from pathlib import Path

# It catches stray data. The package alone has 420 kB, all of it Python.
MOST_BYTES = 500_000
IN_THE_ARCHIVE = (
    *("pyproject.toml", "README.md", "CHANGELOG.md", "CONTRIBUTING.md", "LICENSE", "Makefile", "conftest.py"),
    *("docs/conf.py", "tests/golden/lwlrap.npz", "tests/typed/user_program.py", "examples/freesound2019.py"),
)


def only(folder: Path, pattern: str) -> Path:
    """Return the only file that matches the pattern."""
    found = list(folder.glob(pattern))
    if len(found) != 1:
        sys.exit(f"{folder}: wanted one {pattern}, got {[path.name for path in found]}")
    return found[0]


def problems(wheel: Path, archive: Path) -> list[str]:
    """List what is wrong with the two files."""
    with zipfile.ZipFile(wheel) as opened:
        names = opened.namelist()
    with tarfile.open(archive) as opened_archive:
        sources = {name.split("/", 1)[-1] for name in opened_archive.getnames()}
    wrong = [f"{wheel.name}: {name} is not part of the package" for name in names if not belongs(name)]
    wrong += [
        f"{wheel.name}: no {wanted}"
        for wanted in ("/py.typed", "/LICENSE")
        if not any(name.endswith(wanted) for name in names)
    ]
    wrong += [f"{archive.name}: no {name}" for name in IN_THE_ARCHIVE if name not in sources]
    if wheel.stat().st_size >= MOST_BYTES:
        wrong.append(f"{wheel.name}: wanted less than {MOST_BYTES} bytes, got {wheel.stat().st_size}")
    return wrong


def belongs(name: str) -> bool:
    """Return True if a pure-Python wheel may hold this file."""
    return ".dist-info/" in name or (
        name.startswith("rankaudio/") and (name.endswith(".py") or name == "rankaudio/py.typed")
    )


if __name__ == "__main__":
    dist = Path(sys.argv[1])
    wheel, archive = only(dist, "*-py3-none-any.whl"), only(dist, "*.tar.gz")
    wrong = problems(wheel, archive)
    print(f"{wheel.name}: {wheel.stat().st_size} bytes; {archive.name}: {archive.stat().st_size} bytes")
    sys.exit("\n".join(wrong) or 0)
