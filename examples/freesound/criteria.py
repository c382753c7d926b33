"""Losses by name, and the criterion that the settings of a model ask for."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import torch.nn.functional as F
from torch import Tensor

from freesound.plans.base import Optim, Pools
from freesound.system import Criterion
from rankaudio import LSEPLoss
from rankaudio.losses import AuxiliaryLoss, LSoftLoss, SourceLoss

# Each takes reduction="mean" or "none".
LOSSES: dict[str, Callable[..., Callable[[Tensor, Tensor], Tensor]]] = {
    "lsep": LSEPLoss,
    "bce": lambda **settings: partial(F.binary_cross_entropy_with_logits, **settings),
}


def build_criterion(optim: Optim, pools: Pools) -> Criterion:
    """Return the loss, over all heads of the network."""
    if pools.noisy_loss == "same" and pools.clean_weight == pools.noisy_weight == 1:
        loss = AuxiliaryLoss(LOSSES[optim.loss]())
        return lambda outputs, target, source: loss(outputs, target)  # noqa: ARG005
    return AuxiliaryLoss(_loss_by_source(optim, pools))


def _loss_by_source(optim: Optim, pools: Pools) -> SourceLoss:
    """Return a loss for curated, noisy and trusted clips, in the order of the numbers of sources."""
    clean = LOSSES[optim.loss](reduction="none")
    noisy = LSoftLoss(beta=pools.noisy_beta, reduction="none") if pools.noisy_loss == "l_soft" else clean
    weights = (pools.clean_weight, pools.noisy_weight, pools.clean_weight)
    return SourceLoss([clean, noisy, clean], weights=weights)
