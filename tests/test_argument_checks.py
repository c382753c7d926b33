"""What each check of arguments takes and refuses, at its edges and for each kind of value."""

import math
import re
from pathlib import Path

import pytest
import torch

from rankaudio import _checks as checks

INT, FLOAT, BOOL = torch.ones(2, dtype=torch.int32), torch.ones(2), torch.ones(2, dtype=torch.bool)
LARGEST = 2**63


@pytest.mark.parametrize(
    ("check", "arguments", "value"),
    [
        ("check_tensor", {}, FLOAT), ("check_instance", {"kind": int}, 3), ("check_flag", {}, False),
        ("check_floating", {}, FLOAT), ("check_floating", {"ndim": (1, 3)}, FLOAT),
        ("check_integers", {}, INT),
        ("check_shape", {"shape": [2]}, FLOAT), ("check_shape", {"shape": (2,), "like": INT}, FLOAT),
        ("check_mask", {"shape": (2,), "like": INT}, BOOL), ("check_choice", {"choices": ("a", None)}, None),
        ("check_choice", {"choices": ("a", "b")}, "b"), ("check_number", {}, LARGEST),
        ("check_number", {}, -LARGEST), ("check_number", {}, 1.7976931348623157e308),
        ("check_number", {"low": 2, "high": 3}, 2), ("check_number", {"low": 2, "high": 3}, 3.0),
        ("check_integer", {}, 1), ("check_integer", {}, LARGEST - 1),
        ("check_integer", {"low": -math.inf}, -LARGEST),
        ("check_integer", {"low": 2, "high": 3}, 3), ("check_range", {}, (1, 1)),
        ("check_range", {}, (-5.0, 7)),
        ("check_names", {}, ("a", "b")), ("check_ordered", {"content": "numbers"}, [1]),
    ],
)  # fmt: skip
def test_good_values_are_returned(check, arguments, value):
    returned = getattr(checks, check)("it", value, **arguments)
    assert returned is value if isinstance(value, torch.Tensor) else returned == value


