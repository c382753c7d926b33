"""The page: its sections one after the other, in one file."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from pathlib import Path

import rankaudio
from freesound.report.clips import clip_sections
from freesound.report.data import Part, Selection, Training
from freesound.report.markup import Html, h, join, raw
from freesound.report.sections import class_section, curves_section, glance, rivals_section, settings_section
from freesound.report.selections import selections_section
from freesound.runs import write_text

HERE = Path(__file__).parent


def write_report(
    path: Path,
    *,
    title: str,
    trainings: Sequence[Training] = (),
    parts: Sequence[Part] = (),
    selections: Sequence[Selection] = (),
    figures: Mapping[str, str] | None = None,
    missing: Sequence[str] = (),
    clips: int = 12,
) -> None:
    """Write one HTML file with everything in it: no network, no file beside it.

    Args:
        path: the file to write; it is whole whenever it is there.
        title: of the page.
        trainings: settings and learning curves, each with its own charts.
        parts: clips with scores and labels: lwlrap, classes, confusions and the hardest clips of each.
        selections: noisy clips that were taken.
        figures: further figures for the top of the page: from what each is to its value.
        missing: what the page could not show, and why.
        clips: how many of the hardest clips of each part are shown.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    hard = clip_sections(parts, most=clips)
    sections: list[tuple[str, Html | None]] = [("Learning curves", curves_section(trainings))]
    for part, cards in zip(parts, hard, strict=True):
        sections += [
            (f"{part.title}: classes", class_section(part)),
            (f"{part.title}: confusions", rivals_section(part)),
            (f"{part.title}: hardest clips", cards),
        ]
    sections.append(("Noisy clips taken", selections_section(selections)))
    sections.append(("Settings", settings_section(trainings)))
    shown = [(name, body) for name, body in sections if body is not None]
    top = h(
        "header",
        None,
        h("h1", None, title),
        h(
            "p",
            {"class": "muted"},
            f"Made {time.strftime('%Y-%m-%d %H:%M')} with rankaudio {rankaudio.__version__}",
        ),
        glance(trainings, parts, figures or {}),
        _missing(missing),
        h("nav", None, [h("a", {"href": f"#s{k}"}, name) for k, (name, _) in enumerate(shown)]),
    )
    body = [h("section", {"id": f"s{k}"}, h("h2", None, name), body) for k, (name, body) in enumerate(shown)]
    write_text(path, _document(title, [top, h("main", None, body)]))


def _document(title: str, body: list[Html]) -> str:
    style, script = (HERE / "style.css").read_text("utf-8"), (HERE / "script.js").read_text("utf-8")
    head = h(
        "head",
        None,
        h("meta", {"charset": "utf-8"}),
        h("meta", {"name": "viewport", "content": "width=device-width, initial-scale=1"}),
        h("meta", {"name": "color-scheme", "content": "light dark"}),
        h("title", None, title),
        h("style", None, raw(style)),
    )
    page = h("html", {"lang": "en"}, head, h("body", None, join(body), h("script", None, raw(script))))
    return "<!doctype html>\n" + page + "\n"


def _missing(missing: Sequence[str]) -> Html | None:
    if not missing:
        return None
    return h(
        "aside",
        None,
        h("h2", None, "Not on this page"),
        h("ul", None, [h("li", None, line) for line in missing]),
    )
