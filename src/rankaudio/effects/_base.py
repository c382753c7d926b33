"""The base of the effect Modules: parameters are drawn for each clip, and the chosen clips are changed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import torch
import torch.nn.functional as F
from torch import Tensor

from rankaudio import _random
from rankaudio._checks import check_range, check_values, check_waveform
from rankaudio._draws import take_fields
from rankaudio.augmentation import Augmentation, Draw
from rankaudio.effects._chunks import CHUNK_SAMPLES
from rankaudio.effects._parameters import Range, can_read, check_parameters
from rankaudio.lengths import zero_beyond


def check_and_mask(waveform: object, lengths: Tensor | None) -> tuple[Tensor, Tensor | None]:
    """Check clips and lengths, convert half precision to float32, and set the padding to zero."""
    clips, lengths = check_waveform(waveform, lengths)
    return zero_beyond(clips, lengths), lengths


class RandomEffect(Augmentation):
    """Base of the effect Modules. A subclass computes the effect in ``_change``."""

    def __init__(
        self,
        ranges: Mapping[str, Range],
        limits: Mapping[str, Range],
        *,
        p: float,
        integers: tuple[str, ...] = (),
    ) -> None:
        """Take the range of each parameter, the limits of the ranges, and the names of integer parameters."""
        super().__init__(p=p)
        self.ranges: dict[str, Range] = {
            name: check_range(name, drawn, *limits[name]) for name, drawn in ranges.items()
        }
        self._limits = {name: limits[name] for name in ranges}
        if "factor" in ranges:  # a slower clip than the slowest would not fit into the result
            self._limits["factor"] = (self.ranges["factor"][0], limits["factor"][1])
        self._integers = integers

    def draw(
        self,
        waveform: Tensor,
        lengths: Tensor | None = None,
        *,
        generator: torch.Generator | None = None,
    ) -> Draw:
        """Draw which clips get the effect (``chosen``), and the parameters of every clip by name."""
        check_waveform(waveform, lengths)
        count, device = waveform.shape[0], waveform.device
        draw = {"chosen": _random.choose(count, self.p, device=device, generator=generator)}
        for name, (low, high) in self.ranges.items():
            integer = name in self._integers
            value = _random.uniform(count, low, high + integer, device=device, generator=generator)
            draw[name] = value.floor().clamp(max=high) if integer else value
        return draw

    def replay(
        self, waveform: Tensor, draw: Draw, lengths: Tensor | None = None
    ) -> tuple[Tensor, Tensor | None]:
        """Apply what :meth:`draw` returned, or another draw with the same fields."""
        given = lengths
        clips, lengths = check_and_mask(waveform, lengths)
        chosen, *values = take_fields(draw, ("chosen", *self.ranges), waveform)
        if self.p == 1 and self.ranges.get("factor", (1, 1))[0] > 1:
            check_values(
                "draw", chosen, chosen, "every clip chosen, because others do not fit into the result"
            )
        parameters = check_parameters(dict(zip(self.ranges, values, strict=True)), self._limits, clips)
        change = self._change_chosen if can_read(clips) else self._change_all
        changed, lengths = change(clips, lengths, chosen, parameters)
        if lengths is not None and given is not None:
            lengths = lengths.to(given.dtype)
        return changed.to(waveform.dtype), lengths

    def _change_all(
        self, clips: Tensor, lengths: Tensor | None, chosen: Tensor, parameters: dict[str, Tensor]
    ) -> tuple[Tensor, Tensor | None]:
        """Change every clip, and keep the result of the chosen ones."""
        changed, new_lengths = self._change(clips, lengths, parameters)
        original = F.pad(clips, (0, changed.shape[1] - clips.shape[1]))
        result = torch.where(chosen[:, None], changed, original)
        if new_lengths is None:
            return result, None
        if lengths is None:
            lengths = torch.full_like(new_lengths, clips.shape[1])
        return result, torch.where(chosen, new_lengths, lengths)

    def _change_chosen(
        self, clips: Tensor, lengths: Tensor | None, chosen: Tensor, parameters: dict[str, Tensor]
    ) -> tuple[Tensor, Tensor | None]:
        """Return the same as ``_change_all``, but change the chosen clips only, without most padding."""
        batch, longest = clips.shape
        size = self._samples_after(longest)
        result, after = F.pad(clips, (0, size - longest)), None
        for rows, samples in _groups_of_similar_length(chosen, lengths, longest):
            some_lengths = None if lengths is None else lengths[rows]
            some = {name: values[rows] for name, values in parameters.items()}
            changed, new_lengths = self._change(clips[:, :samples][rows], some_lengths, some)
            result[rows] = F.pad(changed, (0, size - changed.shape[1]))
            if new_lengths is not None:
                if after is None:
                    after = new_lengths.new_full((batch,), longest) if lengths is None else lengths.clone()
                after[rows] = new_lengths
        return result, after

    def _samples_after(self, samples: int) -> int:
        """Return the samples of the changed batch, which do not depend on the draw."""
        return samples

    def _change(
        self, clips: Tensor, lengths: Tensor | None, parameters: dict[str, Tensor]
    ) -> tuple[Tensor, Tensor | None]:
        """Change every clip. Arguments are checked, and the padding of clips and result is zero."""
        raise NotImplementedError

    def extra_repr(self) -> str:
        """Show the settings."""
        return ", ".join([f"p={self.p}", *(f"{name}={value}" for name, value in self.ranges.items())])


def _groups_of_similar_length(
    chosen: Tensor, lengths: Tensor | None, samples: int
) -> Iterator[tuple[Tensor, int]]:
    """Yield the chosen rows in groups, the longest first, and the samples of the longest clip of each group.

    The shortest clip of a group is at least half as long as its longest. If no row is chosen, there is one
    empty group.
    """
    rows = chosen.nonzero().flatten()
    if lengths is None or len(rows) == 0:
        yield rows, samples if len(rows) else 1
        return
    rows = rows[lengths[rows].argsort(descending=True, stable=True)]
    sizes, start = lengths[rows].tolist(), 0
    for end in range(1, len(sizes) + 1):
        full = (end - start) * sizes[start] >= CHUNK_SAMPLES
        if end == len(sizes) or 2 * sizes[end] < sizes[start] or full:
            yield rows[start:end], sizes[start]
            start = end
