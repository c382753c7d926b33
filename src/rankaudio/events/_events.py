"""Events: the times at which the score of a class reaches its threshold."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from rankaudio._checks import (
    check_floating,
    check_instance,
    check_names,
    check_number,
    check_shape,
    describe,
)
from rankaudio._messages import short_repr
from rankaudio.inference import WindowScores

__all__ = ["Event", "events"]

# Times are sums and quotients of floating-point numbers, so they are compared to a nanosecond.
_DIGITS = 9


class Event(NamedTuple):
    """A sound in a recording.

    >>> event = Event(start=1.0, end=2.5, label="Bark", peak=3.0, mean=2.0)
    >>> event.end - event.start
    1.5
    """

    start: float
    """Start in seconds."""
    end: float
    """End in seconds."""
    label: str
    """Name of the class."""
    peak: float
    """The highest score of the class in the windows of the event."""
    mean: float
    """The mean of these scores, those in bridged gaps included."""


def events(
    windows: WindowScores,
    threshold: float | Sequence[float] | Tensor,
    *,
    min_gap: float = 0.0,
    min_duration: float = 0.0,
    classes: Sequence[str] | None = None,
) -> list[Event]:
    r"""Find when each class sounds, from the scores of windows.

    Windows may overlap, and then several windows have a score for the same moment. Two consecutive windows
    split the time that they share in its middle. So window :math:`k` from :math:`a_k` to :math:`b_k` decides
    for the time

    .. math:: \Bigl[ \max\bigl(a_k, \tfrac{b_{k-1} + a_k}{2}\bigr), \;
        \min\bigl(b_k, \tfrac{b_k + a_{k+1}}{2}\bigr) \Bigr]

    The first one begins at :math:`a_0`, and the last one ends with the recording. Without overlap, these
    times are the windows. With overlap, they are one hop long, and those at both ends are longer. With a hop
    longer than the window, no window decides for the time between two windows.

    A class is active in a window if its score is at least its threshold. Active windows that touch are one
    event. Then events of a class are joined if the gap between them is shorter than ``min_gap``. Finally,
    events shorter than ``min_duration`` are left out. Times are compared to a nanosecond.

    Args:
        windows: scores ``(n, C)``, starts ``(n,)`` and ends ``(n,)`` in seconds, as :func:`predict_long` and
            :meth:`~rankaudio.inference.FramewiseTagger.score` return them. Starts and ends ascend.
        threshold: one number, or one for each class, such as ``tagger.thresholds``. It is rounded to the
            dtype of the scores, and may be infinite.
        min_gap: seconds. Shorter gaps are bridged.
        min_duration: seconds. Shorter events are dropped.
        classes: names of the classes, in the order of the scores; None: ``"0"``, ``"1"`` and so on.

    Returns:
        The events by start, and by class where starts are equal. Without windows, the list is empty.

    Raises:
        TypeError: if an argument has the wrong type.
        ValueError: if shapes disagree, a score or a threshold is NaN, a time is not finite, times do not
            ascend, or a setting is negative. Also if the number of names or thresholds is not that of the
            classes.

    >>> scores = torch.tensor([[2.0, -1.0], [3.0, -1.0], [-1.0, -1.0], [1.0, 4.0]])
    >>> windows = WindowScores(scores, torch.arange(4.0), torch.arange(4.0) + 1)
    >>> for event in events(windows, 0.0, classes=["Bark", "Meow"]):
    ...     print(*event)
    0.0 2.0 Bark 3.0 2.5
    3.0 4.0 Bark 1.0 1.0
    3.0 4.0 Meow 4.0 4.0
    >>> events(windows, 0.0, min_gap=1.5, min_duration=1.5, classes=["Bark", "Meow"])
    [Event(start=0.0, end=4.0, label='Bark', peak=3.0, mean=1.25)]
    """
    scores, starts, ends = _check_windows(windows)
    limits = _check_thresholds(threshold, scores)
    gap, duration = check_number("min_gap", min_gap, 0), check_number("min_duration", min_duration, 0)
    names = _check_classes(classes, scores.shape[1])
    first, last = _decided_times(starts, ends)
    found = []
    for column, name in enumerate(names):
        own = scores[:, column]
        rows = (own >= limits[column]).nonzero().flatten()
        for begin, stop in _runs(rows, first, last, gap):
            start, end = float(first[begin]), float(last[stop])
            if round(end - start, _DIGITS) >= duration:
                part = own[begin : stop + 1].double()
                event = Event(start, end, name, float(part.max()), float(part.mean()))
                found.append((start, column, event))
    return [event for _, _, event in sorted(found, key=lambda each: each[:2])]


def _decided_times(starts: Tensor, ends: Tensor) -> tuple[Tensor, Tensor]:
    """Return the start and the end of the time for which each window decides."""
    middle = (ends[:-1] + starts[1:]) / 2
    first = torch.cat([starts[:1], torch.maximum(starts[1:], middle)])
    return first, torch.cat([torch.minimum(ends[:-1], middle), ends[-1:]])


def _runs(rows: Tensor, first: Tensor, last: Tensor, min_gap: float) -> list[tuple[int, int]]:
    """Return the first and the last window of each event, given its active windows."""
    if not len(rows):
        return []
    gaps = (first[rows[1:]] - last[rows[:-1]]).round(decimals=_DIGITS)
    new = torch.cat([torch.ones(1, dtype=torch.bool), (gaps > 0) & (gaps >= min_gap)])
    begin, stop = rows[new], rows[torch.cat([new[1:], torch.ones(1, dtype=torch.bool)])]
    return list(zip(begin.tolist(), stop.tolist(), strict=True))


def _check_windows(windows: object) -> tuple[Tensor, Tensor, Tensor]:
    """Return scores, starts and ends on the CPU, the times in float64."""
    given = check_instance("windows", windows, WindowScores)
    scores = check_floating("windows.scores", given.scores, ndim=(2,)).detach().cpu()
    if bool(scores.isnan().any()):
        row = int(scores.isnan().any(1).nonzero()[0])
        raise ValueError(f"windows.scores: wanted numbers, got NaN in window {row}")
    times = []
    for name in ("starts", "ends"):
        value = check_floating(f"windows.{name}", getattr(given, name))
        value = check_shape(f"windows.{name}", value, (len(scores),)).detach().cpu().double()
        if not bool(value.isfinite().all()) or bool((value.diff() < 0).any()):
            raise ValueError(f"windows.{name}: wanted finite times that ascend, got {describe(value)}")
        times.append(value)
    if bool((times[1] < times[0]).any()):
        raise ValueError("windows.ends: wanted no end before its start, got one")
    return scores, times[0], times[1]


def _check_thresholds(threshold: object, scores: Tensor) -> Tensor:
    """Return a threshold for each class in the dtype of the scores."""
    n_classes = scores.shape[1]
    if isinstance(threshold, Tensor):
        given = threshold.detach().cpu()
        if given.dtype == torch.bool or given.is_complex():
            raise TypeError(f"threshold: wanted numbers, got {describe(threshold)}")
    elif isinstance(threshold, (int, float)) and not isinstance(threshold, bool):
        given = torch.tensor(_number(threshold), dtype=torch.float64)
    elif isinstance(threshold, (list, tuple)):
        given = torch.tensor([_number(value) for value in threshold], dtype=torch.float64)
    else:
        raise TypeError(f"threshold: wanted a number or one for each class, got {describe(threshold)}")
    if given.shape not in ((), (n_classes,)):
        got = describe(threshold)
        raise ValueError(f"threshold: wanted a number or {n_classes}, one for each class, got {got}")
    if bool(given.isnan().any()):
        raise ValueError("threshold: wanted numbers, got NaN")
    return given.to(scores.dtype).expand(n_classes)


def _number(value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise TypeError(f"threshold: wanted numbers, got {short_repr(value)} in it")
    try:
        return float(value)
    except OverflowError as error:
        raise ValueError(f"threshold: wanted floating-point numbers, got {short_repr(value)}") from error


def _check_classes(classes: Sequence[str] | None, count: int) -> tuple[str, ...]:
    if classes is None:
        return tuple(str(column) for column in range(count))
    names = check_names("classes", classes)
    if len(names) != count:
        raise ValueError(f"classes: wanted {count} names, one for each score, got {len(names)}")
    return names
