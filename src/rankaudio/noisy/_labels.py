"""Tables of labels: new ones from given ones and a model's scores, and how right they are."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal, NamedTuple

import torch
from torch import Tensor

from rankaudio._checks import check_choice, check_integer, check_number, describe
from rankaudio.data import LabelTable, ScoreTable
from rankaudio.noisy._scores import calibrate_scores, label_threshold, refuse_nan, select_agreeing

__all__ = ["LabelQuality", "RelabelMode", "label_quality", "relabel"]

RelabelMode = Literal["agreeing", "all", "missing", "merge", "match"]
_MODES: tuple[Any, ...] = ("agreeing", "all", "missing", "merge", "match")
_NEEDS: dict[str, set[str]] = {
    "agreeing": {"k"},
    "all": {"mean_labels"},
    "missing": {"k", "mean_labels"},
    "merge": {"mean_labels"},
    "match": {"mean_labels"},
}


def relabel(
    given: LabelTable,
    scores: ScoreTable,
    *,
    mode: RelabelMode,
    k: int | None = None,
    balanced: bool = False,
    mean_labels: float | None = None,
    calibrate: bool = True,
) -> LabelTable:
    """Give clips new labels, or keep the given ones, as the scores suggest.

    A clip's predicted labels are the classes scored above :func:`label_threshold`, one cut for all of the
    clips whose labels are predicted. The modes:

    - ``"agreeing"``: the ``k`` clips of :func:`select_agreeing` keep their given labels; the others are
      dropped.
    - ``"all"``: every clip gets its predicted labels, whatever was given.
    - ``"missing"``: the ``k`` clips of :func:`select_agreeing` keep their given labels; all others, those
      without labels among them, get predicted ones, and the cut is that of these others. A ``k`` as large as
      the table replaces only where nothing was given; 0 is ``"all"``.
    - ``"merge"``: every clip gets its given labels and its predicted ones.
    - ``"match"``: clips whose predicted labels are exactly the given ones keep them; the others are dropped.

    Clips that end without a label are dropped. The tables are joined by file name and by class name; neither
    the order of rows nor that of the columns has any influence, but on the order of the result. (Where
    agreement and margin leave clips equal, the first by name is taken.)

    Args:
        given: the clips and the labels that they came with. A clip may be without any.
        scores: the scores of these clips, in any order, and maybe of others, which are ignored.
        mode: what to do.
        k: how many clips keep their labels, in ``"agreeing"`` and ``"missing"``.
        balanced: take them evenly from the classes, see :func:`select_agreeing`.
        mean_labels: wanted labels per clip, in all modes but ``"agreeing"``.
        calibrate: see :func:`label_threshold`.

    Returns:
        A new :class:`LabelTable`: clips in the order of ``given`` and with its classes.

    Raises:
        TypeError: if the tables are no such tables, or a setting has another type.
        ValueError: if a clip has no scores, the classes are not the same, a score is NaN, or a mode gets a
            setting that it does not use, or lacks one.

    Reference:
        The ways of the third-place system of Freesound Audio Tagging 2019, where rows of sorted tables
        were taken for each other.

    >>> classes = ("Bark", "Meow")
    >>> given = LabelTable(("a.wav", "b.wav"), classes, torch.tensor([[True, False], [True, False]]))
    >>> scores = ScoreTable(("b.wav", "a.wav"), classes, torch.tensor([[0.0, 4.0], [3.0, 1.0]]))
    >>> relabel(given, scores, mode="agreeing", k=1).names
    ('a.wav',)
    >>> relabel(given, scores, mode="all", mean_labels=1).target.int().tolist()
    [[1, 0], [0, 1]]
    """
    _check_settings(mode, k=k, mean_labels=mean_labels)
    if balanced and "k" not in _NEEDS[mode]:
        raise ValueError(f"balanced: mode {mode!r} selects no clips, got True")
    values, target = join_scores(given, scores), given.target
    keep = torch.zeros(len(given), dtype=torch.bool, device=target.device)
    if k is not None:
        keep[_select(given, values, k, balanced=balanced)] = True
    if mean_labels is None:
        new = target & keep[:, None]
    else:
        predicted = torch.zeros_like(target)
        predicted[~keep] = _predict(values[~keep], mean_labels, calibrate=calibrate)
        new = _combine(mode, target, predicted, keep)
    rows = new.any(1).nonzero().flatten().tolist()
    return LabelTable(tuple(given.names[row] for row in rows), given.classes, new[rows])


def join_scores(given: LabelTable, scores: ScoreTable) -> Tensor:
    """The scores of the given clips and classes, in their order, on the device of the labels."""
    for name, table, kind in (("given", given, LabelTable), ("scores", scores, ScoreTable)):
        if not isinstance(table, kind):
            raise TypeError(f"{name}: wanted a {kind.__name__}, got {describe(table)}")
    refuse_missing("scores: wanted a row for each clip of given", given.names, scores.names)
    columns = join_classes("scores", scores.classes, "given", given.classes)
    values = scores.select(given.names).scores.detach()[:, columns].to(given.target.device)
    refuse_nan(values)
    return values


def join_classes(name: str, classes: Sequence[str], other: str, wanted: Sequence[str]) -> list[int]:
    """The column of each wanted class. Both have to be the same, in any order."""
    refuse_missing(f"{name}: wanted every class of {other}", wanted, classes)
    refuse_missing(f"{name}: wanted no class that {other} does not have", classes, wanted)
    columns = {label: column for column, label in enumerate(classes)}
    return [columns[label] for label in wanted]


def refuse_missing(message: str, wanted: Sequence[str], there: Sequence[str]) -> None:
    """Refuse wanted names that are not there, and name the first of them."""
    known = set(there)
    missing = [name for name in wanted if name not in known]
    if missing:
        listed = ", ".join(map(repr, missing[:5])) + (", ..." if len(missing) > 5 else "")
        raise ValueError(f"{message}, got {len(missing)} without: {listed}")


def _check_settings(mode: str, *, k: int | None, mean_labels: float | None) -> None:
    check_choice("mode", mode, _MODES)
    for name, value in (("k", k), ("mean_labels", mean_labels)):
        if value is None and name in _NEEDS[mode]:
            raise ValueError(f"{name}: mode {mode!r} wants one, got None")
        if value is not None and name not in _NEEDS[mode]:
            raise ValueError(f"{name}: mode {mode!r} has no use for it, got {value!r}")
    if k is not None:
        check_integer("k", k, 0)
    if mean_labels is not None:
        check_number("mean_labels", mean_labels, 0)


def _select(given: LabelTable, values: Tensor, k: int, *, balanced: bool) -> Tensor:
    """Rows of the clips that agree best; sorted by name first, so that the table's order decides nothing."""
    by_name = sorted(range(len(given)), key=given.names.__getitem__)
    rows = torch.tensor(by_name, dtype=torch.int64, device=values.device)
    return rows[select_agreeing(values[rows], given.target[rows], k=k, balanced=balanced)]


