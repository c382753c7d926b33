"""The contracts of compiled and exported code, over the same table as the others."""

import shutil
import warnings

import pytest
import torch

from contract_table import CASES, assert_same, call, every_case, seeded, tensors
from rankaudio import (
    FrequencyEncoding,
)
from small_networks import is_recurrent

pytestmark = pytest.mark.slow


@every_case
def test_compiles_into_one_graph(case):
    """Capture and derivatives of the whole graph; code generation is the next test's."""
    torch.compiler.reset()
    # PyTorch captures recurrent layers only where it is told to.
    with torch._dynamo.config.patch(allow_rnn=True):
        check_one_graph(case)


def check_one_graph(case):
    inputs = case.inputs(3)
    if case.random:  # A graph has no generator as input, so the draws come from the global one.
        module = case.built()
        check_same_draws(module, inputs)
        if case.function is not None and not case.effect:
            check_same_draws(lambda *tensors: case.function(*tensors, **case.settings), inputs)
        return
    compiled = torch.compile(case.built(), fullgraph=True, backend="aot_eager")
    assert_same(call(case, compiled, inputs), call(case, case.built(), inputs))


def check_same_draws(function, inputs):
    torch.manual_seed(1)
    expected = tensors(function(*inputs))
    torch.manual_seed(1)
    assert_same(tensors(torch.compile(function, fullgraph=True, backend="aot_eager")(*inputs)), expected)


@pytest.mark.skipif(shutil.which("g++") is None, reason="code generation needs g++")
@pytest.mark.parametrize("name", ["lsep", "lsep graded", "log-mel", "CNN2d, max"])
def test_compiled_code_gives_the_same(name):
    torch.compiler.reset()
    case = CASES[name]
    inputs = tuple(x.float() for x in case.inputs(3))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of the compiler about itself, other ones in each release
        compiled = torch.compile(case.built(torch.float32), fullgraph=True)
        ours = call(case, compiled, inputs)
    assert_same(ours, call(case, case.built(torch.float32), inputs), rtol=1e-4, atol=1e-5)


EXPORTED = {
    name: case
    for name, case in CASES.items()
    if name.startswith(("axis", "log-", "decibel", "frequency", "waveform"))
    or (case.network and not is_recurrent(case.module()))
}
RECURRENT = {name: case for name, case in CASES.items() if case.network and is_recurrent(case.module())}


@pytest.mark.parametrize("with_lengths", [False, True], ids=["alone", "with lengths"])
@pytest.mark.parametrize("case", EXPORTED.values(), ids=EXPORTED)
def test_exports_with_dynamic_batch_and_time(case, with_lengths):
    auto = torch.export.Dim.AUTO
    module, (x,) = case.built().eval(), case.inputs(3)
    with_lengths = with_lengths and not isinstance(module, FrequencyEncoding)
    lengths = (torch.tensor([x.shape[-1], 7, 9]),) if with_lengths else ()
    dynamic = ({0: auto, x.ndim - 1: auto}, *({0: auto} for _ in lengths))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        program = torch.export.export(module, (x, *lengths), dynamic_shapes=dynamic).module()
    for batch, time in [(2, 150), (5, 77)]:
        y = seeded(batch, *x.shape[1:-1], time)
        other = (torch.arange(time, time - batch, -1),) if with_lengths else ()
        torch.testing.assert_close(program(y, *other), module(y, *other))


@pytest.mark.parametrize("case", RECURRENT.values(), ids=RECURRENT)
def test_recurrent_networks_export_for_one_length(case):
    module, (x,) = case.built().eval(), case.inputs(3)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        program = torch.export.export(module, (x,), dynamic_shapes=({0: torch.export.Dim.AUTO},)).module()
    y = seeded(5, *x.shape[1:])
    torch.testing.assert_close(program(y), module(y))
