"""Losses for multi-label scores: ranking, smoothed and noisy labels, auxiliary heads, several sources."""

from rankaudio.losses._asymmetric import AsymmetricLoss, asymmetric_loss
from rankaudio.losses._auxiliary import AuxiliaryLoss, AuxiliaryScores
from rankaudio.losses._focal import FocalLoss, focal_loss
from rankaudio.losses._lsep import LSEPLoss, lsep_loss
from rankaudio.losses._noisy import LqLoss, LSoftLoss, l_soft_loss, lq_loss
from rankaudio.losses._options import Reduction
from rankaudio.losses._smoothed_bce import SmoothedBCELoss, smooth_labels, smoothed_bce_loss
from rankaudio.losses._source import SourceLoss
from rankaudio.losses._zlpr import ZLPRLoss, zlpr_loss

__all__ = [
    "AsymmetricLoss",
    "AuxiliaryLoss",
    "AuxiliaryScores",
    "FocalLoss",
    "LSEPLoss",
    "LSoftLoss",
    "LqLoss",
    "Reduction",
    "SmoothedBCELoss",
    "SourceLoss",
    "ZLPRLoss",
    "asymmetric_loss",
    "focal_loss",
    "l_soft_loss",
    "lq_loss",
    "lsep_loss",
    "smooth_labels",
    "smoothed_bce_loss",
    "zlpr_loss",
]
