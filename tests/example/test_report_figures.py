"""The figures of a report by their definitions, and the shapes of its charts."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from rankaudio import lwlrap
from tools.report import charts
from tools.report.charts import Curve, line_chart
from tools.report.data import Selection
from tools.report.figures import Confusion, audit, confusions, hardest_clips, taken_by_class

GIVEN = {"a": {"X"}, "b": {"X", "Y"}, "c": {"Y"}, "d": {"Z"}, "e": {"X"}}
TRUTH = {"a": {"X"}, "b": {"X"}, "c": {"Y"}, "d": set()}


def frozen(table):
    return {name: frozenset(labels) for name, labels in table.items()}


class TestSelections:
    def test_right_clips_are_counted_where_the_truth_is_known(self):
        taken = {"a": {"X"}, "b": {"X"}, "d": {"Z"}, "e": {"X"}}  # b was relabelled, e has no known truth
        one = audit(Selection("s", *map(frozen, (taken, GIVEN, TRUTH))))
        assert (one.taken, one.noisy, one.known, one.right) == (4, 5, 3, 2)
        assert (one.given_known, one.given_right, one.found_right) == (4, 2, 1)

    def test_clips_are_counted_by_class(self):
        selection = Selection("s", frozen({"a": {"X"}, "b": {"Q"}}), frozen(GIVEN), {})
        assert taken_by_class(selection) == [("Q", 1, 0), ("X", 1, 3), ("Y", 0, 2), ("Z", 0, 1)]


class TestNumbers:
    @given(st.integers(0, 2**31), st.integers(1, 12), st.integers(2, 6))
    def test_hardest_clips_by_definition(self, seed, clips, classes):
        generator = torch.Generator().manual_seed(seed)
        scores = torch.randint(0, 4, (clips, classes), generator=generator).float()  # with ties
        target = torch.rand(clips, classes, generator=generator) < 0.4
        found = hardest_clips(scores, target, most=clips)
        lrap = {
            row: float(lwlrap(scores[row, None], target[row, None]))
            for row in range(clips)
            if target[row].any()
        }
        imperfect = sorted(value for value in lrap.values() if value < 1)
        assert [one.lrap for one in found] == pytest.approx(imperfect, abs=1e-12)
        for one in found:
            assert one.lrap == pytest.approx(lrap[one.row], abs=1e-12)
            row = scores[one.row].tolist()
            on = target[one.row].nonzero().flatten().tolist()
            assert one.ranks == {c: sum(other >= row[c] for other in row) for c in on}

    def test_clips_of_equal_lrap_are_sorted_by_margin(self):
        scores = torch.tensor([[1.0, 0.0], [9.0, 0.0], [5.0, 0.0]])
        target = torch.tensor([[False, True]] * 3)
        assert [one.row for one in hardest_clips(scores, target, most=2)] == [1, 2]

    def test_confusions_by_hand(self):
        scores = torch.tensor([[1.0, 2.0, 1.0, 0.0], [1.0, 3.0, 0.0, 0.0], [0.0, 9.0, 9.0, 9.0]])
        target = torch.tensor([[1, 0, 0, 0], [1, 0, 0, 0], [0, 0, 0, 1]]).bool()
        assert confusions(scores, target, 0, most=3) == [Confusion(1, 2), Confusion(2, 1)]  # a tie counts
        assert confusions(scores, target, 0, most=1) == [Confusion(1, 2)]
        target[1, 1] = True  # a class that is on the clip is no confusion
        assert confusions(scores, target, 0, most=3) == [Confusion(1, 1), Confusion(2, 1)]


class TestCharts:
    def test_curves_have_gaps_and_a_mark_for_the_best(self):
        curve = Curve("f", [1, 2, 3, 4], [0.1, 0.4, np.nan, 0.2])
        (shape,) = line_chart("t", [curve], form=".2f", mark_best=True).shapes
        assert [len(line.split("L")) for line in shape.path.split("M")[1:]] == [2, 1]
        assert [point.text for point in shape.points if point.marked] == ["f, epoch 2: 0.40"]
        heights = [float(point.y) for point in shape.points]
        assert heights[1] < heights[2] < heights[0]

    @pytest.mark.parametrize("values", [[0.5], [0.0, 0.0], [-2.0, -2.0, -2.0], [1e-7, 5e-3]])
    def test_curves_of_every_range_stay_in_the_picture(self, values):
        chart = line_chart("t", [Curve("f", range(1, len(values) + 1), values)], form="g")
        assert len(chart.shapes[0].points) == len(values)
        for point in chart.shapes[0].points:
            assert 0 <= float(point.x) <= chart.width
            assert 0 <= float(point.y) <= chart.height

    def test_many_points_have_no_tooltips(self, monkeypatch):
        monkeypatch.setattr(charts, "MAX_TOOLTIPS", 3)
        assert len(line_chart("t", [Curve("f", [1, 2, 3], [1, 2, 3])], form="g").shapes[0].points) == 3
        (shape,) = line_chart("t", [Curve("f", [1, 2, 3, 4], [1, 2, 3, 4])], form="g").shapes
        assert shape.points == []
        assert shape.path.count("L") == 3

    def test_without_points_there_is_no_chart(self):
        assert line_chart("t", [Curve("f", [1.0], [np.nan])], form="g") is None
