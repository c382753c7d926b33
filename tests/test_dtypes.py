"""The dtype of each result: that of the input, but losses and spectrograms are float32 or float64."""

import inspect

import pytest
import torch

from contract_table import CASES, tensors

WIDE = {
    "lsep", "lsep graded", "lsep weighted", "Lq", "smoothed BCE", "log-mel", "log-STFT", "log-mel, matmul",
    "decibel mel", "decibel mel, same frames", "deltas", "waveform statistics", "ASL", "ZLPR weighted",
    "focal weighted",
}  # fmt: skip
NAMES = [name for name, case in CASES.items() if not case.network]


def outputs(case, target, dtype, lengths_dtype, settings):
    inputs = tuple(x.to(dtype) for x in case.inputs(3))
    parameters = inspect.signature(
        target.forward if isinstance(target, torch.nn.Module) else target
    ).parameters
    more = dict(settings)
    if "lengths" in parameters:
        longest = inputs[0].shape[-1]
        more["lengths"] = torch.tensor([longest, longest // 2, 3], dtype=lengths_dtype)
    if "generator" in parameters:
        more["generator"] = torch.Generator().manual_seed(3)
    return tensors(target(*inputs, **more))


def check(results, name, dtype, lengths_dtype):
    half = dtype in (torch.float16, torch.bfloat16)
    expected = torch.float32 if half and name in WIDE else dtype
    assert {result.dtype for result in results} <= {expected, lengths_dtype}
    assert results[0].dtype == expected


@pytest.mark.parametrize("lengths_dtype", [torch.int32, torch.int64])
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
@pytest.mark.parametrize("name", NAMES)
def test_results_have_the_dtype_of_the_input(name, dtype, lengths_dtype):
    case = CASES[name]
    module = case.built(torch.float64 if dtype == torch.float64 else torch.float32)
    check(outputs(case, module, dtype, lengths_dtype, {}), name, dtype, lengths_dtype)


@pytest.mark.parametrize("lengths_dtype", [torch.int32, torch.int64])
@pytest.mark.parametrize("dtype", [torch.float16, torch.float64])
@pytest.mark.parametrize("name", [name for name in NAMES if CASES[name].function])
def test_results_of_functions_have_the_dtype_of_the_input(name, dtype, lengths_dtype):
    case = CASES[name]
    settings = case.settings
    if case.effect:
        drawn = case.built().draw(*case.inputs(3), generator=torch.Generator().manual_seed(3))
        drawn.pop("chosen")
        settings = {key: value for key, value in settings.items() if key not in drawn} | drawn
    check(outputs(case, case.function, dtype, lengths_dtype, settings), name, dtype, lengths_dtype)
