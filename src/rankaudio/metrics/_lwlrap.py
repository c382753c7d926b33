"""Label-weighted label-ranking average precision (lwlrap): exact with ties, from sums that can be merged."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, Self, overload

import torch
from torch import Tensor

from rankaudio._checks import check_choice, check_integer, describe
from rankaudio.metrics._inputs import check_rows
from rankaudio.metrics._label_precisions import PrecisionSums, precision_sums
from rankaudio.metrics._running import add_processes, check_batch, check_state

if TYPE_CHECKING:
    from rankaudio.metrics._inputs import Array

__all__ = ["Average", "ClassLwlrap", "Lwlrap", "lwlrap"]

Average = Literal["label", "macro", "sample"]
_AVERAGES: tuple[Any, ...] = ("label", "macro", "sample", None)


class ClassLwlrap(NamedTuple):
    """The result of ``average=None``: two tensors ``(C,)``.

    >>> lwlrap(torch.tensor([[2.0, 1.0]]), torch.tensor([[0, 1]]), average=None).support
    tensor([0., 1.], dtype=torch.float64)
    """

    lwlrap: Tensor
    """The mean precision of each class's labels; NaN for a class without labels."""
    support: Tensor
    """The number of labels of each class, or the sum of the weights of their rows."""


@overload
def lwlrap(
    scores: Array,
    target: Array,
    *,
    average: Average = ...,
    mask: Array | None = ...,
    sample_weight: Array | None = ...,
) -> Tensor: ...


@overload
def lwlrap(
    scores: Array,
    target: Array,
    *,
    average: None,
    mask: Array | None = ...,
    sample_weight: Array | None = ...,
) -> ClassLwlrap: ...


def lwlrap(
    scores: Array,
    target: Array,
    *,
    average: Average | None = "label",
    mask: Array | None = None,
    sample_weight: Array | None = None,
) -> Tensor | ClassLwlrap:
    r"""Label-weighted label-ranking average precision over a set of clips.

    The precision of a true label is the share of true labels among all labels scored at least as high:

    .. math:: \pi_{ic} = \frac{\#\{k : t_{ik} = 1,\ s_{ik} \ge s_{ic}\}}{\#\{k : s_{ik} \ge s_{ic}\}},
        \qquad \mathrm{lwlrap} = \frac{\sum_{ic} w_i \, t_{ic} \, \pi_{ic}}{\sum_{ic} w_i \, t_{ic}}

    Ties count against the label, so the order of the classes never matters. Scores are compared as they are.
    There is no sigmoid, which would turn large scores into ties, and no change of dtype.

    Args:
        scores: ``(*, C)`` floating point, raw scores. Like the other arguments, a tensor or a numpy array.
            Infinities are compared like other scores.
        target: ``(*, C)`` bool or 0/1; true entries are the labels present. On the CPU other values are
            refused. On an accelerator the check would have to wait, so every non-zero value counts as
            present.
        average: ``"label"``, the mean over all true labels of the set, as above. ``"macro"``, the mean over
            classes of each class's mean. ``"sample"``, the mean over rows with a label of each row's mean
            (the plain LRAP). ``None``, the mean of each class.
        mask: ``(*, C)`` bool, true where the label is known. Unknown labels are not counted.
        sample_weight: ``(*)`` non-negative floating-point weights :math:`w` of the rows.

    Returns:
        ``()``, or :class:`ClassLwlrap` for ``None``; float64 (float32 on mps). Rows without labels do not
        count. A set without labels or rows gives NaN. A class without labels gives NaN too, and ``"macro"``
        leaves it out.

    Raises:
        TypeError: if scores or weights are not floating point, or a mask is not bool.
        ValueError: if a known score is NaN, or shapes or devices disagree. On the CPU also if a target is not
            0/1, or a weight is negative or infinite.

    Note:
        The check for NaN waits for the scores, and ``torch.compile`` breaks its graph there.
        :meth:`Lwlrap.update` does not wait.

    Reference:
        The metric of Freesound Audio Tagging 2019, https://arxiv.org/abs/1906.02975. It equals scikit-learn's
        ``label_ranking_average_precision_score``, weighted by the number of labels of each row.

    >>> scores = torch.tensor([[3.0, 2.0, 1.0], [0.0, 5.0, 5.0]])
    >>> target = torch.tensor([[1, 0, 1], [0, 1, 0]])
    >>> lwlrap(scores, target)  # the labels' precisions are 1/1, 2/3 and, tied, 1/2
    tensor(0.7222, dtype=torch.float64)
    >>> lwlrap(scores, target, average=None).lwlrap
    tensor([1.0000, 0.5000, 0.6667], dtype=torch.float64)
    """
    check_choice("average", average, _AVERAGES)
    return _compute(_update(scores, target, mask, sample_weight), average)


