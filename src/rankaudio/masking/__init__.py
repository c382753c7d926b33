"""Masking and cutting clips and spectrograms, on the device, for the whole batch at once."""

from rankaudio._fill import Fill
from rankaudio.masking._crop import RandomCrop, random_crop
from rankaudio.masking._frame_windows import FrameWindows, frame_windows
from rankaudio.masking._pad_or_crop import PadOrCrop, centre_crop, pad_or_crop
from rankaudio.masking._resized_crop import RandomResizedCrop, random_resized_crop
from rankaudio.masking._segment import CutSegment, Place, Zeros, cut_segment
from rankaudio.masking._shuffle_chunks import ShuffleChunks, shuffle_chunks
from rankaudio.masking._spec_augment import SpecAugment, spec_augment
from rankaudio.masking._trim import trim_silence

__all__ = [
    "CutSegment",
    "Fill",
    "FrameWindows",
    "PadOrCrop",
    "Place",
    "RandomCrop",
    "RandomResizedCrop",
    "ShuffleChunks",
    "SpecAugment",
    "Zeros",
    "centre_crop",
    "cut_segment",
    "frame_windows",
    "pad_or_crop",
    "random_crop",
    "random_resized_crop",
    "shuffle_chunks",
    "spec_augment",
    "trim_silence",
]
