"""One cut through the scores of all clips that gives them a wanted mean number of labels."""

from __future__ import annotations

import torch
from torch import Tensor

from rankaudio._checks import check_floating, check_number, describe
from rankaudio.noisy._agreement import refuse_nan

__all__ = ["calibrate_scores", "label_threshold"]


def calibrate_scores(scores: Tensor) -> Tensor:
    r"""Make scores comparable from clip to clip: take away the free offset of each.

    .. math:: z_{ic} = s_{ic} - \log \sum_k e^{s_{ik}}

    Ranking losses such as :func:`lsep_loss` see differences within a clip only: a constant added to all of
    its scores changes nothing, so it means nothing. For a clip with one label the LSEP loss is
    :math:`\log(1 + \sum_{k \ne c} e^{s_k - s_c}) = -z_c`, the cross-entropy of a softmax. So what that loss
    trains is :math:`z`, the logarithm of a share: it compares the class with those that rival it, where
    the mean of the row would compare it with the many that are out of the question.

    Args:
        scores: ``(*, C)`` floating point, raw scores. No gradient passes.

    Returns:
        ``(*, C)``, at most 0; float64 for float64, else float32. Infinities are taken as limits: where a
        clip has scores of ``inf``, these share it equally and all others get ``-inf``; scores of
        ``-inf`` stay as they are, but a clip that has nothing else is shared equally by all classes.

    Raises:
        TypeError: if the scores are not floating point.
        ValueError: if there is no class, or a score is NaN.

    >>> calibrate_scores(torch.tensor([[2.0, 0.0], [102.0, 100.0]]))
    tensor([[-0.1269, -2.1269],
            [-0.1269, -2.1269]])
    """
    wide = _check_scores(scores)
    top = wide.amax(-1, keepdim=True)
    # Taken off beforehand, and 0 where that is inf - inf: equal infinities.
    return (wide - top).nan_to_num_(nan=0.0, neginf=-torch.inf).log_softmax(-1)


def label_threshold(scores: Tensor, *, mean_labels: float, calibrate: bool = True) -> Tensor:
    """Find the one cut that gives clips a wanted mean number of labels: every class scored above it is one.

    The cut is itself a score, the highest that gives no label, found by partition and not by a search; the
    labels are ``calibrate_scores(scores) > cut``. Their number is the whole number nearest to
    ``mean_labels`` times the number of clips, exactly, unless equal scores lie across the cut. These get the
    label all or none, whichever comes nearer to the wanted number; if both are as near, none.

    Args:
        scores: ``(*, C)`` floating point, raw scores.
        mean_labels: wanted labels per clip, from 0 to C.
        calibrate: take :func:`calibrate_scores` of the scores first. Otherwise they are compared as they
            are, and the labels are ``scores > cut``: for scores that mean the same in all clips, such as
            those of a model trained with binary cross-entropy, or calibrated already.

    Returns:
        ``()``, float64 for float64, else float32. ``-inf`` if every score gives a label, or if there are no
        clips. A score of ``-inf`` never gives a label.

    Raises:
        TypeError: if the scores are not floating point, or ``mean_labels`` is not a number.
        ValueError: if there is no class, a score is NaN, or ``mean_labels`` is not from 0 to C.

    >>> scores = torch.tensor([[4.0, 1.0, 0.0], [13.0, 12.0, 9.0]])
    >>> cut = label_threshold(scores, mean_labels=1.5)
    >>> cut, (calibrate_scores(scores) > cut).int()
    (tensor(-3.0659), tensor([[1, 0, 0],
            [1, 1, 0]], dtype=torch.int32))
    """
    compared = calibrate_scores(scores) if calibrate else _check_scores(scores)
    check_number("mean_labels", mean_labels, 0, compared.shape[-1])
    values = compared.flatten()
    wanted = round(mean_labels * (len(values) // compared.shape[-1]))
    if wanted >= len(values):
        return values.new_tensor(-torch.inf)
    cut = _one_after(values, wanted)
    too_few = wanted - int((values > cut).count_nonzero())
    if too_few and int((values >= cut).count_nonzero()) - wanted < too_few:
        return torch.where(values < cut, values, -torch.inf).amax()
    return cut


def _one_after(values: Tensor, count: int) -> Tensor:
    """The highest value but ``count``. Not by ``kthvalue``: it takes seconds where values are in order."""
    if values.device.type != "cpu":
        return values.topk(count + 1, sorted=False).values.amin()
    import numpy as np

    place = len(values) - 1 - count
    return values.new_tensor(np.partition(values.numpy(), place)[place])


def _check_scores(scores: object) -> Tensor:
    """The scores in float32 or better, without gradients."""
    tensor = check_floating("scores", scores)
    if tensor.ndim == 0 or tensor.shape[-1] == 0:
        raise ValueError(f"scores: wanted shape (*, C) with C >= 1 classes, got {describe(tensor)}")
    refuse_nan(tensor)
    return tensor.detach().to(torch.promote_types(tensor.dtype, torch.float32))
