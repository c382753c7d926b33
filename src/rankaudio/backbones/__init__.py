"""Reference networks of the Freesound Audio Tagging 2019 systems, exactly invariant to padding."""

from rankaudio.backbones._cnn import Pooling
from rankaudio.backbones._networks import CNN1d, CNN2d

__all__ = ["CNN1d", "CNN2d", "Pooling"]
