"""Mixing the clips of a batch with each other, on the device, for the whole batch at once."""

from rankaudio.mixing._or_mixup import ORMixup, or_mixup
from rankaudio.mixing._random_mixer import RandomMixer
from rankaudio.mixing._sigmoid_concat import SigmoidConcatMixup, sigmoid_concat_mixup
from rankaudio.mixing._weighted_mixup import WeightedMixup, weighted_mixup

__all__ = [
    "ORMixup",
    "RandomMixer",
    "SigmoidConcatMixup",
    "WeightedMixup",
    "or_mixup",
    "sigmoid_concat_mixup",
    "weighted_mixup",
]
