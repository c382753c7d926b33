"""The mean of raw scores by probability or by score, without rounding of probabilities near 0 and 1."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor
from torch.nn.functional import logsigmoid

ScoreMean = Literal["arithmetic", "geometric", "scores"]
MEANS: tuple[ScoreMean, ...] = ("arithmetic", "geometric", "scores")
# Above this score, exp(-s) is below the rounding error of 1 in double precision.
LARGE = 37.0


def mean_of_scores(scores: Tensor, clip: Tensor, batch: int, mean: ScoreMean) -> Tensor:
    """Average scores ``(W, C)`` over the rows of each clip: ``(batch, C)`` in the dtype of the scores."""
    wide = scores.float() if scores.device.type == "mps" else scores.double()
    count = wide.new_zeros(batch, 1).index_add(0, clip, wide.new_ones(clip.shape[0], 1))
    if mean == "scores":
        average = wide.new_zeros(batch, wide.shape[1]).index_add(0, clip, wide) / count
    elif mean == "geometric":
        # log(-log p), which is -s where p rounds to 1.
        log_log = torch.where(wide > LARGE, -wide, (-logsigmoid(wide.clamp(max=LARGE))).log())
        average = _logit_from_log_log(_log_sum_exp(log_log, clip, batch) - count.log())
    else:
        # The factor 1 / n of both probabilities cancels.
        average = _log_sum_exp(logsigmoid(wide), clip, batch) - _log_sum_exp(logsigmoid(-wide), clip, batch)
    return average.to(scores.dtype)


def _log_sum_exp(values: Tensor, clip: Tensor, batch: int) -> Tensor:
    """Logarithm of the sum of exponentials over the rows of each clip: ``(batch, C)``."""
    # Finite numbers, so that infinite scores give infinite sums and not NaN.
    finite = torch.finfo(values.dtype)
    lowest = values.new_full((batch, values.shape[1]), finite.min)
    highest = lowest.scatter_reduce(0, clip[:, None].expand_as(values), values, "amax").clamp(max=finite.max)
    total = torch.zeros_like(highest).index_add(0, clip, (values - highest[clip]).exp())
    return highest + total.log()


def _logit_from_log_log(log_log: Tensor) -> Tensor:
    """Return the logit of p, given log(-log p)."""
    log = -log_log.exp()
    # Where p rounds to 1, the logarithm of 0 would have a NaN gradient even though its value is not used.
    rest = -torch.expm1(-log_log.clamp(min=-LARGE).exp())
    log_of_rest = torch.where(log_log < -LARGE, log_log, rest.log())
    return log - log_of_rest
