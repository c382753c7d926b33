"""The base classes of all augmentations: :class:`Augmentation` changes clips, :class:`Mixer` mixes them.

Both separate the draw of parameters from their application, so a draw can be stored and applied again.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from rankaudio._checks import check_number

__all__ = ["Augmentation", "Draw", "Mixer"]

Draw = dict[str, Tensor]


class Augmentation(nn.Module):
    """Base of the Modules that change each clip by itself.

    A subclass defines two methods: :meth:`draw` returns random parameters, and :meth:`replay` applies them.
    In training mode a call does both. In eval mode, or with ``p = 0``, a call returns its inputs unchanged.

    Args:
        p: probability that a clip is changed.

    Shapes:
        Clips are ``(B, T)`` or ``(B, F, N)``, as the subclass defines it. Lengths ``(B,)`` are integers, in
        steps of the last axis; None: every clip fills its row.

    Raises:
        TypeError: if ``p`` is not a number.
        ValueError: if ``p`` is outside [0, 1].

    >>> class Flip(Augmentation):
    ...     def draw(self, clips, lengths=None, *, generator=None):
    ...         drawn = torch.rand(clips.shape[0], generator=generator)
    ...         return {"flipped": (drawn < self.p).to(clips.device)}
    ...
    ...     def replay(self, clips, draw, lengths=None):
    ...         return torch.where(draw["flipped"][:, None], -clips, clips), lengths
    >>> flip = Flip(p=1.0)
    >>> flip(torch.tensor([[1.0, 2.0]]))
    (tensor([[-1., -2.]]), None)
    >>> flip.replay(
    ...     torch.tensor([[1.0, 2.0], [3.0, 4.0]]), {"flipped": torch.tensor([True, False])}
    ... )[0]
    tensor([[-1., -2.],
            [ 3.,  4.]])
    >>> flip.draw(torch.zeros(2, 9))
    {'flipped': tensor([True, True])}
    >>> flip.active, flip.eval().active
    (True, False)
    """

    __call__: Callable[..., tuple[Tensor, Tensor | None]]

    def __init__(self, *, p: float = 1.0) -> None:
        super().__init__()
        self.p: float = check_number("p", p, 0, 1)

    @property
    def active(self) -> bool:
        """True if a call changes anything, in training mode with ``p`` above 0."""
        return self.training and self.p > 0

    def draw(
        self, clips: Tensor, lengths: Tensor | None = None, *, generator: torch.Generator | None = None
    ) -> Draw:
        """Draw the parameters of a batch: tensors by name, each with the batch as its first axis.

        The numbers come from ``generator``; None: PyTorch's global CPU generator.
        """
        raise NotImplementedError

    def replay(
        self, clips: Tensor, draw: Draw, lengths: Tensor | None = None
    ) -> tuple[Tensor, Tensor | None]:
        """Apply the parameters that :meth:`draw` returned, and return clips and lengths."""
        raise NotImplementedError

    def forward(
        self, clips: Tensor, lengths: Tensor | None = None, *, generator: torch.Generator | None = None
    ) -> tuple[Tensor, Tensor | None]:
        """Return the changed clips and their lengths: :meth:`draw`, then :meth:`replay`."""
        if not self.active:
            return clips, lengths
        return self._record(clips, lengths, generator=generator)[:2]

    def _record(
        self, clips: Tensor, lengths: Tensor | None, *, generator: torch.Generator | None
    ) -> tuple[Tensor, Tensor | None, Draw]:
        """Draw and replay, and return the draw as well."""
        draw = self.draw(clips, lengths, generator=generator)
        return *self.replay(clips, draw, lengths), draw


class Mixer(nn.Module):
    """Base of the Modules that mix the clips of a batch with each other, and mix their labels too.

    A mixer works like an :class:`Augmentation`, but it also takes the target and returns a new one.
    ``partners`` tells which clips may be mixed into others. With ``groups`` a clip's partner is from its own
    group. A clip without a possible partner stays unchanged.

    Args:
        p: probability that a clip is mixed.

    Shapes:
        Clips are ``(B, T)`` or ``(B, F, N)``, as the subclass defines it, and the target is ``(B, C)``.
        Lengths ``(B,)`` are integers, in steps of the last axis; None: every clip fills its row. Partners
        ``(B,)`` are bool; None: all clips. Groups ``(B,)`` are integers; None: one group.

    Raises:
        TypeError: if ``p`` is not a number.
        ValueError: if ``p`` is outside [0, 1].

    >>> class LabelsOfTheNext(Mixer):
    ...     def draw(self, clips, lengths=None, *, partners=None, generator=None):
    ...         return {"partner": torch.arange(clips.shape[0]).roll(-1)}
    ...
    ...     def replay(self, clips, target, draw, lengths=None):
    ...         return clips, torch.maximum(target, target[draw["partner"]]), lengths
    >>> mixer = LabelsOfTheNext(p=1.0)
    >>> draw = mixer.draw(torch.zeros(3, 9))
    >>> mixer.replay(torch.zeros(3, 9), torch.eye(3), draw)[1]
    tensor([[1., 1., 0.],
            [0., 1., 1.],
            [1., 0., 1.]])
    >>> mixer.active, mixer.eval().active
    (True, False)
    """

    __call__: Callable[..., tuple[Tensor, Tensor, Tensor | None]]

    def __init__(self, *, p: float = 0.5) -> None:
        super().__init__()
        self.p: float = check_number("p", p, 0, 1)

    @property
    def active(self) -> bool:
        """True if a call changes anything, in training mode with ``p`` above 0."""
        return self.training and self.p > 0

    def draw(
        self,
        clips: Tensor,
        lengths: Tensor | None = None,
        *,
        partners: Tensor | None = None,
        groups: Tensor | None = None,
        generator: torch.Generator | None = None,
    ) -> Draw:
        """Draw the parameters of a batch: tensors by name, each with the batch as its first axis.

        ``partners`` tells which clips may be mixed into others, and ``groups`` which belong together. The
        numbers come from ``generator``; None: PyTorch's global CPU generator.
        """
        raise NotImplementedError

    def replay(
        self, clips: Tensor, target: Tensor, draw: Draw, lengths: Tensor | None = None
    ) -> tuple[Tensor, Tensor, Tensor | None]:
        """Apply the parameters that :meth:`draw` returned, and return clips, target and lengths."""
        raise NotImplementedError

    def forward(
        self,
        clips: Tensor,
        target: Tensor,
        lengths: Tensor | None = None,
        *,
        partners: Tensor | None = None,
        groups: Tensor | None = None,
        generator: torch.Generator | None = None,
    ) -> tuple[Tensor, Tensor, Tensor | None]:
        """Return clips, target and lengths of the mixed batch: :meth:`draw`, then :meth:`replay`."""
        if not self.active:
            return clips, target, lengths
        more = {} if groups is None else {"groups": groups}  # for a subclass that knows no groups
        draw = self.draw(clips, lengths, partners=partners, generator=generator, **more)
        return self.replay(clips, target, draw, lengths)
