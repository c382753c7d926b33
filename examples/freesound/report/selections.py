"""What was taken from the noisy clips, and how much of it is right."""

from __future__ import annotations

from collections.abc import Sequence

from freesound.report.charts import bar
from freesound.report.data import Selection
from freesound.report.markup import Html, h, join, many
from freesound.report.numbers import audit, taken_by_class

MOST_TAKEN = 1_000


def selections_section(selections: Sequence[Selection]) -> Html | None:
    """What was taken from the noisy clips, and how much of it is right where that is known."""
    if not selections:
        return None
    head = ["Selection", "Clips taken", "Right", "Precision", "Recall", "Before selecting"]
    rows = [[one.title, *_audited(one)] for one in selections]
    table = h(
        "table",
        None,
        h("thead", None, h("tr", None, [h("th", None, cell) for cell in head])),
        h(
            "tbody",
            None,
            [h("tr", None, [_cell(k, cell, head[k]) for k, cell in enumerate(row)]) for row in rows],
        ),
    )
    said = (
        "A clip is right if its labels are exactly the true ones. Precision: of the clips taken whose true "
        "labels are known, the share that is right. Recall: of all clips that came with right labels, the "
        "share that was taken. Before selecting: the share of right ones among all clips as they came."
    )
    lists = [_taken(one) for one in selections]
    return join([h("p", {"class": "lead"}, said), h("div", {"class": "wide"}, table), lists])


def _audited(selection: Selection) -> list[str]:
    found = audit(selection)
    taken = f"{found.taken} of {found.noisy}" if found.noisy else str(found.taken)
    if not selection.truth:
        return [taken, "", "", "", ""]
    right = f"{found.right}" if found.judged == found.taken else f"{found.right} of {found.judged} known"
    return [
        taken,
        right,
        _share(found.right, found.judged),
        _share(found.kept_right, found.given_right),
        _share(found.given_right, found.given_judged),
    ]


def _taken(selection: Selection) -> Html:
    """The clips taken, by class and by name."""
    return join(
        [
            _folded(f"{selection.title}: by class", "bars", _classes(selection)),
            _folded(f"{selection.title}: {many(len(selection.taken), 'clip')}", "names", _names(selection)),
        ]
    )


def _folded(summary: str, kind: str, items: list[Html]) -> Html:
    return h("details", None, h("summary", None, summary), h("ul", {"class": kind}, items))


def _classes(selection: Selection) -> list[Html]:
    """How many clips were taken of each class."""
    return [
        h(
            "li",
            None,
            h("span", {"class": "name"}, name),
            bar(taken / given if given else 1.0),
            h("small", None, f"{taken} of {given}"),
        )
        for name, taken, given in taken_by_class(selection)
    ]


def _names(selection: Selection) -> list[Html]:
    """The clips by name, those in error first."""
    truth = selection.truth

    def in_error(name: str) -> bool:
        return name in truth and truth[name] != selection.taken[name]

    order = sorted(selection.taken, key=lambda name: (not in_error(name), name))
    rows = [
        h(
            "li",
            {"class": "wrong" if in_error(name) else None},
            f"{name}: {_listed(selection.taken[name])}",
            h("small", None, f" in truth: {_listed(truth[name])}") if in_error(name) else None,
        )
        for name in order[:MOST_TAKEN]
    ]
    if len(order) > MOST_TAKEN:
        rows.append(h("li", None, f"... and {len(order) - MOST_TAKEN} more"))
    return rows


def _cell(index: int, text: str, head: str) -> Html:
    return h("th", {"scope": "row"}, text) if index == 0 else h("td", {"data-head": head}, text or "–")


def _listed(labels: frozenset[str]) -> str:
    return ", ".join(sorted(labels)) or "no label"


def _share(part: int, whole: int) -> str:
    return f"{part / whole:.1%}" if whole else ""
