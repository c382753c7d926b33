"""Precision, recall and F1 of decisions at thresholds, from counts that can be merged."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, NamedTuple, Self, overload

import torch
from torch import Tensor

from rankaudio._checks import check_choice, check_device, check_flag, check_integer, describe
from rankaudio.metrics._inputs import CLASS_AVERAGES, ClassAverage, check_rows, check_thresholds
from rankaudio.metrics._label_precisions import sum_dtype
from rankaudio.metrics._running import add_processes, check_batch, check_state

if TYPE_CHECKING:
    from rankaudio.metrics._inputs import Array

__all__ = ["F1", "ClassF1", "f1"]


class ClassF1(NamedTuple):
    """The result of ``average=None``: four tensors ``(C,)``.

    >>> f1(
    ...     torch.tensor([[2.0, -1.0]]),
    ...     torch.tensor([[1, 0]]),
    ...     thresholds=0.0,
    ...     average=None,
    ... ).precision
    tensor([1., nan], dtype=torch.float64)
    """

    f1: Tensor
    """F1 of each class; NaN for a class without labels."""
    precision: Tensor
    """The share of right decisions among those for the class; NaN if there are none."""
    recall: Tensor
    """The share of the class's labels that are found; NaN for a class without labels."""
    support: Tensor
    """The number of labels of each class, or the sum of the weights of their rows."""


class _Counts(NamedTuple):
    """What F1 needs to know about a set of clips; sets are joined by adding their counts."""

    hits: Tensor
    claims: Tensor
    support: Tensor
    nan_scores: Tensor

    @classmethod
    def zeros(cls, n_classes: int, device: torch.device) -> Self:
        shapes = [(n_classes,)] * 3 + [()]
        return cls(*(torch.zeros(shape, dtype=sum_dtype(device), device=device) for shape in shapes))


@overload
def f1(
    scores: Array,
    target: Array,
    *,
    thresholds: Tensor | float,
    average: ClassAverage = ...,
    mask: Array | None = ...,
    sample_weight: Array | None = ...,
) -> Tensor: ...


@overload
def f1(
    scores: Array,
    target: Array,
    *,
    thresholds: Tensor | float,
    average: None,
    mask: Array | None = ...,
    sample_weight: Array | None = ...,
) -> ClassF1: ...


def f1(
    scores: Array,
    target: Array,
    *,
    thresholds: Tensor | float,
    average: ClassAverage | None = "macro",
    mask: Array | None = None,
    sample_weight: Array | None = None,
) -> Tensor | ClassF1:
    r"""F1 of the decisions that thresholds make.

    A class is present in a clip if its score is at least the threshold of the class:

    .. math:: F_c = \frac{2 \sum_i w_i \, t_{ic} \, [s_{ic} \ge \theta_c]}
        {\sum_i w_i \, t_{ic} + \sum_i w_i \, [s_{ic} \ge \theta_c]}

    Args:
        scores: ``(*, C)`` floating point, raw scores or probabilities. Like target, mask and weights, a
            tensor or a numpy array.
        target: ``(*, C)`` bool or 0/1.
        thresholds: ``(C,)`` floating point, as :func:`rankaudio.decisions.fit_thresholds` returns them, or
            one number for all classes. With ``inf``, no clip gets the class.
        average: ``"macro"``, the mean over classes with labels. ``"micro"``, F1 of the counts of all classes
            together. ``None``, the figures of each class.
        mask: ``(*, C)`` bool, true where the label is known. Unknown labels are not counted.
        sample_weight: ``(*)`` non-negative floating-point weights :math:`w` of the rows.

    Returns:
        ``()``, or :class:`ClassF1` for ``None``; float64 (float32 on mps). A class without labels has F1 of
        NaN, and ``"macro"`` leaves it out. A set without labels gives NaN for ``"macro"``.

    Raises:
        TypeError: if scores or weights are not floating point, or a mask is not bool.
        ValueError: if a known score is NaN, or shapes or devices disagree. On the CPU also if a target is not
            0/1, or a threshold is NaN.

    Reference:
        scikit-learn's ``f1_score`` counts a class without labels as 0 in ``"macro"``. The rest is the same.

    >>> scores = torch.tensor([[2.0, -1.0], [0.5, 3.0], [-2.0, 1.0]])
    >>> target = torch.tensor([[1, 0], [0, 1], [0, 1]])
    >>> f1(scores, target, thresholds=0.0)  # 2/3 and 1
    tensor(0.8333, dtype=torch.float64)
    >>> f1(scores, target, thresholds=torch.tensor([1.0, 2.0]), average="micro")
    tensor(0.8000, dtype=torch.float64)
    """
    check_choice("average", average, CLASS_AVERAGES)
    return _compute(_counts(scores, target, thresholds, mask, sample_weight), average)


