"""A random choice of augmentations for each clip."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from rankaudio import _random
from rankaudio._checks import check_integer, check_number, check_ordered, describe
from rankaudio._clips import check_clips, per_clip
from rankaudio._draws import check_rows, take_fields
from rankaudio.augmentation import Augmentation, Draw
from rankaudio.lengths import zero_beyond


class SomeOf(Augmentation):
    r"""Some of several augmentations for each clip, chosen at random; in eval mode it does nothing.

    Each clip draws its own :math:`k` different parts, one after the other. Part :math:`i` is next with a
    probability of :math:`w_i / \sum_j w_j` over the parts that are left. The chosen parts are applied in the
    order of the list. A part's own ``p`` counts as well, so give the parts ``p = 1``. On a CPU each part
    computes only the clips that have chosen it.

    :meth:`draw` returns ``chosen`` ``(B, n)`` bool for :math:`n` parts. It also returns what each part
    draws, with the part's number before the name: ``"0.decibels"``.

    Args:
        parts: the augmentations.
        k: how many parts a clip gets: a number, or the lowest and the highest one, drawn for each clip.
        weights: how often a part is chosen, one number from 0 for each; None: all are equal.
        p: probability that a clip is changed at all.

    Shapes:
        Clips ``(B, T)`` or ``(B, F, N)`` and lengths ``(B,)`` are those of the parts. If parts change the
        length, the result is as long as the longest of them makes it, and lengths are returned.

    Raises:
        TypeError: if a part is not an :class:`~rankaudio.augmentation.Augmentation`, or a setting is not a
            number.
        ValueError: if there is no part, ``k`` is above the number of parts with a weight, or a setting is out
            of range.

    >>> some = SomeOf([Gain(p=1.0), ShuffleChunks(p=1.0), Overdrive(p=1.0)], k=(1, 2))
    >>> draw = some.draw(torch.randn(64, 9000), generator=torch.Generator().manual_seed(0))
    >>> draw["chosen"].sum(1).unique()
    tensor([1, 2])
    >>> list(draw)
    ['chosen', '0.chosen', '0.decibels', '1.order', '2.chosen', '2.decibels', '2.colour']
    """

    def __init__(
        self,
        parts: Sequence[Augmentation],
        *,
        k: int | tuple[int, int] = 2,
        weights: Sequence[float] | None = None,
        p: float = 1.0,
    ) -> None:
        super().__init__(p=p)
        checked = []
        for part in check_ordered("parts", parts, "augmentations"):
            if not isinstance(part, Augmentation):
                raise TypeError(f"parts: wanted a list of augmentations, got {describe(part)} in it")
            checked.append(part)
        if not checked:
            raise ValueError("parts: wanted at least one augmentation, got none")
        self.weights: tuple[float, ...] = _check_weights(weights, len(checked))
        self.k: tuple[int, int] = _check_counts(k, sum(weight > 0 for weight in self.weights))
        self.parts: nn.ModuleList = nn.ModuleList(checked)

    def draw(
        self, clips: Tensor, lengths: Tensor | None = None, *, generator: torch.Generator | None = None
    ) -> Draw:
        """Draw ``chosen``, and everything that the parts draw."""
        return self._record(clips, lengths, generator=generator, only_draw=self.k[1] == 1)[2]

    def replay(
        self, clips: Tensor, draw: Draw, lengths: Tensor | None = None
    ) -> tuple[Tensor, Tensor | None]:
        """Apply what :meth:`draw` returned."""
        check_clips(clips, lengths)
        (chosen,) = take_fields(draw, ("chosen",), clips, wide=("chosen",))
        for name, field in draw.items():
            check_rows(name, field, clips)
        if chosen.shape[1] != len(self.weights):
            raise ValueError(f"draw: wanted chosen of {len(self.weights)} parts, got {describe(chosen)}")
        return self._walk(clips, lengths, draw)

    def extra_repr(self) -> str:
        """Show the settings."""
        return f"p={self.p}, k={self.k}, weights={self.weights}"

    def _record(
        self,
        clips: Tensor,
        lengths: Tensor | None,
        *,
        generator: torch.Generator | None,
        only_draw: bool = False,
    ) -> tuple[Tensor, Tensor | None, Draw]:
        """Draw and replay in one pass, because a part may have to know what the parts before it returned."""
        check_clips(clips, lengths)
        draw = {"chosen": self._choose(clips, generator)}
        if not only_draw:
            return *self._walk(clips, lengths, draw, generator=generator, new=True), draw
        for index, part in enumerate(self._all_parts()):
            if part.active:
                draw.update(_prefixed(index, part.draw(clips, lengths, generator=generator)))
        return clips, lengths, draw

    def _choose(self, clips: Tensor, generator: torch.Generator | None) -> Tensor:
        """Draw which parts each clip gets, ``(B, n)`` bool."""
        batch, device, parts = clips.shape[0], clips.device, len(self.weights)
        drawn = _random.uniform(batch * parts, 0.0, 1.0, device=device, generator=generator)
        # The least of exponential times comes from part i with a probability in proportion to its rate.
        rate = torch.tensor(self.weights, dtype=drawn.dtype, device=device)
        time = -drawn.clamp(min=torch.finfo(drawn.dtype).tiny).log().reshape(batch, parts) / rate
        count = _random.uniform(batch, self.k[0], self.k[1] + 1, device=device, generator=generator)
        changed = _random.choose(batch, self.p, device=device, generator=generator)
        rank = time.argsort(1).argsort(1)
        return (rank < count.floor()[:, None]) & changed[:, None]

    def _walk(
        self,
        clips: Tensor,
        lengths: Tensor | None,
        draw: Draw,
        *,
        generator: torch.Generator | None = None,
        new: bool = False,
    ) -> tuple[Tensor, Tensor | None]:
        """Apply the parts in their order; with ``new``, each part draws right before, into ``draw``."""
        result = zero_beyond(clips, lengths), lengths
        for index, part in enumerate(self._all_parts()):
            # A clip that gets one part has not been changed before.
            source = (clips, lengths) if self.k[1] == 1 else result
            if new and part.active:
                # Compilers of torch 2.7 do not know `draw |= ...`.
                draw.update(_prefixed(index, part.draw(*source, generator=generator)))
            prefix = f"{index}."
            fields = {name.removeprefix(prefix): draw[name] for name in draw if name.startswith(prefix)}
            if fields:
                result = _change(part, source, draw["chosen"][:, index], fields, result)
        return result

    def _all_parts(self) -> list[Augmentation]:
        return [part for part in self.parts if isinstance(part, Augmentation)]


class OneOf(SomeOf):
    r"""One of several augmentations for each clip, chosen at random; in eval mode it does nothing.

    Part :math:`i` is chosen with a probability of :math:`w_i / \sum_j w_j`. Each part sees the clips as they
    came. Everything else is as in :class:`SomeOf`.

    Args:
        parts: the augmentations.
        weights: how often a part is chosen, one number from 0 for each; None: all are equal.
        p: probability that a clip is changed at all.

    Shapes:
        Clips ``(B, T)`` or ``(B, F, N)`` and lengths ``(B,)`` are those of the parts, as in :class:`SomeOf`.

    Raises:
        TypeError: if a part is not an :class:`~rankaudio.augmentation.Augmentation`, or a weight is not a
            number.
        ValueError: if there is no part, no weight is above 0, or a setting is out of range.

    >>> one = OneOf([Gain(p=1.0), Overdrive(p=1.0)], weights=[3, 1], p=0.5)
    >>> chain = Chain({"one": one, "mixup": ORMixup()})
    >>> generator = torch.Generator().manual_seed(0)
    >>> *_, record = chain.record(torch.randn(8, 9000), torch.eye(8), generator=generator)
    >>> record["one"]["chosen"].sum(1).unique()
    tensor([0, 1])
    """

    def __init__(
        self, parts: Sequence[Augmentation], *, weights: Sequence[float] | None = None, p: float = 1.0
    ) -> None:
        super().__init__(parts, k=1, weights=weights, p=p)

    def extra_repr(self) -> str:
        """Show the settings."""
        return f"p={self.p}, weights={self.weights}"


def _prefixed(index: int, draw: Draw) -> Draw:
    return {f"{index}.{name}": field for name, field in draw.items()}


def _change(
    part: Augmentation,
    source: tuple[Tensor, Tensor | None],
    chosen: Tensor,
    fields: Draw,
    result: tuple[Tensor, Tensor | None],
) -> tuple[Tensor, Tensor | None]:
    """Replay a part for the chosen clips of ``source``, and put them into ``result``."""
    clips, lengths = source
    if clips.device.type == "cpu" and not torch.compiler.is_compiling():
        chosen = chosen.nonzero().flatten()
        clips, lengths = clips[chosen], None if lengths is None else lengths[chosen]
        fields = {name: values[chosen] for name, values in fields.items()}
    changed, after = part.replay(clips, fields, lengths)
    whole, before = result
    if changed.shape[1:-1] != whole.shape[1:-1]:
        raise ValueError(f"parts: wanted augmentations that keep all axes but the last, got {describe(part)}")
    if before is not None or after is not None or changed.shape[-1] != whole.shape[-1]:
        before = _lengths_of(whole, before)
        before = _put(before, chosen, _lengths_of(changed, after).to(before.dtype))
    size = max(changed.shape[-1], whole.shape[-1])
    whole, changed = (F.pad(each, (0, size - each.shape[-1])) for each in (whole, changed))
    return _put(whole, chosen, changed.to(whole.dtype)), before


def _lengths_of(clips: Tensor, lengths: Tensor | None) -> Tensor:
    return torch.full(clips.shape[:1], clips.shape[-1], device=clips.device) if lengths is None else lengths


def _put(values: Tensor, chosen: Tensor, changed: Tensor) -> Tensor:
    """Replace the chosen rows: by their numbers, or by a mask over all rows."""
    if chosen.dtype == torch.bool:
        return torch.where(per_clip(chosen, values), changed, values)
    return values.index_copy(0, chosen, changed)


def _check_counts(k: object, most: int) -> tuple[int, int]:
    """Return the lowest and the highest number of parts."""
    low, high = k if isinstance(k, (tuple, list)) and len(k) == 2 else (k, k)
    first = check_integer("k", low, 1, most)
    return first, check_integer("k", high, first, most)


def _check_weights(weights: object, parts: int) -> tuple[float, ...]:
    if weights is None:
        return (1.0,) * parts
    numbers = tuple(check_number("weights", each, 0) for each in check_ordered("weights", weights, "numbers"))
    if len(numbers) != parts:
        raise ValueError(f"weights: wanted one for each of the {parts} parts, got {len(numbers)}")
    if not any(numbers):
        raise ValueError(f"weights: wanted at least one above 0, got {describe(weights)}")
    return numbers
