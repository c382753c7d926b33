"""The figures of each section of the page, ready for its template."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from torch import Tensor

from rankaudio import lwlrap
from rankaudio.metrics import bootstrap
from tools.report.charts import Chart, Curve, line_chart
from tools.report.data import LOSS, LWLRAP, RATE, Part, Training
from tools.report.figures import confusions

WORST_CLASSES, CONFUSIONS = 9, 4
CHARTS = (
    ("Training loss", LOSS, ".4f", False),
    ("Validation lwlrap (ring: best)", LWLRAP, ".4f", True),
    ("Learning rate", RATE, ".2e", False),
)


class Tile(NamedTuple):
    """A figure at the top of the page."""

    value: str
    what: str
    note: str = ""
    small: bool = False


class Bar(NamedTuple):
    """A row with a bar; ``share`` is the length of the bar, from 0 to 1."""

    name: str
    share: float
    note: str
    figure: str = ""


class Curves(NamedTuple):
    """The charts of one model, and the folds that the colours stand for."""

    title: str
    folds: list[str]
    charts: list[Chart]
    has_lwlrap: bool


class Classes(NamedTuple):
    """lwlrap of each class; ``overall`` is that of all labels, NaN without a label."""

    overall: float
    bars: list[Bar]
    unused: list[str]


class ConfusedClass(NamedTuple):
    """A class with a low lwlrap, and the classes that were scored above it."""

    name: str
    lwlrap: str
    bars: list[Bar]


def tiles(trainings: Sequence[Training], parts: Sequence[Part], figures: Mapping[str, str]) -> list[Tile]:
    """Return the most important figures."""
    found = [Tile(value, what) for what, value in figures.items()]
    for part in parts:
        scores, target = part.scores.scores, part.labels.target
        labels, classes = int(target.sum()), int(target.any(0).sum())
        counts = (
            f"{count(len(target), 'clip')}, {count(labels, 'label')}, {count(classes, 'class', 'classes')}"
        )
        macro = f"mean over classes {_value(lwlrap(scores, target, average='macro'))}"
        notes = [counts, macro]
        if labels:
            interval = bootstrap(scores, target)
            notes.insert(0, f"95 % interval {interval.low:.3f} to {interval.high:.3f}")
        found.append(Tile(_value(lwlrap(scores, target)), f"lwlrap, {part.title.lower()}", "; ".join(notes)))
        found += [
            Tile(_value(_lwlrap_of(part, names)), f"lwlrap, {fold}", count(len(names), "clip"), small=True)
            for fold, names in part.folds.items()
        ]
    return found + [Tile(_model(one.settings), one.title, _schedule(one), small=True) for one in trainings]


def curves(trainings: Sequence[Training]) -> list[Curves]:
    """Return loss, validation lwlrap and learning rate over the epochs, with a line for each fold."""
    found = []
    for training in trainings:
        charts = {
            column: line_chart(
                title,
                [Curve(fold.title, fold.epochs, fold.columns[column]) for fold in training.folds],
                form=form,
                mark_best=mark_best,
            )
            for title, column, form, mark_best in CHARTS
        }
        drawn = [chart for chart in charts.values() if chart is not None]
        if drawn:
            titles = [fold.title for fold in training.folds]
            found.append(Curves(training.title, titles, drawn, charts[LWLRAP] is not None))
    return found


def classes(part: Part) -> Classes:
    """Return the lwlrap and the number of clips of each class, worst first."""
    overall = float(lwlrap(part.scores.scores, part.labels.target))
    order, value, support = _classes(part)
    bars = [
        Bar(part.scores.classes[c], float(value[c]), count(int(support[c]), "clip"), _value(value[c]))
        for c in order
    ]
    unused = [name for name, n in zip(part.scores.classes, support.tolist(), strict=True) if not n]
    return Classes(overall, bars, unused)


def confused_classes(part: Part) -> list[ConfusedClass]:
    """Return the worst classes, each with the classes that were wrongly scored above it."""
    scores, target = part.scores.scores, part.labels.target
    order, value, support = _classes(part)
    found = []
    for c in [c for c in order if value[c] < 1][:WORST_CLASSES]:
        clips = int(support[c])
        bars = [
            Bar(part.scores.classes[one.index], one.clips / clips, f"{one.clips} of {clips}")
            for one in confusions(scores, target, c, most=CONFUSIONS)
        ]
        found.append(ConfusedClass(part.scores.classes[c], _value(value[c]), bars))
    return found


def count(number: int, one: str, more: str | None = None) -> str:
    """Write a number with its noun in the singular or plural."""
    return f"{number:,} {one if number == 1 else more or one + 's'}"


def _classes(part: Part) -> tuple[list[int], Tensor, Tensor]:
    """Return the classes with a clip, worst first, and lwlrap and support of all classes."""
    value, support = lwlrap(part.scores.scores, part.labels.target, average=None)
    order = value.argsort(stable=True).tolist()
    return [c for c in order if support[c] > 0], value, support


def _lwlrap_of(part: Part, names: Sequence[str]) -> Tensor:
    return lwlrap(part.scores.select(names).scores, part.labels.select(names).target)


def _model(settings: dict[str, Any]) -> str:
    keys = ("network.name", "network.pooling", "optim.loss")
    return ", ".join(str(settings[key]) for key in keys if key in settings) or "trained"


def _schedule(training: Training) -> str:
    names = {
        "optim.epochs": "epochs",
        "clips.folds": "folds",
        "network.base_depth": "base depth",
        "optim.seed": "seed",
    }
    return ", ".join(
        f"{name} {training.settings[key]}" for key, name in names.items() if key in training.settings
    )


def _value(value: Tensor) -> str:
    return "–" if math.isnan(float(value)) else f"{float(value):.3f}"
