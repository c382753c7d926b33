"""The mean of a clip's windows, in training over some of them."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from rankaudio import _random
from rankaudio._checks import (
    check_floating,
    check_lengths,
    check_mask,
    check_number,
    check_values,
    describe,
)


class WindowMean(nn.Module):
    r"""The mean over the windows of each clip; in training over a random part of them.

    .. math:: y_b = \frac{1}{\lvert K_b \rvert} \sum_{k \in K_b} x_{b,k}

    In eval mode, :math:`K_b` has all :math:`n_b` windows of the clip. In training, with probability ``run``,
    only a run of neighbouring windows is kept. Its size is uniform over :math:`\{1, \dots, n_b\}`, and its
    start is uniform over all that fit. After that, with probability ``subset``, only a random subset of
    these windows is kept. Its size is uniform too. A model that learns from these means sees shorter and
    other parts of its clips.

    :meth:`draw` returns the windows that are kept, ``(B, K)`` bool.

    Args:
        run: probability of a run of windows.
        subset: probability of a random subset.

    Shapes:
        Windows are ``(*, B, K, C)`` floating point, and the number of windows of each clip ``(B,)`` integers;
        None: every clip has K. The result is ``(*, B, C)``. Windows after the last of a clip are ignored.

    Raises:
        TypeError: if windows are not floating point, or numbers of windows are not integers.
        ValueError: if a probability is not from 0 to 1, or shapes or devices disagree.

    Reference:
        The second level of the first-place system of Freesound Audio Tagging 2019.

    >>> windows = torch.tensor([[[0.2, 0.1], [0.4, 0.3], [0.9, 0.9]]])
    >>> WindowMean().eval()(windows, torch.tensor([2]))
    tensor([[0.3000, 0.2000]])
    >>> mean = WindowMean()
    >>> kept = mean.draw(windows, generator=torch.Generator().manual_seed(8))
    >>> kept
    tensor([[ True, False,  True]])
    >>> mean.replay(windows, kept)
    tensor([[0.5500, 0.5000]])
    """

    def __init__(self, *, run: float = 0.5, subset: float = 0.5) -> None:
        super().__init__()
        self.run: float = check_number("run", run, 0, 1)
        self.subset: float = check_number("subset", subset, 0, 1)

    def forward(
        self, windows: Tensor, counts: Tensor | None = None, *, generator: torch.Generator | None = None
    ) -> Tensor:
        """Return means ``(*, B, C)``; ``counts`` are the numbers of windows."""
        if self.training:
            return self.replay(windows, self.draw(windows, counts, generator=generator))
        return self.replay(windows, _real_windows(windows, counts))

    def draw(
        self, windows: Tensor, counts: Tensor | None = None, *, generator: torch.Generator | None = None
    ) -> Tensor:
        """Draw which windows are kept, ``(B, K)`` bool; ``counts`` are the numbers of windows."""
        real = _real_windows(windows, counts)
        batch, most = real.shape
        count = real.sum(1)
        runs = _random.choose(batch, self.run, device=real.device, generator=generator)
        size = torch.where(runs, 1 + _random.below(count, generator=generator), count)
        start = _random.below(count - size + 1, generator=generator)[:, None]
        place = torch.arange(most, device=real.device)
        in_run = (place >= start) & (place < start + size[:, None])
        subsets = _random.choose(batch, self.subset, device=real.device, generator=generator)
        wanted = torch.where(subsets, 1 + _random.below(size, generator=generator), size)
        key = _random.uniform(batch * most, 0.0, 1.0, device=real.device, generator=generator)
        key = key.reshape(batch, most).masked_fill(~in_run, torch.inf)
        # A window is kept if fewer keys than wanted come before its own.
        return in_run & (key.argsort(dim=1, stable=True).argsort(1) < wanted[:, None])

    def replay(self, windows: Tensor, kept: Tensor) -> Tensor:
        """Return the means over the windows that :meth:`draw` returned."""
        real = _real_windows(windows, None)
        mask = check_mask("kept", kept, real.shape, like=windows)
        check_values("kept", mask, mask.any(1, keepdim=True), "at least one window of each clip")
        mask = mask[..., None]
        return torch.where(mask, windows, 0).sum(-2) / mask.sum(-2)

    def extra_repr(self) -> str:
        """Show the settings."""
        return f"run={self.run}, subset={self.subset}"


def _real_windows(windows: object, counts: object) -> Tensor:
    """Return ``(B, K)`` bool, true for the windows that the clips have."""
    tensor = check_floating("windows", windows)
    if tensor.ndim < 3 or tensor.shape[-2] == 0:
        raise ValueError(f"windows: wanted shape (*, B, K, C) with K from 1, got {describe(tensor)}")
    batch, most = tensor.shape[-3:-1]
    if counts is None:
        return torch.ones(batch, most, dtype=torch.bool, device=tensor.device)
    number = check_lengths(counts, batch=batch, longest=most, like=tensor, name="counts")
    return torch.arange(most, device=tensor.device) < number[:, None]
