"""Reference networks of the Freesound Audio Tagging 2019 systems, exactly invariant to padding."""

from rankaudio.backbones._cnn import Pooling
from rankaudio.backbones.cnn1d import CNN1d
from rankaudio.backbones.cnn2d import CNN2d

__all__ = ["CNN1d", "CNN2d", "Pooling"]
