"""Pooling that takes the mean over one axis and the maximum over the other."""

from __future__ import annotations

from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from rankaudio._checks import (
    check_choice,
    check_floating,
    check_integer,
    check_integers,
    check_lengths,
    describe,
)
from rankaudio.lengths import zero_beyond

__all__ = ["Axis", "AxisPool", "Reduction"]

Axis = Literal["time", "frequency"]
Reduction = Literal["mean", "max"]
AXES: tuple[Axis, ...] = ("time", "frequency")
REDUCTIONS: tuple[Reduction, ...] = ("mean", "max")


class AxisPool(nn.Module):
    r"""Pool time and frequency one after the other, each by its mean or its maximum.

    An axis of n values has :math:`\lceil n/s \rceil` windows of size k, with step s. Window j is

    .. math:: W_j = \{\, i : 0 \le i < n, \; sj - p \le i < sj - p + k \,\}, \qquad
        p = \Bigl\lfloor \tfrac12 \max\bigl(s (\lceil n/s \rceil - 1) + k - n, \, 0\bigr) \Bigr\rfloor

    The result is the mean or the maximum over :math:`W_j`, so the padding at both ends counts in no mean.
    This is the rule that TensorFlow calls "SAME". A clip's own length decides its windows, so its result is
    the same alone and in a padded batch.

    The defaults take the mean over time first, then the maximum over frequency. Averaging over time makes a
    feature steady, and the maximum over frequency keeps the pitch at which it is strongest.

    Args:
        time: what becomes of time, ``"mean"`` or ``"max"``.
        frequency: what becomes of frequency, ``"mean"`` or ``"max"``.
        first: the axis that is pooled first, ``"time"`` or ``"frequency"``.
        size: k, values in a window.
        stride: s, values from one window to the next.

    Shapes:
        x ``(B, K, F, N)``, lengths ``(B,)`` in frames. The result is
        :math:`(B, K, \lceil F/s \rceil, \lceil N/s \rceil)`, and zero beyond each clip's pooled length.

    Raises:
        TypeError: if a size is not an integer, or the input is not floating point.
        ValueError: if a setting is out of range, or the input has other axes.

    Reference:
        The second-place system of Freesound Audio Tagging 2019.

    >>> x = torch.tensor([[1.0, 3.0, 8.0], [5.0, 5.0, 2.0]])[None, None]
    >>> AxisPool()(x)
    tensor([[[[5., 8.]]]])
    >>> pool = AxisPool(size=3)
    >>> pool(torch.randn(2, 16, 64, 431), torch.tensor([431, 30])).shape
    torch.Size([2, 16, 32, 216])
    """

    def __init__(
        self,
        *,
        time: Reduction = "mean",
        frequency: Reduction = "max",
        first: Axis = "time",
        size: int = 2,
        stride: int = 2,
    ) -> None:
        super().__init__()
        self.time: Reduction = check_choice("time", time, REDUCTIONS)
        self.frequency: Reduction = check_choice("frequency", frequency, REDUCTIONS)
        self.first: Axis = check_choice("first", first, AXES)
        self.size: int = check_integer("size", size)
        self.stride: int = check_integer("stride", stride)

    def forward(self, x: Tensor, lengths: Tensor | None = None) -> Tensor:
        """Return the pooled features; ``lengths`` are in frames."""
        check_floating("x", x, ndim=(4,))
        if 0 in x.shape[2:]:
            raise ValueError(f"x: wanted (B, K, F, N) with F and N from 1, got {describe(x)}")
        if lengths is not None:
            lengths = check_lengths(lengths, batch=x.shape[0], longest=x.shape[3], like=x)
        elif torch.compiler.is_compiling():
            # The rule asks whether a length is odd. A graph for every length has to ask a tensor.
            lengths = torch.full((x.shape[0],), x.shape[3], device=x.device)
        if self.first == "frequency":
            x = self._pool_frequency(x)
        x = self._pool_time(x, lengths)
        return self._pool_frequency(x) if self.first == "time" else x

    def frame_lengths(self, lengths: Tensor) -> Tensor:
        r"""Return the pooled length of each clip, :math:`\lceil \ell / s \rceil`.

        Raises:
            TypeError: if ``lengths`` is not a tensor of integers.
            ValueError: if ``lengths`` does not have the shape ``(B,)``.

        >>> AxisPool().frame_lengths(torch.tensor([1, 2, 3]))
        tensor([1, 1, 2])
        """
        return (check_integers("lengths", lengths) + self.stride - 1) // self.stride

    def extra_repr(self) -> str:
        """Show the settings."""
        names = ("time", "frequency", "first", "size", "stride")
        return ", ".join(f"{name}={getattr(self, name)!r}" for name in names)

    def _pool_frequency(self, x: Tensor) -> Tensor:
        n = x.shape[2]
        before = same_padding(n, size=self.size, stride=self.stride)
        fill = _fill(x, self.frequency)
        # As much padding as window 0 and the last window may need. It changes nothing but their ends.
        x = F.pad(x, (0, 0, before, self.size - 1 - before), value=fill)
        if self.frequency == "max":
            return F.max_pool2d(x, (self.size, 1), (self.stride, 1))
        mean = F.avg_pool2d(x, (self.size, 1), (self.stride, 1))
        start = torch.arange(mean.shape[2], device=x.device) * self.stride - before
        return mean * self._missing(start, n, like=x)[:, None]

    def _pool_time(self, x: Tensor, lengths: Tensor | None) -> Tensor:
        n: int | Tensor = x.shape[3] if lengths is None else lengths[:, None, None, None]
        x, before = self._aligned(zero_beyond(x, lengths, fill=_fill(x, self.time)), n)
        if self.time == "max":
            pooled = F.max_pool2d(x, (1, self.size), (1, self.stride))
        else:
            pooled = F.avg_pool2d(x, (1, self.size), (1, self.stride))
            start = torch.arange(pooled.shape[3], device=x.device) * self.stride - before
            pooled = pooled * self._missing(start, n, like=x)
        return pooled if lengths is None else zero_beyond(pooled, self.frame_lengths(lengths))

    def _aligned(self, x: Tensor, n: int | Tensor) -> tuple[Tensor, int | Tensor]:
        """Pad the time axis so that window 0 of every clip begins at 0, and return the padding before it."""
        fill, most = _fill(x, self.time), (self.size - 1) // 2
        if not isinstance(n, Tensor):
            before = same_padding(n, size=self.size, stride=self.stride)
            return F.pad(x, (before, self.size - 1 - before), value=fill), before
        windows = (n + self.stride - 1) // self.stride
        start = (((windows - 1) * self.stride + self.size - n).clamp(min=0)) // 2
        padded = F.pad(x, (most, self.size - 1), value=fill)
        aligned = padded[..., most:]
        for k in range(1, most + 1):
            aligned = torch.where(start == k, padded[..., most - k : -k], aligned)
        return aligned, start

    def _missing(self, start: Tensor, n: int | Tensor, *, like: Tensor) -> Tensor:
        """Return size / (values of each window that are not padding)."""
        end = start + self.size
        end = end.minimum(n) if isinstance(n, Tensor) else end.clamp(max=n)
        count = (end - start.clamp(min=0)).clamp(min=1)
        # Integers would divide to the default dtype, which is less exact than float64.
        return (self.size / count.to(torch.promote_types(like.dtype, torch.float32))).to(like.dtype)


def same_padding(n: int, *, size: int, stride: int) -> int:
    """Return the padding before an axis of n values by the rule "SAME"."""
    windows = -(-n // stride)
    return max((windows - 1) * stride + size - n, 0) // 2


def _fill(x: Tensor, reduction: Reduction) -> float:
    """Return a value that adds nothing to the reduction."""
    return 0.0 if reduction == "mean" else torch.finfo(x.dtype).min
