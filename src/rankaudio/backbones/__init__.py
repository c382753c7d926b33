"""Networks of the Freesound Audio Tagging 2019 systems, whose scores do not depend on padding."""

from rankaudio.backbones._network import Network
from rankaudio.backbones.aux_skip_attention import AuxSkipAttention, RnnAuxSkipAttention
from rankaudio.backbones.axis_pool import Axis, AxisPool, Reduction
from rankaudio.backbones.axis_pooling import AxisPoolCNN, StemKind
from rankaudio.backbones.cbam import CBAM
from rankaudio.backbones.hierarchical_cnn import CNN1d, CNN2d, Pooling
from rankaudio.backbones.skip_attention import SkipAttention
from rankaudio.backbones.squeeze_excite import SqueezeExcite

__all__ = [
    "CBAM",
    "NETWORKS",
    "AuxSkipAttention",
    "Axis",
    "AxisPool",
    "AxisPoolCNN",
    "CNN1d",
    "CNN2d",
    "Network",
    "Pooling",
    "Reduction",
    "RnnAuxSkipAttention",
    "SkipAttention",
    "SqueezeExcite",
    "StemKind",
]

NETWORKS: dict[str, type[Network]] = {
    network.__name__: network
    for network in (CNN1d, CNN2d, SkipAttention, AuxSkipAttention, RnnAuxSkipAttention, AxisPoolCNN)
}
"""Every network of the library by name. A new one is added here, and nowhere else in the code."""
