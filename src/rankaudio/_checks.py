"""Every error message about arguments: what was wanted, and what came.

Shapes, dtypes, devices and plain numbers are checked always. Values inside tensors are checked
where reading them costs nothing, which is on the CPU outside ``torch.compile`` and ``vmap``: on an
accelerator, reading one value makes the host wait for the whole queue.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TypeVar, cast

import torch
from torch import Tensor

Choice = TypeVar("Choice", bound=str)


def describe(value: object) -> str:
    """Say what came: dtype, shape and device of a tensor, type and value of anything else."""
    if isinstance(value, Tensor):
        dtype = str(value.dtype).removeprefix("torch.")
        return f"a {dtype} tensor of shape {tuple(value.shape)} on {value.device}"
    return f"{value!r} ({type(value).__name__})"


def check_tensor(name: str, value: object) -> Tensor:
    """Refuse whatever is not a tensor."""
    if not isinstance(value, Tensor):
        raise TypeError(f"{name}: wanted a torch.Tensor, got {describe(value)}")
    return value


def check_floating(name: str, value: object, *, ndim: tuple[int, ...] | None = None) -> Tensor:
    """Refuse whatever is not a real floating-point tensor with one of ``ndim`` axes."""
    tensor = check_tensor(name, value)
    if not tensor.is_floating_point():
        raise TypeError(f"{name}: wanted a floating-point tensor, got {describe(tensor)}")
    if ndim is not None and tensor.ndim not in ndim:
        wanted = " or ".join(str(n) for n in ndim)
        raise ValueError(f"{name}: wanted {wanted} axes, got {describe(tensor)}")
    return tensor


def check_integers(name: str, value: object) -> Tensor:
    """Refuse whatever is not a tensor ``(B,)`` of integers."""
    tensor = check_tensor(name, value)
    if tensor.is_floating_point() or tensor.is_complex() or tensor.dtype == torch.bool:
        raise TypeError(f"{name}: wanted integers, got {describe(tensor)}")
    if tensor.ndim != 1:
        raise ValueError(f"{name}: wanted shape (B,), got {describe(tensor)}")
    return tensor


def check_same_device(name: str, value: Tensor, other_name: str, other: Tensor) -> None:
    """Refuse two tensors on two devices."""
    if value.device != other.device:
        raise ValueError(f"{name}: wanted the device of {other_name}, {other.device}, got {describe(value)}")


def check_shape(name: str, value: object, shape: Sequence[int], *, like: Tensor | None = None) -> Tensor:
    """Refuse a tensor of another shape, or on another device than ``like``."""
    tensor = check_tensor(name, value)
    if tuple(tensor.shape) != tuple(shape):
        raise ValueError(f"{name}: wanted shape {tuple(shape)}, got {describe(tensor)}")
    if like is not None and tensor.device != like.device:
        raise ValueError(f"{name}: wanted a tensor on {like.device}, got {describe(tensor)}")
    return tensor


def check_mask(name: str, value: object, shape: Sequence[int], *, like: Tensor) -> Tensor:
    """Return the value if it is a bool tensor of this shape on the device of ``like``."""
    tensor = check_shape(name, value, shape, like=like)
    if tensor.dtype != torch.bool:
        raise TypeError(f"{name}: wanted a bool tensor, got {describe(tensor)}")
    return tensor


def check_scores_and_target(scores: object, target: object, *, graded: bool = False) -> tuple[Tensor, Tensor]:
    """Scores are floating point ``(*, C)``; the target has their shape and, unless graded, 0 and 1 only."""
    s, t = check_floating("scores", scores), check_tensor("target", target)
    if s.ndim == 0 or s.shape[-1] == 0:
        raise ValueError(f"scores: wanted shape (*, C) with C >= 1 classes, got {describe(s)}")
    if t.shape != s.shape:
        raise ValueError(f"target: wanted the shape of scores, {tuple(s.shape)}, got {describe(t)}")
    check_same_device("target", t, "scores", s)
    if t.is_complex():
        raise TypeError(f"target: wanted bool, integers or real numbers, got {describe(t)}")
    if not graded and t.dtype != torch.bool:
        check_values("target", t, (t == 0) | (t == 1), "only 0 and 1 (graded targets need graded=True)")
    return s, t


def check_values(name: str, tensor: Tensor, good: Tensor, wanted: str) -> None:
    """Refuse values, where looking at them is free (see the head of this file)."""
    if tensor.device.type != "cpu" or torch.compiler.is_compiling():
        return
    try:
        if bool(good.all()):
            return
    except RuntimeError:  # under vmap, or with fake tensors, there is no value to look at
        return
    worst = tensor[~good.expand_as(tensor)].flatten()[0].item()
    raise ValueError(f"{name}: wanted {wanted}, got {worst} in {describe(tensor)}")


def check_lengths(lengths: object, *, batch: int, longest: int, like: Tensor) -> Tensor:
    """Lengths are integers ``(B,)``, 1 to the longest, on the device of what they measure."""
    tensor = check_integers("lengths", lengths)
    check_shape("lengths", tensor, (batch,), like=like)
    if not torch.compiler.is_compiling():  # naming the longest would fix it in the graph
        check_values("lengths", tensor, (tensor >= 1) & (tensor <= longest), f"values from 1 to {longest}")
    return tensor.long()


def check_waveform(waveform: object, lengths: Tensor | None) -> tuple[Tensor, Tensor | None]:
    """Check the clips and their lengths; half precision becomes float32."""
    tensor = check_floating("waveform", waveform)
    if tensor.ndim != 2:
        hint = " (a single clip is waveform[None])" if tensor.ndim == 1 else ""
        raise ValueError(f"waveform: wanted shape (B, T){hint}, got {describe(tensor)}")
    if tensor.shape[1] == 0:
        raise ValueError(f"waveform: wanted at least one sample, got {describe(tensor)}")
    if lengths is not None:
        lengths = check_lengths(lengths, batch=tensor.shape[0], longest=tensor.shape[1], like=tensor)
    return tensor if tensor.dtype == torch.float64 else tensor.float(), lengths


def check_choice(name: str, value: object, choices: Sequence[Choice]) -> Choice:
    """Refuse a value that is not one of the choices."""
    if value not in choices:
        raise ValueError(f"{name}: wanted one of {', '.join(map(repr, choices))}, got {describe(value)}")
    return cast("Choice", value)


def check_number(name: str, value: object, low: float = -math.inf, high: float = math.inf) -> float:
    """Refuse whatever is not a number from ``low`` to ``high``, both included."""
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise TypeError(f"{name}: wanted a number, got {describe(value)}")
    # Not math.isinf, on which a graph breaks that is compiled for numbers of any size.
    if not (low <= value <= high and abs(value) < math.inf):
        raise ValueError(f"{name}: wanted a finite number{_span(low, high)}, got {value!r}")
    return value


def check_integer(name: str, value: object, low: float = 1, high: float = math.inf) -> int:
    """Refuse whatever is not an integer from ``low`` to ``high``, both included."""
    if isinstance(value, bool) or not isinstance(value, int):
        raise TypeError(f"{name}: wanted an integer, got {describe(value)}")
    if not low <= value <= high:
        raise ValueError(f"{name}: wanted an integer{_span(low, high)}, got {value!r}")
    return value


def check_range(
    name: str, value: object, low: float = -math.inf, high: float = math.inf
) -> tuple[float, float]:
    """Refuse whatever is not a pair of numbers in ascending order."""
    if not isinstance(value, (tuple, list)) or len(value) != 2:
        raise TypeError(f"{name}: wanted two numbers (low, high), got {describe(value)}")
    first, last = (check_number(name, end, low, high) for end in value)
    if first > last:
        raise ValueError(f"{name}: wanted (low, high) in ascending order, got {value!r}")
    return first, last


def _span(low: float, high: float) -> str:
    if math.isinf(low) and math.isinf(high):
        return ""
    if math.isinf(high):
        return f" >= {low:g}"
    return f" from {low:g} to {high:g}" if not math.isinf(low) else f" <= {high:g}"
