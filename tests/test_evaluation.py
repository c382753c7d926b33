"""Networks in eval mode take a shorter way, which has the result of their layers one after the other."""

import pytest
import torch
from torch import nn

from rankaudio import CNN2d
from rankaudio.backbones import _evaluation
from rankaudio.backbones._masked_norm import MaskedBatchNorm


def trained_network(*, pooling="max"):
    """Return a network with statistics and weights as after training, some of them negative."""
    torch.manual_seed(0)
    network = CNN2d(4, n_blocks=3, base_depth=3, pooling=pooling, rnn_units=4).double().eval()
    for part in network.modules():
        if isinstance(part, MaskedBatchNorm):
            part.running_mean.normal_()
            part.running_var.uniform_(0.1, 3)
            nn.init.normal_(part.weight)
            nn.init.normal_(part.bias)
        if isinstance(part, nn.PReLU):
            nn.init.uniform_(part.weight, -0.5, 1)
    return network


def layer_by_layer(network, *inputs):
    """Compute features with a hook on a layer, because the shorter way would skip it."""
    calls = []
    for block in network.blocks:
        block.residual.norm2.register_forward_hook(lambda *_: calls.append(1))
    features = network.features(*inputs)
    assert len(calls) == len(network.blocks)
    return features


@pytest.mark.parametrize("pooling", ["max", "rnn"])
@pytest.mark.parametrize("n_bins", [16, 13, 1])
@pytest.mark.parametrize("lengths", [None, [37, 8, 1, 2, 17, 36]])
@torch.no_grad()
def test_the_shorter_way_has_the_result_of_the_layers(lengths, n_bins, pooling):
    network = trained_network(pooling=pooling)
    x = torch.randn(6, n_bins, 37, dtype=torch.float64)
    inputs = (x,) if lengths is None else (x, torch.tensor(lengths))
    if lengths is not None:
        for clip, end in zip(x, lengths, strict=True):
            clip[:, end:] = torch.nan
    quick = network.features(*inputs)
    torch.testing.assert_close(quick, layer_by_layer(network, *inputs), rtol=1e-10, atol=1e-10)


@torch.no_grad()
def test_the_shorter_way_rounds_as_little_as_the_layers():
    x, exact = torch.randn(5, 16, 37), trained_network()
    network = trained_network().float()
    expected = exact.features(x.double())
    error = (network.features(x) - expected).abs().max()
    assert error < 1e-5 * expected.abs().max()


def test_the_shorter_way_is_for_plain_layers_without_gradients_only():
    network, x = trained_network().float(), torch.randn(2, 3, 8, 8)
    block = network.blocks[1]
    assert not _evaluation.can_evaluate(block, x)  # gradients are on
    with torch.no_grad():
        assert _evaluation.can_evaluate(block, x)
        assert not _evaluation.can_evaluate(block, x.double())
        assert not _evaluation.can_evaluate(block, x[0])
        with torch.autocast("cpu", dtype=torch.bfloat16):
            assert not _evaluation.can_evaluate(block, x)
        block.norm_in.train()
        assert not _evaluation.can_evaluate(block, x)
        block.norm_in.eval()
        hook = block.residual.act1.register_forward_pre_hook(lambda *_: None)
        assert not _evaluation.can_evaluate(block, x)
        hook.remove()
        nn.utils.parametrizations.weight_norm(block.residual.conv2)
        assert not _evaluation.can_evaluate(block, x)


@pytest.mark.parametrize("shape", [(2, 3, 5, 7), (1, 3, 1, 4), (2, 1, 4, 1), (0, 3, 4, 5)])
def test_the_maximum_of_rows_is_that_over_frequency(shape):
    x = torch.randn(shape).to(memory_format=torch.channels_last)
    assert torch.equal(_evaluation.max_of_rows(x), x.amax(2))
    assert _evaluation.has_long_rows(x)
    assert not _evaluation.has_long_rows(torch.randn(2, 3, 4, 5))
