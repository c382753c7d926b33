"""Random effects: parameters drawn per clip, then applied to the clips that were chosen."""

from __future__ import annotations

from collections.abc import Iterator

import torch
import torch.nn.functional as F
from torch import Tensor

from rankaudio import _random
from rankaudio._checks import check_floating, check_lengths, check_range
from rankaudio._parts import Augmentation, Draw, take_fields
from rankaudio.effects._batch import PIECE
from rankaudio.lengths import zero_beyond

Range = tuple[float, float]


class RandomEffect(Augmentation):
    """What all effect Modules do; a subclass says what its parameters change, in ``_change``."""

    def __init__(
        self, *, p: float, ranges: dict[str, tuple[Range, Range]], integers: tuple[str, ...] = ()
    ) -> None:
        """Take, by parameter, the range to draw from and the widest there is; which ones are integers."""
        super().__init__(p=p)
        self.ranges: dict[str, tuple[float, float]] = {
            name: check_range(name, drawn, *widest) for name, (drawn, widest) in ranges.items()
        }
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
        if lengths is not None:
            batch, longest = waveform.shape
            lengths = check_lengths(lengths, batch=batch, longest=longest, like=waveform)
        parameters = dict(zip(self.ranges, values, strict=True))
        # Which clips were chosen, and how long they are, is free to know on a CPU.
        looking = waveform.device.type == "cpu" and not torch.compiler.is_compiling()
        replay = self._replay_chosen if looking else self._replay_all
        return replay(waveform, lengths, chosen, parameters)

    def _replay_all(
        self, waveform: Tensor, lengths: Tensor | None, chosen: Tensor, parameters: dict[str, Tensor]
    ) -> tuple[Tensor, Tensor | None]:
        """Change every clip, keep those chosen."""
        changed, new = self._change(waveform, lengths, parameters)
        longer = changed.shape[1] - waveform.shape[1]
        original = F.pad(zero_beyond(waveform, lengths), (0, longer))
        result = torch.where(chosen[:, None], changed, original)
        if new is None:
            return result, None
        if lengths is None:
            lengths = torch.full_like(new, waveform.shape[1])
        return result, torch.where(chosen, new, lengths)

    def _replay_chosen(
        self, waveform: Tensor, lengths: Tensor | None, chosen: Tensor, parameters: dict[str, Tensor]
    ) -> tuple[Tensor, Tensor | None]:
        """The same result: change those chosen, clips of similar length at a time, without most padding."""
        batch, longest = waveform.shape
        size = self._size_after(longest)
        result, after = F.pad(zero_beyond(waveform, lengths), (0, size - longest)), None
        for rows, samples in _of_similar_length(chosen, lengths, longest):
            some_lengths = None if lengths is None else lengths[rows]
            some = {name: values[rows] for name, values in parameters.items()}
            changed, new = self._change(waveform[:, :samples][rows], some_lengths, some)
            result[rows] = F.pad(changed, (0, size - changed.shape[1]))
            if new is not None:
                if after is None:
                    after = new.new_full((batch,), longest) if lengths is None else lengths.clone()
                after[rows] = new
        return result, after

    def _size_after(self, samples: int) -> int:
        """Samples of the changed batch, whatever is drawn, for a batch of so many."""
        return samples

    def _change(
        self, waveform: Tensor, lengths: Tensor | None, parameters: dict[str, Tensor]
    ) -> tuple[Tensor, Tensor | None]:
        """Apply the effect's function to every clip."""
        raise NotImplementedError

    def extra_repr(self) -> str:
        """Show the settings."""
        return ", ".join([f"p={self.p}", *(f"{name}={value}" for name, value in self.ranges.items())])


def _of_similar_length(chosen: Tensor, lengths: Tensor | None, samples: int) -> Iterator[tuple[Tensor, int]]:
    """Rows that were chosen, longest first, none of a group half as long as another; and their samples.

    Where none was chosen, that is a group of none.
    """
    rows = chosen.nonzero().flatten()
    if lengths is None or len(rows) == 0:
        yield rows, samples if len(rows) else 1
        return
    rows = rows[lengths[rows].argsort(descending=True, stable=True)]
    sizes, start = lengths[rows].tolist(), 0
    for end in range(1, len(sizes) + 1):
        if end == len(sizes) or 2 * sizes[end] < sizes[start] or (end - start) * sizes[start] >= PIECE:
            yield rows[start:end], sizes[start]
            start = end
