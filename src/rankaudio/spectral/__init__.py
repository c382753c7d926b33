"""Spectrograms of padded batches, on any device, with a finite gradient everywhere."""

from rankaudio.spectral._bands import Deltas, MelScale, Norm, deltas, mel_filterbank, power_to_db
from rankaudio.spectral._decibel_mel import DecibelMel, DecibelReference, decibel_mel
from rankaudio.spectral._delta_channels import DeltaChannels
from rankaudio.spectral._features import log_mel, log_stft
from rankaudio.spectral._modules import LogMel, LogSTFT
from rankaudio.spectral._stft import PadMode, Transform

__all__ = [
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
    "decibel_mel",
    "deltas",
    "log_mel",
    "log_stft",
    "mel_filterbank",
    "power_to_db",
]
