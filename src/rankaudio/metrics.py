"""Label-weighted label-ranking average precision: exact, ties included, from sums that merge."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, Self, TypeAlias, overload

import torch
from torch import Tensor, distributed

from rankaudio._checks import (
    check_choice,
    check_floating,
    check_integer,
    check_same_device,
    check_scores_and_target,
    check_shape,
    check_tensor,
    check_values,
    describe,
)
from rankaudio._rank_sums import RankSums, rank_sums, sum_dtype

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array: TypeAlias = Tensor | NDArray[Any]

__all__ = ["Average", "ClassLwlrap", "Lwlrap", "lwlrap"]

Average = Literal["label", "macro", "sample"]
_AVERAGES: tuple[Any, ...] = ("label", "macro", "sample", None)


class ClassLwlrap(NamedTuple):
    """What ``average=None`` gives: two tensors ``(C,)``.

    >>> lwlrap(torch.tensor([[2.0, 1.0]]), torch.tensor([[0, 1]]), average=None).support
    tensor([0., 1.], dtype=torch.float64)
    """

    lwlrap: Tensor
    """The mean precision of each class's labels; NaN where the set has none."""
    support: Tensor
    """The number of labels of each class, or the sum of their rows' weights."""


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
    r"""Label-weighted label-ranking average precision, over all the clips given.

    The precision of a true label is the share of true labels among those scored at least as high:

    .. math:: \pi_{ic} = \frac{\#\{k : t_{ik} = 1,\ s_{ik} \ge s_{ic}\}}{\#\{k : s_{ik} \ge s_{ic}\}},
        \qquad \mathrm{lwlrap} = \frac{\sum_{ic} w_i \, t_{ic} \, \pi_{ic}}{\sum_{ic} w_i \, t_{ic}}

    Ties count against the label, so the order of the classes never matters. Scores are compared as
    they are: no sigmoid, which would make ties of large scores, and no change of dtype.

    Args:
        scores: ``(*, C)`` floating point, raw scores; tensor or numpy array, like everything here.
            Infinities are scores like others.
        target: ``(*, C)`` bool or 0/1; the true entries are the labels present. (0/1 is checked where
            tensors are on the CPU; on an accelerator, where looking would stall it, every non-zero
            value counts as present.)
        average: ``"label"``, the mean over all true labels of the set, as above; ``"macro"``, the mean
            over classes of the class's mean; ``"sample"``, the mean over rows with a label of the
            row's mean (the plain LRAP); ``None``, the mean of each class.
        mask: ``(*, C)`` bool, true where the label is known. Unknown labels are in no count.
        sample_weight: ``(*)`` non-negative floating-point weights :math:`w` of the rows.

    Returns:
        ``()``, or :class:`ClassLwlrap` for ``None``; float64 (float32 on mps). Rows without labels
        weigh nothing; a set without labels, or without rows, gives NaN; so does a class without
        labels, which has no part in ``"macro"``.

    Raises:
        TypeError: if scores or weights are not floating point, or a mask is not bool.
        ValueError: if a known score is NaN, shapes or devices disagree, or, on the CPU, a target is
            not 0/1 or a weight is negative or infinite.

    Note:
        To see whether a score is NaN is to wait for the scores; ``torch.compile`` breaks its graph
        there. :meth:`Lwlrap.update` does not wait.

    Reference:
        The metric of Freesound Audio Tagging 2019, https://arxiv.org/abs/1906.02975. Equal to
        scikit-learn's ``label_ranking_average_precision_score`` weighted by each row's label count.

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

    It holds sums only, so its memory does not grow with the clips, and its value is the one that the
    function gives for all of them at once, in whatever batches, files or processes they came.

    It is no ``nn.Module``, on purpose: as buffers of a model, its sums would be overwritten from rank
    0 by DistributedDataParallel, rounded by ``.half()``, and saved with the weights.

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
        self._sums = RankSums.zeros(n_classes, torch.device("cpu"))

    @property
    def device(self) -> torch.device:
        """Where the sums are, and where scores are expected."""
        return self._sums.precision.device

    def update(
        self, scores: Array, target: Array, *, mask: Array | None = None, sample_weight: Array | None = None
    ) -> None:
        """Add clips, without making an accelerator wait.

        Arguments and errors are those of :func:`lwlrap`, but for NaN scores, which raise in compute.
        """
        scores = _as_tensor("scores", scores, self.device)
        check_same_device("scores", scores, "the metric", self._sums.precision)
        if scores.shape[-1:] != (self.n_classes,):
            raise ValueError(f"scores: wanted {self.n_classes} classes, got {describe(scores)}")
        self._sums = self._sums.add(_update(scores, target, mask, sample_weight))

    def compute(self, *, sync: bool = True) -> Tensor | ClassLwlrap:
        """Return the value over all clips since the last reset.

        Args:
            sync: over the clips of all processes, where the default process group of
                ``torch.distributed`` is initialised. Every process then has to call, with the sums on a
                device that the group can reduce. The sums kept stay this process's own, so calling
                again, or going on after it, counts nothing twice.

        Raises:
            ValueError: if a known score was NaN, in any of the processes.
        """
        sums = self._sums
        if sync and distributed.is_available() and distributed.is_initialized():
            flat = torch.cat([part.flatten() for part in sums])
            distributed.all_reduce(flat)
            parts = torch.split(flat, [part.numel() for part in sums])
            sums = RankSums(*(new.view_as(old) for new, old in zip(parts, sums, strict=True)))
        return _compute(sums, self.average)

    def reset(self) -> None:
        """Forget all clips."""
        self._sums = RankSums.zeros(self.n_classes, self.device)

    def merge(self, other: Lwlrap) -> None:
        """Add the clips of another metric of as many classes, which stays as it is."""
        if not isinstance(other, Lwlrap):
            raise TypeError(f"other: wanted an Lwlrap, got {describe(other)}")
        if other.n_classes != self.n_classes:
            raise ValueError(f"other: wanted {self.n_classes} classes, got {other!r}")
        self._sums = self._sums.add(other._sums.to(self.device))

    def to(self, device: torch.device | str) -> Self:
        """Move the sums to a device; returns the metric itself."""
        self._sums = self._sums.to(device)
        return self

    def state_dict(self) -> dict[str, Tensor]:
        """Return the sums by name, tensors all; later updates leave them as they are."""
        return self._sums._asdict()

    def load_state_dict(self, state: Mapping[str, Tensor]) -> None:
        """Take over the sums that :meth:`state_dict` returned, on this metric's device.

        Raises:
            TypeError: if one of them is not a tensor.
            ValueError: if names or sizes are others; the metric is then as it was.
        """
        if set(state) != set(RankSums._fields):
            wanted, got = ", ".join(RankSums._fields), ", ".join(state) or "nothing"
            raise ValueError(f"state: wanted {wanted}, got {got}")
        for name, part in self._sums._asdict().items():
            check_shape(f"state[{name!r}]", state[name], part.shape)
        self._sums = RankSums(*(state[name].clone() for name in RankSums._fields)).to(self.device)

    def __repr__(self) -> str:
        return f"Lwlrap({self.n_classes}, average={self.average!r})"


def _update(scores: Array, target: Array, mask: Array | None, sample_weight: Array | None) -> RankSums:
    """Check a batch and take its sums. Arrays go where the scores are."""
    scores = _as_tensor("scores", scores)
    target = _as_tensor("target", target, scores.device)
    # "graded" only leaves the values to the line below, which has another word for them.
    check_scores_and_target(scores, target, graded=True)
    if target.dtype != torch.bool:
        check_values("target", target, (target == 0) | (target == 1), "only 0 and 1")
    rows = scores.detach().reshape(-1, scores.shape[-1])
    known = None
    if mask is not None:
        mask = check_shape("mask", _as_tensor("mask", mask, scores.device), scores.shape, like=scores)
        if mask.dtype != torch.bool:
            raise TypeError(f"mask: wanted a bool tensor, got {describe(mask)}")
        known = mask.reshape(rows.shape)
    weight = torch.ones(len(rows), dtype=sum_dtype(rows.device), device=rows.device)
    if sample_weight is not None:
        sample_weight = _as_tensor("sample_weight", sample_weight, scores.device)
        check_floating("sample_weight", sample_weight)
        check_shape("sample_weight", sample_weight, scores.shape[:-1], like=scores)
        usable = (sample_weight >= 0) & sample_weight.isfinite()
        check_values("sample_weight", sample_weight, usable, "finite, non-negative numbers")
        weight = sample_weight.detach().flatten().to(weight.dtype)
    return rank_sums(rows, target.detach().reshape(rows.shape), known, weight)


def _compute(sums: RankSums, average: Average | None) -> Tensor | ClassLwlrap:
    if sums.nan_scores > 0:
        raise ValueError(f"scores: wanted numbers, got {int(sums.nan_scores)} NaN")
    if average == "label":
        return sums.precision.sum() / sums.support.sum()
    if average == "sample":
        return sums.row_precision / sums.row_weight
    per_class = sums.precision / sums.support  # 0 / 0, that is NaN, for a class without labels
    return ClassLwlrap(per_class, sums.support) if average is None else per_class.nanmean()


def _as_tensor(name: str, value: Array, device: torch.device | None = None) -> Tensor:
    """Take a tensor as it is, and the values of a numpy array where ``device`` says."""
    import numpy as np

    if not isinstance(value, np.ndarray):
        return check_tensor(name, value)
    # What PyTorch cannot share is copied: read-only memory, negative strides, another byte order.
    plain = np.require(value, value.dtype.newbyteorder("="), ["C", "W"])
    try:
        return torch.from_numpy(plain).to(device)
    except TypeError:
        raise TypeError(f"{name}: wanted an array of numbers, got dtype {value.dtype}") from None
