"""lwlrap as a torchmetrics metric, which Lightning takes too. Importing this module imports torchmetrics."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor
from torch.nn import Module
from torchmetrics import Metric

from rankaudio.metrics import Average, ClassLwlrap, Lwlrap

__all__ = ["LwlrapMetric"]


class LwlrapMetric(Metric):
    """:class:`rankaudio.Lwlrap` for a ``MetricCollection``, and for Lightning's ``self.log``.

    The definition and the shapes are those of :func:`rankaudio.lwlrap`. The states are sums in float64
    (float32 on mps). The metric resets, clones, pickles and synchronises like other torchmetrics metrics. Two
    metrics that differ in ``average`` have the same sums, and share them in a collection.

    Args:
        n_classes: :math:`C`.
        average: as in the function.
        dist_sync_on_step: whether the value of a batch includes the batches of all processes, as in every
            torchmetrics metric.
        process_group: the processes; None for all.
        sync_on_compute: whether compute includes the clips of all processes.

    Raises:
        TypeError: in update, if scores or weights are not floating point, or a mask is not bool.
        ValueError: in update, if shapes, devices or values are not as in the function. In compute, and when
            the metric is called, if a known score was NaN.

    >>> from rankaudio.integrations.torchmetrics import LwlrapMetric
    >>> metric = LwlrapMetric(3)
    >>> metric(torch.tensor([[3.0, 2.0, 1.0]]), torch.tensor([[1, 0, 1]]))  # this batch
    tensor(0.8333, dtype=torch.float64)
    >>> metric.update(torch.tensor([[0.0, 5.0, 5.0]]), torch.tensor([[0, 1, 0]]))
    >>> metric.compute()  # all clips
    tensor(0.7222, dtype=torch.float64)
    """

    is_differentiable: bool | None = False
    higher_is_better: bool | None = True
    # A batch only adds to the sums, so torchmetrics needs one update per call and not two.
    full_state_update: bool | None = False
    plot_lower_bound: float | None = 0.0
    plot_upper_bound: float | None = 1.0
    n_classes: int
    average: Average | None
    precision: Tensor

    def __init__(
        self,
        n_classes: int,
        *,
        average: Average | None = "label",
        dist_sync_on_step: bool = False,
        process_group: object = None,
        sync_on_compute: bool = True,
    ) -> None:
        super().__init__(
            dist_sync_on_step=dist_sync_on_step, process_group=process_group, sync_on_compute=sync_on_compute
        )
        self.n_classes, self.average = n_classes, average
        for name, part in self._lwlrap().state_dict().items():
            self.add_state(name, part, dist_reduce_fx="sum")

    def update(
        self,
        preds: Tensor,
        target: Tensor,
        *,
        mask: Tensor | None = None,
        sample_weight: Tensor | None = None,
    ) -> None:
        """Add clips.

        Args:
            preds: ``(*, C)``, raw scores; torchmetrics passes them by this name.
            target: ``(*, C)`` bool or 0/1.
            mask: ``(*, C)`` bool, true where the label is known.
            sample_weight: ``(*)`` weights.
        """
        batch = self._lwlrap()
        batch.update(preds, target, mask=mask, sample_weight=sample_weight)
        for name, part in batch.state_dict().items():
            sums: Tensor = getattr(self, name)
            setattr(self, name, sums + part.to(sums.dtype))

    def compute(self) -> Tensor | ClassLwlrap:
        """Return the value over all clips since the last reset."""
        whole = self._lwlrap()
        whole.load_state_dict({name: getattr(self, name) for name in whole.state_dict()})
        return whole.compute(sync=False)  # torchmetrics has already added the sums of all processes

    def _apply(self, fn: Callable[[Tensor], Tensor], exclude_state: Sequence[str] = "") -> Module:
        """Move the sums. On devices without float64 PyTorch raises a TypeError; sums are float32 there."""
        try:
            return super()._apply(fn, exclude_state)
        except TypeError:
            if self.precision.dtype != torch.float64:
                raise
            self.set_dtype(torch.float32)
            return super()._apply(fn, exclude_state)

    def _lwlrap(self) -> Lwlrap:
        """Make an empty metric on the device of the states."""
        return Lwlrap(self.n_classes, average=self.average).to(self.device)

    def __repr__(self) -> str:
        return f"LwlrapMetric({self.n_classes}, average={self.average!r})"
