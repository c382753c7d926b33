"""Bootstrap intervals of metrics, and the comparison of two models on the same clips."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import torch
from torch import Tensor

from rankaudio._checks import (
    check_choice,
    check_integer,
    check_integers,
    check_number,
    check_shape,
)
from rankaudio.metrics._inputs import Rows, as_tensor, check_no_known_nan, check_rows, check_thresholds
from rankaudio.metrics._resampling import (
    Resampled,
    average_precision_of,
    draw_counts,
    f1_of,
    lwlrap_of,
)

if TYPE_CHECKING:
    from rankaudio.metrics._inputs import Array

__all__ = ["Interval", "PairedTest", "bootstrap", "paired_test"]

ResampledMetric = Literal["lwlrap", "average_precision", "f1"]
# The averages of each metric, the default first.
_AVERAGES: dict[str, tuple[Any, ...]] = {
    "lwlrap": ("label", "sample"),
    "average_precision": ("macro", "micro"),
    "f1": ("macro", "micro"),
}


class Interval(NamedTuple):
    """The result of :func:`bootstrap`.

    >>> scores, target = torch.tensor([[2.0, 1.0]]), torch.tensor([[1, 0]])
    >>> bootstrap(scores, target, resamples=10)[:3]
    (1.0, 1.0, 1.0)
    """

    value: float
    """The metric of all clips."""
    low: float
    """The lower end of the interval."""
    high: float
    """The upper end of the interval."""
    values: Tensor
    """``(resamples,)`` float64, the metric of each resample."""


class PairedTest(NamedTuple):
    """The result of :func:`paired_test`.

    >>> scores, target = torch.tensor([[2.0, 1.0]]), torch.tensor([[1, 0]])
    >>> paired_test(scores, scores, target, resamples=10)[:4]
    (0.0, 0.0, 0.0, 1.0)
    """

    difference: float
    """The metric of the first scores less that of the second, on all clips."""
    low: float
    """The lower end of the interval of the difference."""
    high: float
    """The upper end of the interval of the difference."""
    p_value: float
    """How often chance alone would give such a difference in either direction, from 0 to 1."""
    values: Tensor
    """``(resamples,)`` float64, the difference of each resample."""


def bootstrap(
    scores: Array,
    target: Array,
    *,
    metric: ResampledMetric = "lwlrap",
    average: str | None = None,
    thresholds: Tensor | float | None = None,
    mask: Array | None = None,
    groups: Tensor | None = None,
    resamples: int = 1000,
    level: float = 0.95,
    seed: int = 0,
) -> Interval:
    r"""Interval of a metric: what other clips of the same kind might give.

    A resample draws :math:`N` clips of the :math:`N` clips with replacement. The interval has the quantiles
    :math:`Q` of the metric :math:`m_r` over the resamples, without their bias :math:`b`:

    .. math:: \big[ Q_{(1 - p) / 2} - 2b, \; Q_{(1 + p) / 2} - 2b \big], \qquad
        b = \mathrm{mean}(m_r) - m, \qquad p = \mathit{level}

    The resamples differ from :math:`m` by the bias, as :math:`m` differs from the truth. So the bias is in
    the quantiles twice. It is close to 0 for lwlrap. Average precision is too high for classes with few
    clips, and its bias in the mean over many such classes can be as large as the interval.

    It is about the choice of the clips that are scored. It says nothing about another training of the model,
    whose seed may matter as much. It is too narrow for fewer than some 50 clips, and for the mean over
    classes if classes have few labels.

    Args:
        scores: ``(N, C)`` floating point, raw scores. Like target and mask, a tensor or a numpy array.
        target: ``(N, C)`` bool or 0/1.
        metric: ``"lwlrap"``, ``"average_precision"`` or ``"f1"``. The functions have the definitions.
        average: None: ``"label"`` for lwlrap, and ``"macro"`` for the others. Also ``"sample"`` for lwlrap,
            and ``"micro"`` for the others. A class that is in no drawn clip is left out of ``"macro"``.
        thresholds: for ``"f1"`` only, as in :func:`f1`.
        mask: ``(N, C)`` bool, true where the label is known.
        groups: ``(N,)`` integers: clips of one recording have the same number. Whole groups are drawn then,
            because such clips are not independent.
        resamples: number of resamples.
        level: the share of the resamples in the interval.
        seed: seed of the draws. The same arguments give the same result.

    Returns:
        An :class:`Interval`. Resamples without a label have no value and are left out. Without any, the
        interval is NaN.

    Raises:
        TypeError: if scores are not floating point, groups are not integers, or a setting has the wrong type.
        ValueError: if a known score is NaN, the target is not 0/1, shapes differ, a choice is unknown, or a
            setting is out of range.

    Reference:
        Efron, *Bootstrap methods: another look at the jackknife*, 1979.

    >>> generator = torch.Generator().manual_seed(0)
    >>> target = torch.rand(200, 5, generator=generator) < 0.3
    >>> scores = torch.randn(200, 5, generator=generator) + target
    >>> interval = bootstrap(scores, target)
    >>> f"{interval.value:.2f} [{interval.low:.2f}, {interval.high:.2f}]"
    '0.83 [0.80, 0.86]'
    """
    settings = _check_settings(metric, average, resamples, level, seed)
    rows = _on_cpu(scores, target, mask, "scores")
    of = _resampled(rows, metric, settings, thresholds)
    counts = draw_counts(len(rows.scores), _check_groups(groups, rows), resamples, seed)
    values = torch.cat([of(weights) for weights in counts])
    value = _of_all(of, rows)
    low, high = (min(max(end, 0.0), 1.0) for end in _ends(values, value, level))
    return Interval(value, low, high, values)


def paired_test(
    scores: Array,
    other: Array,
    target: Array,
    *,
    metric: ResampledMetric = "lwlrap",
    average: str | None = None,
    thresholds: Tensor | float | None = None,
    mask: Array | None = None,
    groups: Tensor | None = None,
    resamples: int = 1000,
    level: float = 0.95,
    seed: int = 0,
) -> PairedTest:
    r"""Compare two models on the same clips: the interval of their difference.

    Both are computed on the same resamples, so what makes a draw easy or hard for both cancels out. An
    interval of the difference is therefore much narrower than two intervals next to each other suggest. The
    p-value counts the resamples in which the sign of the difference changes:

    .. math:: p = \min\!\Big(1, \; 2 \,
        \frac{1 + \min(\#\{d \le 0\}, \#\{d \ge 0\})}{1 + \mathit{resamples}}\Big)

    Args:
        scores: ``(N, C)`` floating point, raw scores of the first model.
        other: ``(N, C)`` floating point, raw scores of the second model.
        target: ``(N, C)`` bool or 0/1.
        metric: as in :func:`bootstrap`.
        average: as in :func:`bootstrap`.
        thresholds: as in :func:`bootstrap`, for both models. If they have different thresholds, give
            ``scores >= thresholds`` of each as floating-point scores, and a threshold of 1.
        mask: as in :func:`bootstrap`.
        groups: as in :func:`bootstrap`.
        resamples: as in :func:`bootstrap`.
        level: as in :func:`bootstrap`.
        seed: as in :func:`bootstrap`.

    Returns:
        A :class:`PairedTest`. A difference whose interval has 0 in it is not resolved by these clips.

    Raises:
        TypeError: as :func:`bootstrap`.
        ValueError: as :func:`bootstrap`.

    >>> generator = torch.Generator().manual_seed(0)
    >>> target = torch.rand(200, 5, generator=generator) < 0.3
    >>> noise = torch.randn(2, 200, 5, generator=generator)
    >>> test = paired_test(noise[0] + 2 * target, noise[1] + target, target)
    >>> test.low > 0, test.p_value < 0.01
    (True, True)
    """
    settings = _check_settings(metric, average, resamples, level, seed)
    rows = _on_cpu(scores, target, mask, "scores")
    second = _on_cpu(other, target, mask, "other")
    first_of, second_of = (_resampled(one, metric, settings, thresholds) for one in (rows, second))
    counts = draw_counts(len(rows.scores), _check_groups(groups, rows), resamples, seed)
    values = torch.cat([first_of(weights) - second_of(weights) for weights in counts])
    difference = _of_all(first_of, rows) - _of_all(second_of, second)
    low, high = _ends(values, difference, level)
    return PairedTest(difference, low, high, _p_value(values), values)


def _check_settings(metric: object, average: object, resamples: object, level: object, seed: object) -> str:
    """Return the average, after checks of everything."""
    name = check_choice("metric", metric, tuple(_AVERAGES))
    if average is not None:
        check_choice("average", average, _AVERAGES[name])
    check_integer("resamples", resamples)
    if not 0 < check_number("level", level, 0, 1) < 1:
        raise ValueError(f"level: wanted a number between 0 and 1, got {level}")
    check_integer("seed", seed, 0)
    return str(average or _AVERAGES[name][0])


def _on_cpu(scores: Array, target: Array, mask: Array | None, name: str) -> Rows:
    """Return checked rows on the CPU; errors of the second model name ``other``."""
    table = as_tensor(name, scores)
    try:
        rows = check_rows(table, target, mask, None)
        check_no_known_nan(rows)
    except (TypeError, ValueError) as error:
        message = str(error)
        raise type(error)(name + message[6:] if message.startswith("scores: ") else message) from None
    if table.ndim != 2:
        raise ValueError(f"{name}: wanted shape (N, C), got {tuple(table.shape)}")
    known = None if rows.known is None else rows.known.cpu()
    return Rows(rows.scores.cpu(), rows.target.cpu(), known, rows.weight.cpu())


def _check_groups(groups: object, rows: Rows) -> Tensor | None:
    if groups is None:
        return None
    return check_shape("groups", check_integers("groups", groups), rows.scores.shape[:1]).cpu()


def _resampled(rows: Rows, metric: str, average: str, thresholds: Tensor | float | None) -> Resampled:
    if metric == "f1":
        if thresholds is None:
            raise ValueError("thresholds: wanted a tensor or a number for the metric 'f1', got None")
        limits = check_thresholds(thresholds, rows.scores.shape[1], torch.device("cpu"))
        return f1_of(rows, average, limits)
    if thresholds is not None:
        raise ValueError(f"thresholds: wanted None for the metric {metric!r}, got some")
    return lwlrap_of(rows, average) if metric == "lwlrap" else average_precision_of(rows, average)


def _of_all(of: Resampled, rows: Rows) -> float:
    return float(of(torch.ones(1, len(rows.scores)))[0])


def _ends(values: Tensor, value: float, level: float) -> tuple[float, float]:
    """Return the quantiles, less twice the bias of the resamples."""
    ends = torch.tensor([(1 - level) / 2, (1 + level) / 2], dtype=torch.float64)
    bias = values.nanmean() - value
    low, high = (values.nanquantile(ends) - 2 * bias).tolist()
    return low, high


def _p_value(differences: Tensor) -> float:
    known = differences[~differences.isnan()]
    if len(known) == 0:
        return float("nan")
    fewer = min(int((known <= 0).sum()), int((known >= 0).sum()))
    return min(1.0, 2 * (1 + fewer) / (1 + len(known)))