@pytest.mark.parametrize(
    ("check", "arguments", "value", "error", "message"),
    [
        ("check_tensor", {}, [1.0], TypeError, "wanted a torch.Tensor, got [1.0]"),
        ("check_instance", {"kind": Path}, "x", TypeError, "wanted a Path, got 'x'"),
        ("check_flag", {}, 1, TypeError, "wanted True or False, got 1"),
        ("check_device", {}, True, TypeError, "wanted a torch.device or its name, got True"),
        ("check_device", {}, 1.5, TypeError, "wanted a torch.device or its name, got 1.5"),
        ("check_device", {}, "no device", ValueError, "wanted a device, such as 'cpu', got 'no device'"),
        ("check_floating", {}, INT, TypeError, "wanted a floating-point tensor, got a int32 tensor"),
        ("check_floating", {"ndim": (2, 3)}, FLOAT, ValueError,
         "wanted 2 or 3 axes (a single clip is it[None]), got a float32"),
        ("check_integers", {}, FLOAT, TypeError, "wanted integers, got a float32 tensor"),
        ("check_integers", {}, BOOL, TypeError, "wanted integers, got a bool tensor"),
        ("check_integers", {}, FLOAT + 0j, TypeError, "wanted integers, got a complex64 tensor"),
        ("check_integers", {}, INT[None], ValueError, "wanted shape (B,), got a int32 tensor"),
        ("check_shape", {"shape": (3,)}, FLOAT, ValueError, "wanted shape (3,), got a float32 tensor"),
        ("check_shape", {"shape": (2,), "like": torch.ones(1, device="meta")}, FLOAT, ValueError,
         "wanted a tensor on meta, got"),
        ("check_choice", {"choices": ("a", "b")}, None, ValueError, "wanted one of 'a', 'b', got None"),
        ("check_choice", {"choices": ("a", "b")}, FLOAT, ValueError, "wanted one of 'a', 'b', got a float32"),
        ("check_number", {}, True, TypeError, "wanted a number, got True"),
        ("check_number", {}, "1", TypeError, "wanted a number, got '1'"),
        ("check_number", {}, math.inf, ValueError, "wanted a finite number, got inf"),
        ("check_number", {}, math.nan, ValueError, "wanted a finite number, got nan"),
        ("check_number", {}, LARGEST + 1, ValueError, f"wanted a finite number, got {LARGEST + 1}"),
        ("check_number", {"low": 0}, -1e-300, ValueError, "wanted a finite number >= 0, got -1e-300"),
        ("check_number", {"high": 2.5}, 3, ValueError, "wanted a finite number <= 2.5, got 3"),
        ("check_integer", {}, True, TypeError, "wanted an integer, got True"),
        ("check_integer", {}, 1.0, TypeError, "wanted an integer, got 1.0"),
        ("check_integer", {}, 0, ValueError, "wanted an integer >= 1, got 0"),
        ("check_integer", {}, LARGEST, ValueError, f"wanted an integer below 2^63, got {LARGEST}"),
        ("check_integer", {"low": -math.inf}, -LARGEST - 1, ValueError, "an integer below 2^63, got -"),
        ("check_integer", {"low": 0, "high": 999_999}, -1, ValueError, "from 0 to 999999, got -1"),
        ("check_integer", {"low": 0, "high": 10**6}, -1, ValueError, "from 0 to 1,000,000, got -1"),
        ("check_range", {}, 3, TypeError, "wanted two numbers (low, high), got 3"),
        ("check_range", {}, (1, 2, 3), TypeError, "wanted two numbers (low, high), got (1, 2, 3)"),
        ("check_range", {}, {1, 2}, TypeError, "wanted two numbers (low, high), got {1, 2}"),
        ("check_range", {}, (2, 1), ValueError, "wanted (low, high) in ascending order, got (2, 1)"),
        ("check_range", {"high": 1}, (0, 2), ValueError, "wanted a finite number <= 1, got 2"),
        ("check_path", {}, 3, TypeError, "wanted a path (str or pathlib.Path), got 3"),
        ("check_names", {}, ["a", 3], TypeError, "wanted a list of strings, got 3 (int) in it"),
        ("check_names", {}, ["a", ""], ValueError, "wanted different names, got an empty name"),
        ("check_names", {}, ["a", "b", "a"], ValueError, "wanted different names, got 'a' twice"),
        *(("check_ordered", {"content": "clips"}, value, TypeError, "it: wanted a list of clips, got ")
          for value in ("ab", b"ab", Path("ab"), FLOAT, 3, None)),
        *(("check_ordered", {"content": "clips"}, value, TypeError, "; a set has no order")
          for value in ({1}, frozenset({1}))),
    ],
)  # fmt: skip
def test_bad_values_are_refused(check, arguments, value, error, message):
    with pytest.raises(error, match=re.escape(message)) as caught:
        getattr(checks, check)("it", value, **arguments)
    assert str(caught.value).startswith("it")


def test_generators():
    generator = torch.Generator()
    assert checks.check_generator(generator) is generator
    assert checks.check_generator(None) is None
    with pytest.raises(TypeError, match=r"got 3 \(int\); torch.Generator\(\).manual_seed\(seed\) makes one"):
        checks.check_generator(3)
    with pytest.raises(TypeError, match="wanted a torch.Generator or None, got 'x' .str.$"):
        checks.check_generator("x")


@pytest.mark.parametrize("device", ["cpu", "meta", torch.device("cpu")])
def test_devices(device):
    assert checks.check_device("it", device) == torch.device(device)


def test_lengths_end_at_the_longest():
    def check(*lengths):
        return checks.check_lengths(
            torch.tensor(lengths, dtype=torch.int32), batch=len(lengths), longest=5, like=FLOAT
        )

    assert check(1, 5).dtype == torch.int64
    assert check(1, 5).tolist() == [1, 5]
    for bad in (0, 6):
        with pytest.raises(ValueError, match=f"lengths: wanted values from 1 to 5, got {bad} in"):
            check(1, bad)


