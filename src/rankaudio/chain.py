"""A sequence of augmentations of waveform, target and lengths."""

from __future__ import annotations

from collections.abc import Mapping
from typing import cast

import torch
from torch import Tensor, nn

from rankaudio._checks import (
    check_floating,
    check_integer,
    check_integers,
    check_mask,
    check_shape,
    describe,
)
from rankaudio._clips import check_target
from rankaudio._some_of import OneOf, SomeOf
from rankaudio.augmentation import Augmentation, Draw, Mixer

__all__ = ["Chain", "OneOf", "Record", "SomeOf"]

Record = dict[str, Draw]


class Chain(nn.Module):
    """A sequence of augmentations and mixers for one batch; in eval mode it does nothing.

    Each part is an :class:`Augmentation` or a :class:`Mixer`. Every augmentation Module of rankaudio is one
    of the two, and your own Modules can be too. Parts have names, which switch them off and on again.
    :meth:`record` also returns what each part drew. All parts draw from one generator, in their order. Use
    one chain for waveforms, before the frontend, and another one for spectrograms, after it.

    Args:
        parts: the parts by name, in their order.

    Shapes:
        The waveform is ``(B, T)``, or has the shape that the parts take. The target is ``(B, C)``, and
        lengths ``(B,)`` are integers.

    Raises:
        TypeError: if a name is not a string, or a part is neither an :class:`Augmentation` nor a
            :class:`Mixer`.

    >>> chain = Chain(
    ...     {"shuffle": ShuffleChunks(chunk_length=20, p=1.0), "mixup": ORMixup(p=1.0)}
    ... )
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
    >>> again, *_ = chain.replay(
    ...     torch.randn(2, 100), torch.eye(2), record
    ... )  # other clips, the same shuffle
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
            if not isinstance(part, (Augmentation, Mixer)):
                raise TypeError(f"parts: wanted an Augmentation or a Mixer as {name}, got {describe(part)}")
        self.names: tuple[str, ...] = tuple(parts)
        self._disabled: frozenset[str] = frozenset()
        self._parts = nn.ModuleList(parts.values())

    def enable(self, *names: str) -> None:
        """Enable parts, or all parts if no name is given. An unknown name raises ValueError."""
        self._disabled -= self._known(names or self.names)

    def disable(self, *names: str) -> None:
        """Disable parts until :meth:`enable` is called; ``names`` as in :meth:`enable`."""
        self._disabled |= self._known(names or self.names)

    def enabled(self, name: str) -> bool:
        """Tell whether a part is enabled; ``name`` as in :meth:`enable`."""
        return not self._known((name,)) & self._disabled

    def forward(
        self,
        waveform: Tensor,
        target: Tensor,
        lengths: Tensor | None = None,
        *,
        partners: Tensor | None = None,
        groups: Tensor | None = None,
        generator: torch.Generator | None = None,
    ) -> tuple[Tensor, Tensor, Tensor | None]:
        """Return waveform, target and lengths of the augmented batch.

        Args:
            waveform: ``(B, T)``, or the shape that the parts take.
            target: ``(B, C)`` bool or numbers.
            lengths: ``(B,)`` integers; None: every clip fills its row.
            partners: ``(B,)`` bool, which clips may be mixed into others; None: all clips.
            groups: ``(B,)`` integers; a clip's partner is from its own group; None: one group.
            generator: the source of the random numbers; None: PyTorch's global CPU generator.
        """
        settings = {"partners": partners, "groups": groups}
        return self.record(waveform, target, lengths, generator=generator, **settings)[:3]

    def record(
        self,
        waveform: Tensor,
        target: Tensor,
        lengths: Tensor | None = None,
        *,
        partners: Tensor | None = None,
        groups: Tensor | None = None,
        generator: torch.Generator | None = None,
    ) -> tuple[Tensor, Tensor, Tensor | None, Record]:
        """Do the same as a call (:meth:`forward`), and return as fourth value what each part drew.

        The record holds the tensors of each part that changed anything, by name, with the batch as their
        first axis. ``torch.save`` stores it, and ``torch.load`` with ``weights_only=True`` reads it.
        """
        record: Record = {}
        _check_batch(waveform, target, partners, groups)
        if not self.training:
            return waveform, target, lengths, record
        for name, part in self._named():
            if name in self._disabled or not part.active:
                continue
            if isinstance(part, Mixer):
                more = {} if groups is None else {"groups": groups}  # for a mixer that knows no groups
                draw = part.draw(waveform, lengths, partners=partners, generator=generator, **more)
                waveform, target, lengths = part.replay(waveform, target, draw, lengths)
            else:
                waveform, lengths, draw = part._record(waveform, lengths, generator=generator)
            record[name] = draw
        return waveform, target, lengths, record

    def replay(
        self, waveform: Tensor, target: Tensor, record: Record, lengths: Tensor | None = None
    ) -> tuple[Tensor, Tensor, Tensor | None]:
        """Apply what :meth:`record` returned, also in eval mode and also for disabled parts.

        Remove names from the record to apply only the other parts. A mixer needs the batch that its draw was
        made for, because partners are rows of that batch.

        Raises:
            TypeError: if the record is not a dict of draws, or another argument has a wrong type.
            ValueError: if the record names a part that the chain does not have, or a draw is impossible for
                these clips. Such a draw was made for another batch or for other lengths.
        """
        _check_batch(waveform, target)
        self._known(tuple(_check_record(record)))
        for name, part in self._named():
            if name in record:
                waveform, target, lengths = _replay(part, waveform, target, lengths, draw=record[name])
        return waveform, target, lengths

    @staticmethod
    def example(record: Record, index: int) -> Record:
        """Return the record of one clip of the batch.

        The tensors keep their first axis, with one row. So :meth:`replay` takes them with the clip alone,
        ``waveform[index : index + 1]``. This does not work for a mixed clip, because its partner is missing.

        >>> Chain.example(
        ...     {"crop": {"start": torch.tensor([7, 9]), "length": torch.tensor([5, 5])}}, 1
        ... )
        {'crop': {'start': tensor([9]), 'length': tensor([5])}}
        """
        for draw in _check_record(record).values():
            for values in draw.values():
                check_integer("index", index, 0, len(values) - 1)
        return {
            name: {field: values[index].unsqueeze(0) for field, values in draw.items()}
            for name, draw in record.items()
        }

    def extra_repr(self) -> str:
        """Show the names of the parts, and which of them are disabled."""
        return ", ".join(f"{name} (off)" if name in self._disabled else name for name in self.names)

    def _named(self) -> list[tuple[str, Augmentation | Mixer]]:
        parts = cast("list[Augmentation | Mixer]", list(self._parts))
        return list(zip(self.names, parts, strict=True))

    def _known(self, names: tuple[str, ...]) -> frozenset[str]:
        """Return the names as a set if the chain has a part for each."""
        for name in names:
            if not isinstance(name, str) or name not in self.names:
                raise ValueError(f"name: wanted one of {', '.join(self.names)}, got {describe(name)}")
        return frozenset(names)


def _check_batch(
    waveform: Tensor, target: Tensor, partners: Tensor | None = None, groups: Tensor | None = None
) -> None:
    check_target(check_floating("waveform", waveform), target, name="waveform")
    if partners is not None:
        check_mask("partners", partners, waveform.shape[:1], like=waveform)
    if groups is not None:
        check_shape("groups", check_integers("groups", groups), waveform.shape[:1], like=waveform)


def _check_record(record: object) -> Record:
    """Return the record if it is a dict of dicts of tensors that have at least one axis."""
    if not isinstance(record, dict):
        raise TypeError(f"record: wanted a dict of draws, got {describe(record)}")
    for draw in record.values():
        if not isinstance(draw, dict) or not all(isinstance(v, Tensor) and v.ndim for v in draw.values()):
            raise TypeError(f"record: wanted draws, which are dicts of tensors, got {describe(draw)}")
    return record


def _replay(
    part: Augmentation | Mixer, waveform: Tensor, target: Tensor, lengths: Tensor | None, *, draw: Draw
) -> tuple[Tensor, Tensor, Tensor | None]:
    if isinstance(part, Mixer):
        return part.replay(waveform, target, draw, lengths)
    waveform, lengths = part.replay(waveform, draw, lengths)
    return waveform, target, lengths
