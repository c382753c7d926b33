"""Checks of draws: the fields of a draw have the right kinds and rows, and say something that is possible.

A draw may come from a file or from a user. Values are checked on the CPU only, as in ``_checks``.
"""

from __future__ import annotations

import torch
from torch import Tensor

from rankaudio._checks import check_values, describe

# Fields with one value for each chunk or mask of a clip, ``(B, K)``. Others are ``(B,)``.
_WIDE = ("order", "frequency_start", "frequency_width", "time_start", "time_width")
_FLAGS = ("chosen", "wrapped")
_INTEGERS = ("partner", "offset", "choice", "start", "length", "bottom", "height", "width", *_WIDE)


def take_fields(
    draw: dict[str, Tensor], names: tuple[str, ...], clips: Tensor, *, wide: tuple[str, ...] = _WIDE
) -> list[Tensor]:
    """Return fields of a draw, on the device of the clips, after a check of their names, kinds and rows.

    The fields ``wide`` are ``(B, K)``.
    """
    if not isinstance(draw, dict) or not set(names) <= set(draw):
        got = sorted(map(str, draw)) if isinstance(draw, dict) else describe(draw)
        raise ValueError(f"draw: wanted the fields {', '.join(names)}, got {got}")
    fields = [
        _check_field(name, draw[name], clips, 2 if name in wide else 1).to(clips.device) for name in names
    ]
    if "partner" in names:
        partner = fields[names.index("partner")]
        good = (partner >= 0) & (partner < clips.shape[0])
        check_values("draw", partner, good, f"partners from 0 to {clips.shape[0] - 1}")
    return fields


def check_rows(name: str, field: object, clips: Tensor) -> Tensor:
    """Return a field if it is a tensor with one row for each clip."""
    if not isinstance(field, Tensor):
        raise TypeError(f"draw: wanted a tensor for {name}, got {describe(field)}")
    if field.shape[:1] != clips.shape[:1]:
        raise ValueError(f"draw: wanted {clips.shape[0]} rows, got {name}, {describe(field)}")
    return field


def _check_field(name: str, field: object, clips: Tensor, ndim: int) -> Tensor:
    field = check_rows(name, field, clips)
    if field.ndim != ndim:
        raise ValueError(f"draw: wanted {ndim} axes for {name}, got {describe(field)}")
    if name in _FLAGS:
        good, kind = field.dtype == torch.bool, "bools"
    elif name in _INTEGERS:
        good, kind = (
            not (field.is_floating_point() or field.is_complex() or field.dtype == torch.bool),
            "integers",
        )
    else:
        good, kind = not (field.is_complex() or field.dtype == torch.bool), "real numbers"
    if not good:
        raise TypeError(f"draw: wanted {kind} for {name}, got {describe(field)}")
    return field.long() if name in _INTEGERS else field


def check_part(start: Tensor, size: Tensor, whole: Tensor | int, *, least: int = 1, what: str) -> None:
    """Refuse parts of ``size`` steps from ``start`` on that are not inside ``whole``, the steps of each clip.

    ``what`` is the name of the size in the message.
    """
    check_values(
        "draw", size, (size >= least) & (size <= whole), f"a {what} from {least} to that of the clip"
    )
    inside = (start >= 0) & (start <= whole - size)
    check_values("draw", start, inside, f"a start at which the {what} fits into the clip")
