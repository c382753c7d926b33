"""The page: its sections in order, in one HTML file.

The templates are in ``templates/``. Jinja escapes every value that it inserts, so the name of a class or a
file cannot become markup.
"""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any, NamedTuple

import rankaudio
from rankaudio.data import write_text
from tools.report.clips import hard_clips
from tools.report.data import Content
from tools.report.sections import classes, confused_classes, curves, tiles
from tools.report.selections import selected


class Section(NamedTuple):
    """A title, and the template that shows ``body``."""

    title: str
    template: str
    body: Any


def write_page(path: Path, content: Content, *, clips: int = 12) -> None:
    """Write one HTML file that needs no network and no other file.

    Args:
        path: the file to write. It is complete or absent.
        content: what the page shows.
        clips: how many of the hardest clips of each part to show.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    write_text(path, render(content, clips=clips))


def render(content: Content, *, clips: int) -> str:
    """Return the HTML of the page."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent / "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template("page.html").render(
        title=content.title,
        made=time.strftime("%Y-%m-%d %H:%M"),
        version=rankaudio.__version__,
        tiles=tiles(content.trainings, content.parts, content.figures),
        missing=content.missing,
        sections=_sections(content, clips=clips),
    )


def _sections(content: Content, *, clips: int) -> list[Section]:
    """Return the sections that have anything to show."""
    sections = [Section("Learning curves", "curves.html", curves(content.trainings))]
    for part, hard in zip(content.parts, hard_clips(content.parts, most=clips), strict=True):
        sections += [
            Section(f"{part.title}: classes", "classes.html", classes(part)),
            Section(f"{part.title}: confusions", "confusions.html", confused_classes(part)),
            Section(f"{part.title}: hardest clips", "clips.html", hard if hard.has_labels else None),
        ]
    sections += [
        Section("Noisy clips selected", "selections.html", [selected(one) for one in content.selections]),
        Section("Settings", "settings.html", content.trainings),
    ]
    return [section for section in sections if section.body]
