"""Unit phasors."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from rankaudio.effects._parameters import can_read


def phasors(turns: Tensor, dtype: torch.dtype) -> Tensor:
    r"""Compute :math:`e^{2 \pi i t}` as complex numbers of ``dtype``, from turns of a wider type.

    Whole turns are removed before the conversion to ``dtype``, so no precision is lost.
    """
    return phasors_of_angle((turns - turns.round()).to(dtype) * (2 * math.pi))


def phasors_of_angle(angle: Tensor) -> Tensor:
    """Compute ``exp(i angle)``. For float32 on a CPU, numpy takes 0.4 of the time of PyTorch."""
    if not can_read(angle) or angle.requires_grad or angle.dtype != torch.float32:
        return torch.complex(angle.cos(), angle.sin())
    import numpy as np

    values = angle.numpy()
    return torch.complex(torch.from_numpy(np.cos(values)), torch.from_numpy(np.sin(values)))
