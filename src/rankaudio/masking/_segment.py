"""Segments of a fixed length at a chosen place, with zeros around shorter clips."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor

from rankaudio import _random
from rankaudio._checks import check_choice, check_integer, check_values
from rankaudio._clips import check_clips
from rankaudio._draws import take_fields
from rankaudio.augmentation import Augmentation, Draw
from rankaudio.masking._frame_windows import cut_windows

Place = Literal["random", "start", "middle", "end"]
PLACES: tuple[Place, ...] = ("random", "start", "middle", "end")
Zeros = Literal["signal", "padding"]
ZEROS: tuple[Zeros, ...] = ("signal", "padding")


def cut_segment(
    clips: Tensor,
    lengths: Tensor | None = None,
    *,
    size: int,
    place: Place = "random",
    zeros: Zeros = "signal",
    generator: torch.Generator | None = None,
) -> tuple[Tensor, Tensor | None]:
    """Functional form of :class:`CutSegment`, which has the definition.

    It takes clips ``(B, T)`` or ``(B, F, N)`` and lengths ``(B,)``, and returns clips ``(B, size)`` or
    ``(B, F, size)`` and their lengths.

    >>> clips = torch.tensor([[1.0, 2.0, 3.0, 4.0, 5.0], [6.0, 7.0, 0.0, 0.0, 0.0]])
    >>> lengths = torch.tensor([5, 2])
    >>> cut_segment(clips, lengths, size=3, place="end")
    (tensor([[3., 4., 5.],
            [0., 6., 7.]]), tensor([3, 3]))
    >>> cut_segment(clips, lengths, size=3, place="end", zeros="padding")
    (tensor([[3., 4., 5.],
            [6., 7., 0.]]), tensor([3, 2]))
    """
    return CutSegment(size=size, place=place, zeros=zeros)(clips, lengths, generator=generator)


class CutSegment(Augmentation):
    r"""Give every clip the same length: cut a segment of the longer ones, put zeros around the shorter ones.

    With :math:`d_b = \ell_b - \mathrm{size}` the segment begins at step

    .. math::

        s_b = \operatorname{sign}(d_b) \, k_b, \qquad
        k_b &= 0 \;\text{(start)}, \quad \lfloor \lvert d_b \rvert / 2 \rfloor \;\text{(middle)}, \quad
        \lvert d_b \rvert \;\text{(end)}, \\
        k_b &\sim U\{0, \dots, \lvert d_b \rvert\} \;\text{(random)}

    of the clip. A shorter clip has a negative :math:`s_b`, and :math:`k_b` zeros before it. With
    ``zeros="signal"`` a network takes these zeros as part of the clip, as silence. With ``zeros="padding"``
    a shorter clip begins at step 0 at any place, and keeps its length. So networks that know lengths ignore
    the zeros.

    In eval mode clips stay as they are, as with every augmentation. For predictions use
    :class:`~rankaudio.inference.SegmentedTagger`, or :func:`cut_segment` with a fixed place.

    :meth:`draw` returns ``start``, which is :math:`s_b`, as ``(B,)``.

    Args:
        size: length of every clip of the result, in steps.
        place: ``"random"``, ``"start"``, ``"middle"`` or ``"end"``.
        zeros: ``"signal"`` or ``"padding"``.

    Shapes:
        Clips are ``(B, T)``, ``(B, F, N)`` or ``(B, K, F, N)`` floating point. Lengths ``(B,)`` are integers,
        in steps of the last axis; None: every clip fills its row. The last axis of the result has ``size``
        steps. The new lengths are all ``size``, or None if no lengths are given. With ``zeros="padding"``
        they are :math:`\min(\ell_b, \mathrm{size})`, or None if every clip still fills its row.

    Raises:
        TypeError: if clips are not floating point, or lengths or ``size`` are not integers.
        ValueError: if shapes or devices disagree, or a setting is out of range.

    Reference:
        The second-place system of Freesound Audio Tagging 2019 (5 s, the zeros are signal). It never draws
        the last possible start.

    >>> CutSegment(size=220_500)(torch.randn(2, 441_000))[0].shape
    torch.Size([2, 220500])
    """

    def __init__(self, *, size: int, place: Place = "random", zeros: Zeros = "signal") -> None:
        super().__init__(p=1.0)
        self.size: int = check_integer("size", size)
        self.place: Place = check_choice("place", place, PLACES)
        self.zeros: Zeros = check_choice("zeros", zeros, ZEROS)

    def draw(
        self, clips: Tensor, lengths: Tensor | None = None, *, generator: torch.Generator | None = None
    ) -> Draw:
        """Draw ``start``."""
        real = check_clips(clips, lengths)
        start = segment_start(real, size=self.size, place=self.place, generator=generator)
        return {"start": start.clamp(min=0) if self.zeros == "padding" else start}

    def replay(
        self, clips: Tensor, draw: Draw, lengths: Tensor | None = None
    ) -> tuple[Tensor, Tensor | None]:
        """Apply what :meth:`draw` returned."""
        real = check_clips(clips, lengths)
        (start,) = take_fields(draw, ("start",), clips)
        surplus = real - self.size
        least = surplus.clamp(max=0) if self.zeros == "signal" else torch.zeros_like(surplus)
        inside = (start >= least) & (start <= surplus.clamp(min=0))
        check_values("draw", start, inside, "a start at which the segment and the clip overlap most")
        segments = cut_windows(clips, real, clips.new_zeros(()), start, self.size)
        kept = segment_lengths(real, size=self.size, zeros=self.zeros)
        if lengths is not None:
            return segments, kept.to(lengths.dtype)
        all_full = self.zeros == "signal" or clips.shape[-1] >= self.size
        return segments, None if all_full else kept

    def extra_repr(self) -> str:
        """Show the settings."""
        return f"size={self.size}, place={self.place!r}, zeros={self.zeros!r}"


def segment_start(
    real: Tensor, *, size: int, place: Place, generator: torch.Generator | None = None
) -> Tensor:
    """Return the first step of a segment of each clip, ``(B,)``; it is negative where zeros come first."""
    surplus = real - size
    room = surplus.abs()
    if place == "random":
        steps = _random.below(room + 1, generator=generator)
    else:
        steps = {"start": torch.zeros_like(room), "middle": room // 2, "end": room}[place]
    return surplus.sign() * steps


def segment_lengths(real: Tensor, *, size: int, zeros: Zeros) -> Tensor:
    """Return the lengths that a network gets with the segments, ``(B,)``."""
    return torch.full_like(real, size) if zeros == "signal" else real.clamp(max=size)
