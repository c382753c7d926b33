"""Average precision of each class: the function, and a running form that keeps the scores."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, NamedTuple, Self, overload

import torch
from torch import Tensor

from rankaudio._checks import check_choice, check_device, check_flag, check_integer, describe
from rankaudio.metrics._inputs import CLASS_AVERAGES, ClassAverage, Rows, check_rows
from rankaudio.metrics._kept_scores import KeptScores
from rankaudio.metrics._ranked import Ranked, as_one_class, of_classes
from rankaudio.metrics._running import check_batch

if TYPE_CHECKING:
    from rankaudio.metrics._inputs import Array

__all__ = ["AveragePrecision", "ClassAveragePrecision", "average_precision"]


class ClassAveragePrecision(NamedTuple):
    """The result of ``average=None``: two tensors ``(C,)``.

    >>> average_precision(
    ...     torch.tensor([[2.0, 1.0]]), torch.tensor([[0, 1]]), average=None
    ... ).support
    tensor([0., 1.], dtype=torch.float64)
    """

    average_precision: Tensor
    """The average precision of each class; NaN for a class without labels."""
    support: Tensor
    """The number of labels of each class, or the sum of the weights of their rows."""


@overload
def average_precision(
    scores: Array,
    target: Array,
    *,
    average: ClassAverage = ...,
    mask: Array | None = ...,
    sample_weight: Array | None = ...,
) -> Tensor: ...


@overload
def average_precision(
    scores: Array,
    target: Array,
    *,
    average: None,
    mask: Array | None = ...,
    sample_weight: Array | None = ...,
) -> ClassAveragePrecision: ...


def average_precision(
    scores: Array,
    target: Array,
    *,
    average: ClassAverage | None = "macro",
    mask: Array | None = None,
    sample_weight: Array | None = None,
) -> Tensor | ClassAveragePrecision:
    r"""Average precision of the ranking of clips, for each class (mAP for the mean over classes).

    The precision at a clip is the share of clips with the class among all clips scored at least as high. The
    average precision is the mean over the clips with the class:

    .. math:: \mathrm{AP}_c = \frac{\sum_i w_i \, t_{ic} \, \pi_{ic}}{\sum_i w_i \, t_{ic}}, \qquad
        \pi_{ic} = \frac{\sum_{k : s_{kc} \ge s_{ic}} w_k \, t_{kc}}{\sum_{k : s_{kc} \ge s_{ic}} w_k}

    It compares the clips within a class. :func:`lwlrap` compares the classes within a clip. So scores of a
    class must be comparable between clips. Ties count against a clip, so the order of clips never matters.

    Args:
        scores: ``(*, C)`` floating point, raw scores. Like the other arguments, a tensor or a numpy array.
        target: ``(*, C)`` bool or 0/1.
        average: ``"macro"``, the mean over classes with labels (mAP). ``"micro"``, the value of all entries
            as clips of one class. ``None``, the value of each class.
        mask: ``(*, C)`` bool, true where the label is known. Unknown labels are not counted.
        sample_weight: ``(*)`` non-negative floating-point weights :math:`w` of the rows.

    Returns:
        ``()``, or :class:`ClassAveragePrecision` for ``None``; float64 (float32 on mps). A class without
        labels gives NaN, and ``"macro"`` leaves it out. A set without labels gives NaN.

    Raises:
        TypeError: if scores or weights are not floating point, or a mask is not bool.
        ValueError: if a known score is NaN, or shapes or devices disagree. On the CPU also if a target is not
            0/1, or a weight is negative or infinite.

    Reference:
        scikit-learn's ``average_precision_score``, which gives 0 to a class without labels and counts it in
        ``"macro"``. The rest is the same, ties included.

    >>> scores = torch.tensor([[3.0, 0.0], [2.0, 1.0], [1.0, 1.0]])
    >>> target = torch.tensor([[1, 0], [0, 1], [1, 0]])
    >>> average_precision(
    ...     scores, target, average=None
    ... ).average_precision  # (1/1 + 2/3) / 2, and 1/2 by a tie
    tensor([0.8333, 0.5000], dtype=torch.float64)
    >>> average_precision(scores, target)
    tensor(0.6667, dtype=torch.float64)
    """
    check_choice("average", average, CLASS_AVERAGES)
    return _compute(check_rows(scores, target, mask, sample_weight), average)


class AveragePrecision:
    """Running form of :func:`average_precision`, which holds the definition and the shapes.

    The exact value needs all scores, so it keeps them: 6 bytes for each float32 score, and 8 bytes for each
    clip. It has the interface of :class:`Lwlrap`, and the way clips are divided does not matter here either.
    With several processes, :meth:`compute` sends the clips of all processes to each of them.

    Args:
        n_classes: :math:`C`.
        average: as in the function.

    >>> metric, other = AveragePrecision(2), AveragePrecision(2)
    >>> metric.update(
    ...     torch.tensor([[3.0, 0.0], [2.0, 1.0]]), torch.tensor([[1, 0], [0, 1]])
    ... )
    >>> other.update(torch.tensor([[1.0, 1.0]]), torch.tensor([[1, 0]]))
    >>> metric.merge(other)
    >>> metric.compute()
    tensor(0.6667, dtype=torch.float64)
    >>> other.to(metric.device).load_state_dict(metric.state_dict())
    >>> metric.reset()
    >>> other.compute(sync=False)
    tensor(0.6667, dtype=torch.float64)
    """

    def __init__(self, n_classes: int, *, average: ClassAverage | None = "macro") -> None:
        self.n_classes: int = check_integer("n_classes", n_classes)
        self.average: ClassAverage | None = check_choice("average", average, CLASS_AVERAGES)
        self._kept = KeptScores(n_classes, torch.device("cpu"))

    @property
    def device(self) -> torch.device:
        """The device of the kept scores, on which scores are expected."""
        return self._kept.device

    def update(
        self, scores: Array, target: Array, *, mask: Array | None = None, sample_weight: Array | None = None
    ) -> None:
        """Add copies of clips without making an accelerator wait.

        Arguments and errors are those of :func:`average_precision`, except that NaN scores raise in
        :meth:`compute`.
        """
        scores = check_batch(scores, self._kept.nothing.scores, self.n_classes)
        self._kept.add(check_rows(scores, target, mask, sample_weight))

    def compute(self, *, sync: bool = True) -> Tensor | ClassAveragePrecision:
        """Return the value over all clips since the last reset.

        Args:
            sync: include the clips of all processes if the default process group of ``torch.distributed`` is
                initialised. Every process then has to call this method.

        Raises:
            ValueError: if a known score was NaN in any of the processes.
        """
        return _compute(
            self._kept.of_all_processes() if check_flag("sync", sync) else self._kept.rows(), self.average
        )

    def reset(self) -> None:
        """Forget all clips."""
        self._kept = KeptScores(self.n_classes, self.device)

    def merge(self, other: AveragePrecision) -> None:
        """Add the clips of another metric with as many classes. The other metric does not change."""
        if not isinstance(other, AveragePrecision):
            raise TypeError(f"other: wanted an AveragePrecision, got {describe(other)}")
        if other.n_classes != self.n_classes:
            raise ValueError(f"other: wanted {self.n_classes} classes, got {other!r}")
        self._kept.add(other._kept.rows())

    def to(self, device: torch.device | str) -> Self:
        """Move the kept scores to a device, and return the metric itself."""
        self._kept = self._kept.to(check_device("device", device))
        return self

    def state_dict(self) -> dict[str, Tensor]:
        """Return scores, target, mask and weights of all clips, as tensors that updates do not change."""
        return self._kept.state_dict()

    def load_state_dict(self, state: Mapping[str, Tensor]) -> None:
        """Replace the clips by copies of those that :meth:`state_dict` returned, on this metric's device.

        Raises:
            TypeError: if a part is not a tensor, or has another kind of numbers.
            ValueError: if names or shapes do not match. The metric is not changed then.
        """
        self._kept = self._kept.loaded(state)

    def __repr__(self) -> str:
        return f"AveragePrecision({self.n_classes}, average={self.average!r})"


def _compute(rows: Rows, average: ClassAverage | None) -> Tensor | ClassAveragePrecision:
    per_class, support = of_classes(as_one_class(rows) if average == "micro" else rows, _precision)
    return ClassAveragePrecision(per_class, support) if average is None else per_class.nanmean()


def _precision(ranked: Ranked) -> Tensor:
    """Average the precisions of the clips with each class. Clips of weight 0 have no precision."""
    precision = torch.where(ranked.positive > 0, ranked.positives_at_least / ranked.all_at_least, 0.0)
    return (ranked.positive * precision).sum(1) / ranked.positive.sum(1)
