"""Quality of labels: labels compared with the true ones."""

from __future__ import annotations

from typing import NamedTuple

from rankaudio._checks import check_all_known, check_instance
from rankaudio.data import LabelTable
from rankaudio.noisy._join import join_classes

__all__ = ["LabelQuality", "label_quality"]


class LabelQuality(NamedTuple):
    """The counts of :func:`label_quality`: clips and labels, and how many of them are right.

    >>> quality = LabelQuality(
    ...     clips=4, right_clips=3, labels=5, right_labels=4, true_labels=8
    ... )
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
    """True labels of all clips of the truth, labelled or not."""

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
        """Share of the true labels that were given; NaN without true labels."""
        return _share(self.right_labels, self.true_labels)


def label_quality(labels: LabelTable, truth: LabelTable) -> LabelQuality:
    """Compare labels with the true ones, clip by clip.

    Args:
        labels: selected, given or predicted labels. Clips without a label are not counted.
        truth: the true labels of these clips and of all other clips that could have been labelled, in any
            order. The recall is over every clip of this table; ``truth.select(labels.names)`` restricts it. A
            clip of the truth may have no label, such as a sound of no class. Every label is wrong on such a
            clip.

    Returns:
        The counts, with precision and recall as properties. To see what share of the rightly labelled clips a
        selection found, divide its ``right_clips`` by the ``right_clips`` of the whole table.

    Raises:
        TypeError: if an argument is not a :class:`LabelTable`.
        ValueError: if a clip has no row in the truth, or the classes are not the same.

    >>> classes = ("Bark", "Meow")
    >>> labels = LabelTable(
    ...     ("a.wav", "b.wav"), classes, torch.tensor([[True, False], [True, True]])
    ... )
    >>> truth = LabelTable(
    ...     ("b.wav", "a.wav"), classes, torch.tensor([[False, True], [True, False]])
    ... )
    >>> label_quality(labels, truth)
    LabelQuality(clips=2, right_clips=1, labels=3, right_labels=2, true_labels=2)
    """
    check_instance("labels", labels, LabelTable)
    check_instance("truth", truth, LabelTable)
    check_all_known("truth: wanted a row for each clip of labels", labels.names, truth.names, "missing")
    columns = join_classes("truth", truth.classes, "labels", labels.classes)
    target = labels.target
    true = truth.select(labels.names).target[:, columns].to(target.device)
    labelled = target.any(1)
    return LabelQuality(
        clips=int(labelled.sum()),
        right_clips=int((labelled & (target == true).all(1)).sum()),
        labels=int(target.sum()),
        right_labels=int((target & true).sum()),
        true_labels=int(truth.target.sum()),
    )


def _share(part: int, whole: int) -> float:
    return part / whole if whole else float("nan")
