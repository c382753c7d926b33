"""Random effects: parameters drawn per clip, then applied to the clips that were chosen."""

from __future__ import annotations

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from rankaudio import _random
from rankaudio._checks import check_integer, check_number, check_range
from rankaudio.lengths import zero_beyond

__all__ = ["EffectDraw"]

Range = tuple[float, float]


class EffectDraw(NamedTuple):
    """What an effect drew for a batch.

    Attributes:
        chosen: ``(B,)`` bool, the clips that get the effect; all others stay as they are.
        parameters: by name, ``(B,)`` each, in the units of the effect's function.

    >>> draw = rankaudio.Gain(decibels=(-6.0, -6.0), p=1.0).draw(2)
    >>> draw.parameters["decibels"]
    tensor([-6., -6.], dtype=torch.float64)
    """

    chosen: Tensor
    parameters: dict[str, Tensor]


class RandomEffect(nn.Module):
    """What all effect Modules do; a subclass says what its parameters change, in :meth:`change`."""

    def __init__(
        self, *, p: float, ranges: dict[str, tuple[Range, Range]], integers: tuple[str, ...] = ()
    ) -> None:
        """Take, by parameter, the range to draw from and the widest there is; which ones are integers."""
        super().__init__()
        self.p = check_number("p", p, 0, 1)
        self.ranges = {name: check_range(name, drawn, *widest) for name, (drawn, widest) in ranges.items()}
        self.integers = integers

    def draw(
        self, count: int, *, device: torch.device | None = None, generator: torch.Generator | None = None
    ) -> EffectDraw:
        """Draw which of ``count`` clips get the effect, and the parameters of every clip.

        The numbers come from the generator's device and are moved to ``device`` (None: the CPU).
        """
        check_integer("count", count, 0)
        device = torch.device("cpu") if device is None else device
        chosen = _random.uniform(count, 0.0, 1.0, device=device, generator=generator) < self.p
        parameters = {}
        for name, (low, high) in self.ranges.items():
            whole = name in self.integers
            value = _random.uniform(count, low, high + whole, device=device, generator=generator)
            parameters[name] = value.floor().clamp(max=high) if whole else value
        return EffectDraw(chosen, parameters)

    def apply_drawn(
        self, waveform: Tensor, lengths: Tensor | None, draw: EffectDraw
    ) -> tuple[Tensor, Tensor | None]:
        """Apply a draw: what :meth:`draw` returned, or anything of that form, to replay or to choose."""
        changed, new = self.change(waveform, lengths, draw.parameters)
        longer = changed.shape[1] - waveform.shape[1]
        original = F.pad(zero_beyond(waveform, lengths), (0, longer))
        result = torch.where(draw.chosen[:, None], changed, original)
        if new is None:
            return result, None
        if lengths is None:
            lengths = torch.full_like(new, waveform.shape[1])
        return result, torch.where(draw.chosen, new, lengths)

    def forward(
        self, waveform: Tensor, lengths: Tensor | None = None, *, generator: torch.Generator | None = None
    ) -> tuple[Tensor, Tensor | None]:
        """Return waveform and lengths; in eval mode, or with ``p = 0``, those that came."""
        if not self.training or self.p == 0:
            return waveform, lengths
        draw = self.draw(waveform.shape[0], device=waveform.device, generator=generator)
        return self.apply_drawn(waveform, lengths, draw)

    def change(
        self, waveform: Tensor, lengths: Tensor | None, parameters: dict[str, Tensor]
    ) -> tuple[Tensor, Tensor | None]:
        """Apply the effect's function to every clip."""
        raise NotImplementedError

    def extra_repr(self) -> str:
        """Show the settings."""
        return ", ".join([f"p={self.p}", *(f"{name}={value}" for name, value in self.ranges.items())])
