"""Scores of clips from a few segments of their waveforms."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal

import torch
from torch import Tensor, nn

from rankaudio._checks import check_choice, check_floating, check_instance, check_integer, check_ordered
from rankaudio._clips import check_clips
from rankaudio.inference._mean import MEANS, ScoreMean, mean_of_scores
from rankaudio.inference._predict_long import rate_of, seconds_to_samples
from rankaudio.masking._frame_windows import cut_windows
from rankaudio.masking._segment import ZEROS, Zeros, segment_lengths, segment_start
from rankaudio.side_inputs import given_or_computed
from rankaudio.tagger import Tagger

FixedPlace = Literal["start", "middle", "end"]
FIXED_PLACES: tuple[FixedPlace, ...] = ("start", "middle", "end")


class SegmentedTagger(nn.Module):
    r"""A tagger that scores each clip by segments of a fixed length. Pass it to :func:`predict`.

    With :math:`w` samples of a segment and :math:`d = \ell - w`, the scores of segment :math:`k` are

    .. math:: s_k = \mathit{tagger}\bigl(x[o_k], \dots, x[o_k + w - 1]\bigr), \qquad
        o_k \in \{0, \; \operatorname{trunc}(d / 2), \; d\}

    for start, middle and end. Outside a clip :math:`x` is 0, so a clip that is shorter than a segment has
    zeros around it. :func:`cut_segment` cuts the same segments. The score of the clip is a mean of the three
    kinds that :class:`WindowedTagger` defines. The sums are computed from logarithms, so probabilities near 0
    and 1 never round to a tie.

    The setting ``zeros`` says what a network makes of a short clip. With ``"signal"`` it gets no lengths, so
    silence around the clip changes its scores. A network that was trained on such segments expects that. With
    ``"padding"`` it gets the length of the clip, whose score is then that of the tagger. In both cases a clip
    has the same score alone and in any batch.

    Args:
        tagger: the tagger.
        seconds: length of a segment, rounded to samples.
        places: where segments are cut: some of ``"start"``, ``"middle"`` and ``"end"``.
        mean: ``"arithmetic"``, ``"geometric"`` or ``"scores"``, as for :class:`WindowedTagger`.
        zeros: ``"signal"`` or ``"padding"``, as above.
        sample_rate: of the waveforms, in Hz. None: ``tagger.sample_rate``.
        batch_size: the largest number of segments that are scored at once, which bounds the memory.

    Shapes:
        waveform ``(B, T)`` floating point, lengths ``(B,)`` integers in samples, scores ``(B, C)``.

    Raises:
        TypeError: if ``tagger`` is not a :class:`Tagger`, or a setting has the wrong type. If the backbone
            returns no tensor, as networks with auxiliary heads do in training mode.
        ValueError: if a setting is out of range, there is no place, or no sample rate is known.

    Reference:
        The second-place system of Freesound Audio Tagging 2019 (5 s, three places, arithmetic mean, zeros as
        signal).

    >>> tagger = Tagger(LogMel(), CNN2d(2, base_depth=8), classes=["Bark", "Meow"])
    >>> segmented = SegmentedTagger(tagger, seconds=0.5).eval()
    >>> segmented(torch.randn(3, 44100), torch.tensor([44100, 1, 9999])).shape
    torch.Size([3, 2])
    >>> predict(segmented, [torch.randn(44100), torch.randn(4410)]).shape
    torch.Size([2, 2])
    """

    def __init__(
        self,
        tagger: Tagger,
        *,
        seconds: float = 5.0,
        places: Sequence[FixedPlace] = FIXED_PLACES,
        mean: ScoreMean = "arithmetic",
        zeros: Zeros = "signal",
        sample_rate: int | None = None,
        batch_size: int = 64,
    ) -> None:
        super().__init__()
        self.tagger: Tagger = check_instance("tagger", tagger, Tagger)
        self.size: int = seconds_to_samples("seconds", seconds, rate_of(tagger, sample_rate))
        self.places: tuple[FixedPlace, ...] = tuple(
            check_choice("places", place, FIXED_PLACES) for place in check_ordered("places", places, "places")
        )
        if not self.places:
            raise ValueError("places: wanted at least one, got none")
        self.mean: ScoreMean = check_choice("mean", mean, MEANS)
        self.zeros: Zeros = check_choice("zeros", zeros, ZEROS)
        self.batch_size: int = check_integer("batch_size", batch_size)

    @property
    def n_classes(self) -> int:
        """Number of scores; 0 if the backbone does not know it.

        >>> SegmentedTagger(Tagger(LogMel(), CNN2d(2, base_depth=8))).n_classes
        2
        """
        return int(getattr(self.tagger.backbone, "n_classes", 0))

    def forward(
        self,
        waveform: Tensor,
        lengths: Tensor | None = None,
        side_inputs: Mapping[str, Tensor] | None = None,
    ) -> Tensor:
        """Return scores ``(B, C)``. Without ``side_inputs``, those of the whole clips are computed."""
        side = given_or_computed(self.tagger, waveform, lengths, side_inputs, waveform)
        real = check_clips(waveform, lengths, name="waveform", ndim=(2,))
        batch = waveform.shape[0]
        clip = torch.arange(batch, device=real.device).repeat(len(self.places))
        start = torch.cat([segment_start(real, size=self.size, place=place) for place in self.places])
        if self.zeros == "padding":
            start = start.clamp(min=0)
        scores = [
            self._score(
                waveform[rows], real[rows], starts, {name: value[rows] for name, value in side.items()}
            )
            for rows, starts in self._in_batches(clip, start)
        ]
        return mean_of_scores(torch.cat(scores), clip, batch, self.mean)

    def extra_repr(self) -> str:
        """Show the settings."""
        settings = f"size={self.size}, places={self.places}, mean={self.mean!r}"
        return f"{settings}, zeros={self.zeros!r}, batch_size={self.batch_size}"

    def _in_batches(self, clip: Tensor, start: Tensor) -> list[tuple[Tensor, Tensor]]:
        if torch.compiler.is_compiling():  # an exported program takes any number of clips at once
            return [(clip, start)]
        pieces = torch.split(clip, self.batch_size), torch.split(start, self.batch_size)
        return list(zip(*pieces, strict=True))

    def _score(self, waveform: Tensor, real: Tensor, start: Tensor, side: dict[str, Tensor]) -> Tensor:
        """Score one segment of each clip."""
        segments = cut_windows(waveform, real, waveform.new_zeros(()), start, self.size)
        ends = None if self.zeros == "signal" else segment_lengths(real, size=self.size, zeros=self.zeros)
        return check_floating("the backbone's scores", self.tagger(segments, ends, side or None), ndim=(2,))
