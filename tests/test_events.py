"""Events from the scores of windows: compared with a walk along a fine grid of time, and at the corners."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from rankaudio import predict_long
from rankaudio.events import Event, events
from rankaudio.inference import WindowScores


def windows_of(scores, *, window, hop, total=None):
    """Windows as predict_long has them; times in seconds."""
    scores = torch.as_tensor(scores, dtype=torch.float32)
    starts = torch.arange(len(scores), dtype=torch.float64) * hop
    ends = starts + window
    return WindowScores(scores, starts, ends if total is None else ends.clamp(max=total))


def spans(found):
    return [(event.start, event.end) for event in found]


@st.composite
def recordings(draw):
    """Starts and ends of windows in whole steps, and whether each window is active."""
    window, hop = draw(st.integers(1, 8)), draw(st.integers(1, 12))
    total = draw(st.integers(1, 60))
    last = math.ceil(max(0, total - window) / hop)
    starts = [k * hop for k in range(last + 1) if k * hop < total]
    ends = [min(start + window, total) for start in starts]
    active = draw(st.lists(st.booleans(), min_size=len(starts), max_size=len(starts)))
    return starts, ends, active


def by_hand(starts, ends, scores, min_gap, min_duration):
    """Walk over half steps: which window decides, is it active; then join and drop in plain loops."""
    grid, window = [], 0
    for half in range(2 * ends[-1]):
        middle = half + 0.5  # of this half step, in half steps
        while window + 1 < len(starts) and middle > starts[window + 1] + ends[window]:
            window += 1
        inside = 2 * starts[window] <= middle <= 2 * ends[window]
        grid.append(window if inside and scores[window] >= 0 else None)
    found, half = [], 0
    while half < len(grid):
        if grid[half] is None:
            half += 1
            continue
        begin = half
        while half < len(grid) and grid[half] is not None:
            half += 1
        if found and begin / 2 - found[-1][1] < min_gap:
            found[-1] = (found[-1][0], half / 2)
        else:
            found.append((begin / 2, half / 2))
    rows = []
    for start, end in found:
        if end - start >= min_duration:
            inside = [grid[half] for half in range(int(2 * start), int(2 * end)) if grid[half] is not None]
            part = scores[min(inside) : max(inside) + 1]
            rows.append((start, end, max(part), sum(part) / len(part)))
    return rows


@given(recording=recordings(), min_gap=st.integers(0, 8), min_duration=st.integers(0, 8))
def test_events_are_those_of_a_walk_along_the_time(recording, min_gap, min_duration):
    starts, ends, active = recording
    scores = [float(k + 1) if on else -float(k + 1) for k, on in enumerate(active)]
    windows = WindowScores(
        torch.tensor(scores)[:, None],
        torch.tensor(starts, dtype=torch.float64),
        torch.tensor(ends, dtype=torch.float64),
    )
    found = events(windows, 0.0, min_gap=min_gap, min_duration=min_duration)
    wanted = by_hand(starts, ends, scores, min_gap, min_duration)
    assert [event[:2] for event in found] == [row[:2] for row in wanted]
    np.testing.assert_allclose([event[3:] for event in found], [row[2:] for row in wanted] or np.zeros(0))


def test_windows_that_touch_are_one_event_and_end_with_the_recording():
    found = events(windows_of([[1.0], [2.0], [-1.0], [0.0]], window=1, hop=1, total=3.2), 0.0)
    assert found == [Event(0.0, 2.0, "0", 2.0, 1.5), Event(3.0, 3.2, "0", 0.0, 0.0)]


def test_one_active_window_among_overlapping_ones_is_a_hop_long_in_its_middle():
    scores = [[-1.0]] * 4 + [[1.0]] + [[-1.0]] * 4
    assert spans(events(windows_of(scores, window=2, hop=0.5), 0.0)) == [(2.75, 3.25)]
    assert spans(events(windows_of([[1.0], *scores], window=2, hop=0.5), 0.0))[0] == (0.0, 1.25)


def test_windows_with_pauses_stay_apart_unless_the_pause_is_bridged():
    windows = windows_of([[1.0], [1.0]], window=1, hop=1.5)
    assert spans(events(windows, 0.0)) == [(0, 1), (1.5, 2.5)]
    assert spans(events(windows, 0.0, min_gap=0.5)) == [(0, 1), (1.5, 2.5)]
    assert spans(events(windows, 0.0, min_gap=0.6)) == [(0, 2.5)]


def test_a_bridged_gap_counts_for_the_mean_and_not_for_the_peak():
    (event,) = events(windows_of([[4.0], [-1.0], [3.0]], window=1, hop=1), 0.0, min_gap=1.1)
    assert event == Event(0.0, 3.0, "0", 4.0, 2.0)


def test_gaps_are_bridged_before_short_events_are_dropped():
    windows = windows_of([[1.0], [-1.0], [1.0]], window=1, hop=1)
    assert spans(events(windows, 0.0, min_gap=2, min_duration=2)) == [(0, 3)]
    assert events(windows, 0.0, min_duration=2) == []


def test_times_are_compared_to_a_nanosecond():
    """0.1 has no exact binary form, so durations and gaps of so many tenths are a little off."""
    windows = windows_of([[1.0], [1.0], [1.0], [-1.0], [1.0]], window=0.1, hop=0.1)
    assert 3 * 0.1 > 0.3
    assert len(events(windows, 0.0, min_duration=0.1)) == 2
    assert len(events(windows, 0.0, min_gap=0.1)) == 2
    assert len(events(windows, 0.0, min_duration=0.3)) == 1


def test_events_are_by_start_and_then_by_class_with_a_threshold_for_each():
    windows = windows_of([[0.0, 5.0, -2.0], [3.0, 5.0, -1.0]], window=1, hop=1)
    found = events(windows, [1.0, 5.0, -2.0], classes=["A", "B", "C"])
    assert [(event.start, event.label) for event in found] == [(0, "B"), (0, "C"), (1, "A")]
    assert found == events(windows, torch.tensor([1.0, 5.0, -2.0]), classes=["A", "B", "C"])


@pytest.mark.parametrize("dtype", [torch.float16, torch.float32, torch.float64])
def test_a_threshold_is_rounded_to_the_dtype_of_the_scores(dtype):
    windows = WindowScores(torch.tensor([[0.7]], dtype=dtype), torch.zeros(1), torch.ones(1))
    assert len(events(windows, 0.7)) == 1
    assert not events(windows, 0.701)


def test_infinite_scores_and_thresholds():
    windows = windows_of([[torch.inf], [-torch.inf]], window=1, hop=1)
    assert spans(events(windows, 100.0)) == [(0, 1)]
    assert spans(events(windows, -torch.inf)) == [(0, 2)]
    assert events(windows_of([[9.0]], window=1, hop=1), torch.inf) == []


def test_without_windows_or_classes_there_are_no_events():
    empty = torch.zeros(0, dtype=torch.float64)
    assert events(WindowScores(torch.zeros(0, 3), empty, empty), 0.0) == []
    assert events(WindowScores(torch.zeros(2, 0), torch.arange(2.0), torch.arange(2.0) + 1), 0.0) == []


def test_the_result_of_predict_long_becomes_events():
    class Loudness(torch.nn.Module):
        sample_rate = 100

        def forward(self, waveform, lengths=None):
            return waveform.abs().amax(1, keepdim=True)

    waveform = torch.zeros(1050)
    waveform[300:400] = 1.0
    windows = predict_long(Loudness(), waveform, window=1.0, hop=0.5)
    assert spans(events(windows, 0.5)) == [(2.75, 4.25)]
    assert float(windows.ends[-1]) == 10.5


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        (
            {"scores": torch.tensor([[0.0], [torch.nan]])},
            "windows.scores: wanted numbers, got NaN in window 1",
        ),
        ({"scores": torch.zeros(2)}, "windows.scores: wanted 2 axes"),
        ({"starts": torch.zeros(3)}, r"windows.starts: wanted shape \(2,\)"),
        ({"starts": torch.tensor([1.0, 0.0])}, "windows.starts: wanted finite times that ascend"),
        ({"ends": torch.tensor([1.0, torch.inf])}, "windows.ends: wanted finite times that ascend"),
        (
            {"ends": torch.tensor([1.0, 1.5]), "starts": torch.tensor([0.0, 2.0])},
            "windows.ends: wanted no end",
        ),
    ],
)
def test_wrong_windows_are_refused(changed, message):
    windows = WindowScores(torch.zeros(2, 1), torch.arange(2.0), torch.arange(2.0) + 1)
    with pytest.raises(ValueError, match=message):
        events(windows._replace(**changed), 0.0)


def test_wrong_settings_are_refused():
    windows = WindowScores(torch.zeros(2, 2), torch.arange(2.0), torch.arange(2.0) + 1)
    with pytest.raises(TypeError, match="windows: wanted a WindowScores, got"):
        events((torch.zeros(2, 2), torch.arange(2.0)), 0.0)
    for threshold in ([0.0], torch.zeros(3), torch.zeros(1, 2)):
        with pytest.raises(ValueError, match="threshold: wanted a number or 2, one for each class"):
            events(windows, threshold)
    with pytest.raises(ValueError, match="threshold: wanted numbers, got NaN"):
        events(windows, [0.0, math.nan])
    with pytest.raises(TypeError, match="threshold: wanted numbers, got True in it"):
        events(windows, [0.0, True])
    with pytest.raises(ValueError, match="classes: wanted 2 names, one for each score, got 1"):
        events(windows, 0.0, classes=["A"])
    with pytest.raises(ValueError, match="min_gap: wanted a finite number >= 0"):
        events(windows, 0.0, min_gap=-1)
    with pytest.raises(ValueError, match="min_duration: wanted a finite number >= 0"):
        events(windows, 0.0, min_duration=math.inf)
