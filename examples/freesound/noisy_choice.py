"""Which noisy clips to trust and which to drop: chosen by a model, or listed in a table.

    RUN/noisy/trusted.csv    clips whose given labels count like curated ones
    RUN/noisy/kept.csv       clips that stay in the noisy pool: all but the dropped ones
    RUN/noisy/dropped.csv    clips that are not trained on

The tables have the columns of :mod:`freesound.rounds`, and ``trusted.csv`` is written last.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch

from freesound.corrections import read_decisions
from freesound.rounds import write_selection
from rankaudio.data import LabelTable, ScoreTable, read_labels, read_scores, write_labels
from rankaudio.noisy import select_agreeing


def choose_by_agreement(
    noisy: Path, scores: Path, out: Path, *, classes: tuple[str, ...], trusted: float, dropped: float
) -> None:
    """Trust the clips whose given labels agree best with a model's scores, and drop those that agree least.

    Args:
        noisy: table of the given labels. Clips without a label that is a class are always dropped.
        scores: scores of these clips by a model that has not seen them.
        out: the table of trusted clips to write; the other tables come next to it.
        classes: in any order.
        trusted: share of all noisy clips to trust.
        dropped: share of all noisy clips to drop.

    Raises:
        ValueError: if there is no clip to trust.
    """
    given, table = read_labels(noisy, classes=classes, strict=False), read_scores(scores)
    columns = [table.classes.index(name) for name in given.classes]
    values = table.select(given.names).scores[:, columns]
    order = select_agreeing(values, given.target, k=len(given)).tolist()
    best, worst = round(trusted * len(given)), round(dropped * len(given))
    if not order[:best]:
        raise ValueError(f"{noisy}: wanted at least one clip to trust, got none in a share of {trusted:g}")
    unlabelled = len(given) - len(order)
    keep = max(best, len(order) - max(0, worst - unlabelled))
    names = [given.names[row] for row in order]
    others = set(names[:keep])
    parts = {
        "kept": names[:keep],
        "dropped": [name for name in given.names if name not in others],
    }
    for name, part in parts.items():
        _write(out.with_name(f"{name}.csv"), given, part, table)
    _write(out, given, names[:best], table)


def take_decisions(noisy: Path, decisions: Path, out: Path, *, classes: tuple[str, ...]) -> None:
    """Write the tables of :func:`choose_by_agreement` from a table of decisions, without a model.

    Args:
        noisy: table of the given labels.
        decisions: what :func:`freesound.corrections.read_decisions` reads.
        out: the table of trusted clips to write; the other tables come next to it.
        classes: in any order.
    """
    given = read_labels(noisy, classes=classes, strict=False)
    trusted, dropped = read_decisions(decisions, given)
    labelled = given.target.any(1).tolist()
    gone = set(dropped) | {name for name, has in zip(given.names, labelled, strict=True) if not has}
    kept = [name for name in given.names if name not in gone]
    write_labels(out.with_name("kept.csv"), given.select(kept))
    write_labels(out.with_name("dropped.csv"), given.select([name for name in given.names if name in gone]))
    write_labels(out, trusted)


def _write(path: Path, given: LabelTable, names: Sequence[str], scores: ScoreTable) -> None:
    """Write some clips with their given labels, also if there are none."""
    chosen = (
        given.select(names)
        if names
        else LabelTable((), given.classes, torch.zeros(0, len(given.classes)) > 0)
    )
    write_selection(path, chosen, scores, given=set(names))
