"""Side inputs: what a network takes from a waveform besides its spectrogram.

A network lists their names in its attribute ``side_inputs``. :class:`rankaudio.Tagger` computes them with the
functions in :data:`SIDE_INPUTS`, and passes them to the network as tensors by name.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

import torch
from torch import Tensor, nn

from rankaudio._checks import check_floating, check_integers, check_waveform, describe, first_few
from rankaudio.spectral import waveform_statistics

__all__ = ["SIDE_INPUTS", "SideInput"]

SideInput = Callable[[Tensor, Tensor | None, int | None], Tensor]
"""From a waveform ``(B, T)``, its lengths in samples ``(B,)`` or None, and the sample rate of the frontend in
Hz or None, to a floating-point tensor ``(B, ...)``. Padding has no influence on the result."""


def _statistics(waveform: Tensor, lengths: Tensor | None, _: int | None) -> Tensor:
    return waveform_statistics(waveform, lengths)


def _duration(waveform: Tensor, lengths: Tensor | None, sample_rate: int | None) -> Tensor:
    if sample_rate is None:
        raise ValueError(
            "sample_rate: wanted a frontend that has one, for the side input 'duration', got None"
        )
    if lengths is None:
        lengths = torch.full((waveform.shape[0],), waveform.shape[1], device=waveform.device)
    return lengths[:, None].to(waveform.dtype) / (10 * sample_rate)


SIDE_INPUTS: dict[str, SideInput] = {"statistics": _statistics, "duration": _duration}
"""Every side input by name.

``"statistics"`` is :func:`rankaudio.spectral.waveform_statistics`, ``(B, 128, 12)``. ``"duration"`` is the
length of the clip in units of ten seconds, ``(B, 1)``. A program adds a side input for its networks with
``SIDE_INPUTS["name"] = function``.
"""


class _Tagger(Protocol):
    backbone: nn.Module

    def side_inputs(self, waveform: Tensor, lengths: Tensor | None = None) -> dict[str, Tensor]: ...


def names_of_side_inputs(backbone: nn.Module) -> tuple[str, ...]:
    """Return the names that a network lists; Modules of other libraries list none."""
    names: tuple[str, ...] = getattr(backbone, "side_inputs", ())
    return names


def compute_side_inputs(
    names: Sequence[str], waveform: Tensor, lengths: Tensor | None, sample_rate: int | None
) -> dict[str, Tensor]:
    """Compute the side inputs of these names from clips, in float32 or better."""
    if not names:
        check_floating("waveform", waveform, ndim=(2,))
        if lengths is not None:
            check_integers("lengths", lengths)
        return {}
    waveform, lengths = check_waveform(waveform, lengths)
    return {name: _function(name)(waveform, lengths, sample_rate) for name in names}


def _function(name: str) -> SideInput:
    if name not in SIDE_INPUTS:
        raise ValueError(
            f"backbone: wanted side inputs among {first_few(SIDE_INPUTS)}, got {name!r}; "
            f"rankaudio.side_inputs.SIDE_INPUTS[{name!r}] = function adds one"
        )
    return SIDE_INPUTS[name]


def given_or_computed(
    tagger: _Tagger, waveform: Tensor, lengths: Tensor | None, given: object, like: Tensor
) -> dict[str, Tensor]:
    """Return the side inputs of a tagger's backbone: the given ones, or those of the waveform if None.

    Given ones are cast to the dtype of ``like``, which is the spectrogram.
    """
    if given is None:
        return tagger.side_inputs(waveform, lengths)
    if not torch.compiler.is_compiling() and not isinstance(given, Mapping):
        raise TypeError(f"side_inputs: wanted tensors by name or None, got {describe(given)}")
    names = names_of_side_inputs(tagger.backbone)
    return {name: _given(name, names, given, like).to(like.dtype) for name in names}  # type: ignore[arg-type]


def check_side_inputs(
    shapes: Mapping[str, Sequence[int | None]], given: Mapping[str, Tensor] | None, like: Tensor
) -> dict[str, Tensor]:
    """Return the side inputs that a network needs, if they are all there and have the right shapes.

    Args:
        shapes: for each name, the axes after the first; None is any size from 1.
        given: the argument of the network.
        like: the spectrogram. The result has its dtype.
    """
    if given is not None and not isinstance(given, Mapping):
        raise TypeError(f"side_inputs: wanted tensors by name, got {describe(given)}")
    values = {name: _given(name, list(shapes), given or {}, like) for name in shapes}
    for name, shape in shapes.items():
        _check_axes(name, values[name], shape)
    return {name: value.to(like.dtype) for name, value in values.items()}


def _check_axes(name: str, value: Tensor, shape: Sequence[int | None]) -> None:
    sizes = value.shape[1:]
    if len(sizes) != len(shape) or any(
        size != axis if axis is not None else size == 0 for size, axis in zip(sizes, shape, strict=True)
    ):
        axes = ", ".join("any" if axis is None else str(axis) for axis in shape)
        raise ValueError(f"side_inputs[{name!r}]: wanted shape ({len(value)}, {axes}), got {describe(value)}")


def _given(name: str, names: Sequence[str], given: Mapping[str, Tensor], like: Tensor) -> Tensor:
    """Return one of the given side inputs, if it is there and fits the clips."""
    if name not in given:
        raise ValueError(f"side_inputs: wanted {first_few(names)}, got {first_few(given) or 'none'}")
    value = check_floating(f"side_inputs[{name!r}]", given[name])
    if value.ndim == 0 or value.shape[0] != like.shape[0] or value.device != like.device:
        raise ValueError(
            f"side_inputs[{name!r}]: wanted {like.shape[0]} rows on {like.device}, got {describe(value)}"
        )
    return value
