"""Augmentations in a row, over waveform, target and lengths."""

from __future__ import annotations

from collections.abc import Mapping
from typing import cast

import torch
from torch import Tensor, nn

from rankaudio._checks import describe
from rankaudio._parts import Augmentation, Draw, Mixer

__all__ = ["Augmentation", "Chain", "Draw", "Mixer", "Record"]

Record = dict[str, Draw]


class Chain(nn.Module):
    """Augmentations and mixers in a row, on one batch; in eval mode it does nothing.

    Each part is an :class:`Augmentation`, which changes clips one by one, or a :class:`Mixer`, which mixes
    them and their labels; every augmentation Module of rankaudio is one of the two, and yours can be.
    Parts have names: by these they are switched on and off, and :meth:`record` returns what each one drew.
    All of them draw from one generator, in their order. Use one chain for waveforms, before the frontend, and
    another for spectrograms, behind it.

    Args:
        parts: the parts by name, in their order.

    Shapes:
        waveform ``(B, T)``, or whatever the parts take; target ``(B, C)``; lengths ``(B,)`` integers.

    Raises:
        TypeError: if a name is no string, or a part is neither an :class:`Augmentation` nor a :class:`Mixer`.

    >>> chain = Chain({"shuffle": ShuffleChunks(chunk_length=20, p=1.0), "mixup": ORMixup(p=1.0)})
    >>> waveform, target, lengths = chain(torch.randn(2, 100), torch.eye(2))
    >>> target
    tensor([[1., 1.],
            [1., 1.]])
    >>> chain.disable("mixup")
    >>> waveform, target, lengths, record = chain.record(torch.randn(2, 100), torch.eye(2))
    >>> target
    tensor([[1., 0.],
            [0., 1.]])
    >>> list(record), record["shuffle"]["order"].shape
    (['shuffle'], torch.Size([2, 5]))
    >>> again, *_ = chain.replay(torch.randn(2, 100), torch.eye(2), record)  # other clips, shuffled alike
    >>> chain.enable()
    >>> chain.enabled("mixup")
    True
    """

    def __init__(self, parts: Mapping[str, Augmentation | Mixer]) -> None:
        super().__init__()
        if not isinstance(parts, Mapping):
            raise TypeError(f"parts: wanted Modules by name, got {describe(parts)}")
        for name, part in parts.items():
            if not isinstance(name, str):
                raise TypeError(f"parts: wanted strings as names, got {describe(name)}")
            if not isinstance(part, Augmentation | Mixer):
                raise TypeError(f"parts: wanted an Augmentation or a Mixer as {name}, got {describe(part)}")
        self.names: tuple[str, ...] = tuple(parts)
        self._off: frozenset[str] = frozenset()
        self._parts = nn.ModuleList(parts.values())

    def enable(self, *names: str) -> None:
        """Switch parts on again; without ``names``, all of them. ValueError: the chain has no such part."""
        self._off -= self._known(names or self.names)

    def disable(self, *names: str) -> None:
        """Switch parts off until they are enabled again; ``names`` as in :meth:`enable`."""
        self._off |= self._known(names or self.names)

    def enabled(self, name: str) -> bool:
        """Whether a part is switched on; ``name`` as in :meth:`enable`."""
        return not self._known((name,)) & self._off

    def forward(
        self,
        waveform: Tensor,
        target: Tensor,
        lengths: Tensor | None = None,
        *,
        partners: Tensor | None = None,
        generator: torch.Generator | None = None,
    ) -> tuple[Tensor, Tensor, Tensor | None]:
        """Return waveform, target and lengths of the augmented batch.

        Args:
            waveform: ``(B, T)``, or whatever the parts take.
            target: ``(B, C)`` bool or numbers.
            lengths: ``(B,)`` integers; None: all of it.
            partners: ``(B,)`` bool, which clips may be mixed into others; None: all of them.
            generator: where the numbers come from; None: PyTorch's global CPU generator.
        """
        return self.record(waveform, target, lengths, partners=partners, generator=generator)[:3]

    def record(
        self,
        waveform: Tensor,
        target: Tensor,
        lengths: Tensor | None = None,
        *,
        partners: Tensor | None = None,
        generator: torch.Generator | None = None,
    ) -> tuple[Tensor, Tensor, Tensor | None, Record]:
        """As a call, :meth:`forward`, and return as the fourth what each part drew.

        The record holds, for each part that did anything, its tensors by name, with the batch as their first
        axis. ``torch.save`` and ``torch.load`` (``weights_only=True``) keep it.
        """
        record: Record = {}
        if not self.training:
            return waveform, target, lengths, record
        for name, part in self._named():
            if name in self._off or not part.active:
                continue
            if isinstance(part, Mixer):
                draw = part.draw(waveform, lengths, partners=partners, generator=generator)
            else:
                draw = part.draw(waveform, lengths, generator=generator)
            record[name] = draw
            waveform, target, lengths = _replay(part, waveform, target, lengths, draw=draw)
        return waveform, target, lengths, record

    def replay(
        self, waveform: Tensor, target: Tensor, record: Record, lengths: Tensor | None = None
    ) -> tuple[Tensor, Tensor, Tensor | None]:
        """Apply again what :meth:`record` returned, in whatever mode and with whatever parts switched off.

        Take names out of the record to hear what the rest of them do. A mixer needs the batch that it drew
        for, since partners are rows of it.

        Raises:
            ValueError: if the record has a part that the chain has not, or was drawn for another batch.
        """
        self._known(tuple(record))
        for name, part in self._named():
            if name in record:
                waveform, target, lengths = _replay(part, waveform, target, lengths, draw=record[name])
        return waveform, target, lengths

    @staticmethod
    def example(record: Record, index: int) -> Record:
        """Cut the record to one clip of the batch.

        The tensors keep their first axis, of one row, so that :meth:`replay` takes them with the clip alone
        (``waveform[index : index + 1]``), unless it was mixed: its partner is in the batch.

        >>> Chain.example({"crop": {"start": torch.tensor([7, 9]), "length": torch.tensor([5, 5])}}, 1)
        {'crop': {'start': tensor([9]), 'length': tensor([5])}}
        """
        return {
            name: {field: values[index].unsqueeze(0) for field, values in draw.items()}
            for name, draw in record.items()
        }

    def extra_repr(self) -> str:
        """Show the names, and what is switched off."""
        return ", ".join(f"{name} (off)" if name in self._off else name for name in self.names)

    def _named(self) -> list[tuple[str, Augmentation | Mixer]]:
        parts = cast("list[Augmentation | Mixer]", list(self._parts))
        return list(zip(self.names, parts, strict=True))

    def _known(self, names: tuple[str, ...]) -> frozenset[str]:
        for name in names:
            if name not in self.names:
                raise ValueError(f"name: wanted one of {', '.join(self.names)}, got {name!r}")
        return frozenset(names)


def _replay(
    part: Augmentation | Mixer, waveform: Tensor, target: Tensor, lengths: Tensor | None, *, draw: Draw
) -> tuple[Tensor, Tensor, Tensor | None]:
    if isinstance(part, Mixer):
        return part.replay(waveform, target, draw, lengths)
    waveform, lengths = part.replay(waveform, draw, lengths)
    return waveform, target, lengths
