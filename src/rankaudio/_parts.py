"""The two kinds of Module that augment a batch: clip by clip, and clips with each other.

Both separate the draw of parameters from their application, so that a draw can be kept and applied again.
"""

from __future__ import annotations

import math
from typing import Literal

import torch
from torch import Tensor, nn

from rankaudio._checks import (
    check_choice,
    check_floating,
    check_lengths,
    check_number,
    check_same_device,
    check_tensor,
    check_values,
    describe,
)
from rankaudio.lengths import length_mask, zero_beyond

Draw = dict[str, Tensor]


class Augmentation(nn.Module):
    """Base of the Modules that change each clip by itself.

    A subclass says in :meth:`draw` what is random and in :meth:`replay` what is computed. In training mode
    the Module is the one after the other; in eval mode, and with ``p = 0``, it returns its input itself.

    Args:
        p: probability that a clip is changed.

    Shapes:
        clips ``(B, T)`` or ``(B, F, N)``, as the subclass has it; lengths ``(B,)`` integers, in steps of the
        last axis, or None: all of it.

    Raises:
        TypeError: if ``p`` is not a number.
        ValueError: if ``p`` lies outside [0, 1].

    >>> class Flip(Augmentation):
    ...     def draw(self, clips, lengths=None, *, generator=None):
    ...         drawn = torch.rand(clips.shape[0], generator=generator)
    ...         return {"flipped": (drawn < self.p).to(clips.device)}
    ...     def replay(self, clips, draw, lengths=None):
    ...         return torch.where(draw["flipped"][:, None], -clips, clips), lengths
    >>> flip = Flip(p=1.0)
    >>> flip(torch.tensor([[1.0, 2.0]]))
    (tensor([[-1., -2.]]), None)
    >>> flip.replay(torch.tensor([[1.0, 2.0], [3.0, 4.0]]), {"flipped": torch.tensor([True, False])})[0]
    tensor([[-1., -2.],
            [ 3.,  4.]])
    >>> flip.draw(torch.zeros(2, 9))
    {'flipped': tensor([True, True])}
    >>> flip.active, flip.eval().active
    (True, False)
    """

    def __init__(self, *, p: float = 1.0) -> None:
        super().__init__()
        self.p: float = check_number("p", p, 0, 1)

    @property
    def active(self) -> bool:
        """True where a call changes anything, in training mode with ``p`` above 0."""
        return self.training and self.p > 0

    def draw(
        self, clips: Tensor, lengths: Tensor | None = None, *, generator: torch.Generator | None = None
    ) -> Draw:
        """Draw the parameters of a batch: tensors by name, each with the batch as its first axis.

        The numbers come from ``generator``; None: PyTorch's global CPU generator.
        """
        raise NotImplementedError

    def replay(
        self, clips: Tensor, draw: Draw, lengths: Tensor | None = None
    ) -> tuple[Tensor, Tensor | None]:
        """Apply parameters that :meth:`draw` returned; return clips and lengths."""
        raise NotImplementedError

    def forward(
        self, clips: Tensor, lengths: Tensor | None = None, *, generator: torch.Generator | None = None
    ) -> tuple[Tensor, Tensor | None]:
        """Return the changed clips and their lengths: :meth:`draw`, then :meth:`replay`."""
        if not self.active:
            return clips, lengths
        return self.replay(clips, self.draw(clips, lengths, generator=generator), lengths)


class Mixer(nn.Module):
    """Base of the Modules that mix the clips of a batch with each other, and their labels with them.

    As :class:`Augmentation`, with a target. ``partners`` says which clips may be mixed into others; a clip
    with no other to choose from stays as it is.

    Args:
        p: probability that a clip is mixed.

    Shapes:
        clips ``(B, T)`` or ``(B, F, N)``, as the subclass has it; target ``(B, C)``; lengths ``(B,)``
        integers, in steps of the last axis, or None: all of it; partners ``(B,)`` bool, or None: all of them.

    Raises:
        TypeError: if ``p`` is not a number.
        ValueError: if ``p`` lies outside [0, 1].

    >>> class LabelsOfTheNext(Mixer):
    ...     def draw(self, clips, lengths=None, *, partners=None, generator=None):
    ...         return {"partner": torch.arange(clips.shape[0]).roll(-1)}
    ...     def replay(self, clips, target, draw, lengths=None):
    ...         return clips, torch.maximum(target, target[draw["partner"]]), lengths
    >>> mixer = LabelsOfTheNext(p=1.0)
    >>> draw = mixer.draw(torch.zeros(3, 9))
    >>> mixer.replay(torch.zeros(3, 9), torch.eye(3), draw)[1]
    tensor([[1., 1., 0.],
            [0., 1., 1.],
            [1., 0., 1.]])
    >>> mixer.active, mixer.eval().active
    (True, False)
    """

    def __init__(self, *, p: float = 0.5) -> None:
        super().__init__()
        self.p: float = check_number("p", p, 0, 1)

    @property
    def active(self) -> bool:
        """True where a call changes anything, in training mode with ``p`` above 0."""
        return self.training and self.p > 0

    def draw(
        self,
        clips: Tensor,
        lengths: Tensor | None = None,
        *,
        partners: Tensor | None = None,
        generator: torch.Generator | None = None,
    ) -> Draw:
        """Draw the parameters of a batch: tensors by name, each with the batch as its first axis.

        ``partners`` says which clips may be mixed into others. The numbers come from ``generator``; None:
        PyTorch's global CPU generator.
        """
        raise NotImplementedError

    def replay(
        self, clips: Tensor, target: Tensor, draw: Draw, lengths: Tensor | None = None
    ) -> tuple[Tensor, Tensor, Tensor | None]:
        """Apply parameters that :meth:`draw` returned; return clips, target and lengths."""
        raise NotImplementedError

    def forward(
        self,
        clips: Tensor,
        target: Tensor,
        lengths: Tensor | None = None,
        *,
        partners: Tensor | None = None,
        generator: torch.Generator | None = None,
    ) -> tuple[Tensor, Tensor, Tensor | None]:
        """Return clips, target and lengths of the mixed batch: :meth:`draw`, then :meth:`replay`."""
        if not self.active:
            return clips, target, lengths
        draw = self.draw(clips, lengths, partners=partners, generator=generator)
        return self.replay(clips, target, draw, lengths)


