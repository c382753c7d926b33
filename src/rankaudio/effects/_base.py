"""The base of the effect Modules: parameters are drawn for each clip, and the chosen clips are changed."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

import torch
import torch.nn.functional as F
from torch import Tensor

from rankaudio import _random
from rankaudio._checks import check_range, check_values, check_waveform
from rankaudio._draws import take_fields
from rankaudio._silence import silence
from rankaudio.augmentation import Augmentation, Draw
from rankaudio.effects._parameters import Range, can_read, check_parameters
from rankaudio.lengths import zero_beyond

Parameters = dict[str, Tensor]
# From clips, lengths and parameters to changed clips and their lengths. Arguments are checked and masked.
Change = Callable[[Tensor, Tensor | None, Parameters], tuple[Tensor, Tensor | None]]

# Clips of one group have at least this share of the longest clip's length.
_SIMILAR = 0.8
# Short clips are computed together, because each operation has a fixed cost. Intermediate results of this
# many samples stay in a core's second cache.
_GROUP_SAMPLES = 1 << 17


def check_and_mask(waveform: object, lengths: Tensor | None) -> tuple[Tensor, Tensor | None]:
    """Check clips and lengths, convert half precision to float32, and set the padding to zero."""
    clips, lengths = check_waveform(waveform, lengths)
    if lengths is None or not can_read(clips) or len(clips) == 0:
        return zero_beyond(clips, lengths), lengths
    ends = lengths.tolist()
    if min(ends) == clips.shape[1]:
        return clips, lengths
    masked = silence(clips, *clips.shape)
    _put_rows(masked, list(range(len(ends))), clips, ends)
    return masked, lengths


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
        # The range decides the size of the result, and the size of the blocks that it is computed in.
        self._limits.update({name: self.ranges[name] for name in ("factor", "cents") if name in ranges})
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
        clips, lengths = check_waveform(waveform, lengths)
        chosen, *values = take_fields(draw, ("chosen", *self.ranges), waveform)
        if self.p == 1 and self.ranges.get("factor", (1, 1))[0] > 1:
            check_values(
                "draw", chosen, chosen, "every clip chosen, because others do not fit into the result"
            )
        parameters = check_parameters(dict(zip(self.ranges, values, strict=True)), self._limits, clips)
        # An empty batch stays in the graph of the gradients if the whole of it is computed.
        change = self._change_chosen if can_read(clips) and len(clips) else self._change_all
        changed, lengths = change(clips, lengths, chosen, parameters)
        if lengths is not None and given is not None:
            lengths = lengths.to(given.dtype)
        return changed.to(waveform.dtype), lengths

    def _change_all(
        self, clips: Tensor, lengths: Tensor | None, chosen: Tensor, parameters: dict[str, Tensor]
    ) -> tuple[Tensor, Tensor | None]:
        """Change every clip, and keep the result of the chosen ones."""
        clips = zero_beyond(clips, lengths)
        size = self._samples_after(clips.shape[1])
        changed, new_lengths = self._change(clips, lengths, parameters)
        changed, original = pad_to(changed, size), pad_to(clips, size)
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
        ends = [longest] * batch if lengths is None else lengths.tolist()
        result = silence(clips, batch, self._samples_after(longest))
        for row in (~chosen).nonzero().flatten().tolist():
            result[row, : ends[row]] = clips[row, : ends[row]]
        rows = chosen.nonzero().flatten().tolist()
        return result, _change_rows(self._change, clips, lengths, parameters, rows=rows, result=result)

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


def change_padded(
    change: Change, clips: Tensor, lengths: Tensor | None, parameters: Parameters, *, size: int
) -> Tensor:
    """Change all clips of a checked batch, ``(B, T)`` to ``(B, size)``. A CPU skips most padding."""
    if lengths is None or not can_read(clips) or len(clips) == 0:
        return pad_to(change(zero_beyond(clips, lengths), lengths, parameters)[0], size)
    result = silence(clips, len(clips), size)
    _change_rows(change, clips, lengths, parameters, rows=list(range(len(clips))), result=result)
    return result


def _change_rows(
    change: Change,
    clips: Tensor,
    lengths: Tensor | None,
    parameters: Parameters,
    *,
    rows: list[int],
    result: Tensor,
) -> Tensor | None:
    """Change some clips, those of similar length together, and write them. Return all lengths after it."""
    batch, longest = clips.shape
    ends, after = [longest] * batch if lengths is None else lengths.tolist(), None
    for group in _groups_of_similar_length(rows, ends, whole=lengths is None):
        index = torch.tensor(group, dtype=torch.long)
        some_lengths = None if lengths is None else lengths[index]
        some = {name: values[index] for name, values in parameters.items()}
        changed, new_lengths = change(take_clips(clips, group, ends), some_lengths, some)
        shown = some_lengths if new_lengths is None else new_lengths
        _put_rows(result, group, changed, None if shown is None else shown.tolist())
        if new_lengths is not None:
            if after is None:
                after = new_lengths.new_full((batch,), longest) if lengths is None else lengths.clone()
            after[index] = new_lengths
    return after


def take_clips(clips: Tensor, rows: list[int], ends: list[int]) -> Tensor:
    """Return the given rows, as long as the longest of their clips, with silence as padding.

    Only the clips themselves are read, because a mask of a padded batch takes longer than most effects. A
    single clip needs no copy.
    """
    if len(rows) == 1:
        return clips[rows[0] : rows[0] + 1, : ends[rows[0]]]
    some = silence(clips, len(rows), max((ends[row] for row in rows), default=1))
    for k, row in enumerate(rows):
        some[k, : ends[row]] = clips[row, : ends[row]]
    return some


def _put_rows(result: Tensor, rows: list[int], changed: Tensor, ends: list[int] | None) -> None:
    """Write each clip up to its end, because the rest of ``result`` is silent already."""
    for k, row in enumerate(rows):
        end = changed.shape[1] if ends is None else ends[k]
        result[row, :end] = changed[k, :end]


def pad_to(values: Tensor, size: int) -> Tensor:
    """Return the values with silence up to ``size`` samples."""
    return values if values.shape[1] == size else F.pad(values, (0, size - values.shape[1]))


def silence_padding(fresh: Tensor, lengths: Tensor | None) -> Tensor:
    """Return a result with silence after each length. It is written in place if no gradient needs it."""
    if lengths is None or fresh.requires_grad or not can_read(fresh):
        return zero_beyond(fresh, lengths)
    for row, end in enumerate(lengths.tolist()):
        fresh[row, end:] = 0
    return fresh


def _groups_of_similar_length(rows: list[int], ends: list[int], *, whole: bool) -> Iterator[list[int]]:
    """Yield the rows in groups, the longest first; if there is none, one empty group.

    The shortest clip of a group is at least _SIMILAR as long as its longest. ``whole`` asks for one group.
    """
    rows, start = sorted(rows, key=lambda row: -ends[row]), 0
    for k in range(1, len(rows) + 1):
        longest = ends[rows[start]]
        full = (k - start + 1) * longest > _GROUP_SAMPLES and not whole
        if k == len(rows) or ends[rows[k]] < _SIMILAR * longest or full:
            yield rows[start:k]
            start = k
    if not rows:
        yield rows
