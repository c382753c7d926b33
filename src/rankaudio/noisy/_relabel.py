"""New labels for clips, from their given labels and a model's scores."""

from __future__ import annotations

from typing import Any, Literal

import torch
from torch import Tensor

from rankaudio._checks import check_choice, check_flag, check_integer, check_number
from rankaudio.data import LabelTable, ScoreTable
from rankaudio.noisy._agreement import select_agreeing
from rankaudio.noisy._join import join_scores
from rankaudio.noisy._threshold import calibrate_scores, label_threshold

__all__ = ["RelabelMode", "relabel"]

RelabelMode = Literal["agreeing", "all", "missing", "merge", "match"]
_MODES: tuple[Any, ...] = ("agreeing", "all", "missing", "merge", "match")
# The settings that each mode needs; it takes no others.
_SETTINGS: dict[str, set[str]] = {
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

    The predicted labels of a clip are the classes scored above :func:`label_threshold`. There is one
    threshold for all clips whose labels are predicted. The modes:

    - ``"agreeing"``: the ``k`` clips of :func:`select_agreeing` keep their given labels. The others are
      dropped.
    - ``"all"``: every clip gets its predicted labels.
    - ``"missing"``: the ``k`` clips of :func:`select_agreeing` keep their given labels. All other clips get
      predicted labels, and the threshold is the threshold of these others. With ``k`` as large as the table
      only clips without labels get new ones; 0 is ``"all"``.
    - ``"merge"``: every clip gets its given labels and its predicted ones.
    - ``"match"``: a clip whose predicted labels are exactly the given ones keeps them. The others are
      dropped.

    Clips that end without a label are dropped. The tables are joined by file name and by class name, so the
    order of rows and columns decides only the order of the result. If agreement and margin are equal, the
    first clip by name is selected.

    Args:
        given: the clips with their given labels. A clip may have none.
        scores: the scores of these clips, in any order. Scores of other clips are ignored.
        mode: one of the modes above.
        k: number of clips that keep their labels, in ``"agreeing"`` and ``"missing"``.
        balanced: select them evenly from the classes, see :func:`select_agreeing`.
        mean_labels: wanted labels per clip, in all modes but ``"agreeing"``.
        calibrate: see :func:`label_threshold`.

    Returns:
        A new :class:`LabelTable`: clips in the order of ``given`` and with its classes.

    Raises:
        TypeError: if a table or a setting has a wrong type.
        ValueError: if a clip has no scores, the classes are not the same, or a score is NaN. Also if a
            setting is missing, or is given to a mode that does not use it.

    Reference:
        The methods of the third-place system of Freesound Audio Tagging 2019. It joined sorted tables by row
        number, which put labels on other clips.

    >>> classes = ("Bark", "Meow")
    >>> given = LabelTable(
    ...     ("a.wav", "b.wav"), classes, torch.tensor([[True, False], [True, False]])
    ... )
    >>> scores = ScoreTable(
    ...     ("b.wav", "a.wav"), classes, torch.tensor([[0.0, 4.0], [3.0, 1.0]])
    ... )
    >>> relabel(given, scores, mode="agreeing", k=1).names
    ('a.wav',)
    >>> relabel(given, scores, mode="all", mean_labels=1).target.int().tolist()
    [[1, 0], [0, 1]]
    """
    check_flag("calibrate", calibrate)
    _check_settings(mode, k=k, mean_labels=mean_labels, balanced=balanced)
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


def _check_settings(mode: str, *, k: int | None, mean_labels: float | None, balanced: bool) -> None:
    check_choice("mode", mode, _MODES)
    for name, value in (("k", k), ("mean_labels", mean_labels)):
        if value is None and name in _SETTINGS[mode]:
            raise ValueError(f"{name}: wanted a number for mode {mode!r}, got None")
        if value is not None and name not in _SETTINGS[mode]:
            raise ValueError(f"{name}: wanted None for mode {mode!r}, got {value!r}")
    if k is not None:
        check_integer("k", k, 0)
    if mean_labels is not None:
        check_number("mean_labels", mean_labels, 0)
    if check_flag("balanced", balanced) and "k" not in _SETTINGS[mode]:
        raise ValueError(f"balanced: wanted False for mode {mode!r}, which selects no clips, got True")


def _select(given: LabelTable, values: Tensor, k: int, *, balanced: bool) -> Tensor:
    """Rows of the clips that agree best. Clips are sorted by name, so the table's order decides nothing."""
    by_name = sorted(range(len(given)), key=given.names.__getitem__)
    rows = torch.tensor(by_name, dtype=torch.int64, device=values.device)
    return rows[select_agreeing(values[rows], given.target[rows], k=k, balanced=balanced)]


def _predict(values: Tensor, mean_labels: float, *, calibrate: bool) -> Tensor:
    threshold = label_threshold(values, mean_labels=mean_labels, calibrate=calibrate)
    return (calibrate_scores(values) if calibrate else values) > threshold


def _combine(mode: str, target: Tensor, predicted: Tensor, keep: Tensor) -> Tensor:
    if mode == "merge":
        return target | predicted
    if mode == "match":
        return target & (target == predicted).all(1, keepdim=True)
    return torch.where(keep[:, None], target, predicted)  # "all" keeps no clip
