"""Code on the pages has at most 88 columns, because a page of usual width has room for no more."""

import re
from pathlib import Path

import pytest

import prose

ROOT = Path(__file__).parents[1]
MOST_COLUMNS = 88
PAGES = [path for path in sorted((ROOT / "docs").rglob("*.md")) if "_build" not in path.parts]
PAGES += [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "examples" / "gallery").glob("*.py"))]


def name_of(path):
    return path.relative_to(ROOT).as_posix()


def code_of(text):
    """The lines of all code blocks of a page; directives such as ``{picture}`` are none."""
    fence = None
    for line in text.splitlines():
        mark = re.match(r" *(`{3,})(.*)", line)
        if fence is None and mark:
            fence = mark
        elif mark and mark[1].startswith(fence[1]) and not mark[2].strip():
            fence = None
        elif fence and not fence[2].startswith("{"):
            yield line


def too_wide(lines):
    return [line for line in lines if len(line) > MOST_COLUMNS]


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_code_of_page_fits(page):
    text = page.read_text(encoding="utf-8")
    assert too_wide(text.splitlines() if page.suffix == ".py" else code_of(text)) == []


@pytest.mark.parametrize("path", sorted((ROOT / "src").rglob("*.py")), ids=name_of)
def test_examples_of_docstrings_fit(path):
    """Ruff breaks these lines; see ``docstring-code-line-length`` in pyproject.toml."""
    lines = [line for _, text in prose.docstrings(path) for line in text.splitlines()]
    assert too_wide(line.strip() for line in lines if re.match(r" *(>>>|\.\.\.) ", line)) == []


def test_wide_code_is_found():
    wide = "x" * 89
    page = f"{wide}\n\n```python\n{wide}\n{wide[1:]}\n```\n\n```{{picture}} name\n:alt: {wide}\n```\n"
    assert too_wide(code_of(page)) == [wide]
    assert too_wide(code_of(f"````text\n```\n{wide}\n```\n````\n{wide}\n")) == [wide]
