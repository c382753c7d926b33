"""Error messages of lwlrap, as a function and as a running metric."""

import math

import numpy as np
import pytest
import torch

from rankaudio.metrics import Lwlrap, lwlrap

BAD_BATCHES = [
    ({"scores": [[1.0]]}, TypeError, r"scores: wanted a torch.Tensor, got \[\[1.0\]\]"),
    ({"scores": torch.zeros(2, 3).long()}, TypeError, "scores: wanted a floating-point tensor, got a int64"),
    ({"scores": np.zeros((2, 3), int)}, TypeError, "scores: wanted a floating-point tensor, got a int64"),
    ({"scores": np.array([["a"]])}, TypeError, "scores: wanted an array of numbers, got dtype <U1"),
    (
        {"target": torch.zeros(2, 4)},
        ValueError,
        r"target: wanted the shape of scores, \(2, 3\), got .*\(2, 4\)",
    ),
    ({"target": torch.zeros(3)}, ValueError, r"target: wanted the shape of scores, \(2, 3\), got .*\(3,\)"),
    ({"target": torch.zeros(2, 3, device="meta")}, ValueError, "target: wanted the device of scores, cpu"),
    ({"target": torch.full((2, 3), 2)}, ValueError, "target: wanted only 0 and 1, got 2 in"),
    ({"target": np.full((2, 3), 0.5)}, ValueError, "target: wanted only 0 and 1, got 0.5 in"),
    ({"target": torch.full((2, 3), math.nan)}, ValueError, "target: wanted only 0 and 1, got nan in"),
    ({"target": torch.zeros(2, 3).cfloat()}, TypeError, "target: wanted bool, integers or real numbers"),
    ({"mask": torch.ones(2, 3)}, TypeError, "mask: wanted a bool tensor, got a float32"),
    ({"mask": torch.ones(3, dtype=torch.bool)}, ValueError, r"mask: wanted shape \(2, 3\), got"),
    ({"mask": torch.ones(2, 3, device="meta").bool()}, ValueError, "mask: wanted a tensor on cpu, got"),
    ({"mask": [True]}, TypeError, r"mask: wanted a torch.Tensor, got \[True\]"),
    ({"sample_weight": torch.ones(3)}, ValueError, r"sample_weight: wanted shape \(2,\), got"),
    ({"sample_weight": torch.ones(2).int()}, TypeError, "sample_weight: wanted a floating-point tensor"),
    ({"sample_weight": -torch.ones(2)}, ValueError, "sample_weight: wanted finite, non-negative .*got -1.0"),
    ({"sample_weight": torch.full((2,), math.inf)}, ValueError, "sample_weight: wanted finite.*got inf"),
    ({"sample_weight": torch.full((2,), math.nan)}, ValueError, "sample_weight: wanted finite.*got nan"),
]


@pytest.mark.parametrize(("change", "error", "message"), BAD_BATCHES)
def test_bad_batches_are_named_and_change_nothing(change, error, message):
    arguments = {"scores": torch.zeros(2, 3), "target": torch.ones(2, 3)} | change
    scores, target = arguments.pop("scores"), arguments.pop("target")
    with pytest.raises(error, match=message):
        lwlrap(scores, target, **arguments)
    metric = Lwlrap(3)
    with pytest.raises((error, ValueError)):
        metric.update(scores, target, **arguments)
    assert metric.compute().isnan()


def test_scores_need_a_class():
    with pytest.raises(ValueError, match="C >= 1 classes"):
        lwlrap(torch.zeros(2, 0), torch.zeros(2, 0))
    with pytest.raises(ValueError, match="C >= 1 classes"):
        lwlrap(torch.tensor(1.0), torch.tensor(1))


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: Lwlrap(0), ValueError, "n_classes: wanted an integer >= 1, got 0"),
        (lambda: Lwlrap(2.0), TypeError, "n_classes: wanted an integer, got 2.0"),
        (lambda: Lwlrap(3, average="micro"), ValueError, "average: wanted one of 'label', .*got 'micro'"),
        (
            lambda: lwlrap(torch.zeros(1, 2), torch.zeros(1, 2), average="weighted"),
            ValueError,
            "average: wanted one of 'label', 'macro', 'sample', None, got 'weighted'",
        ),
        (
            lambda: Lwlrap(3).update(torch.zeros(2, 4), torch.zeros(2, 4)),
            ValueError,
            r"scores: wanted 3 classes, got a float32 tensor of shape \(2, 4\)",
        ),
        (
            lambda: Lwlrap(3).update(torch.tensor(1.0), torch.tensor(1)),
            ValueError,
            "scores: wanted 3 classes, got",
        ),
        (
            lambda: Lwlrap(3).update(torch.zeros(2, 3, device="meta"), torch.zeros(2, 3, device="meta")),
            ValueError,
            "scores: wanted the device of the metric, cpu, got",
        ),
        (lambda: Lwlrap(3).merge(Lwlrap(4)), ValueError, "other: wanted 3 classes, got Lwlrap\\(4"),
        (lambda: Lwlrap(3).merge(0.5), TypeError, "other: wanted an Lwlrap, got 0.5"),
        (
            lambda: Lwlrap(3).load_state_dict(Lwlrap(4).state_dict()),
            ValueError,
            r"state\['precision'\]: wanted shape \(3,\), got .*\(4,\)",
        ),
        (lambda: Lwlrap(3).load_state_dict({}), ValueError, "state: wanted precision, .*got nothing"),
        (
            lambda: Lwlrap(3).load_state_dict(Lwlrap(3).state_dict() | {"epoch": torch.tensor(1)}),
            ValueError,
            "state: wanted precision, .*epoch",
        ),
        (
            lambda: Lwlrap(3).load_state_dict(Lwlrap(3).state_dict() | {"support": [1.0, 2.0, 3.0]}),
            TypeError,
            r"state\['support'\]: wanted a torch.Tensor",
        ),
    ],
)
def test_bad_settings_and_states_are_named(call, error, message):
    with pytest.raises(error, match=message):
        call()
