"""Thresholds and calibration in a tagger: saved, moved, refused, and dropped with the classes."""

import math

import pytest
import torch

from rankaudio import Tagger
from rankaudio.decisions import Calibration
from small_networks import small_tagger

THRESHOLDS = torch.tensor([0.5, math.inf, -0.25])


def decided():
    tagger = small_tagger("CNN2d, max").eval()
    scale, shift = torch.tensor([2.0, 1.0, 0.5]), torch.tensor([0.0, 1.0, -1.0])
    tagger.set_decisions(thresholds=THRESHOLDS, calibration=Calibration(scale, shift))
    return tagger


SCORES = torch.tensor([[0.5, 9.0, -0.3], [0.4, 0.0, -0.25], [math.nan, math.inf, math.inf]])
PRESENT = [[True, False, False], [False, False, True], [False, True, True]]


def test_scores_become_decisions_and_probabilities():
    tagger = decided()
    assert tagger.decide(SCORES).tolist() == PRESENT
    expected = torch.sigmoid(SCORES * torch.tensor([2.0, 1.0, 0.5]) + torch.tensor([0.0, 1.0, -1.0]))
    torch.testing.assert_close(tagger.probabilities(SCORES), expected, equal_nan=True)
    assert tagger.decide(SCORES[0]).shape == (3,)


def test_the_file_keeps_them_and_older_files_have_none(tmp_path):
    tagger, path = decided(), tmp_path / "model.pt"
    tagger.save(path)
    again = Tagger.load(path)
    assert torch.equal(again.thresholds, THRESHOLDS)
    assert again.decide(SCORES).tolist() == PRESENT
    assert torch.equal(again.probabilities(SCORES[:2]), tagger.probabilities(SCORES[:2]))
    x = torch.randn(1, 3000)
    assert torch.equal(again(x), tagger(x))
    content = torch.load(path, weights_only=True)
    content["state"] = {name: v for name, v in content["state"].items() if name.startswith("backbone.")}
    torch.save(content, path)
    older = Tagger.load(path)
    assert older.thresholds is None
    assert older.calibration is None
    with pytest.raises(ValueError, match=r"thresholds: wanted a tensor \(C,\), got None; .*fit_thresholds"):
        older.decide(SCORES)
    with pytest.raises(ValueError, match=r"calibration: wanted one, got None; .*fit_calibration"):
        older.probabilities(SCORES)


@pytest.mark.parametrize(
    ("name", "value", "problem"),
    [
        ("thresholds", torch.zeros(2), "thresholds: wanted shape"),
        ("thresholds", torch.tensor([0.0, math.nan, 0.0]), "thresholds: wanted numbers"),
        ("thresholds", torch.zeros(3, dtype=torch.long), "thresholds: wanted a floating-point"),
        ("calibration.scale", torch.zeros(2), "shift: wanted shape"),
        ("calibration.shift", torch.full((3,), math.inf), "shift: wanted finite numbers"),
        ("calibration.shift", None, "unknown are 'calibration.scale'"),
    ],
)
def test_a_wrong_file_is_named(name, value, problem, tmp_path):
    path = tmp_path / "model.pt"
    decided().save(path)
    content = torch.load(path, weights_only=True)
    if value is None:
        del content["state"][name]
    else:
        content["state"][name] = value
    torch.save(content, path)
    with pytest.raises(ValueError, match="model.pt: ") as error:
        Tagger.load(path)
    assert problem in str(error.value)


def test_they_move_and_stay_in_float32():
    tagger = decided()
    for dtype in (torch.float16, torch.bfloat16):
        half = decided().to(dtype)
        assert {half.thresholds.dtype, half.calibration.scale.dtype} == {torch.float32}
        assert half.decide(SCORES.to(dtype)).tolist() == (SCORES.to(dtype) >= THRESHOLDS).tolist()
    assert tagger.double().thresholds.dtype == torch.float64
    tagger.to("meta")
    assert tagger.thresholds.is_meta
    assert tagger.calibration.shift.is_meta


@pytest.mark.slow
@pytest.mark.parametrize("dtype", [torch.float16, torch.float64])
def test_a_file_of_another_dtype_keeps_them(dtype, tmp_path):
    tagger = decided().to(dtype)
    tagger.save(tmp_path / "model.pt")
    again = Tagger.load(tmp_path / "model.pt")
    assert torch.equal(again.thresholds, tagger.thresholds)
    assert torch.equal(again.probabilities(SCORES[:2]), tagger.probabilities(SCORES[:2]))


def test_thresholds_in_float64_decide_the_same_for_float32():
    """A float64 threshold between two neighbours in float32 must not fall onto the lower one."""
    low = torch.tensor(1.0)
    high = torch.nextafter(low, low + 1)
    tagger = small_tagger("CNN2d, max")
    for share in (0.1, 0.5, 0.9, 1.0):
        threshold = low.double() + share * (high.double() - low.double())
        tagger.set_decisions(thresholds=threshold.repeat(3))
        assert tagger.decide(torch.stack([low, high, low])).tolist() == [False, True, False]


def test_the_calibration_is_a_copy():
    calibration = Calibration(torch.ones(3).double(), torch.zeros(3).double())
    tagger = small_tagger("CNN2d, max")
    tagger.set_decisions(calibration=calibration)
    calibration.scale.zero_()
    assert tagger.calibration.scale.tolist() == [1.0] * 3
    assert tagger.calibration.scale.dtype == torch.float32


def test_other_classes_need_other_decisions():
    tagger = decided()
    tagger.reset_classifier(["x", "y"])
    assert tagger.thresholds is None
    assert tagger.calibration is None
    assert not {"thresholds", "calibration.scale"} & set(tagger.state_dict())


@pytest.mark.parametrize(
    ("given", "error", "message"),
    [
        ({"thresholds": torch.zeros(2)}, ValueError, "thresholds: wanted shape"),
        ({"thresholds": torch.zeros(1, 3)}, ValueError, "thresholds: wanted 1 axes"),
        ({"thresholds": [0.0, 0.0, 0.0]}, TypeError, "thresholds: wanted a torch.Tensor"),
        ({"calibration": torch.nn.Sigmoid()}, TypeError, "calibration: wanted a Calibration"),
        (
            {"calibration": Calibration(torch.ones(2), torch.ones(2))},
            ValueError,
            "calibration: wanted 3 classes",
        ),
    ],
)
def test_refused_decisions_change_nothing(given, error, message):
    tagger = decided()
    with pytest.raises(error, match=message):
        tagger.set_decisions(**{"thresholds": torch.zeros(3), **given})
    assert torch.equal(tagger.thresholds, THRESHOLDS)
    assert tagger.calibration is not None


def test_scores_of_other_classes_are_refused():
    tagger = decided()
    for method in (tagger.decide, tagger.probabilities):
        with pytest.raises(ValueError, match="scores: wanted 3 classes"):
            method(torch.zeros(2, 4))
        with pytest.raises(TypeError, match="scores: wanted a floating-point"):
            method(torch.zeros(2, 3, dtype=torch.long))
