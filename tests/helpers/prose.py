"""Prose of Markdown pages, reStructuredText pages, docstrings and gallery scripts, split into sentences.

Code, tables, formulas, headings and directives are left out. Inline code, a formula or a role within a
sentence counts as one word.
"""

import ast
import re
import textwrap
from collections.abc import Iterator
from pathlib import Path

FEWEST_WORDS = 3  # shorter pieces are labels, not sentences

# A sentence ends at a mark, which brackets, quotes or asterisks may follow, and before white space.
SENTENCE_END = re.compile(r"(?<=[.!?])(?<!\be\.g\.)(?<!\bi\.e\.)(?<!\bvs\.)[)\]\"'*_]*\s+")
BLOCK_START = re.compile(r"^\s*(?:[-*+]|\d+[.)]|>)\s+")
FENCE = re.compile(r"^( *)(`{3,}|~{3,})(.*?)\n(.*?)^\1\2[ ]*$", flags=re.MULTILINE | re.DOTALL)
SECTIONS = "Args|Attributes|Example|Examples|Note|Raises|Reference|References|Returns|See Also|Shapes|Yields"

FORBIDDEN = {
    "whoever": r"\bwhoever\b",
    "beside": r"\bbeside\b",
    "lies": r"\blies\b",
    "thereby": r"\bthereby\b",
    "of its own": r"\bof\s+its\s+own\b",
    "of their own": r"\bof\s+their\s+own\b",
    "at will": r"\bat\s+will\b",
    "in due form": r"\bin\s+due\s+form\b",
    '"for" as a conjunction': (
        r"[,;:]\s+for\s+(?:(?:it|they|there|we|he|she)\b"
        r"|(?:this|that|these|those|a|an|the|each|every|no|its|their)\s+"
        r"(?:(?!that\b|which\b|who\b|whose\b|where\b|when\b|to\b)[\w'-]+\s+){0,6}"
        r"(?:is|are|was|were|has|have|had|does|do|can|cannot|will|would|may|must)\b)"
    ),
}


def one_word(text: str) -> str:
    """Put one word in the place of each inline code, formula, role and link."""
    text = re.sub(r"(?:\{[\w:-]+\}|:[\w:-]+:)`[^`]*`", "X", text)
    text = re.sub(r"(`+)(?!`).+?(?<!`)\1(?!`)", "X", text, flags=re.DOTALL)
    text = re.sub(r"(?<![\w$\\])\$(?!\s)[^$]+?(?<!\s)\$(?![\w$])", "X", text)
    text = re.sub(r"!\[[^\]]*\]\([^)]*\)", "", text)
    text = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", text)
    return re.sub(r"<https?:[^>]*>|https?:\S+", "X", text)


def blocks(text: str) -> Iterator[str]:
    """Paragraphs and list items."""
    block: list[str] = []
    for line in text.splitlines():
        if not line.strip() or BLOCK_START.match(line):
            yield " ".join(block)
            block = []
        block.append(BLOCK_START.sub("", line).strip())
    yield " ".join(block)


def sentences(text: str) -> list[str]:
    """All sentences of prose that :func:`of_markdown` or one of its siblings returned."""
    pieces = (piece for block in blocks(text) for piece in SENTENCE_END.split(one_word(block)))
    return [piece.strip() for piece in pieces if count_words(piece) >= FEWEST_WORDS]


def count_words(sentence: str) -> int:
    """Number of words: pieces between white space that hold a letter or a digit."""
    return sum(any(character.isalnum() for character in word) for word in sentence.split())


def forbidden_words(text: str) -> list[str]:
    """Forbidden words in prose, each once."""
    shown = re.sub(r"\s+", " ", one_word(text))
    return [name for name, pattern in FORBIDDEN.items() if re.search(pattern, shown, flags=re.IGNORECASE)]


def _fence_prose(match: re.Match[str]) -> str:
    """Caption of a picture; nothing of any other fenced block."""
    if not match[3].startswith("{picture}"):
        return "\n\n"
    return "\n\n" + re.sub(r"^:\w+:.*$", "", match[4], flags=re.MULTILINE) + "\n\n"


