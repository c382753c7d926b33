"""Losses by name, and the criterion that the settings of a model ask for."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import torch.nn.functional as F
from torch import Tensor

from freesound.plans.base import Optim, Pools
from freesound.system import Criterion
from rankaudio import LSEPLoss
from rankaudio.losses import (
    AsymmetricLoss,
    AuxiliaryLoss,
    FocalLoss,
    LSoftLoss,
    SmoothedBCELoss,
    SourceLoss,
    ZLPRLoss,
)

# Each takes reduction="mean" or "none".
LOSSES: dict[str, Callable[..., Callable[[Tensor, Tensor], Tensor]]] = {
    "lsep": LSEPLoss,
    "zlpr": ZLPRLoss,
    "bce": lambda **settings: partial(F.binary_cross_entropy_with_logits, **settings),
    "asl": AsymmetricLoss,
    "focal": FocalLoss,
}


def build_criterion(optim: Optim, pools: Pools) -> Criterion:
    """Return the loss, over all heads of the network."""
    if pools.noisy_loss == "same" and pools.clean_weight == pools.noisy_weight == 1:
        loss = AuxiliaryLoss(build_loss(optim))
        return lambda outputs, target, source: loss(outputs, target)  # noqa: ARG005
    return AuxiliaryLoss(_loss_by_source(optim, pools))


def build_loss(optim: Optim, **settings: Any) -> Callable[[Tensor, Tensor], Tensor]:
    """Return the loss of one output, with label smoothing if the settings say so."""
    if optim.label_smoothing:  # of cross-entropy, as the settings have checked
        return SmoothedBCELoss(smoothing=optim.label_smoothing, **settings)
    return LOSSES[optim.loss](**settings)


def _loss_by_source(optim: Optim, pools: Pools) -> SourceLoss:
    """Return a loss for curated, noisy and trusted clips, in the order of the numbers of sources."""
    clean = build_loss(optim, reduction="none")
    noisy = LSoftLoss(beta=pools.noisy_beta, reduction="none") if pools.noisy_loss == "l_soft" else clean
    weights = (pools.clean_weight, pools.noisy_weight, pools.clean_weight)
    return SourceLoss([clean, noisy, clean], weights=weights)
