"""Masking and cutting clips and spectrograms, on the device, the whole batch at once."""

from rankaudio._parts import Fill
from rankaudio.masking._crop import PadOrCrop, RandomCrop, pad_or_crop, random_crop
from rankaudio.masking._resize import RandomResizedCrop, random_resized_crop
from rankaudio.masking._shuffle import ShuffleChunks, shuffle_chunks
from rankaudio.masking._spec import SpecAugment, spec_augment
from rankaudio.masking._trim import trim_silence

__all__ = [
    "Fill",
    "PadOrCrop",
    "RandomCrop",
    "RandomResizedCrop",
    "ShuffleChunks",
    "SpecAugment",
    "pad_or_crop",
    "random_crop",
    "random_resized_crop",
    "shuffle_chunks",
    "spec_augment",
    "trim_silence",
]
