"""The code in the README runs and prints what it says, and the package index gets the same words."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")


def blocks_of(text):
    return re.findall(r"```python\n(.*?)```", text, flags=re.DOTALL)


def test_python_blocks_run_one_after_the_other(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    first, second = blocks_of(README)
    assert sum(bool(line.strip()) for line in first.splitlines()) == 10
    names = {}
    for block in (first, second):
        exec(compile(block, "README.md", "exec"), names)
    assert capsys.readouterr().out.strip() == re.search(r"# (lwlrap .*)$", first, flags=re.MULTILINE)[1]
    shapes = re.findall(r"^(.*\.shape) +# (\(.*?\))", second, flags=re.MULTILINE)
    assert len(shapes) == 3
    for expression, shape in shapes:
        assert tuple(eval(expression, names)) == eval(shape)


def test_links_and_pictures_exist():
    paths = re.findall(r"\]\(([^)#]+)[^)]*\)|(?:src|srcset)=\"(.*?)\"", README)
    found = [ROOT / (link or picture) for link, picture in paths if "://" not in link]
    assert len(found) > 20
    assert [path for path in found if not path.is_file()] == []


@pytest.mark.parametrize("name", ["alone_or_padded", "demo"])
def test_picture_has_a_light_and_a_dark_version(name):
    light, dark = (ROOT / "docs" / "images" / f"{name}-{theme}.png" for theme in ("light", "dark"))
    assert f'src="docs/images/{light.name}"' in README
    assert f'srcset="docs/images/{dark.name}"' in README
    assert light.read_bytes() != dark.read_bytes()


def test_description_for_the_package_index_repeats_the_readme():
    """It is a separate file because the README's links and pictures do not work there."""
    text = (ROOT / "docs" / "pypi.md").read_text(encoding="utf-8")
    for block in text.split("\n\n")[:2] + blocks_of(text):
        assert block in README
    assert "](" not in text
