"""lwlrap as a metric of torchmetrics, and so of Lightning. Importing this module imports torchmetrics."""

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

    The definition and the shapes are those of :func:`rankaudio.lwlrap`. Its states are the sums, in float64
    (float32 on mps), so it resets, clones, pickles and adds up over processes as other metrics of
    torchmetrics do. Two that differ in ``average`` have the same sums, and in a collection share them.

    Args:
        n_classes: :math:`C`.
        average: as in the function.
        dist_sync_on_step: as in every metric of torchmetrics, like the two below; whether the value of a
            batch is that of the batches of all processes.
        process_group: the processes; None for all.
        sync_on_compute: whether compute is over the clips of all processes.

    Raises:
        TypeError: from update, if scores or weights are not floating point, or a mask is not bool.
        ValueError: from update, if shapes, devices or values are not those of the function; from compute,
            and from calling the metric, if a known score was NaN.

    >>> from rankaudio.integrations.torchmetrics import LwlrapMetric
    >>> metric = LwlrapMetric(3)
    >>> metric(torch.tensor([[3.0, 2.0, 1.0]]), torch.tensor([[1, 0, 1]]))  # of this batch
    tensor(0.8333, dtype=torch.float64)
    >>> metric.update(torch.tensor([[0.0, 5.0, 5.0]]), torch.tensor([[0, 1, 0]]))
    >>> metric.compute()  # of all
    tensor(0.7222, dtype=torch.float64)
    """

    is_differentiable: bool | None = False
    higher_is_better: bool | None = True
    # A batch adds to the sums, whatever they were: calling the metric ranks the batch once.
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
            preds: ``(*, C)``, the scores, raw; ``preds`` is what torchmetrics calls them by.
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
        return whole.compute(sync=False)  # torchmetrics has added up what processes have

    def _apply(self, fn: Callable[[Tensor], Tensor], exclude_state: Sequence[str] = "") -> Module:
        """Move the sums; to where there are no doubles, which PyTorch says by a TypeError, in float32."""
        try:
            return super()._apply(fn, exclude_state)
        except TypeError:
            if self.precision.dtype != torch.float64:
                raise
            self.set_dtype(torch.float32)
            return super()._apply(fn, exclude_state)

    def _lwlrap(self) -> Lwlrap:
        """No clips, where the states are."""
        return Lwlrap(self.n_classes, average=self.average).to(self.device)

    def __repr__(self) -> str:
        return f"LwlrapMetric({self.n_classes}, average={self.average!r})"
