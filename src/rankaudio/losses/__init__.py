"""Ranking losses for multi-label scores."""

from rankaudio.losses._lsep import LSEPLoss, Reduction, lsep_loss

__all__ = ["LSEPLoss", "Reduction", "lsep_loss"]