def _predict(values: Tensor, mean_labels: float, *, calibrate: bool) -> Tensor:
    cut = label_threshold(values, mean_labels=mean_labels, calibrate=calibrate)
    return (calibrate_scores(values) if calibrate else values) > cut


def _combine(mode: str, target: Tensor, predicted: Tensor, keep: Tensor) -> Tensor:
    if mode == "merge":
        return target | predicted
    if mode == "match":
        return target & (target == predicted).all(1, keepdim=True)
    return torch.where(keep[:, None], target, predicted)  # "all" keeps none


class LabelQuality(NamedTuple):
    """Clips and labels, and how many of them are right: what :func:`label_quality` counts.

    >>> quality = LabelQuality(clips=4, right_clips=3, labels=5, right_labels=4, true_labels=8)
    >>> quality.clip_precision, quality.precision, quality.recall
    (0.75, 0.8, 0.5)
    """

    clips: int
    """Clips with labels, right or wrong."""
    right_clips: int
    """Clips whose labels are exactly the true ones."""
    labels: int
    """Labels of all clips."""
    right_labels: int
    """Labels that are true."""
    true_labels: int
    """True labels of all clips of the truth, whether these were labelled or not."""

    @property
    def clip_precision(self) -> float:
        """Share of the clips whose labels are exactly right; NaN without clips."""
        return _share(self.right_clips, self.clips)

    @property
    def precision(self) -> float:
        """Share of the labels that are true; NaN without labels."""
        return _share(self.right_labels, self.labels)

    @property
    def recall(self) -> float:
        """Share of the true labels that were given; NaN where nothing is true."""
        return _share(self.right_labels, self.true_labels)


def label_quality(labels: LabelTable, truth: LabelTable) -> LabelQuality:
    """Compare labels with the true ones, clip by clip.

    Args:
        labels: selected, given or predicted labels. Clips without a label are not counted.
        truth: the true labels of these clips, in any order, and of all others that could have been labelled:
            the recall is over every clip of this table. A clip of it may be without labels, such as a
            sound of no class, on which every label is wrong. ``truth.select(labels.names)`` restricts it.

    Returns:
        The counts, with precision and recall as properties. Of a selection, ``right_clips`` divided by
        those of the whole table is the share of the rightly labelled clips that it found.

    Raises:
        TypeError: if one of them is not a :class:`LabelTable`.
        ValueError: if a clip has no row in the truth, or the classes are not the same.

    >>> classes = ("Bark", "Meow")
    >>> labels = LabelTable(("a.wav", "b.wav"), classes, torch.tensor([[True, False], [True, True]]))
    >>> truth = LabelTable(("b.wav", "a.wav"), classes, torch.tensor([[False, True], [True, False]]))
    >>> label_quality(labels, truth)
    LabelQuality(clips=2, right_clips=1, labels=3, right_labels=2, true_labels=2)
    """
    for name, table in (("labels", labels), ("truth", truth)):
        if not isinstance(table, LabelTable):
            raise TypeError(f"{name}: wanted a LabelTable, got {describe(table)}")
    refuse_missing("truth: wanted a row for each clip of labels", labels.names, truth.names)
    columns = join_classes("truth", truth.classes, "labels", labels.classes)
    mine = labels.target
    true = truth.select(labels.names).target[:, columns].to(mine.device)
    labelled = mine.any(1)
    return LabelQuality(
        clips=int(labelled.sum()),
        right_clips=int((labelled & (mine == true).all(1)).sum()),
        labels=int(mine.sum()),
        right_labels=int((mine & true).sum()),
        true_labels=int(truth.target.sum()),
    )


def _share(part: int, whole: int) -> float:
    return part / whole if whole else float("nan")
