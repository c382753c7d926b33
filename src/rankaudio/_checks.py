"""Every error message about arguments: what was wanted, and what came.

Shapes, dtypes, devices and plain numbers are always checked. Values inside tensors are checked on the CPU
only, outside ``torch.compile`` and ``vmap``. On an accelerator, the host would have to wait for the whole
queue.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Mapping, Sequence
from typing import Any, TypeVar, cast

import torch
from torch import Tensor

from rankaudio._messages import describe as describe  # noqa: PLC0414  (all checks are imported from here)
from rankaudio._messages import first_few as first_few  # noqa: PLC0414
from rankaudio._messages import short_repr
from rankaudio._name_checks import check_all_known as check_all_known  # noqa: PLC0414
from rankaudio._name_checks import check_encodable as check_encodable  # noqa: PLC0414
from rankaudio._name_checks import check_names as check_names  # noqa: PLC0414
from rankaudio._name_checks import check_ordered as check_ordered  # noqa: PLC0414
from rankaudio._name_checks import check_path as check_path  # noqa: PLC0414
from rankaudio._name_checks import check_unique as check_unique  # noqa: PLC0414

_LARGEST = sys.float_info.max
Choice = TypeVar("Choice", bound=str)
Kind = TypeVar("Kind")


def check_tensor(name: str, value: object) -> Tensor:
    """Return the value if it is a tensor."""
    if not isinstance(value, Tensor):
        raise TypeError(f"{name}: wanted a torch.Tensor, got {describe(value)}")
    return value


def check_instance(name: str, value: object, kind: type[Kind]) -> Kind:
    """Return the value if it is of this class."""
    if not isinstance(value, kind):
        raise TypeError(f"{name}: wanted a {kind.__name__}, got {describe(value)}")
    return value


def check_mapping(name: str, value: object) -> Mapping[Any, Any]:
    """Return the value if it is a dict or another mapping."""
    if not isinstance(value, Mapping):
        raise TypeError(f"{name}: wanted a dict, got {describe(value)}")
    return value


def check_flag(name: str, value: object) -> bool:
    """Return the value if it is True or False. Other values have a truth too, and ``"False"`` is true."""
    if not isinstance(value, bool):
        raise TypeError(f"{name}: wanted True or False, got {describe(value)}")
    return value


def check_generator(value: object) -> torch.Generator | None:
    """Return the value if it is a source of random numbers, or None."""
    if value is not None and not isinstance(value, torch.Generator):
        hint = "; torch.Generator().manual_seed(seed) makes one" if isinstance(value, int) else ""
        raise TypeError(f"generator: wanted a torch.Generator or None, got {describe(value)}{hint}")
    return value


def check_device(name: str, value: object) -> torch.device:
    """Return the device that the value names."""
    if not isinstance(value, (str, int, torch.device)) or isinstance(value, bool):
        raise TypeError(f"{name}: wanted a torch.device or its name, got {describe(value)}")
    if isinstance(value, torch.device):
        return value
    try:
        return torch.device(value)
    except (OverflowError, RuntimeError, ValueError) as error:
        raise ValueError(f"{name}: wanted a device, such as 'cpu', got {describe(value)}") from error


def check_floating(name: str, value: object, *, ndim: tuple[int, ...] | None = None) -> Tensor:
    """Return the value if it is a real floating-point tensor with one of ``ndim`` axes."""
    tensor = check_tensor(name, value)
    if not tensor.is_floating_point():
        raise TypeError(f"{name}: wanted a floating-point tensor, got {describe(tensor)}")
    if ndim is not None and tensor.ndim not in ndim:
        wanted = " or ".join(str(n) for n in ndim)
        alone = tensor.ndim == min(ndim) - 1 and name.isidentifier()
        hint = f" (a single clip is {name}[None])" if alone else ""
        raise ValueError(f"{name}: wanted {wanted} axes{hint}, got {describe(tensor)}")
    return tensor


def check_integers(name: str, value: object) -> Tensor:
    """Return the value if it is a tensor ``(B,)`` of integers."""
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
    """Return the value if it is a tensor of this shape, and on the device of ``like``."""
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


def check_scores_and_target(scores: object, target: object) -> tuple[Tensor, Tensor]:
    """Return floating-point scores ``(*, C)`` and a real target of the same shape and device."""
    s, t = check_floating("scores", scores), check_tensor("target", target)
    check_has_classes("scores", s)
    if t.shape != s.shape:
        raise ValueError(f"target: wanted the shape of scores, {tuple(s.shape)}, got {describe(t)}")
    check_same_device("target", t, "scores", s)
    if t.is_complex():
        raise TypeError(f"target: wanted bool, integers or real numbers, got {describe(t)}")
    return s, t


def check_has_classes(name: str, scores: Tensor) -> None:
    """Refuse scores without an axis of classes."""
    if scores.ndim == 0 or scores.shape[-1] == 0:
        raise ValueError(f"{name}: wanted shape (*, C) with C >= 1 classes, got {describe(scores)}")


def check_zeros_and_ones(name: str, tensor: Tensor, hint: str = "") -> None:
    """Refuse values other than 0 and 1, on the CPU."""
    if tensor.dtype == torch.bool or _has_zeros_and_ones(tensor):
        return
    check_values(name, tensor, (tensor == 0) | (tensor == 1), f"only 0 and 1{hint}")


def _has_zeros_and_ones(tensor: Tensor) -> bool:
    """Whether numbers are known to be 0 and 1, in a fifth of the time that comparisons take, or in less."""
    if tensor.device.type != "cpu" or torch.compiler.is_compiling():
        return False
    try:
        flags = tensor.detach()
        if not tensor.is_floating_point():
            low, high = flags.aminmax()
            return low.item() >= 0 and high.item() <= 1
        # t - t^2 is 0 for 0 and 1 only, and NaN for infinity. A maximum passes NaN on.
        return torch.addcmul(flags, flags, flags, value=-1).abs_().max().item() == 0
    except RuntimeError:  # no values, as in check_values, or no maximum
        return False


def check_values(name: str, tensor: Tensor, good: Tensor, wanted: str) -> None:
    """Refuse bad values, on the CPU only (the head of this file says why)."""
    if tensor.device.type != "cpu" or torch.compiler.is_compiling():
        return
    try:
        if bool(good.all()):
            return
    except RuntimeError:  # vmap and fake tensors have no values to read
        return
    worst = tensor[~good.expand_as(tensor)].flatten()[0].item()
    raise ValueError(f"{name}: wanted {wanted}, got {worst} in {describe(tensor)}")


def check_no_nan(name: str, tensor: Tensor) -> None:
    """Refuse NaN on any device. This waits for the values, so it has no place in a training step."""
    if tensor.numel() and bool(tensor.amax().isnan()):  # a maximum passes NaN on, and needs no mask in memory
        count = int(tensor.isnan().count_nonzero())
        raise ValueError(f"{name}: wanted numbers, got {count} NaN in {describe(tensor)}")


def check_lengths(
    lengths: object, *, batch: int, longest: int, like: Tensor, name: str = "lengths"
) -> Tensor:
    """Return lengths ``(B,)`` as int64 if they are integers from 1 to the longest on the right device."""
    tensor = check_integers(name, lengths)
    check_shape(name, tensor, (batch,), like=like)
    # In a graph, the message would make the longest length a constant.
    if not torch.compiler.is_compiling() and not _are_within(tensor, 1, longest):
        check_values(name, tensor, (tensor >= 1) & (tensor <= longest), f"values from 1 to {longest}")
    return tensor.long()


def _are_within(tensor: Tensor, low: int, high: int) -> bool:
    """Whether integers are known to be from ``low`` to ``high``, in a third of the time of comparisons."""
    if tensor.device.type != "cpu":
        return False
    try:
        values = tensor.tolist()
    except RuntimeError:  # no values, as in check_values
        return False
    return min(values, default=low) >= low and max(values, default=high) <= high


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
    """Return the value if it is one of the choices."""
    # Anything else may have a comparison of its own, such as an array, which compares each of its values.
    if not (value is None or isinstance(value, str)) or value not in choices:
        raise ValueError(f"{name}: wanted one of {', '.join(map(repr, choices))}, got {describe(value)}")
    return cast("Choice", value)


def check_number(name: str, value: object, low: float = -math.inf, high: float = math.inf) -> float:
    """Return the value if it is a finite number from ``low`` to ``high``, both included."""
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise TypeError(f"{name}: wanted a number, got {describe(value)}")
    # math.isinf would break a graph that is compiled for numbers of any size.
    if not (low <= value <= high and abs(value) <= (2**63 if isinstance(value, int) else _LARGEST)):
        raise ValueError(f"{name}: wanted a finite number{_interval(low, high)}, got {short_repr(value)}")
    return value


def check_integer(name: str, value: object, low: float = 1, high: float = math.inf) -> int:
    """Return the value if it is an integer from ``low`` to ``high``, both included.

    PyTorch has no integers from 2^63 on, so none are taken.
    """
    if isinstance(value, bool) or not isinstance(value, int):
        raise TypeError(f"{name}: wanted an integer, got {describe(value)}")
    if not low <= value <= high:
        raise ValueError(f"{name}: wanted an integer{_interval(low, high)}, got {short_repr(value)}")
    if not -(2**63) <= value < 2**63:
        raise ValueError(f"{name}: wanted an integer below 2^63, got {short_repr(value)}")
    return value


def check_range(
    name: str, value: object, low: float = -math.inf, high: float = math.inf
) -> tuple[float, float]:
    """Return the value if it is a pair of numbers in ascending order."""
    if not isinstance(value, (tuple, list)) or len(value) != 2:
        raise TypeError(f"{name}: wanted two numbers (low, high), got {describe(value)}")
    first, last = (check_number(name, end, low, high) for end in value)
    if first > last:
        raise ValueError(f"{name}: wanted (low, high) in ascending order, got {short_repr(value)}")
    return first, last


def _interval(low: float, high: float) -> str:
    if math.isinf(low) and math.isinf(high):
        return ""
    if math.isinf(high):
        return f" >= {_bound(low)}"
    return f" from {_bound(low)} to {_bound(high)}" if not math.isinf(low) else f" <= {_bound(high)}"


def _bound(value: float) -> str:
    return f"{value:,}" if isinstance(value, int) and value >= 10**6 else f"{value:g}"
