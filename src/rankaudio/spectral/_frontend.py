"""The base of the Modules that turn waveforms into spectrograms."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Self

import torch
from torch import Tensor

from rankaudio._checks import check_integer, check_same_device, check_waveform, describe
from rankaudio._settings import ModuleWithSettings
from rankaudio.lengths import PadMode, frame_lengths
from rankaudio.spectral._dft import Transform, dft_stages
from rankaudio.spectral._stft import check_eps, check_settings, spectrogram


@dataclass(eq=False, repr=False, kw_only=True)
class Frontend(ModuleWithSettings):
    """The frame settings, and constants that keep their precision in any cast.

    The constants are non-persistent buffers, so the state dict is empty. They are float64 after
    ``.double()``, and float32 otherwise, after ``.half()`` too. A float64 waveform always meets float64
    constants.
    """

    sample_rate: int = 44100
    n_fft: int
    hop_length: int
    power: float = 1.0
    eps: float | None = 1e-4
    pad_mode: PadMode = "reflect"
    transform: Transform = "fft"

    def __post_init__(self) -> None:
        super().__post_init__()
        check_settings(
            n_fft=self.n_fft,
            hop_length=self.hop_length,
            power=self.power,
            pad_mode=self.pad_mode,
            transform=self.transform,
        )
        check_integer("sample_rate", self.sample_rate)
        check_eps(self.eps)
        self._register_constants(None, torch.float32)

    @property
    def n_bins(self) -> int:
        """Number of rows :math:`F` of the spectrogram.

        >>> LogSTFT(n_fft=256).n_bins
        129
        """
        return self.n_fft // 2 + 1

    def frame_lengths(self, lengths: Tensor) -> Tensor:
        """Return the frames of clips of these lengths, by :func:`rankaudio.frame_lengths`.

        >>> LogSTFT(hop_length=128).frame_lengths(torch.tensor([44100, 1]))
        tensor([345,   1])
        """
        return frame_lengths(lengths, hop_length=self.hop_length, pad_mode=self.pad_mode)

    def forward(self, waveform: Tensor, lengths: Tensor | None = None) -> Tensor:
        """Return the spectrogram ``(B, F, N)`` of clips ``(B, T)``."""
        waveform, lengths = check_waveform(waveform, lengths)
        constants = dict(self.named_buffers(recurse=False))
        check_same_device("waveform", waveform, "the Module", constants["window"])
        if waveform.dtype == torch.float64 and constants["window"].dtype != torch.float64:
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

    def _constants(self, device: torch.device | None, dtype: torch.dtype) -> dict[str, Tensor]:
        window = torch.empty(self.n_fft, device=device, dtype=dtype)
        if not window.is_meta:  # hann_window on meta would import torch._dynamo, which takes seconds
            # hann_window returns a view of a longer tensor; torch.export.save warns about views.
            window = torch.hann_window(self.n_fft, device=device, dtype=dtype).clone()
        stages = dft_stages(self.transform, self.n_fft, device=device, dtype=dtype)
        return {"window": window, **{f"stage{i}": stage for i, stage in enumerate(stages)}}

    def _register_constants(self, device: torch.device | None, dtype: torch.dtype) -> None:
        for name, constant in self._constants(device, dtype).items():
            self.register_buffer(name, constant, persistent=False)

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> Self:  # noqa: FBT001, FBT002
        """Move or cast, then compute the constants again if a cast rounded them or they were on meta."""
        before = self.get_buffer("window")
        super()._apply(fn, recurse)  # type: ignore[no-untyped-call]
        after = self.get_buffer("window")
        if after.dtype != before.dtype or before.is_meta:
            double = after.dtype == torch.float64
            self._register_constants(after.device, torch.float64 if double else torch.float32)
        return self


def parse_descriptor(descriptor: str, form: str) -> list[int]:
    """Read the numbers of a descriptor of the given form."""
    pattern = re.sub(r"\{\w+\}", "([0-9]+)", form)
    found = re.fullmatch(pattern, descriptor) if isinstance(descriptor, str) else None
    if found is None:
        raise ValueError(f"descriptor: wanted the form {form}, got {describe(descriptor)}")
    return [int(number) for number in found.groups()]
