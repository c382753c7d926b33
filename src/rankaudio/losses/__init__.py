"""Losses for multi-label scores: ranking, noisy labels, auxiliary heads and several sources of labels."""

from rankaudio.losses._auxiliary import AuxiliaryLoss, AuxiliaryScores
from rankaudio.losses._lsep import LSEPLoss, Reduction, lsep_loss
from rankaudio.losses._noisy import LqLoss, LSoftLoss, l_soft_loss, lq_loss
from rankaudio.losses._source import SourceLoss

__all__ = [
    "AuxiliaryLoss",
    "AuxiliaryScores",
    "LSEPLoss",
    "LSoftLoss",
    "LqLoss",
    "Reduction",
    "SourceLoss",
    "l_soft_loss",
    "lq_loss",
    "lsep_loss",
]
