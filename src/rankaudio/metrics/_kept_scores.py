"""All clips of a metric that needs every score: kept, merged, and sent between processes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, distributed

from rankaudio._checks import check_floating, check_mask, check_shape
from rankaudio.metrics._inputs import Rows
from rankaudio.metrics._label_precisions import sum_dtype
from rankaudio.metrics._running import check_names_of_state, has_processes

_NAMES = ("scores", "target", "mask", "sample_weight")


class KeptScores:
    """Batches of clips, joined when they are needed."""

    def __init__(self, n_classes: int, device: torch.device) -> None:
        self.n_classes, self.device = n_classes, device
        empty = torch.zeros(0, n_classes, device=device)
        weight = torch.zeros(0, dtype=sum_dtype(device), device=device)
        self.nothing = Rows(empty, empty.bool(), empty.bool(), weight)
        self.batches: list[Rows] = []

    def add(self, rows: Rows) -> None:
        """Keep copies, because a caller may write to its tensors afterwards."""
        scores, target, known, weight = rows
        known = torch.ones_like(scores, dtype=torch.bool) if known is None else known.clone()
        self.batches.append(self._placed(Rows(scores.clone(), target.bool().clone(), known, weight.clone())))

    def rows(self) -> Rows:
        """Return all clips, and keep them as one batch. Different dtypes become the widest."""
        if len(self.batches) != 1:
            joined = zip(*(self.batches or [self.nothing]), strict=True)
            self.batches = [Rows(*(torch.cat(parts) for parts in joined))]
        return self.batches[0]

    def of_all_processes(self) -> Rows:
        """Return the clips of all processes, in the order of their ranks."""
        if not has_processes():
            return self.rows()
        received: list[Any] = [None] * distributed.get_world_size()
        distributed.all_gather_object(received, tuple(part.cpu() for part in self._plain()))
        # An empty table of another process must not decide the dtype.
        batches = [self._placed(Rows(*parts)) for parts in received if len(parts[0])] or [self.nothing]
        return Rows(*(torch.cat(parts) for parts in zip(*batches, strict=True)))

    def to(self, device: torch.device) -> KeptScores:
        """Return the same clips on another device."""
        moved = KeptScores(self.n_classes, device)
        moved.batches = [moved._placed(batch) for batch in self.batches]
        return moved

    def state_dict(self) -> dict[str, Tensor]:
        """Return the clips by name."""
        return {name: part.clone() for name, part in zip(_NAMES, self._plain(), strict=True)}

    def loaded(self, state: Mapping[str, Tensor]) -> KeptScores:
        """Return the clips of a state, after checks."""
        check_names_of_state(state, _NAMES)
        scores = check_floating("state['scores']", state["scores"], ndim=(2,))
        check_shape("state['scores']", scores, (len(scores), self.n_classes))
        for name in ("target", "mask"):
            check_mask(f"state[{name!r}]", state[name], scores.shape, like=scores)
        check_floating("state['sample_weight']", state["sample_weight"])
        check_shape("state['sample_weight']", state["sample_weight"], scores.shape[:1], like=scores)
        new = KeptScores(self.n_classes, self.device)
        new.add(Rows(scores, state["target"], state["mask"], state["sample_weight"]))
        return new

    def _plain(self) -> list[Tensor]:
        return [part for part in self.rows() if part is not None]

    def _placed(self, rows: Rows) -> Rows:
        """Return the clips on the device of the metric."""
        scores, target, known, weight = rows
        known = None if known is None else known.to(self.device)
        weight = weight.to(self.device, self.nothing.weight.dtype)
        return Rows(scores.to(self.device), target.to(self.device), known, weight)
