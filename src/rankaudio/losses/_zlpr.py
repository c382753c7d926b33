"""ZLPR, the zero-bounded pairwise rank loss: a ranking loss whose scores have a zero."""

from __future__ import annotations

from collections.abc import Callable

import torch.nn.functional as F
from torch import Tensor

from rankaudio.losses._masked_lse import masked_lse, present_and_absent
from rankaudio.losses._options import Reduction, WeightedLoss, check_options, prepare_labels
from rankaudio.losses._reduction import reduce_rows


def zlpr_loss(
    scores: Tensor,
    target: Tensor,
    *,
    mask: Tensor | None = None,
    class_weight: Tensor | None = None,
    sample_weight: Tensor | None = None,
    reduction: Reduction = "mean",
) -> Tensor:
    r"""Zero-bounded log-sum-exp pairwise rank loss: labels present above 0, labels absent below 0.

    .. math:: \ell = \log\Bigl(1 + \sum_{u \,\text{absent}} w_u \, e^{s_u}\Bigr)
        + \log\Bigl(1 + \sum_{v \,\text{present}} w_v \, e^{-s_v}\Bigr)

    The product of the two brackets has all pairs of :func:`lsep_loss`, and each label paired with a score of
    0. So the order of the labels counts as in LSEP, and 0 is the threshold: a label is predicted where its
    score is positive. LSEP leaves such a threshold open.

    Args:
        scores: ``(*, C)`` floating point, raw scores.
        target: ``(*, C)`` bool or 0/1. That is checked on the CPU. On an accelerator the check would have to
            wait, so every non-zero value counts as present. There are no soft labels.
        mask: ``(*, C)`` bool, true where the label is known. Unknown labels are in no sum.
        class_weight: ``(C,)`` non-negative weights :math:`w`.
        sample_weight: ``(*)`` non-negative weights of the rows.
        reduction: ``"none"``, ``"sum"`` or ``"mean"`` over the leading axes. With ``sample_weight`` the mean
            is the weighted mean.

    Returns:
        ``()``, or ``(*)`` for ``"none"``; float64 for float64 scores, else float32. A row without known
        labels costs 0. A row with no label present, or with all of them, still has one of the two sums.
        The mean of no rows, or of rows with no weight, is 0 and still part of the graph. An infinite score
        counts as the largest finite number and has no gradient.

    Raises:
        TypeError: if scores or weights are not floating point, or a mask is not bool.
        ValueError: if shapes or devices disagree, a target is not 0/1, or a weight is negative. Values are
            checked on the CPU only.

    Reference:
        Su et al., *ZLPR: A Novel Loss for Multi-label Classification* (2022),
        https://arxiv.org/abs/2208.02955

    >>> zlpr_loss(torch.tensor([[2.0, 0.0]]), torch.tensor([[1, 0]]))
    tensor(0.8201)
    >>> zlpr_loss(
    ...     torch.tensor([[9.0, 7.0]]), torch.tensor([[1, 0]])
    ... )  # the same order, but no zero between
    tensor(7.0010)
    """
    scores, present = prepare_labels(scores, target)
    check_options(scores, reduction, mask=mask, class_weight=class_weight, sample_weight=sample_weight)
    log_weight = None if class_weight is None else class_weight.to(scores.dtype).log()
    present, absent = present_and_absent(present, mask)
    sums = (masked_lse(scores, absent, log_weight), masked_lse(-scores, present, log_weight))
    # softplus is the identity above its threshold. At the default of 20 that is wrong by 2e-9.
    above, below = (F.softplus(highest + rest, threshold=40) for highest, rest in sums)
    return reduce_rows((above + below).to(scores.dtype), sample_weight, reduction)


class ZLPRLoss(WeightedLoss):
    """Module form of :func:`zlpr_loss`, which holds the definition and the shapes.

    Args:
        class_weight: as in the function. It moves with the Module and is not part of its state dict.
        reduction: as in the function.

    >>> ZLPRLoss()(torch.tensor([[2.0, 0.0]]), torch.tensor([[1, 0]]))
    tensor(0.8201)
    """

    def __init__(self, *, class_weight: Tensor | None = None, reduction: Reduction = "mean") -> None:
        super().__init__(class_weight, reduction)

    @property
    def _function(self) -> Callable[..., Tensor]:
        return zlpr_loss
