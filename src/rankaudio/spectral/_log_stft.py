"""The logarithm of a short-time Fourier transform."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import torch
from torch import Tensor

from rankaudio._checks import check_waveform
from rankaudio.lengths import PadMode
from rankaudio.spectral._dft import Transform, dft_stages
from rankaudio.spectral._frontend import Frontend, parse_descriptor
from rankaudio.spectral._stft import check_eps, check_settings, spectrogram


def log_stft(
    waveform: Tensor,
    lengths: Tensor | None = None,
    *,
    n_fft: int = 256,
    hop_length: int = 128,
    power: float = 1.0,
    eps: float | None = 1e-4,
    pad_mode: PadMode = "reflect",
    transform: Transform = "fft",
) -> Tensor:
    r"""Return the logarithm of each bin of a short-time Fourier transform.

    .. math:: y_{k,j} = \log\bigl(\varepsilon + \lvert X_{k,j} \rvert^p\bigr)

    with :math:`X` as in :func:`log_mel`. With a short window it keeps the fine structure in time, which
    mel bands with long windows lose. It is the input of networks whose channels are the bins.

    Args:
        waveform: ``(B, T)`` floating point, mono.
        lengths: ``(B,)`` integers, samples of each clip; ``None`` is all of it.
        n_fft: :math:`n`, even; samples in a frame.
        hop_length: :math:`H`, samples from one frame to the next.
        power: :math:`p`, 1 for magnitude or 2 for power.
        eps: :math:`\varepsilon`, added before the logarithm; ``None`` takes no logarithm.
        pad_mode: ``"reflect"``, ``"constant"`` (zeros) or ``"same"``, as in :func:`log_mel`.
        transform: ``"fft"`` or ``"matmul"``, as in :func:`log_mel`.

    Returns:
        ``(B, n / 2 + 1, N)``; everything else as for :func:`log_mel`.

    Raises:
        TypeError: if the waveform is not floating point, or a setting has another type.
        ValueError: if the waveform is not ``(B, T)`` with at least one sample, lengths do not fit
            it, or a setting is out of range.

    Reference:
        The third-place system of Freesound Audio Tagging 2019, whose settings are the defaults.

    >>> log_stft(torch.zeros(2, 44100)).shape
    torch.Size([2, 129, 345])
    """
    waveform, lengths = check_waveform(waveform, lengths)
    check_settings(n_fft=n_fft, hop_length=hop_length, power=power, pad_mode=pad_mode, transform=transform)
    return spectrogram(
        waveform,
        lengths,
        window=torch.hann_window(n_fft, device=waveform.device, dtype=waveform.dtype),
        hop_length=hop_length,
        power=power,
        eps=check_eps(eps),
        pad_mode=pad_mode,
        stages=dft_stages(transform, n_fft, device=waveform.device, dtype=waveform.dtype),
    )


@dataclass(eq=False, repr=False, kw_only=True)
class LogSTFT(Frontend):
    """Module form of :func:`log_stft`, which holds the definition and the shapes.

    Args:
        sample_rate: of the waveforms, in Hz. The result does not depend on it. It tells a data set at
            which rate to load audio.
        n_fft: as in the function.
        hop_length: as in the function.
        power: as in the function.
        eps: as in the function.
        pad_mode: as in the function.
        transform: as in the function.

    >>> frontend = LogSTFT.from_descriptor("stft_256_128")
    >>> frontend(torch.zeros(2, 44100)).shape, frontend.descriptor
    (torch.Size([2, 129, 345]), 'stft_256_128')
    """

    n_fft: int = 256
    hop_length: int = 128

    @classmethod
    def from_descriptor(cls, descriptor: str, *, sample_rate: int = 44100) -> Self:
        """Build from ``stft_{n_fft}_{hop_length}``, with the default of every other setting.

        Raises:
            ValueError: if the descriptor has another form, or a number is out of range.
        """
        n_fft, hop_length = parse_descriptor(descriptor, "stft_{n_fft}_{hop_length}")
        return cls(sample_rate=sample_rate, n_fft=n_fft, hop_length=hop_length)

    @property
    def descriptor(self) -> str:
        """Short name of the frames; it omits every other setting."""
        return f"stft_{self.n_fft}_{self.hop_length}"
