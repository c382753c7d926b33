"""Each setting of a function has the effect that it has in the Module of the same idea."""

import inspect

import pytest
import torch

from contract_table import CASES, LENGTHS, assert_same, tensors

# Another value than the default. "Name.setting" is for one Module.
OTHER = {
    "absent": False, "alpha": 0.3, "amin": 0.1, "beta": 0.5, "channel_dim": 3, "chunk_length": 10,
    "class_weight": torch.arange(5.0, 0.0, -1.0), "detach_focus": True, "gamma": 1.0, "gamma_neg": 1.0,
    "gamma_pos": 2.0, "margin": 0.2, "eps": 0.1, "f_max": 3000.0, "f_min": 300.0, "fill": 3.0,
    "frequency": 0.6, "frequency_dim": -1, "gain": (0.1, 0.2), "graded": True, "high": 2.0, "hop_length": 16,
    "low": -2.0, "masks": 5, "mel_scale": "htk", "n_fft": 48, "n_mels": 8, "new_rate": 4, "norm": "none",
    "old_rate": 5, "p": 0.4, "pad_mode": "same", "place": "end", "position": (0.1, 0.2), "power": 2.0,
    "q": 0.3,
    "radius": (1.0, 1.5), "ratio": (3.0, 3.5), "reduction": "none", "ref": 2.0, "sample_rate": 9000,
    "scale": 0.5, "RandomResizedCrop.scale": (0.2, 0.3), "size": 20, "smoothing": 0.3, "time": 0.6,
    "top_db": 5.0, "transform": "matmul", "width": 5, "windows": 8, "wrap": 1.0, "zeros": "padding",
}  # fmt: skip
# Arguments of a call.
CALL = {
    "mask": torch.tensor([[True, True, False, True, True]]).expand(3, -1),
    "sample_weight": torch.tensor([1.0, 2.0, 0.5]),
    "partners": torch.tensor([True, False, True]),
    "groups": torch.tensor([0, 1, 0]),
}
# These change nothing, or only the last digits.
SAME = {"transform", "LSEPLoss.graded", "detach_focus"}
PAIRS = {name: case for name, case in CASES.items() if case.function and not case.effect}


def names_of(function):
    parameters = inspect.signature(function).parameters.values()
    return {one.name for one in parameters if one.kind is one.KEYWORD_ONLY}


SETTINGS = [
    (name, setting)
    for name, case in PAIRS.items()
    for setting in sorted(names_of(case.function) & names_of(type(case.built())))
    if setting != "alpha" or "beta" not in case.settings  # only one of both may be given
]
ARGUMENTS = [
    (name, argument)
    for name, case in PAIRS.items()
    for argument in sorted(names_of(case.function) & names_of(case.built().forward) & CALL.keys())
]


def result(target, case, **settings):
    if case.random:
        settings["generator"] = torch.Generator().manual_seed(3)
    inputs = case.inputs(3)
    if inputs[0].shape[-1] == LENGTHS[0]:
        settings["lengths"] = LENGTHS
    return tensors(target(*inputs, **settings))


def differ(ours, theirs):
    return any(a.shape != b.shape or not torch.equal(a, b) for a, b in zip(ours, theirs, strict=True))


@pytest.mark.parametrize(("name", "setting"), SETTINGS)
def test_a_setting_of_the_function_is_that_of_the_module(name, setting):
    case = PAIRS[name]
    module = type(case.built())
    other = OTHER.get(f"{module.__name__}.{setting}", OTHER.get(setting))
    assert other is not None, f"{setting} needs another value in this file"
    changed = {**case.settings, setting: other}
    ours = result(case.function, case, **changed)
    assert_same(ours, result(module(**changed).double(), case))
    if not {setting, f"{module.__name__}.{setting}"} & SAME and case.settings.get(setting) is not other:
        assert differ(ours, result(case.function, case, **case.settings))


@pytest.mark.parametrize(("name", "argument"), ARGUMENTS)
def test_an_argument_of_the_function_is_that_of_the_call(name, argument):
    case = PAIRS[name]
    ours = result(case.function, case, **case.settings, **{argument: CALL[argument]})
    assert_same(ours, result(case.built(), case, **{argument: CALL[argument]}))
    assert differ(ours, result(case.function, case, **case.settings))