def test_values_are_checked_with_the_first_bad_one():
    checks.check_values("it", FLOAT, FLOAT > 0, "positive numbers")
    with pytest.raises(ValueError, match="it: wanted positive numbers, got -2.0 in a float32 tensor"):
        checks.check_values(
            "it", torch.tensor([1.0, -2.0, -3.0]), torch.tensor([True, False, False]), "positive numbers"
        )
    checks.check_values("it", torch.ones(2, device="meta"), torch.ones(2, device="meta") > 2, "large numbers")
    checks.check_zeros_and_ones("it", torch.tensor([0, 1]))
    for bad in (2.0, 0.5, -1.0):
        with pytest.raises(ValueError, match=f"it: wanted only 0 and 1; a hint, got {bad}"):
            checks.check_zeros_and_ones("it", torch.tensor([0.0, 1.0, bad]), "; a hint")
    for dtype in (torch.int8, torch.int64):
        checks.check_zeros_and_ones("it", torch.tensor([0, 1], dtype=dtype))
        checks.check_zeros_and_ones("it", torch.zeros(0, 3, dtype=dtype))
        for bad in (2, -1):
            with pytest.raises(ValueError, match=f"it: wanted only 0 and 1, got {bad}"):
                checks.check_zeros_and_ones("it", torch.tensor([0, 1, bad], dtype=dtype))


def test_nan_is_counted():
    checks.check_no_nan("it", torch.tensor([math.inf, -math.inf]))
    checks.check_no_nan("it", torch.zeros(0))
    with pytest.raises(ValueError, match="it: wanted numbers, got 2 NaN in a float32 tensor"):
        checks.check_no_nan("it", torch.tensor([math.nan, 1.0, math.nan]))


@pytest.mark.parametrize(
    ("scores", "target", "error", "message"),
    [
        (torch.tensor(1.0), torch.tensor(1.0), ValueError, "scores: wanted shape (*, C) with C >= 1 classes"),
        (torch.ones(2, 0), torch.ones(2, 0), ValueError, "scores: wanted shape (*, C) with C >= 1 classes"),
        (torch.ones(2, 3), torch.ones(2, 2), ValueError, "target: wanted the shape of scores, (2, 3), got"),
        (FLOAT, FLOAT + 0j, TypeError, "target: wanted bool, integers or real numbers, got a complex64"),
        (FLOAT, torch.ones(2, device="meta"), ValueError, "target: wanted the device of scores, cpu, got"),
        (INT, INT, TypeError, "scores: wanted a floating-point tensor, got a int32 tensor"),
    ],
)
def test_scores_and_target(scores, target, error, message):
    good = checks.check_scores_and_target(FLOAT, BOOL)
    assert good[0] is FLOAT
    assert good[1] is BOOL
    with pytest.raises(error, match=re.escape(message)):
        checks.check_scores_and_target(scores, target)


def test_waveforms():
    half, double = torch.ones(2, 3, dtype=torch.float16), torch.ones(2, 3, dtype=torch.float64)
    assert checks.check_waveform(half, None)[0].dtype == torch.float32
    assert checks.check_waveform(double, None)[0] is double
    assert checks.check_waveform(torch.ones(1, 1), torch.tensor([1]))[1].tolist() == [1]
    for bad, message in (
        (torch.ones(3), "waveform: wanted shape (B, T) (a single clip is waveform[None]), got"),
        (torch.ones(1, 1, 3), "waveform: wanted shape (B, T), got"),
        (torch.ones(2, 0), "waveform: wanted at least one sample, got"),
    ):
        with pytest.raises(ValueError, match=re.escape(message)):
            checks.check_waveform(bad, None)
    with pytest.raises(ValueError, match="lengths: wanted values from 1 to 3, got 4"):
        checks.check_waveform(double, torch.tensor([3, 4]))


def test_names_that_are_not_known_are_counted_and_listed():
    checks.check_all_known("it: wanted known names", ["a"], ["a", "b"], "unknown")
    with pytest.raises(ValueError, match="^it: wanted known names, got 2 unknown: 'c', 'd'$"):
        checks.check_all_known("it: wanted known names", ["c", "a", "d"], ["a", "b"], "unknown")
