"""What augmentation does to one clip, step by step: drawn in a batch, then replayed for the clip alone."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from rankaudio import Chain

# The parameters of each part of the chain for one clip, as in JSON. A mixup partner is a file name.
Parameters = dict[str, dict[str, Any]]


class Step(NamedTuple):
    """A clip after one part of the chain, and what the part did."""

    part: str
    waveform: Tensor
    description: str


def draw_parameters(
    chain: Chain,
    batch: tuple[Tensor, Tensor, Tensor | None],
    names: list[str],
    *,
    generator: torch.Generator,
) -> list[Parameters]:
    """Augment a batch as training does, and return the parameters of each clip.

    Args:
        chain: the augmentations.
        batch: waveforms ``(B, T)``, targets ``(B, C)`` and lengths ``(B,)``.
        names: the file name of each clip.
        generator: source of the random numbers.
    """
    waveform, target, lengths = batch
    *_, record = chain.record(waveform, target, lengths, generator=generator)
    drawn: list[Parameters] = []
    for index in range(len(names)):
        parameters = {
            part: {field: values[0].tolist() for field, values in draw.items()}
            for part, draw in Chain.example(record, index).items()
        }
        for fields in parameters.values():
            if "partner" in fields:
                fields["partner"] = names[fields["partner"]]
        drawn.append(parameters)
    return drawn


def replay(
    chain: Chain, name: str, parameters: Parameters, *, read: Callable[[str], Tensor], sample_rate: int
) -> Iterator[Step]:
    """Apply parameters to a clip, part by part. Parts that do not change the clip are left out.

    Args:
        chain: the chain that drew the parameters, or one with the same parts.
        name: file name of the clip.
        parameters: what :func:`draw_parameters` returned for the clip.
        read: returns the waveform ``(T,)`` of a file name, for this clip and its partner.
        sample_rate: in Hz, for the descriptions.
    """
    clip = read(name)
    for part, fields in parameters.items():
        partner = fields.get("partner", name)
        rows = [clip] if partner == name else [clip, read(partner)]
        augmented = _apply(chain, part, fields, rows)
        if not torch.equal(augmented, clip):
            text = describe(part, fields, before=len(clip), after=len(augmented), sample_rate=sample_rate)
            yield Step(part, augmented, text)
        clip = augmented


def _apply(chain: Chain, part: str, fields: Mapping[str, Any], rows: list[Tensor]) -> Tensor:
    """Apply one part to the first clip; a second clip is its mixup partner."""
    draw = {field: _repeat(value, len(rows)) for field, value in fields.items() if field != "partner"}
    if "partner" in fields:
        # Each is the partner of the other one, so the offset is possible for both.
        draw["partner"] = torch.arange(len(rows)).flip(0)
    target, lengths = torch.zeros(len(rows), 1), torch.tensor([len(row) for row in rows])
    waveform, _, new = chain.replay(pad_sequence(rows, batch_first=True), target, {part: draw}, lengths)
    assert new is not None
    return waveform[0, : int(new[0])]


def _repeat(value: Any, rows: int) -> Tensor:
    tensor = torch.tensor(value, dtype=torch.float64 if isinstance(value, float) else None)
    return tensor.expand(rows, *tensor.shape)


def describe(part: str, fields: Mapping[str, Any], *, before: int, after: int, sample_rate: int) -> str:
    """Describe what a part did to a clip that had ``before`` samples and now has ``after``."""
    if part == "mixup":
        gain, start = 100 * fields["gain"], fields["offset"] / sample_rate
        own, other = f"{gain:.0f} % of the clip", f"{100 - gain:.0f} % of {fields['partner']}"
        begins = f" from {start:.2f} s on"
        return f"{own}{begins}, {other}" if after > before else f"{own}, {other}{begins}"
    if part == "effects":
        return (
            f"reverb {fields['reverberance']:.0f} %, room {fields['room_scale']:.0f} %, "
            f"stereo depth {fields['stereo_depth']:.0f} %, pitch {fields['cents']:+.0f} cents, "
            f"overdrive {fields['decibels']:.0f} dB, speed {fields['factor']:.3f}"
        )
    if part == "shuffle":
        chunks = -(-before // (sample_rate // 2))
        order = [str(chunk + 1) for chunk in fields["order"][:chunks]]
        return "half seconds in the order " + " ".join(order if chunks <= 12 else [*order[:10], "..."])
    return part
