"""Pages and docstrings are in plain English: short sentences and no forbidden words."""

import inspect
import statistics
from pathlib import Path

import pytest

import prose

ROOT = Path(__file__).parents[1]
PAGES = sorted(
    [
        *ROOT.glob("*.md"),
        *(ROOT / "docs").rglob("*.md"),
        *(ROOT / "docs" / "api").glob("*.rst"),
        *(ROOT / "examples").glob("*.md"),
        *(ROOT / "examples" / "gallery").glob("*.py"),
    ]
)
PAGES = [page for page in PAGES if "_build" not in page.parts]
SOURCES = sorted([*(ROOT / "src").rglob("*.py"), *(ROOT / "examples").rglob("*.py")])
MOST_WORDS = 30
MEAN_OF_PAGES = 15
MEAN_OF_DOCSTRINGS = 16


def name_of(path):
    return path.relative_to(ROOT).as_posix()


def too_long(text):
    found = [(prose.count_words(sentence), sentence) for sentence in prose.sentences(text)]
    return [f"{count} words: {sentence}" for count, sentence in found if count > MOST_WORDS]


def mean_words(texts):
    return statistics.mean(
        prose.count_words(sentence) for text in texts for sentence in prose.sentences(text)
    )


def docstrings_of(path):
    return [(name, prose.of_docstring(text)) for name, text in prose.docstrings(path)]


def assert_none(found):
    assert not found, "\n" + "\n".join(found)


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_page_has_no_forbidden_word(page):
    assert_none(prose.forbidden_words(prose.of_page(page)))


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_page_has_no_long_sentence(page):
    assert_none(too_long(prose.of_page(page)))


def test_sentences_of_pages_are_short_on_average():
    assert mean_words(prose.of_page(page) for page in PAGES) < MEAN_OF_PAGES


@pytest.mark.parametrize("path", SOURCES, ids=name_of)
def test_docstrings_have_no_forbidden_word(path):
    found = [(name, prose.forbidden_words(text)) for name, text in docstrings_of(path)]
    assert_none([f"{name}: {', '.join(words)}" for name, words in found if words])


@pytest.mark.parametrize("path", SOURCES, ids=name_of)
def test_docstrings_have_no_long_sentence(path):
    assert_none([f"{name}, {long}" for name, text in docstrings_of(path) for long in too_long(text)])


def test_sentences_of_docstrings_are_short_on_average():
    assert mean_words(text for path in SOURCES for _, text in docstrings_of(path)) < MEAN_OF_DOCSTRINGS


def test_markdown_leaves_code_tables_formulas_and_headings_out():
    page = """# A heading of a page

First sentence here. Is this the second one? Yes, `it is, with code`, and $a + b$ counts once!
**Bold words end too.** Another one (with brackets.) The last, see [a link of words](page.md#anchor).

```python
x = "This is code. It has two sentences."
```

| a table | has no sentences. None at all. |

- an item without a mark
- another item:

$$
x = y
$$

1. a numbered item of four

```{picture} name
:alt: what it shows, for all

A caption is prose.
```
% a hidden comment of a page
"""
    assert prose.sentences(prose.of_markdown(page)) == [
        "First sentence here.",
        "Is this the second one?",
        "Yes, X, and X counts once!",
        "**Bold words end too.",
        "Another one (with brackets.",
        "The last, see a link of words.",
        "an item without a mark",
        "a numbered item of four",
        "A caption is prose.",
    ]


def test_a_sentence_goes_on_over_lines_and_numbers():
    text = "A value of 1.5 or so, e.g. this one,\nis one sentence of many words. A second follows."
    assert [prose.count_words(sentence) for sentence in prose.sentences(text)] == [15, 3]


def test_docstrings_leave_doctests_directives_and_section_names_out():
    text = """The sum of all :func:`parts`.

    .. math::

        x = \\sum_i y_i

    A table:

    ===== =====
    name  what it does in many words
    ===== =====
    one   more words, and a mark. Really.
    ===== =====

    Code follows::

        ignored = "all of this"

    Args:
        scores: Raw scores, any real numbers.
        target (Tensor): The labels, 0 or 1,
            of each clip.

    Returns:
        The loss, a scalar.

    >>> print("A doctest. With sentences.")
    A doctest. With sentences.
    """
    found = prose.sentences(prose.of_docstring(inspect.cleandoc(text)))
    assert found == [
        "The sum of all X.",
        "Raw scores, any real numbers.",
        "The labels, 0 or 1, of each clip.",
        "The loss, a scalar.",
    ]


def test_gallery_scripts_have_text_in_docstring_and_cells():
    source = (
        '"""A title of words.\n\nMore of it here.\n"""\n\n# %%\n# Text of\n# a cell.\n\nx = 1  # no text\n'
    )
    assert prose.sentences(prose.of_gallery(source)) == [
        "A title of words.",
        "More of it here.",
        "Text of a cell.",
    ]


def test_long_sentences_are_found():
    assert too_long("A short sentence. " + "word " * 31 + "ends here. Short again.") == [
        "33 words: " + "word " * 31 + "ends here."
    ]
    assert too_long("word " * 29 + "end.") == []


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("Whoever reads this", ["whoever"]),
        ("a folder beside it, with\na name of\nits own", ["beside", "of its own"]),
        ("besides, this believes", []),
        ("The file lies there, thereby `at will`.", ["lies", "thereby"]),
        ("values of their own, at will, in due form", ["of their own", "at will", "in due form"]),
        ("It stays, for it is small.", ['"for" as a conjunction']),
        ("It stays, for the last frame of a clip is silent.", ['"for" as a conjunction']),
        ("It waits, for there was no clip.", ['"for" as a conjunction']),
        ("A name, for the clip that is longest.", []),
        ("A way out, for each class.", []),
        ("Good for it and for the others.", []),
    ],
)
def test_forbidden_words_are_found(text, found):
    assert prose.forbidden_words(text) == found
