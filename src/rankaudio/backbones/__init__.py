"""Reference networks of the Freesound Audio Tagging 2019 systems, exactly invariant to padding."""

from torch import nn

from rankaudio.backbones._cnn import Pooling
from rankaudio.backbones._networks import CNN1d, CNN2d

__all__ = ["NETWORKS", "CNN1d", "CNN2d", "Pooling"]

NETWORKS: dict[str, type[nn.Module]] = {network.__name__: network for network in (CNN1d, CNN2d)}
"""Every network of the library by name. A new one is added here, and nowhere else in the code."""
