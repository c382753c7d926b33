"""Random effects: parameters drawn per clip, then applied to the clips that were chosen."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from rankaudio import _random
from rankaudio._checks import check_floating, check_range
from rankaudio._parts import Augmentation, Draw, take_fields
from rankaudio.lengths import zero_beyond

Range = tuple[float, float]


class RandomEffect(Augmentation):
    """What all effect Modules do; a subclass says what its parameters change, in :meth:`change`."""

    def __init__(
        self, *, p: float, ranges: dict[str, tuple[Range, Range]], integers: tuple[str, ...] = ()
    ) -> None:
        """Take, by parameter, the range to draw from and the widest there is; which ones are integers."""
        super().__init__(p=p)
        self.ranges = {name: check_range(name, drawn, *widest) for name, (drawn, widest) in ranges.items()}
        self.integers = integers

    def draw(
        self,
        waveform: Tensor,
        lengths: Tensor | None = None,  # noqa: ARG002  (no effect draws by length, other augmentations do)
        *,
        generator: torch.Generator | None = None,
    ) -> Draw:
        """Draw which clips get the effect (``chosen``), and the parameters of every clip by name."""
        check_floating("waveform", waveform, ndim=(2,))
        count, device = waveform.shape[0], waveform.device
        draw = {"chosen": _random.uniform(count, 0.0, 1.0, device=device, generator=generator) < self.p}
        for name, (low, high) in self.ranges.items():
            whole = name in self.integers
            value = _random.uniform(count, low, high + whole, device=device, generator=generator)
            draw[name] = value.floor().clamp(max=high) if whole else value
        return draw

    def replay(
        self, waveform: Tensor, draw: Draw, lengths: Tensor | None = None
    ) -> tuple[Tensor, Tensor | None]:
        """Apply what :meth:`draw` returned, or anything of that form."""
        chosen, *values = take_fields(draw, ("chosen", *self.ranges), waveform)
        changed, new = self.change(waveform, lengths, dict(zip(self.ranges, values, strict=True)))
        longer = changed.shape[1] - waveform.shape[1]
        original = F.pad(zero_beyond(waveform, lengths), (0, longer))
        result = torch.where(chosen[:, None], changed, original)
        if new is None:
            return result, None
        if lengths is None:
            lengths = torch.full_like(new, waveform.shape[1])
        return result, torch.where(chosen, new, lengths)

    def change(
        self, waveform: Tensor, lengths: Tensor | None, parameters: dict[str, Tensor]
    ) -> tuple[Tensor, Tensor | None]:
        """Apply the effect's function to every clip."""
        raise NotImplementedError

    def extra_repr(self) -> str:
        """Show the settings."""
        return ", ".join([f"p={self.p}", *(f"{name}={value}" for name, value in self.ranges.items())])
