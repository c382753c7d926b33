"""The code in the README runs, and the package index gets the same words."""

import re
from pathlib import Path

README = (Path(__file__).parent.parent / "README.md").read_text(encoding="utf-8")


def test_python_blocks_run_one_after_the_other(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    blocks = re.findall(r"```python\n(.*?)```", README, flags=re.DOTALL)
    assert len(blocks) == 2
    names = {}
    for block in blocks:
        exec(compile(block, "README.md", "exec"), names)
    assert 0 < float(capsys.readouterr().out.removeprefix("tensor(").split(",")[0].rstrip(")\n")) <= 1
    for line in blocks[1].splitlines():
        shape = re.search(r"^(.*\.shape) +# (\(.*?\))", line)
        if shape:
            assert tuple(eval(shape[1], names)) == eval(shape[2])


def test_pictures_exist():
    pictures = re.findall(r"!\[.*?\]\((.*?)\)", README)
    assert pictures
    for path in pictures:
        assert (Path(__file__).parent.parent / path).is_file()


def test_description_for_the_package_index_repeats_the_readme():
    """It is a separate file because the README's links and pictures do not work there."""
    text = (Path(__file__).parent.parent / "docs" / "pypi.md").read_text(encoding="utf-8")
    for block in text.split("\n\n")[:2] + re.findall(r"```python\n(.*?)```", text, flags=re.DOTALL):
        assert block in README
    assert "](" not in text