def check_clips(
    clips: Tensor, lengths: Tensor | None, *, name: str = "clips", ndim: tuple[int, ...] = (2, 3)
) -> Tensor:
    """Refuse what is no batch with time on its last axis; return its lengths."""
    check_floating(name, clips, ndim=ndim)
    batch, longest = clips.shape[0], clips.shape[-1]
    if 0 in clips.shape[1:]:
        raise ValueError(f"{name}: wanted at least one step on each axis, got {describe(clips)}")
    if lengths is None:
        return torch.full((batch,), longest, device=clips.device)
    return check_lengths(lengths, batch=batch, longest=longest, like=clips)


def check_target(clips: Tensor, target: Tensor, *, name: str = "clips") -> None:
    """Refuse a target that does not have one row for each clip."""
    check_tensor("target", target)
    if target.ndim != 2 or target.shape[0] != clips.shape[0]:
        raise ValueError(f"target: wanted shape ({clips.shape[0]}, C), got {describe(target)}")
    check_same_device("target", target, name, clips)


def take_fields(draw: Draw, names: tuple[str, ...], clips: Tensor) -> list[Tensor]:
    """Take the fields out of a draw, on the device of the clips; refuse one of another batch or part."""
    if not isinstance(draw, dict) or not set(names) <= set(draw):
        fields = sorted(draw) if isinstance(draw, dict) else describe(draw)
        raise ValueError(f"draw: wanted the fields {', '.join(names)}, got {fields}")
    for name in names:
        if draw[name].shape[:1] != clips.shape[:1]:
            raise ValueError(f"draw: wanted {clips.shape[0]} rows, got {name}, {describe(draw[name])}")
    taken = [draw[name].to(clips.device) for name in names]
    if "partner" in names:
        partner = taken[names.index("partner")]
        good = (partner >= 0) & (partner < clips.shape[0])
        check_values("draw", partner, good, f"partners from 0 to {clips.shape[0] - 1}")
    return taken


def per_clip(values: Tensor, clips: Tensor) -> Tensor:
    """``(B,)`` or ``(B, T)`` values in a form that broadcasts with clips ``(B, ..., T)``."""
    if values.ndim == 1:
        return values.reshape(-1, *(1,) * (clips.ndim - 1))
    return values.reshape(values.shape[0], *(1,) * (clips.ndim - 2), values.shape[1])


def computed_in(clips: Tensor) -> torch.dtype:
    """The dtype of sums and products: float32 or better."""
    return torch.float64 if clips.dtype == torch.float64 else torch.float32


Fill = float | Literal["minimum", "mean"]
_FILLS: tuple[Literal["minimum", "mean"], ...] = ("minimum", "mean")


def check_fill(fill: object) -> Fill:
    """Refuse what is neither a number nor the name of one."""
    return check_choice("fill", fill, _FILLS) if isinstance(fill, str) else check_number("fill", fill)


def fill_values(clips: Tensor, lengths: Tensor, fill: Fill) -> Tensor:
    """One value for each clip, within its own length, in a form that broadcasts with the clips."""
    axes = tuple(range(1, clips.ndim))
    if fill == "minimum":
        beyond = ~per_clip(length_mask(lengths, clips.shape[-1]), clips)
        return clips.masked_fill(beyond, torch.inf).amin(axes, keepdim=True)
    if fill == "mean":
        total = zero_beyond(clips, lengths).sum(axes, dtype=computed_in(clips))
        count = lengths * math.prod(clips.shape[1:-1])
        return per_clip((total / count).to(clips.dtype), clips)
    return clips.new_full((clips.shape[0], *(1,) * (clips.ndim - 1)), fill)


def take(clips: Tensor, index: Tensor) -> Tensor:
    """Steps of the last axis, ``index`` ``(B, T')`` saying which for each clip."""
    index = per_clip(index, clips)
    return clips.gather(-1, index.expand(*clips.shape[:-1], index.shape[-1]))
