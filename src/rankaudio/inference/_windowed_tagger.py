"""Scores of clips from windows of their spectrograms."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from rankaudio._checks import check_choice, check_floating, check_instance, check_integer
from rankaudio._fill import fill_values
from rankaudio.inference._mean import MEANS, ScoreMean, mean_of_scores
from rankaudio.masking._frame_windows import cut_windows, window_starts
from rankaudio.side_inputs import given_or_computed
from rankaudio.tagger import Tagger


class WindowedTagger(nn.Module):
    r"""A tagger that scores each clip by windows of its spectrogram. Pass it to :func:`predict`.

    The spectrogram of the whole clip is cut by :func:`frame_windows`, and padded with the minimum of the
    clip. The backbone scores each window. With :math:`s_k` the scores of window :math:`k` of :math:`n` and
    :math:`\sigma` the sigmoid, the score of the clip is

    .. math:: \sigma^{-1} \Bigl( \frac1n \sum_k \sigma(s_k) \Bigr) \;\text{(arithmetic)}, \qquad
        \sigma^{-1} \Bigl( \prod_k \sigma(s_k)^{1/n} \Bigr) \;\text{(geometric)}, \qquad
        \frac1n \sum_k s_k \;\text{(scores)}.

    So the result is a raw score for all three, and its sigmoid is the mean probability. The sums are computed
    from logarithms, so probabilities near 0 and 1 never round to a tie.

    A clip of exactly ``window`` frames has the score that the tagger gives it. A shorter clip has the score
    of its picture in a window, as :func:`centre_crop` pads it. A clip has the same score alone and in any
    batch. If the backbone takes side inputs, each window gets those of its whole clip.

    Args:
        tagger: the tagger. Its frontend computes the spectrogram of the whole clip. If derivatives belong
            inside the windows, the backbone computes them, as :class:`SkipAttention` does.
        window: frames of a window, as for :func:`frame_windows`.
        hop: frames from one start to the next, at most ``window``.
        mean: ``"arithmetic"``, ``"geometric"`` or ``"scores"``, as above.
        batch_size: the largest number of windows that are scored at once, which bounds the memory.

    Shapes:
        waveform ``(B, T)`` floating point, lengths ``(B,)`` integers in samples, side inputs ``(B, ...)``,
        scores ``(B, C)``.

    Raises:
        TypeError: if ``tagger`` is not a :class:`Tagger`, or a setting is not an integer. If the backbone
            returns no tensor, as networks with auxiliary heads do in training mode.
        ValueError: if a setting is out of range.

    Reference:
        The first-place system of Freesound Audio Tagging 2019 (windows of 256 frames, arithmetic mean).

    >>> tagger = Tagger(LogMel(), CNN2d(2, base_depth=8), classes=["Bark", "Meow"])
    >>> windowed = WindowedTagger(tagger, window=64, hop=32).eval()
    >>> windowed(torch.randn(3, 44100), torch.tensor([44100, 1, 9999])).shape
    torch.Size([3, 2])
    >>> predict(windowed, [torch.randn(44100), torch.randn(4410)]).shape
    torch.Size([2, 2])
    """

    def __init__(
        self,
        tagger: Tagger,
        *,
        window: int = 256,
        hop: int = 128,
        mean: ScoreMean = "arithmetic",
        batch_size: int = 64,
    ) -> None:
        super().__init__()
        self.tagger: Tagger = check_instance("tagger", tagger, Tagger)
        self.window: int = check_integer("window", window)
        self.hop: int = check_integer("hop", hop, 1, window)
        self.mean: ScoreMean = check_choice("mean", mean, MEANS)
        self.batch_size: int = check_integer("batch_size", batch_size)

    @property
    def n_classes(self) -> int:
        """Number of scores; 0 if the backbone does not know it.

        >>> WindowedTagger(Tagger(LogMel(), CNN2d(2, base_depth=8))).n_classes
        2
        """
        return int(getattr(self.tagger.backbone, "n_classes", 0))

    def forward(
        self,
        waveform: Tensor,
        lengths: Tensor | None = None,
        side_inputs: Mapping[str, Tensor] | None = None,
    ) -> Tensor:
        """Return scores ``(B, C)``. Without ``side_inputs``, those of the waveform are computed."""
        spectrogram, frames = self.tagger.spectrogram(waveform, lengths)
        side = given_or_computed(self.tagger, waveform, lengths, side_inputs, spectrogram)
        batch, longest = spectrogram.shape[0], spectrogram.shape[-1]
        real = torch.full((batch,), longest, device=spectrogram.device) if frames is None else frames
        values = fill_values(spectrogram, real, "minimum")
        clip, start = window_starts(real, window=self.window, hop=self.hop)
        scores = [
            self._score(
                cut_windows(spectrogram[rows], real[rows], values[rows], starts, self.window),
                {name: value[rows] for name, value in side.items()},
            )
            for rows, starts in zip(
                torch.split(clip, self.batch_size), torch.split(start, self.batch_size), strict=True
            )
        ]
        return mean_of_scores(torch.cat(scores), clip, batch, self.mean)

    def extra_repr(self) -> str:
        """Show the settings."""
        settings = f"window={self.window}, hop={self.hop}, mean={self.mean!r}"
        return f"{settings}, batch_size={self.batch_size}"

    def _score(self, windows: Tensor, side: dict[str, Tensor]) -> Tensor:
        backbone = self.tagger.backbone
        scores = backbone(windows, side_inputs=side) if side else backbone(windows)
        return check_floating("the backbone's scores", scores, ndim=(2,))
