"""What the page says in figures: at a glance, curves, classes, confusions, settings."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from torch import Tensor

from freesound.report.charts import Curve, bar, legend, line_chart
from freesound.report.data import LOSS, LWLRAP, RATE, Part, Training
from freesound.report.markup import Html, h, join, many
from freesound.report.numbers import rivals
from rankaudio import lwlrap

WORST, RIVALS = 9, 4


def glance(trainings: Sequence[Training], parts: Sequence[Part], figures: Mapping[str, str]) -> Html | None:
    """Tiles with the figures that matter most."""
    tiles = [_tile(value, what, "") for what, value in figures.items()]
    for part in parts:
        scores, target = part.scores.scores, part.labels.target
        labels, classes = int(target.sum()), int(target.any(0).sum())
        counts = f"{many(len(target), 'clip')}, {many(labels, 'label')}, {many(classes, 'class', 'classes')}"
        macro = f"mean over classes {_value(lwlrap(scores, target, average='macro'))}"
        tiles.append(
            _tile(_value(lwlrap(scores, target)), f"lwlrap, {part.title.lower()}", f"{counts}; {macro}")
        )
        tiles += [
            _tile(_value(_lwlrap_of(part, names)), f"lwlrap, {fold}", many(len(names), "clip"), small=True)
            for fold, names in part.folds.items()
        ]
    tiles += [_tile(_model(one.settings), one.title, _recipe(one), small=True) for one in trainings]
    return h("div", {"class": "tiles"}, tiles) if tiles else None


def curves_section(trainings: Sequence[Training]) -> Html | None:
    """Loss, validation lwlrap and learning rate over the epochs, a line for each fold."""
    blocks = []
    for training in trainings:
        charts = [
            line_chart(
                title,
                [Curve(f.title, f.epochs, f.columns[column]) for f in training.folds],
                form=form,
                best=best,
            )
            for title, column, form, best in [
                ("Training loss", LOSS, ".4f", False),
                ("Validation lwlrap (ring: best)", LWLRAP, ".4f", True),
                ("Learning rate", RATE, ".2e", False),
            ]
        ]
        if not any(charts):
            continue
        name = h("h3", None, training.title) if len(trainings) > 1 else None
        note = (
            None
            if charts[1]
            else h("p", {"class": "muted"}, "No clips were held out, so there is no lwlrap to draw.")
        )
        names = legend([fold.title for fold in training.folds])
        blocks.append(join([name, names, h("div", {"class": "charts"}, charts), note]))
    return join(blocks) if blocks else None


def class_section(part: Part) -> Html | None:
    """A bar for each class, worst first, and how many clips it is on."""
    overall = float(lwlrap(part.scores.scores, part.labels.target))
    if math.isnan(overall):
        return h("p", None, "No clip of this part has a label.")
    order, value, support = _classes(part)
    rows = [
        h(
            "li",
            None,
            h("span", {"class": "name"}, part.scores.classes[c]),
            bar(float(value[c]), mark=overall),
            h("span", {"class": "figure"}, _value(value[c])),
            h("small", None, many(int(support[c]), "clip")),
        )
        for c in order
    ]
    silent = [name for name, n in zip(part.scores.classes, support.tolist(), strict=True) if not n]
    return join(
        [
            h(
                "p",
                {"class": "lead"},
                f"lwlrap of each class, worst first. The line is that of all labels, {overall:.3f}.",
            ),
            h("ul", {"class": "bars"}, rows),
            h("p", {"class": "muted"}, "Without a clip: " + ", ".join(silent)) if silent else None,
        ]
    )


def rivals_section(part: Part) -> Html | None:
    """For each of the worst classes, what is ranked above it where it should not be."""
    scores, target = part.scores.scores, part.labels.target
    order, value, support = _classes(part)
    cards = []
    for c in [c for c in order if value[c] < 1][:WORST]:
        count = int(support[c])
        rows = [
            h(
                "li",
                None,
                h("span", {"class": "name"}, part.scores.classes[rival.index]),
                bar(rival.clips / count, tone="warn"),
                h("small", None, f"{rival.clips} of {count}"),
            )
            for rival in rivals(scores, target, c, most=RIVALS)
        ]
        title = h(
            "h3", None, h("span", None, part.scores.classes[c]), h("small", None, f"lwlrap {value[c]:.3f}")
        )
        cards.append(h("article", {"class": "card"}, title, h("ul", {"class": "bars few"}, rows)))
    if not cards:
        return None
    said = (
        "The classes with the lowest lwlrap, each with the classes that were most often scored above it "
        "on its clips without being on them."
    )
    return join([h("p", {"class": "lead"}, said), h("div", {"class": "cards"}, cards)])


def settings_section(trainings: Sequence[Training]) -> Html | None:
    """Every setting of every run."""
    blocks = []
    for training in trainings:
        items = [
            h("div", None, h("dt", None, name), h("dd", None, _setting(value)))
            for name, value in training.settings.items()
        ]
        title = h("summary", None, f"{training.title}: {len(items)} settings")
        blocks.append(h("details", None, title, h("dl", {"class": "settings"}, items)))
    return join(blocks) if blocks else None


def _classes(part: Part) -> tuple[list[int], Tensor, Tensor]:
    """Classes with a clip, worst first; lwlrap and support of all classes."""
    value, support = lwlrap(part.scores.scores, part.labels.target, average=None)
    order = value.argsort(stable=True).tolist()
    return [c for c in order if support[c] > 0], value, support


def _lwlrap_of(part: Part, names: Sequence[str]) -> Tensor:
    return lwlrap(part.scores.select(names).scores, part.labels.select(names).target)


def _tile(value: str, what: str, more: str, *, small: bool = False) -> Html:
    return h(
        "div",
        {"class": "tile small" if small else "tile"},
        h("strong", None, value),
        h("span", None, what),
        h("small", None, more) if more else None,
    )


def _model(settings: dict[str, Any]) -> str:
    return (
        ", ".join(str(settings[key]) for key in ("model", "pooling", "loss") if key in settings) or "trained"
    )


def _recipe(training: Training) -> str:
    names = {"epochs": "epochs", "folds": "folds", "base_depth": "base depth", "seed": "seed"}
    return ", ".join(
        f"{said} {training.settings[key]}" for key, said in names.items() if key in training.settings
    )


def _setting(value: object) -> str:
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)


def _value(value: Tensor) -> str:
    return "–" if math.isnan(float(value)) else f"{float(value):.3f}"
