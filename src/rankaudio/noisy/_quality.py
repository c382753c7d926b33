"""How right labels are, where the true ones are known."""

from __future__ import annotations

from typing import NamedTuple

from rankaudio._checks import describe
from rankaudio.data import LabelTable
from rankaudio.noisy._relabel import join_classes, refuse_missing

__all__ = ["LabelQuality", "label_quality"]


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
