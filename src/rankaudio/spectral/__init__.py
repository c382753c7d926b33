"""Spectrograms of padded batches, on any device, with finite gradients everywhere."""

from torch import nn

from rankaudio.lengths import PadMode
from rankaudio.spectral._decibel_mel import DecibelMel, DecibelReference, decibel_mel
from rankaudio.spectral._decibels import power_to_db
from rankaudio.spectral._delta_channels import DeltaChannels
from rankaudio.spectral._deltas import Deltas, deltas
from rankaudio.spectral._dft import Transform
from rankaudio.spectral._filterbank import MelScale, Norm, mel_filterbank
from rankaudio.spectral._log_mel import LogMel, log_mel
from rankaudio.spectral._log_stft import LogSTFT, log_stft
from rankaudio.spectral._statistics import WaveformStatistics, waveform_statistics

__all__ = [
    "FRONTENDS",
    "DecibelMel",
    "DecibelReference",
    "DeltaChannels",
    "Deltas",
    "LogMel",
    "LogSTFT",
    "MelScale",
    "Norm",
    "PadMode",
    "Transform",
    "WaveformStatistics",
    "decibel_mel",
    "deltas",
    "log_mel",
    "log_stft",
    "mel_filterbank",
    "power_to_db",
    "waveform_statistics",
]

FRONTENDS: dict[str, type[nn.Module]] = {
    frontend.__name__: frontend for frontend in (LogMel, LogSTFT, DecibelMel)
}
"""Every frontend of the library by name. A new one is added here, and nowhere else in the code."""