class F1:
    """Running form of :func:`f1`, which holds the definition and the shapes.

    It holds counts only, so its memory does not grow with the number of clips, and its value does not depend
    on how clips are divided into batches or processes. It has the interface of :class:`Lwlrap`.

    Args:
        n_classes: :math:`C`.
        thresholds: as in the function.
        average: as in the function.

    >>> metric = F1(2, thresholds=0.0)
    >>> metric.update(torch.tensor([[2.0, -1.0]]), torch.tensor([[1, 0]]))
    >>> other = F1(2, thresholds=0.0).to(metric.device)
    >>> other.update(
    ...     torch.tensor([[0.5, 3.0], [-2.0, 1.0]]), torch.tensor([[0, 1], [0, 1]])
    ... )
    >>> metric.merge(other)
    >>> metric.compute()
    tensor(0.8333, dtype=torch.float64)
    >>> other.load_state_dict(metric.state_dict())
    >>> metric.reset()
    >>> other.compute(sync=False)
    tensor(0.8333, dtype=torch.float64)
    """

    def __init__(
        self, n_classes: int, *, thresholds: Tensor | float, average: ClassAverage | None = "macro"
    ) -> None:
        self.n_classes: int = check_integer("n_classes", n_classes)
        self.average: ClassAverage | None = check_choice("average", average, CLASS_AVERAGES)
        cpu = torch.device("cpu")
        self.thresholds: Tensor = check_thresholds(thresholds, n_classes, cpu).to(cpu, torch.float64)
        self._counts = _Counts.zeros(n_classes, cpu)

    @property
    def device(self) -> torch.device:
        """The device of the counts, on which scores are expected."""
        return self._counts.hits.device

    def update(
        self, scores: Array, target: Array, *, mask: Array | None = None, sample_weight: Array | None = None
    ) -> None:
        """Add clips without making an accelerator wait.

        Arguments and errors are those of :func:`f1`, except that NaN scores raise in :meth:`compute`.
        """
        scores = check_batch(scores, self._counts.hits, self.n_classes)
        new = _counts(scores, target, self.thresholds, mask, sample_weight)
        self._counts = _Counts(*(mine + more for mine, more in zip(self._counts, new, strict=True)))

    def compute(self, *, sync: bool = True) -> Tensor | ClassF1:
        """Return the value over all clips since the last reset.

        Args:
            sync: include the clips of all processes, as :meth:`Lwlrap.compute` does.

        Raises:
            ValueError: if a known score was NaN in any of the processes.
        """
        counts = _Counts(*add_processes(self._counts)) if check_flag("sync", sync) else self._counts
        return _compute(counts, self.average)

    def reset(self) -> None:
        """Forget all clips."""
        self._counts = _Counts.zeros(self.n_classes, self.device)

    def merge(self, other: F1) -> None:
        """Add the clips of another metric with the same thresholds. The other metric does not change."""
        if not isinstance(other, F1):
            raise TypeError(f"other: wanted an F1, got {describe(other)}")
        if not torch.equal(other.thresholds.to(self.thresholds), self.thresholds):
            raise ValueError(f"other: wanted the same thresholds, got others in {other!r}")
        theirs = (part.to(mine) for part, mine in zip(other._counts, self._counts, strict=True))
        self._counts = _Counts(*(mine + part for mine, part in zip(self._counts, theirs, strict=True)))

    def to(self, device: torch.device | str) -> Self:
        """Move counts and thresholds to a device, and return the metric itself."""
        device = check_device("device", device)
        dtype = sum_dtype(device)
        self._counts = _Counts(*(part.to(device, dtype) for part in self._counts))
        self.thresholds = self.thresholds.to(device, dtype)
        return self

    def state_dict(self) -> dict[str, Tensor]:
        """Return the counts by name, as tensors that later updates do not change."""
        return self._counts._asdict()

    def load_state_dict(self, state: Mapping[str, Tensor]) -> None:
        """Replace the counts by copies of those that :meth:`state_dict` returned, on this metric's device.

        Raises:
            TypeError: if a count is not a tensor.
            ValueError: if names or shapes do not match. The metric is not changed then.
        """
        check_state(state, self._counts._asdict())
        self._counts = _Counts(*(state[name].clone().to(self._counts.hits) for name in _Counts._fields))

    def __repr__(self) -> str:
        return f"F1({self.n_classes}, average={self.average!r})"


def _counts(
    scores: Array, target: Array, thresholds: Tensor | float, mask: Array | None, sample_weight: Array | None
) -> _Counts:
    """Check a batch and count."""
    rows = check_rows(scores, target, mask, sample_weight)
    limits = check_thresholds(thresholds, rows.scores.shape[1], rows.scores.device)
    present, claimed = rows.target.bool(), rows.scores >= limits
    missing = rows.scores.isnan()
    if rows.known is not None:
        present, claimed, missing = present & rows.known, claimed & rows.known, missing & rows.known
    hits, claims, support = (
        rows.weight @ flags.to(rows.weight.dtype) for flags in (present & claimed, claimed, present)
    )
    return _Counts(hits, claims, support, missing.sum().to(rows.weight.dtype))


def _compute(counts: _Counts, average: ClassAverage | None) -> Tensor | ClassF1:
    if counts.nan_scores > 0:
        raise ValueError(f"scores: wanted numbers, got {int(counts.nan_scores)} NaN")
    hits, claims, support, _ = counts
    if average == "micro":
        return 2 * hits.sum() / (claims.sum() + support.sum())
    per_class = torch.where(support > 0, 2 * hits / (claims + support), torch.nan)
    if average == "macro":
        return per_class.nanmean()
    return ClassF1(per_class, hits / claims, hits / support, support)
