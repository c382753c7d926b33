"""Mixing the clips of a batch with each other, on the device, the whole batch at once."""

from rankaudio.mixing._choice import RandomMixer
from rankaudio.mixing._or import ORMixup, ORMixupDraw, apply_or_mixup, draw_or_mixup, or_mixup
from rankaudio.mixing._sigmoid import SigmoidConcatMixup, sigmoid_concat_mixup
from rankaudio.mixing._weighted import WeightedMixup, weighted_mixup

__all__ = [
    "ORMixup",
    "ORMixupDraw",
    "RandomMixer",
    "SigmoidConcatMixup",
    "WeightedMixup",
    "apply_or_mixup",
    "draw_or_mixup",
    "or_mixup",
    "sigmoid_concat_mixup",
    "weighted_mixup",
]
