"""A random choice among several mixers."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from rankaudio import _random
from rankaudio._checks import check_number, check_ordered, check_values, describe
from rankaudio._clips import check_clips, check_target, per_clip
from rankaudio._draws import take_fields
from rankaudio.augmentation import Draw, Mixer
from rankaudio.lengths import zero_beyond


class RandomMixer(Mixer):
    """One of several mixers for each clip, with given probabilities; in eval mode it does nothing.

    Each clip chooses its own mixer, so one batch holds mixtures of every kind. Each mixer computes the whole
    batch, so the time is that of all mixers together. A mixer's own ``p`` counts as well, so give the mixers
    ``p = 1``.

    :meth:`draw` returns ``choice`` ``(B,)``, the mixer's number or -1 for none. It also returns what each
    mixer draws, with the mixer's number before the name: ``"0.partner"``.

    Args:
        mixers: pairs of a mixer and the probability that it is chosen. The probabilities add up to 1.
        p: probability that a clip is mixed at all.

    Shapes:
        The shapes are those of :class:`Mixer`.

    Raises:
        TypeError: if a mixer is not a :class:`Mixer`, or a probability is not a number.
        ValueError: if there is no mixer, or the probabilities do not add up to 1.

    Reference:
        The first-place system of Freesound Audio Tagging 2019 uses the mixers of the example.

    >>> mixer = RandomMixer(
    ...     [
    ...         (SigmoidConcatMixup(p=1.0), 0.6),
    ...         (WeightedMixup(p=1.0, alpha=(0.0, 0.5)), 0.4),
    ...     ],
    ...     p=0.8,
    ... )
    >>> clips, target, lengths = mixer(torch.randn(4, 12, 256), torch.eye(4))
    >>> clips.shape
    torch.Size([4, 12, 256])
    """

    def __init__(self, mixers: Sequence[tuple[Mixer, float]], *, p: float = 1.0) -> None:
        super().__init__(p=p)
        check_ordered("mixers", mixers, "pairs of a Mixer and a number")
        for pair in mixers:
            if not isinstance(pair, (tuple, list)) or len(pair) != 2 or not isinstance(pair[0], Mixer):
                raise TypeError(f"mixers: wanted pairs of a Mixer and a number, got {describe(pair)}")
        self.probabilities: tuple[float, ...] = tuple(
            check_number("probability", share, 0, 1) for _, share in mixers
        )
        if abs(sum(self.probabilities) - 1) > 1e-6:
            raise ValueError(f"mixers: wanted probabilities that add up to 1, got {self.probabilities}")
        self.mixers: nn.ModuleList = nn.ModuleList(mixer for mixer, _ in mixers)

    def draw(
        self,
        clips: Tensor,
        lengths: Tensor | None = None,
        *,
        partners: Tensor | None = None,
        groups: Tensor | None = None,
        generator: torch.Generator | None = None,
    ) -> Draw:
        """Draw ``choice``, and everything that the mixers draw."""
        check_clips(clips, lengths)
        batch, device = clips.shape[0], clips.device
        number = _random.uniform(batch, 0.0, 1.0, device=device, generator=generator)
        mixed = _random.choose(batch, self.p, device=device, generator=generator)
        choice = torch.zeros(batch, dtype=torch.long, device=device)
        for index in range(1, len(self.probabilities)):
            choice += number >= sum(self.probabilities[:index])
        draw = {"choice": choice.masked_fill(~mixed, -1)}
        for index, mixer in enumerate(self._all_mixers()):
            more = {} if groups is None else {"groups": groups}  # for a mixer that knows no groups
            drawn = mixer.draw(clips, lengths, partners=partners, generator=generator, **more)
            draw.update({f"{index}.{name}": field for name, field in drawn.items()})
        return draw

    def replay(
        self, clips: Tensor, target: Tensor, draw: Draw, lengths: Tensor | None = None
    ) -> tuple[Tensor, Tensor, Tensor | None]:
        """Apply what :meth:`draw` returned."""
        check_clips(clips, lengths)
        check_target(clips, target)
        (choice,) = take_fields(draw, ("choice",), clips)
        last = len(self.mixers) - 1
        check_values("draw", choice, (choice >= -1) & (choice <= last), f"choices from -1 to {last}")
        mixed, labels, new_lengths = zero_beyond(clips, lengths), target, lengths
        for index, mixer in enumerate(self._all_mixers()):
            prefix = f"{index}."
            drawn = {name.removeprefix(prefix): draw[name] for name in draw if name.startswith(prefix)}
            other = mixer.replay(clips, target, drawn, lengths)
            chosen = choice == index
            mixed = torch.where(per_clip(chosen, clips), other[0], mixed)
            labels = torch.where(chosen[:, None], other[1], labels)
            if new_lengths is not None and other[2] is not None:
                new_lengths = torch.where(chosen, other[2], new_lengths)
        return mixed, labels, new_lengths

    def extra_repr(self) -> str:
        """Show the settings."""
        return f"p={self.p}, probabilities={self.probabilities}"

    def _all_mixers(self) -> list[Mixer]:
        return [mixer for mixer in self.mixers if isinstance(mixer, Mixer)]
