"""Maxima of the networks keep an index for their gradient, and do not compare values with the maximum.

The compiler may round to bfloat16 between the maximum and the comparison. No value is equal then, and the
gradient is 0 / 0. Training with torch.compile on a GPU had NaN in that way.
"""

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from contract_table import LENGTHS, cases_with
from rankaudio.backbones._layers import maximum_of_bins
from small_networks import sum_of_heads


class Operations(TorchDispatchMode):
    """The names of the operations that run."""

    def __init__(self):
        super().__init__()
        self.names = set()

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        self.names.add(function.overloadpacket.__name__)
        return function(*args, **(kwargs or {}))


@cases_with(network=True)
@pytest.mark.parametrize("training", [False, True])
def test_no_gradient_compares_values(case, training):
    module = case.built(torch.float64).train(training)
    inputs = case.inputs(3)
    lengths = torch.minimum(LENGTHS, torch.tensor(inputs[0].shape[-1]))
    scores = sum_of_heads(module(*inputs, lengths))
    with Operations() as seen:
        scores.square().sum().backward()
    assert "mul" in seen.names
    assert "eq" not in seen.names


@pytest.mark.parametrize("memory_format", [torch.contiguous_format, torch.channels_last])
def test_the_maximum_of_bins_is_that_of_amax(memory_format):
    x = torch.randn(3, 4, 5, 7, dtype=torch.float64).contiguous(memory_format=memory_format).requires_grad_()
    towards = torch.randn(3, 4, 7, dtype=torch.float64)
    ours, theirs = maximum_of_bins(x), x.amax(2)
    assert torch.equal(ours, theirs)
    gradients = [torch.autograd.grad(y, x, towards)[0] for y in (ours, theirs)]
    torch.testing.assert_close(*gradients)