class Lwlrap:
    """Running form of :func:`lwlrap`, which holds the definition and the shapes.

    It holds sums only, so its memory does not grow with the number of clips. Its value is the value that the
    function gives for all clips at once. The way clips are divided into batches or processes does not matter.

    It is not an ``nn.Module``, for a reason. As buffers of a model its sums would be overwritten from rank 0
    by DistributedDataParallel, rounded by ``.half()``, and saved with the weights.

    Args:
        n_classes: :math:`C`.
        average: as in the function.

    >>> metric = Lwlrap(3)
    >>> metric.update(torch.tensor([[3.0, 2.0, 1.0]]), torch.tensor([[1, 0, 1]]))
    >>> metric.update(torch.tensor([[0.0, 5.0, 5.0]]), torch.tensor([[0, 1, 0]]))
    >>> metric.compute()
    tensor(0.7222, dtype=torch.float64)
    >>> other = Lwlrap(3).to(metric.device)
    >>> other.load_state_dict(metric.state_dict())  # as another process would
    >>> metric.reset()
    >>> metric.merge(other)
    >>> metric.compute()
    tensor(0.7222, dtype=torch.float64)
    """

    def __init__(self, n_classes: int, *, average: Average | None = "label") -> None:
        self.n_classes: int = check_integer("n_classes", n_classes)
        self.average: Average | None = check_choice("average", average, _AVERAGES)
        self._sums = PrecisionSums.zeros(n_classes, torch.device("cpu"))

    @property
    def device(self) -> torch.device:
        """The device of the sums, on which scores are expected."""
        return self._sums.precision.device

    def update(
        self, scores: Array, target: Array, *, mask: Array | None = None, sample_weight: Array | None = None
    ) -> None:
        """Add clips without making an accelerator wait.

        Arguments and errors are those of :func:`lwlrap`, except that NaN scores raise in :meth:`compute`.
        """
        scores = check_batch(scores, self._sums.precision, self.n_classes)
        self._sums = self._sums.add(_update(scores, target, mask, sample_weight))

    def compute(self, *, sync: bool = True) -> Tensor | ClassLwlrap:
        """Return the value over all clips since the last reset.

        Args:
            sync: include the clips of all processes if the default process group of ``torch.distributed`` is
                initialised. Every process then has to call this method, with sums on a device that the
                group can reduce. Each process keeps its own sums, so repeated calls count nothing twice.

        Raises:
            ValueError: if a known score was NaN in any of the processes.
        """
        sums = PrecisionSums(*add_processes(self._sums)) if sync else self._sums
        return _compute(sums, self.average)

    def reset(self) -> None:
        """Forget all clips."""
        self._sums = PrecisionSums.zeros(self.n_classes, self.device)

    def merge(self, other: Lwlrap) -> None:
        """Add the clips of another metric with as many classes. The other metric does not change."""
        if not isinstance(other, Lwlrap):
            raise TypeError(f"other: wanted an Lwlrap, got {describe(other)}")
        if other.n_classes != self.n_classes:
            raise ValueError(f"other: wanted {self.n_classes} classes, got {other!r}")
        self._sums = self._sums.add(other._sums.to(self.device))

    def to(self, device: torch.device | str) -> Self:
        """Move the sums to a device, and return the metric itself."""
        self._sums = self._sums.to(device)
        return self

    def state_dict(self) -> dict[str, Tensor]:
        """Return the sums by name, as tensors that later updates do not change."""
        return self._sums._asdict()

    def load_state_dict(self, state: Mapping[str, Tensor]) -> None:
        """Replace the sums by copies of those that :meth:`state_dict` returned, on this metric's device.

        Raises:
            TypeError: if a sum is not a tensor.
            ValueError: if names or shapes do not match. The metric is not changed then.
        """
        check_state(state, self._sums._asdict())
        self._sums = PrecisionSums(*(state[name].clone() for name in PrecisionSums._fields)).to(self.device)

    def __repr__(self) -> str:
        return f"Lwlrap({self.n_classes}, average={self.average!r})"


def _update(scores: Array, target: Array, mask: Array | None, sample_weight: Array | None) -> PrecisionSums:
    """Check a batch and compute its sums."""
    return precision_sums(*check_rows(scores, target, mask, sample_weight))


def _compute(sums: PrecisionSums, average: Average | None) -> Tensor | ClassLwlrap:
    if sums.nan_scores > 0:
        raise ValueError(f"scores: wanted numbers, got {int(sums.nan_scores)} NaN")
    if average == "label":
        return sums.precision.sum() / sums.support.sum()
    if average == "sample":
        return sums.row_precision / sums.row_weight
    per_class = sums.precision / sums.support  # a class without labels has 0 / 0, that is NaN
    return ClassLwlrap(per_class, sums.support) if average is None else per_class.nanmean()