def of_markdown(text: str) -> str:
    """Prose of a Markdown page."""
    text = re.sub(r"\A---\n.*?\n---\n", "", text, flags=re.DOTALL)
    text = re.sub(r"<!--.*?-->", "", text, flags=re.DOTALL)
    text = FENCE.sub(_fence_prose, text)
    text = re.sub(r"\$\$.*?\$\$", "\n\n", text, flags=re.DOTALL)
    text = re.sub(r"^(?:#|\||% |\(.*\)=$).*$", "", text, flags=re.MULTILINE)
    return re.sub(r"^\[[^\]]+\]: .*$", "", text, flags=re.MULTILINE)


def of_rst(text: str) -> str:
    """Prose of a reStructuredText page or of a docstring, without headings, tables, code and doctests."""
    kept: list[str] = []
    deeper = -1  # a literal block or directive holds all lines that are indented more than this
    doctest = False
    lines = textwrap.dedent(text).splitlines()
    for line in lines:
        indent = len(line) - len(line.lstrip())
        doctest = bool(line.strip()) and (doctest or line.lstrip().startswith(">>>"))
        if (line.strip() and 0 <= deeper < indent) or doctest:
            continue
        if line.strip():
            deeper = -1
        if re.match(r"\s*(\.\. .*|:[\w-]+:( .*)?)$", line):
            deeper = indent
            kept.append("")
        elif re.fullmatch(r"\s*([=\-~^\"])\1[\1 ]*", line):
            _drop_heading(kept)
            kept.append("")
        else:
            deeper = indent if line.rstrip().endswith("::") else deeper
            kept.append(re.sub(r"::\s*$", ":", line))
    return "\n".join(_drop_tables(kept, lines))


def _drop_heading(kept: list[str]) -> None:
    """Remove the line above an underline."""
    if kept and kept[-1].strip():
        kept[-1] = ""


def _drop_tables(kept: list[str], lines: list[str]) -> list[str]:
    """Remove the rows of simple tables, whose borders are at least two groups of ``=``."""
    rows: set[str] = set()
    borders = [number for number, line in enumerate(lines) if re.fullmatch(r"\s*=+( +=+)+\s*", line)]
    if len(borders) >= 2:
        rows = {line for line in lines[borders[0] : borders[-1]] if line.strip()}
    return ["" if line in rows else line for line in kept]


def of_docstring(text: str) -> str:
    """Prose of a Google-style docstring; each argument, return value and error is a paragraph."""
    prose = re.sub(rf"^\s*(?:{SECTIONS}):\s*$", "", of_rst(text), flags=re.MULTILINE)
    # A list of files or commands: an indented name, two spaces or more, and what it is.
    prose = re.sub(r"^ {4}(\S+(?:[, ]\S+)*) {2,}", r"\n\1 ", prose, flags=re.MULTILINE)
    return re.sub(r"^ {4}(\*{0,2}\w+)(?: \([^)]*\))?: ", r"\n", prose, flags=re.MULTILINE)


def of_gallery(source: str) -> str:
    """Docstring and text cells of a gallery script, which a page shows as Markdown."""
    cells = [ast.get_docstring(ast.parse(source)) or ""]
    for cell in re.split(r"^# %%.*$", source, flags=re.MULTILINE)[1:]:
        lines = cell.strip("\n").splitlines()
        text = []
        while lines and lines[0].startswith("#"):
            text.append(lines.pop(0).removeprefix("#").removeprefix(" "))
        cells.append("\n".join(text))
    return of_markdown("\n\n".join(cells))


def of_page(path: Path) -> str:
    """Prose of a page or of a gallery script."""
    kinds = {".md": of_markdown, ".rst": of_rst, ".py": of_gallery}
    return kinds[path.suffix](path.read_text(encoding="utf-8"))


def docstrings(path: Path) -> Iterator[tuple[str, str]]:
    """Name and text of a file's own docstring and of those of its public classes and functions."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    yield path.name, ast.get_docstring(tree) or ""
    parents: list[tuple[str, ast.AST]] = [("", tree)]
    while parents:
        prefix, parent = parents.pop(0)
        for node in ast.iter_child_nodes(parent):
            named = isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef)
            if named and not node.name.startswith("_"):
                yield prefix + node.name, ast.get_docstring(node) or ""
                if isinstance(node, ast.ClassDef):
                    parents.append((f"{prefix}{node.name}.", node))
