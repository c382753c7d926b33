"""Probabilities from scores: a scale and a shift for each class before the sigmoid."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from rankaudio._checks import check_floating, check_has_classes, check_shape, check_values, describe

__all__ = ["Calibration"]


class Calibration(nn.Module):
    r"""Turn scores into probabilities.

    .. math:: p_c = \sigma(a_c \, s_c + b_c)

    :func:`fit_calibration` finds scale and shift. They are buffers: they move with the Module, are in its
    state dict, and get no gradient. The result has the device of the scores, and a gradient with respect to
    them.

    Args:
        scale: :math:`a`, ``(C,)`` floating point, finite.
        shift: :math:`b`, ``(C,)`` like the scale.

    Shapes:
        scores ``(*, C)`` floating point, the result of the same shape; float64 for float64 scores, otherwise
        float32.

    Raises:
        TypeError: if scale, shift or scores are not floating point.
        ValueError: if scale and shift are not two tensors ``(C,)`` of finite numbers, or scores have another
            number of classes.

    >>> calibration = Calibration(torch.tensor([1.0, 2.0]), torch.tensor([0.0, -4.0]))
    >>> calibration(torch.tensor([[0.0, 2.0], [100.0, 1.0]]))
    tensor([[0.5000, 0.5000],
            [1.0000, 0.1192]])
    """

    scale: Tensor
    shift: Tensor

    def __init__(self, scale: Tensor, shift: Tensor) -> None:
        super().__init__()
        check_floating("scale", scale, ndim=(1,))
        check_has_classes("scale", scale)
        check_floating("shift", shift)
        check_shape("shift", shift, scale.shape, like=scale)
        for name, values in (("scale", scale), ("shift", shift)):
            check_values(name, values, values.isfinite(), "finite numbers")
            self.register_buffer(name, values.detach().clone())

    @property
    def n_classes(self) -> int:
        """Number of classes, :math:`C`.

        >>> Calibration(torch.ones(2), torch.zeros(2)).n_classes
        2
        """
        return len(self.scale)

    def forward(self, scores: Tensor) -> Tensor:
        """Return probabilities ``(*, C)``."""
        check_floating("scores", scores)
        if scores.shape[-1:] != self.scale.shape:
            raise ValueError(f"scores: wanted {self.n_classes} classes, got {describe(scores)}")
        dtype = torch.float64 if scores.dtype == torch.float64 else torch.float32
        scale, shift = (part.to(scores.device, dtype) for part in (self.scale, self.shift))
        return torch.sigmoid(scale * scores.to(dtype) + shift)

    def extra_repr(self) -> str:
        """Show the number of classes."""
        return f"n_classes={self.n_classes}"
