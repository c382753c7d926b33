"""Rounds over noisy clips: which clips to trust, and how to relabel the others.

Each round writes a table with the columns ``fname, labels, agreement, margin, source``. ``train --extra`` and
:func:`rankaudio.data.read_labels` read it.
"""

from __future__ import annotations

from pathlib import Path

import torch

from freesound.state import Table
from rankaudio.data import LabelTable, ScoreTable, read_labels, read_scores
from rankaudio.noisy import label_agreement, label_margin, relabel

COLUMNS = ["fname", "labels", "agreement", "margin", "source"]


def choose_clips(
    noisy: Path, scores: Path, out: Path, *, classes: tuple[str, ...], size: int, balanced: bool = False
) -> int:
    """Write the clips whose given labels agree best with a model's scores; return how many.

    Args:
        noisy: table of the given labels. Labels that are no class are ignored. A clip without any other label
            is never chosen.
        scores: the model's scores of these clips.
        out: the table to write; clips that agree best come first.
        classes: in any order.
        size: how many clips to choose; all clips with labels if there are fewer.
        balanced: let the classes take turns.

    Raises:
        ValueError: if no clip has a label that is a class.
    """
    given = read_labels(noisy, classes=classes, strict=False)
    if not given.target.any():
        raise ValueError(f"{noisy}: wanted at least one clip with a label that is a class, got none")
    table = read_scores(scores)
    chosen = relabel(given, table, mode="agreeing", k=size, balanced=balanced)
    write_selection(out, chosen, table, given=set(chosen.names))
    return len(chosen)


def label_the_rest(
    noisy: Path,
    scores: Path,
    chosen: Path,
    out: Path,
    *,
    classes: tuple[str, ...],
    mode: str = "all",
    mean_labels: float,
) -> int:
    """Write the chosen clips with their given labels, and all others as a model labels them.

    Args:
        noisy: table of the given labels.
        scores: the model's scores of these clips.
        chosen: what :func:`choose_clips` wrote.
        out: the table to write.
        classes: in any order.
        mode: how :func:`rankaudio.noisy.relabel` labels the others: ``"all"``, ``"merge"`` or ``"match"``.
        mean_labels: mean number of labels of the others, which determines one threshold for their scores.

    Returns:
        The number of clips in the table. Clips that get no label are left out.
    """
    given, table = read_labels(noisy, classes=classes, strict=False), read_scores(scores)
    kept = read_labels(chosen, classes=classes)
    known = set(kept.names)
    rest = given.select([name for name in given.names if name not in known])
    if len(rest):
        new = relabel(rest, table, mode=mode, mean_labels=mean_labels)
        kept = LabelTable(kept.names + new.names, classes, torch.cat([kept.target, new.target]))
    write_selection(out, kept, table, given=known)
    return len(kept)


def write_selection(path: Path, labels: LabelTable, scores: ScoreTable, *, given: set[str]) -> None:
    """Write clips and labels with agreement and margin; the clips in ``given`` keep their given labels."""
    columns = [scores.classes.index(name) for name in labels.classes]
    values = scores.select(labels.names).scores[:, columns]
    agreement, margin = label_agreement(values, labels.target), label_margin(values, labels.target)
    rows = [
        {
            "fname": name,
            "labels": ",".join(labels.classes[c] for c in target.nonzero().flatten().tolist()),
            "agreement": f"{agrees:.6f}",
            "margin": f"{far:.6g}",
            "source": "given" if name in given else "predicted",
        }
        for name, target, agrees, far in zip(
            labels.names, labels.target, agreement.tolist(), margin.tolist(), strict=True
        )
    ]
    rows.sort(key=lambda row: (row["source"], -float(row["agreement"]), -float(row["margin"]), row["fname"]))
    Table(path, COLUMNS, rows).write()
