"""Networks of the Freesound Audio Tagging 2019 systems, whose scores do not depend on padding."""

from rankaudio.backbones._network import Network
from rankaudio.backbones.hierarchical_cnn import CNN1d, CNN2d, Pooling

__all__ = ["NETWORKS", "CNN1d", "CNN2d", "Network", "Pooling"]

NETWORKS: dict[str, type[Network]] = {network.__name__: network for network in (CNN1d, CNN2d)}
"""Every network of the library by name. A new one is added here, and nowhere else in the code."""
