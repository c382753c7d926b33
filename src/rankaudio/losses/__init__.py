"""Losses for multi-label scores: ranking, smoothed and noisy labels, auxiliary heads, several sources."""

from rankaudio.losses._auxiliary import AuxiliaryLoss, AuxiliaryScores
from rankaudio.losses._lsep import LSEPLoss, Reduction, lsep_loss
from rankaudio.losses._noisy import LqLoss, LSoftLoss, l_soft_loss, lq_loss
from rankaudio.losses._smoothed_bce import SmoothedBCELoss, smooth_labels, smoothed_bce_loss
from rankaudio.losses._source import SourceLoss

__all__ = [
    "AuxiliaryLoss",
    "AuxiliaryScores",
    "LSEPLoss",
    "LSoftLoss",
    "LqLoss",
    "Reduction",
    "SmoothedBCELoss",
    "SourceLoss",
    "l_soft_loss",
    "lq_loss",
    "lsep_loss",
    "smooth_labels",
    "smoothed_bce_loss",
]
