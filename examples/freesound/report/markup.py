"""HTML and SVG from plain calls; whatever is not markup already is escaped."""

from __future__ import annotations

from collections.abc import Mapping
from html import escape

VOID = {"br", "circle", "img", "line", "meta", "path", "rect"}


class Html(str):
    """Text that is markup. A plain string becomes it by being escaped, and only :func:`h` makes it."""

    __slots__ = ()


def h(name: str, attributes: Mapping[str, object] | None = None, *children: object) -> Html:
    """Return an element. Children are elements, lists of them, None for nothing, or values to show."""
    opened = name + "".join(
        f' {key}="{escape(str(value))}"' for key, value in (attributes or {}).items() if value is not None
    )
    if name in VOID and not children:
        return Html(f"<{opened}/>")
    return Html(f"<{opened}>{join(children)}</{name}>")


def join(child: object) -> Html:
    """Return one piece of markup from whatever a child may be."""
    if isinstance(child, Html):
        return child
    if child is None:
        return Html("")
    if isinstance(child, list | tuple):
        return Html("".join(map(join, child)))
    return Html(escape(str(child)))


def raw(text: str) -> Html:
    """Take text as markup: for the style sheet and the script beside this file, and nothing else."""
    return Html(text)


def many(count: int, one: str, more: str | None = None) -> str:
    """Count things in words that agree with the number."""
    return f"{count:,} {one if count == 1 else more or one + 's'}"
