"""The selected noisy clips, and how many of them have right labels."""

from __future__ import annotations

from typing import NamedTuple

from tools.report.data import Selection
from tools.report.figures import audit, taken_by_class
from tools.report.sections import Bar, count

MAX_NAMES = 1_000


class SelectedClip(NamedTuple):
    """A selected clip with its labels; ``truth`` is set if they are wrong."""

    name: str
    labels: str
    truth: str = ""


class Selected(NamedTuple):
    """A selection: the cells of its row, its classes, its first clips and the number of the others."""

    title: str
    cells: list[str]
    bars: list[Bar]
    n_clips: str
    clips: list[SelectedClip]
    n_more: int


def selected(selection: Selection) -> Selected:
    """Return one selection; clips with wrong labels come first."""
    bars = [
        Bar(name, min(1.0, taken / given) if given else 1.0, f"{taken} of {given}")
        for name, taken, given in taken_by_class(selection)
    ]
    clips = sorted(
        (_clip(selection, name) for name in selection.taken), key=lambda clip: (not clip.truth, clip.name)
    )
    return Selected(
        selection.title,
        _cells(selection),
        bars,
        count(len(clips), "clip"),
        clips[:MAX_NAMES],
        max(0, len(clips) - MAX_NAMES),
    )


def _clip(selection: Selection, name: str) -> SelectedClip:
    labels, truth = selection.taken[name], selection.truth.get(name)
    wrong = truth is not None and truth != labels
    return SelectedClip(name, _listed(labels), _listed(truth) if wrong else "")


def _cells(selection: Selection) -> list[str]:
    """Return the cells of the columns that ``selections.html`` names."""
    found = audit(selection)
    taken = f"{found.taken} of {found.noisy}" if found.noisy else str(found.taken)
    if not selection.truth:
        return [taken, "", "", "", ""]
    right = f"{found.right}" if found.known == found.taken else f"{found.right} of {found.known} known"
    return [
        taken,
        right,
        _share(found.right, found.known),
        _share(found.found_right, found.given_right),
        _share(found.given_right, found.given_known),
    ]


def _listed(labels: frozenset[str]) -> str:
    return ", ".join(sorted(labels)) or "no label"


def _share(part: int, whole: int) -> str:
    return f"{part / whole:.1%}" if whole else ""
