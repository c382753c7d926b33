"""Log-mel spectrograms."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import torch
from torch import Tensor

from rankaudio._checks import check_waveform
from rankaudio.lengths import PadMode
from rankaudio.spectral._dft import Transform, dft_stages
from rankaudio.spectral._filterbank import MelScale, Norm, check_band, check_scale, mel_filterbank
from rankaudio.spectral._frontend import Frontend, parse_descriptor
from rankaudio.spectral._stft import check_eps, check_settings, spectrogram


def log_mel(
    waveform: Tensor,
    lengths: Tensor | None = None,
    *,
    sample_rate: int = 44100,
    n_fft: int = 2048,
    hop_length: int = 1024,
    n_mels: int = 128,
    f_min: float = 5.0,
    f_max: float | None = None,
    mel_scale: MelScale = "slaney",
    norm: Norm = "slaney",
    power: float = 1.0,
    eps: float | None = 1e-4,
    pad_mode: PadMode = "reflect",
    transform: Transform = "fft",
) -> Tensor:
    r"""Return the log-mel spectrogram: the natural logarithm of each mel band's sum.

    .. math:: y_{m,j} = \log\Bigl(\varepsilon + \sum_k w_{m,k} \lvert X_{k,j} \rvert^p\Bigr), \qquad
        X_{k,j} = \sum_{t=0}^{n-1} h_t \, x_{jH + t - n/2} \, e^{-2 \pi i k t / n}

    with the periodic Hann window :math:`h` and the bands :math:`w` of :func:`mel_filterbank`. A clip is
    extended at both ends, by its mirror image or by zeros. With ``lengths`` it is extended at its own end.

    Args:
        waveform: ``(B, T)`` floating point, mono.
        lengths: ``(B,)`` integers, samples of each clip; ``None`` is all of it.
        sample_rate: in Hz.
        n_fft: :math:`n`, even; samples in a frame.
        hop_length: :math:`H`, samples from one frame to the next.
        n_mels: :math:`F`, number of bands.
        f_min: lower end of the lowest band, in Hz.
        f_max: upper end of the highest band, in Hz; ``None`` is half the sample rate.
        mel_scale: ``"slaney"`` or ``"htk"``.
        norm: ``"slaney"`` (bands of equal area) or ``"none"`` (of height 1).
        power: :math:`p`, 1 for magnitude or 2 for power.
        eps: :math:`\varepsilon`, added before the logarithm; ``None`` takes no logarithm, as
            :func:`power_to_db` needs.
        pad_mode: ``"reflect"``, ``"constant"`` (zeros), or ``"same"``: zeros, and :math:`N` frames as below.
        transform: how :math:`X` is computed: ``"fft"`` or ``"matmul"``. The latter multiplies real matrices,
            for exported programs on runtimes without complex numbers. The results differ by rounding only;
            it takes about three times as long.

    Returns:
        ``(B, F, N)`` with :math:`N = \lfloor T / H \rfloor + 1` frames; float64 for a float64
        waveform, else float32. With ``pad_mode="same"`` it is :math:`N = \lceil T / H \rceil`. Frame
        :math:`j` then begins at sample :math:`jH - \lfloor \max((N-1)H + n - T, \, 0) / 2 \rfloor`, as
        TensorFlow's rule "SAME" has it. With ``lengths``, a clip has the same frames as alone.

        Frames after a clip's end hold the value of digital silence, ``log(eps)``, or 0 without logarithm. A
        clip shorter than the window is mirrored several times. The mirror image of a single sample is the
        sample itself. At digital silence the gradient is 0. A magnitude counts as 2.9e17 at most in
        float32, because its square has to be finite. In float32 the window is that of
        ``torch.hann_window``, because the published models were trained on it; it differs from the exact
        window by up to 2e-7. In float64 the window is exact.

    Raises:
        TypeError: if the waveform is not floating point, or a setting has another type.
        ValueError: if the waveform is not ``(B, T)`` with at least one sample, lengths do not fit
            it, or a setting is out of range (see :func:`mel_filterbank`).

    Reference:
        The third-place system of Freesound Audio Tagging 2019, whose settings are the defaults.

    >>> log_mel(torch.zeros(2, 44100)).shape
    torch.Size([2, 128, 44])
    """
    waveform, lengths = check_waveform(waveform, lengths)
    check_settings(n_fft=n_fft, hop_length=hop_length, power=power, pad_mode=pad_mode, transform=transform)
    return spectrogram(
        waveform,
        lengths,
        window=torch.hann_window(n_fft, device=waveform.device, dtype=waveform.dtype),
        filterbank=mel_filterbank(
            sample_rate=sample_rate,
            n_fft=n_fft,
            n_mels=n_mels,
            f_min=f_min,
            f_max=f_max,
            mel_scale=mel_scale,
            norm=norm,
            device=waveform.device,
            dtype=waveform.dtype,
        ),
        hop_length=hop_length,
        power=power,
        eps=check_eps(eps),
        pad_mode=pad_mode,
        stages=dft_stages(transform, n_fft, device=waveform.device, dtype=waveform.dtype),
    )


@dataclass(eq=False, repr=False, kw_only=True)
class LogMel(Frontend):
    """Module form of :func:`log_mel`, which holds the definition and the shapes.

    Args:
        sample_rate: as in the function.
        n_fft: as in the function.
        hop_length: as in the function.
        power: as in the function.
        eps: as in the function.
        pad_mode: as in the function.
        transform: as in the function.
        n_mels: as in the function.
        f_min: as in the function.
        f_max: as in the function.
        mel_scale: as in the function.
        norm: as in the function.

    >>> frontend = LogMel.from_descriptor("mel_2048_1024_128")
    >>> frontend.descriptor, frontend.n_bins, frontend.settings()["f_min"]
    ('mel_2048_1024_128', 128, 5.0)
    >>> frontend(torch.zeros(2, 44100)).shape
    torch.Size([2, 128, 44])
    >>> frontend.frame_lengths(torch.tensor([44100, 1]))
    tensor([44,  1])
    """

    n_fft: int = 2048
    hop_length: int = 1024
    n_mels: int = 128
    f_min: float = 5.0
    f_max: float | None = None
    mel_scale: MelScale = "slaney"
    norm: Norm = "slaney"

    def __post_init__(self) -> None:
        check_band(
            sample_rate=self.sample_rate,
            n_fft=self.n_fft,
            n_mels=self.n_mels,
            f_min=self.f_min,
            f_max=self.f_max,
        )
        check_scale(mel_scale=self.mel_scale, norm=self.norm)
        super().__post_init__()

    @classmethod
    def from_descriptor(cls, descriptor: str, *, sample_rate: int = 44100) -> Self:
        """Build from ``mel_{n_fft}_{hop_length}_{n_mels}``, with the default of every other setting.

        Raises:
            ValueError: if the descriptor has another form, or a number is out of range.
        """
        n_fft, hop_length, n_mels = parse_descriptor(descriptor, "mel_{n_fft}_{hop_length}_{n_mels}")
        return cls(sample_rate=sample_rate, n_fft=n_fft, hop_length=hop_length, n_mels=n_mels)

    @property
    def descriptor(self) -> str:
        """Short name of frames and bands; it omits every other setting."""
        return f"mel_{self.n_fft}_{self.hop_length}_{self.n_mels}"

    @property
    def n_bins(self) -> int:
        """Number of rows :math:`F` of the spectrogram, the mel bands."""
        return self.n_mels

    def _constants(self, device: torch.device | None, dtype: torch.dtype) -> dict[str, Tensor]:
        filterbank = mel_filterbank(
            sample_rate=self.sample_rate,
            n_fft=self.n_fft,
            n_mels=self.n_mels,
            f_min=self.f_min,
            f_max=self.f_max,
            mel_scale=self.mel_scale,
            norm=self.norm,
            device=device,
            dtype=dtype,
        )
        return {**super()._constants(device, dtype), "filterbank": filterbank}
