"""What training does to a clip, step by step, and in words; and the same again from what was written down."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from rankaudio import Chain
from rankaudio.data import Batch

# By part of the chain, what it drew for one clip, as JSON holds it. A partner is the name of its file.
Parameters = dict[str, dict[str, Any]]


class Step(NamedTuple):
    """A clip after one part of the chain and all before it."""

    part: str
    waveform: Tensor
    words: str


def draw_parameters(
    chain: Chain, batch: Batch, names: list[str], *, generator: torch.Generator
) -> list[Parameters]:
    """Augment a batch as a training step does, and return what was drawn for each of its clips."""
    *_, record = chain.record(batch.waveform, batch.target, batch.lengths, generator=generator)
    drawn: list[Parameters] = []
    for index in range(len(names)):
        of_clip = {
            part: {field: values[0].tolist() for field, values in draw.items()}
            for part, draw in Chain.example(record, index).items()
        }
        for fields in of_clip.values():
            if "partner" in fields:
                fields["partner"] = names[fields["partner"]]
        drawn.append(of_clip)
    return drawn


def replay(
    chain: Chain, name: str, parameters: Parameters, *, read: Callable[[str], Tensor], sample_rate: int
) -> Iterator[Step]:
    """Apply parameters to a clip again, part by part; parts that leave it as it is are left out.

    Args:
        chain: the chain that drew them, or one with the same parts.
        name: of the clip.
        parameters: what :func:`draw_parameters` returned for it.
        read: gives the waveform of a clip, ``(T,)``, by its name: that of this one, and of its partner.
        sample_rate: in Hz, for the words.
    """
    clip = read(name)
    for part, fields in parameters.items():
        partner = fields.get("partner", name)
        rows = [clip] if partner == name else [clip, read(partner)]
        changed = _apply(chain, part, fields, rows)
        if not torch.equal(changed, clip):
            words = in_words(part, fields, before=len(clip), after=len(changed), sample_rate=sample_rate)
            yield Step(part, changed, words)
        clip = changed


def _apply(chain: Chain, part: str, fields: Mapping[str, Any], rows: list[Tensor]) -> Tensor:
    """One part on the first of one or two clips, of which the second is the partner."""
    draw = {field: _repeated(value, len(rows)) for field, value in fields.items() if field != "partner"}
    if "partner" in fields:
        draw["partner"] = torch.full((len(rows),), len(rows) - 1)
    target, lengths = torch.zeros(len(rows), 1), torch.tensor([len(row) for row in rows])
    waveform, _, new = chain.replay(pad_sequence(rows, batch_first=True), target, {part: draw}, lengths)
    assert new is not None
    return waveform[0, : int(new[0])]


def _repeated(value: Any, rows: int) -> Tensor:
    tensor = torch.tensor(value, dtype=torch.float64 if isinstance(value, float) else None)
    return tensor.expand(rows, *tensor.shape)


def in_words(part: str, fields: Mapping[str, Any], *, before: int, after: int, sample_rate: int) -> str:
    """What a part did to a clip, of which it made ``after`` samples out of ``before``."""
    if part == "mixup":
        gain, start = 100 * fields["gain"], fields["offset"] / sample_rate
        own, other = f"{gain:.0f} % of it", f"{100 - gain:.0f} % of {fields['partner']}"
        begins = f" from {start:.2f} s on"
        return f"{own}{begins}, {other}" if after > before else f"{own}, {other}{begins}"
    if part == "effects":
        return (
            f"reverb {fields['reverberance']:.0f} %, room {fields['room_scale']:.0f} %, "
            f"stereo depth {fields['stereo_depth']:.0f} %, pitch {fields['cents']:+.0f} cents, "
            f"overdrive {fields['decibels']:.0f} dB, speed {fields['factor']:.3f}"
        )
    if part == "shuffle":
        there = -(-before // (sample_rate // 2))
        order = [str(chunk + 1) for chunk in fields["order"][:there]]
        return "half seconds in the order " + " ".join(order if there <= 12 else [*order[:10], "..."])
    return part
