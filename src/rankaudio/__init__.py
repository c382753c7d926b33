"""rankaudio: multi-label audio tagging in PyTorch, with the ranks done right."""

from rankaudio.encoding import FrequencyEncoding, frequency_encoding
from rankaudio.lengths import frame_lengths, length_mask
from rankaudio.losses import LSEPLoss, lsep_loss

__version__ = "0.1.0"

__all__ = [
    "FrequencyEncoding",
    "LSEPLoss",
    "frame_lengths",
    "frequency_encoding",
    "length_mask",
    "lsep_loss",
]
