"""Spectrograms as Modules: settings and constants of the functions."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Self

import torch
from torch import Tensor, nn

from rankaudio._checks import check_choice, check_integer, check_same_device, check_waveform, describe
from rankaudio.lengths import frame_lengths
from rankaudio.spectral._bands import NORMS, SCALES, MelScale, Norm, check_band, mel_filterbank
from rankaudio.spectral._stft import (
    PadMode,
    Transform,
    check_eps,
    check_settings,
    dft_stages,
    spectrogram,
)


class _Frontend(nn.Module):
    """What both Modules share: the frame settings, and constants that no cast can round.

    The constants are non-persistent buffers, so the state dict is empty. They are float32, or
    float64 after ``.double()``; a float64 waveform meets float64 constants either way.
    """

    window: Tensor
    n_fft: int
    hop_length: int
    power: float

    def __init__(
        self,
        *,
        sample_rate: int,
        n_fft: int,
        hop_length: int,
        power: float,
        eps: float | None,
        pad_mode: PadMode,
        transform: Transform,
    ) -> None:
        super().__init__()
        check_settings(
            n_fft=n_fft, hop_length=hop_length, power=power, pad_mode=pad_mode, transform=transform
        )
        self.sample_rate: int = check_integer("sample_rate", sample_rate)
        self.n_fft, self.hop_length, self.power = n_fft, hop_length, power
        self.eps: float | None = None if eps is None else check_eps(eps)
        self.pad_mode: PadMode = pad_mode
        self.transform: Transform = transform

    @property
    def n_bins(self) -> int:
        """Number of rows :math:`F` of the spectrogram.

        >>> LogSTFT(n_fft=256).n_bins
        129
        """
        return self.n_fft // 2 + 1

    def frame_lengths(self, lengths: Tensor) -> Tensor:
        """Frames of clips of these lengths, by :func:`rankaudio.frame_lengths`.

        >>> LogSTFT(hop_length=128).frame_lengths(torch.tensor([44100, 1]))
        tensor([345,   1])
        """
        return frame_lengths(lengths, hop_length=self.hop_length)

    def settings(self) -> dict[str, int | float | str | None]:
        """Plain values from which ``type(self)(**settings)`` makes the same Module again.

        >>> LogSTFT(n_fft=512).settings()["n_fft"]
        512
        """
        names = ("sample_rate", "n_fft", "hop_length", "power", "eps", "pad_mode", "transform")
        return {name: getattr(self, name) for name in names}

    def forward(self, waveform: Tensor, lengths: Tensor | None = None) -> Tensor:
        """Return the spectrogram ``(B, F, N)`` of clips ``(B, T)``."""
        waveform, lengths = check_waveform(waveform, lengths)
        check_same_device("waveform", waveform, "the Module", self.window)
        constants = dict(self.named_buffers(recurse=False))
        if waveform.dtype == torch.float64 and self.window.dtype != torch.float64:
            constants = self._constants(waveform.device, torch.float64)
        return spectrogram(
            waveform,
            lengths,
            window=constants["window"],
            filterbank=constants.get("filterbank"),
            hop_length=self.hop_length,
            power=self.power,
            eps=self.eps,
            pad_mode=self.pad_mode,
            stages=[value for name, value in constants.items() if name.startswith("stage")],
        )

    def extra_repr(self) -> str:
        """Show the settings."""
        return ", ".join(f"{name}={value!r}" for name, value in self.settings().items())

    def _constants(self, device: torch.device | None, dtype: torch.dtype) -> dict[str, Tensor]:
        # PyTorch's is a view of a longer one; torch.export.save warns of such.
        window = torch.hann_window(self.n_fft, device=device, dtype=dtype).clone()
        stages = dft_stages(self.transform, self.n_fft, device=device, dtype=dtype)
        return {"window": window, **{f"stage{i}": stage for i, stage in enumerate(stages)}}

    def _build(self, device: torch.device | None, dtype: torch.dtype) -> None:
        for name, constant in self._constants(device, dtype).items():
            self.register_buffer(name, constant, persistent=False)

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> Self:  # noqa: FBT001, FBT002
        """Move or cast, then compute anew what a cast has rounded or the meta device never held."""
        before = self.window
        super()._apply(fn, recurse)  # type: ignore[no-untyped-call]
        if self.window.dtype != before.dtype or before.is_meta:
            double = self.window.dtype == torch.float64
            self._build(self.window.device, torch.float64 if double else torch.float32)
        return self


class LogMel(_Frontend):
    """Module form of :func:`log_mel`, which holds the definition and the shapes.

    Args:
        sample_rate: as in the function.
        n_fft: as in the function.
        hop_length: as in the function.
        n_mels: as in the function.
        f_min: as in the function.
        f_max: as in the function.
        mel_scale: as in the function.
        norm: as in the function.
        power: as in the function.
        eps: as in the function.
        pad_mode: as in the function.
        transform: as in the function.

    >>> frontend = LogMel.from_descriptor("mel_2048_1024_128")
    >>> frontend.descriptor, frontend.n_bins, frontend.settings()["f_min"]
    ('mel_2048_1024_128', 128, 5.0)
    >>> frontend(torch.zeros(2, 44100)).shape
    torch.Size([2, 128, 44])
    >>> frontend.frame_lengths(torch.tensor([44100, 1]))
    tensor([44,  1])
    """

    filterbank: Tensor
    n_mels: int
    f_min: float
    f_max: float | None

    def __init__(
        self,
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
    ) -> None:
        super().__init__(
            sample_rate=sample_rate,
            n_fft=n_fft,
            hop_length=hop_length,
            power=power,
            eps=eps,
            pad_mode=pad_mode,
            transform=transform,
        )
        check_band(sample_rate=sample_rate, n_fft=n_fft, n_mels=n_mels, f_min=f_min, f_max=f_max)
        self.n_mels, self.f_min, self.f_max = n_mels, f_min, f_max
        self.mel_scale: MelScale = check_choice("mel_scale", mel_scale, SCALES)
        self.norm: Norm = check_choice("norm", norm, NORMS)
        self._build(None, torch.float32)

    @classmethod
    def from_descriptor(cls, descriptor: str, *, sample_rate: int = 44100) -> Self:
        """Build from ``mel_{n_fft}_{hop_length}_{n_mels}``, everything else at its default.

        Raises:
            ValueError: if the descriptor has another form, or a number is out of range.
        """
        n_fft, hop_length, n_mels = _parse(descriptor, "mel_{n_fft}_{hop_length}_{n_mels}")
        return cls(sample_rate=sample_rate, n_fft=n_fft, hop_length=hop_length, n_mels=n_mels)

    @property
    def descriptor(self) -> str:
        """Short name of frames and bands; it leaves out every other setting."""
        return f"mel_{self.n_fft}_{self.hop_length}_{self.n_mels}"

    @property
    def n_bins(self) -> int:
        """Number of rows :math:`F` of the spectrogram, the mel bands."""
        return self.n_mels

    def settings(self) -> dict[str, int | float | str | None]:
        """Plain values from which ``LogMel(**settings)`` makes the same Module again."""
        names = ("n_mels", "f_min", "f_max", "mel_scale", "norm")
        return {**super().settings(), **{name: getattr(self, name) for name in names}}

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


class LogSTFT(_Frontend):
    """Module form of :func:`log_stft`, which holds the definition and the shapes.

    Args:
        sample_rate: of the waveforms it is meant for, in Hz. No number depends on it: it is kept for
            whoever loads audio for this Module.
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

    def __init__(
        self,
        *,
        sample_rate: int = 44100,
        n_fft: int = 256,
        hop_length: int = 128,
        power: float = 1.0,
        eps: float | None = 1e-4,
        pad_mode: PadMode = "reflect",
        transform: Transform = "fft",
    ) -> None:
        super().__init__(
            sample_rate=sample_rate,
            n_fft=n_fft,
            hop_length=hop_length,
            power=power,
            eps=eps,
            pad_mode=pad_mode,
            transform=transform,
        )
        self._build(None, torch.float32)

    @classmethod
    def from_descriptor(cls, descriptor: str, *, sample_rate: int = 44100) -> Self:
        """Build from ``stft_{n_fft}_{hop_length}``, everything else at its default.

        Raises:
            ValueError: if the descriptor has another form, or a number is out of range.
        """
        n_fft, hop_length = _parse(descriptor, "stft_{n_fft}_{hop_length}")
        return cls(sample_rate=sample_rate, n_fft=n_fft, hop_length=hop_length)

    @property
    def descriptor(self) -> str:
        """Short name of the frames; it leaves out every other setting."""
        return f"stft_{self.n_fft}_{self.hop_length}"


def _parse(descriptor: str, form: str) -> list[int]:
    """Read the numbers of a descriptor of the given form."""
    pattern = re.sub(r"\{\w+\}", "([0-9]+)", form)
    found = re.fullmatch(pattern, descriptor) if isinstance(descriptor, str) else None
    if found is None:
        raise ValueError(f"descriptor: wanted the form {form}, got {describe(descriptor)}")
    return [int(number) for number in found.groups()]
