"""From raw scores to labels: scores that can be compared between clips, and one threshold for all clips."""

from __future__ import annotations

import torch
from torch import Tensor

from rankaudio._checks import check_flag, check_floating, check_has_classes, check_no_nan, check_number

__all__ = ["calibrate_scores", "label_threshold"]


def calibrate_scores(scores: Tensor) -> Tensor:
    r"""Make scores comparable between clips, by removing the offset that is free in each clip.

    .. math:: z_{ic} = s_{ic} - \log \sum_k e^{s_{ik}}

    Ranking losses such as :func:`lsep_loss` see only differences within a clip. A constant added to all
    scores of a clip changes nothing, so the constant has no meaning. For a clip with one label the LSEP loss
    is :math:`\log(1 + \sum_{k \ne c} e^{s_k - s_c}) = -z_c`, the cross-entropy of a softmax. That loss trains
    :math:`z`, the logarithm of a share. It compares the class with the classes that compete with it.
    Subtracting the mean of the row would instead compare the class with the many classes that nobody
    considers.

    Args:
        scores: ``(*, C)`` floating point, raw scores. No gradient passes.

    Returns:
        ``(*, C)``, at most 0; float64 for float64, else float32. Infinities are treated as limits. Scores of
        ``inf`` in a clip share it equally, and all other classes get ``-inf``. Scores of ``-inf`` stay
        ``-inf``. If a clip has no other scores, all classes share it equally.

    Raises:
        TypeError: if the scores are not floating point.
        ValueError: if there is no class, or a score is NaN.

    >>> calibrate_scores(torch.tensor([[2.0, 0.0], [102.0, 100.0]]))
    tensor([[-0.1269, -2.1269],
            [-0.1269, -2.1269]])
    """
    wide = _check_scores(scores)
    top = wide.amax(-1, keepdim=True)
    # Subtract the maximum first. Equal infinities give inf - inf, which must be 0.
    return (wide - top).nan_to_num_(nan=0.0, neginf=-torch.inf).log_softmax(-1)


def label_threshold(scores: Tensor, *, mean_labels: float, calibrate: bool = True) -> Tensor:
    """Find the threshold that gives clips a wanted mean number of labels; labels are scored above it.

    The threshold is itself a score, the highest that gives no label. It is found by partition, not by a
    search. The labels are ``calibrate_scores(scores) > threshold``. Their number is exactly the whole number
    nearest to ``mean_labels`` times the number of clips, unless equal scores are on both sides of that
    number. Equal scores all get the label or none does, whichever comes nearer. If both are equally near,
    none does.

    Args:
        scores: ``(*, C)`` floating point, raw scores.
        mean_labels: wanted labels per clip, from 0 to C.
        calibrate: apply :func:`calibrate_scores` first. Otherwise scores are compared as they are, and the
            labels are ``scores > threshold``. That is right for scores with the same meaning in all clips,
            such as those of a model trained with binary cross-entropy, and for calibrated scores.

    Returns:
        ``()``, float64 for float64, else float32. ``-inf`` if every score gives a label, or if there are no
        clips. A score of ``-inf`` never gives a label.

    Raises:
        TypeError: if the scores are not floating point, or ``mean_labels`` is not a number.
        ValueError: if there is no class, a score is NaN, or ``mean_labels`` is not from 0 to C.

    >>> scores = torch.tensor([[4.0, 1.0, 0.0], [13.0, 12.0, 9.0]])
    >>> threshold = label_threshold(scores, mean_labels=1.5)
    >>> threshold, (calibrate_scores(scores) > threshold).int()
    (tensor(-3.0659), tensor([[1, 0, 0],
            [1, 1, 0]], dtype=torch.int32))
    """
    compared = calibrate_scores(scores) if check_flag("calibrate", calibrate) else _check_scores(scores)
    check_number("mean_labels", mean_labels, 0, compared.shape[-1])
    values = compared.flatten()
    wanted = round(mean_labels * (len(values) // compared.shape[-1]))
    if wanted >= len(values):
        return values.new_tensor(-torch.inf)
    threshold = _order_statistic(values, wanted)
    too_few = wanted - int((values > threshold).count_nonzero())
    if too_few and int((values >= threshold).count_nonzero()) - wanted < too_few:
        return torch.where(values < threshold, values, -torch.inf).amax()
    return threshold


def _order_statistic(values: Tensor, above: int) -> Tensor:
    """Find the value with ``above`` values before it in descending order.

    ``kthvalue`` is not used, because it takes seconds if values are already sorted.
    """
    if values.device.type != "cpu":
        return values.topk(above + 1, sorted=False).values.amin()
    import numpy as np

    place = len(values) - 1 - above
    return values.new_tensor(np.partition(values.numpy(), place)[place])


def _check_scores(scores: object) -> Tensor:
    """Return the scores in float32 or better, without gradients."""
    tensor = check_floating("scores", scores)
    check_has_classes("scores", tensor)
    check_no_nan("scores", tensor)
    return tensor.detach().to(torch.promote_types(tensor.dtype, torch.float32))
