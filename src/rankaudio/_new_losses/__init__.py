"""Losses for noisy labels, several heads and several sources."""

from rankaudio._new_losses._auxiliary import AuxiliaryLoss, AuxiliaryScores
from rankaudio._new_losses._noisy import LqLoss, LSoftLoss, l_soft_loss, lq_loss
from rankaudio._new_losses._source import SourceLoss

__all__ = ["AuxiliaryLoss", "AuxiliaryScores", "LSoftLoss", "LqLoss", "SourceLoss", "l_soft_loss", "lq_loss"]
