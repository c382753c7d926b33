"""Tempo: the time changes, and the pitch stays."""

from __future__ import annotations

from torch import Tensor

from rankaudio._checks import check_waveform
from rankaudio.effects._base import RandomEffect, change_padded, silence_padding
from rankaudio.effects._chunks import in_chunks
from rankaudio.effects._parameters import Range, check_parameters, largest
from rankaudio.effects._speed import LIMITS, largest_size, lengths_after, size_after
from rankaudio.effects._vocoder import check_n_fft, stretch


def tempo(
    waveform: Tensor,
    lengths: Tensor | None = None,
    *,
    factor: Tensor | float,
    n_fft: int = 1536,
    size: int | None = None,
) -> tuple[Tensor, Tensor]:
    r"""Play each clip faster or slower at the same pitch.

    This is a phase vocoder with frames of ``n_fft`` samples, :math:`h = \text{n\_fft} / 3` apart. Frames of
    the result have the magnitudes of the clip, and their phases advance as the clip's phases do:

    .. math:: |Y_j| = |X(a_j)|, \qquad \arg Y_j - \arg Y_{j - 1} = \arg X(a_j) - \arg X(a_j - h), \qquad
        a_j = \mathrm{round}(\alpha j h)

    for the factor :math:`\alpha` and the transform :math:`X(t)` of the frame around sample :math:`t`. At an
    onset, a band of a frame has four times the energy of the frame before. There the phases start again from
    the clip's own phases, so a click stays a click. New lengths are those of :func:`speed`.

    Args:
        waveform: ``(B, T)`` floating point.
        lengths: ``(B,)`` integers, in samples; None: every clip is T long.
        factor: 0.1 to 10, one number for all clips or a tensor ``(B,)``; 1.1 is a tenth faster.
        n_fft: samples of a frame, a multiple of 6. Tones need a distance of about four periods of it.
        size: samples of the result, as in :func:`speed`.

    Returns:
        New waveform ``(B, size)``, zero after each new length, and new lengths ``(B,)``.

    Raises:
        TypeError: if the waveform is not floating point, lengths are not integers, or ``factor`` is not a
            number.
        ValueError: if shapes or devices disagree, or a value is out of range.

    Reference:
        J. Laroche and M. Dolson, Improved phase vocoder time-scale modification of audio (1999);
        A. Röbel, A new approach to transient processing in the phase vocoder (2003), here for each band.

    >>> slower, lengths = tempo(torch.randn(1, 8000), factor=0.8)
    >>> slower.shape, lengths
    (torch.Size([1, 10000]), tensor([10000]))
    """
    clips, real = check_waveform(waveform, lengths)
    parameters = check_parameters({"factor": factor}, LIMITS, clips)
    check_n_fft(n_fft)
    size = size_after(clips, factor, size)
    result = change_padded(
        lambda some, ends, drawn: _change_tempo(some, ends, **drawn, n_fft=n_fft, size=size),
        clips,
        real,
        parameters,
        size=size,
    )
    new = lengths_after(clips, real, **parameters, size=size)
    return result.to(waveform.dtype), new if lengths is None else new.to(lengths.dtype)


class Tempo(RandomEffect):
    """Module form of :func:`tempo`, which holds the definition; in eval mode it does nothing.

    The new batch has the size that it has with :class:`Speed`.

    Args:
        p: probability that a clip gets the effect.
        factor: lowest and highest factor, drawn for each clip.
        n_fft: samples of a frame.

    >>> Tempo(p=1.0, factor=(0.8, 1.0))(torch.randn(2, 4000))[0].shape
    torch.Size([2, 5000])
    """

    def __init__(self, *, p: float = 0.5, factor: Range = (0.9, 1.1), n_fft: int = 1536) -> None:
        super().__init__({"factor": factor}, LIMITS, p=p)
        self.n_fft: int = check_n_fft(n_fft)

    def _change(
        self, clips: Tensor, lengths: Tensor | None, parameters: dict[str, Tensor]
    ) -> tuple[Tensor, Tensor | None]:
        size = self._samples_after(clips.shape[1])
        return _change_tempo(clips, lengths, **parameters, n_fft=self.n_fft, size=size)

    def _samples_after(self, samples: int) -> int:
        return largest_size(samples, slowest=self.ranges["factor"][0], p=self.p)

    def extra_repr(self) -> str:
        """Show the settings."""
        return f"{super().extra_repr()}, n_fft={self.n_fft}"


def _change_tempo(
    clips: Tensor, lengths: Tensor | None, *, factor: Tensor, n_fft: int, size: int
) -> tuple[Tensor, Tensor]:
    new_lengths = lengths_after(clips, lengths, factor=factor, size=size)
    size = int(largest(new_lengths, size))  # if values can be read, the result ends with its longest clip
    result = in_chunks(lambda chunk, f: stretch(chunk, f, size=size, n_fft=n_fft), clips, factor)
    return silence_padding(result, new_lengths), new_lengths
