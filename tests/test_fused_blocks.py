"""Blocks of the 2d network in training on a CPU: what is fused equals the layers one by one."""

import copy

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from rankaudio import CNN2d
from rankaudio.backbones import _norm_grid, _pooled_conv
from rankaudio.backbones._conv_block import ConvBlock
from rankaudio.backbones._layers import pack_rows
from rankaudio.backbones._pooled_conv import PooledConv

LENGTHS = torch.tensor([40, 1, 9, 2, 17, 1, 25, 3])


def channels_last(*shape):
    return torch.randn(*shape, dtype=torch.float64).to(memory_format=torch.channels_last)


@pytest.mark.parametrize("size", [(8, 12), (7, 11), (1, 9), (2, 2)])
@pytest.mark.parametrize("values", [1, 350, 10**6])
@pytest.mark.parametrize("hide", [False, True])
def test_convolution_and_pooling_in_pieces_equal_both_as_a_whole(monkeypatch, size, values, hide):
    monkeypatch.setattr(_pooled_conv, "_PIECE_VALUES", values)
    torch.manual_seed(0)
    x, weight, bias = channels_last(5, 3, *size), torch.randn(4, 3, 3, 3).double(), torch.randn(4).double()
    leaves = [each.requires_grad_() for each in (x, weight, bias)]
    hidden = (torch.arange(size[1]) == 1).expand(5, 1, 1, -1) if hide else None
    whole = F.conv2d(x, weight, bias, padding=1)
    whole = whole if hidden is None else whole.masked_fill(hidden, -1e300)
    expected, got = F.max_pool2d(whole, (min(size[0], 2), 2)), PooledConv.apply(x, weight, bias, hidden)
    assert got.is_contiguous(memory_format=torch.channels_last)
    torch.testing.assert_close(got, expected)
    towards = torch.randn_like(expected)
    pairs = zip(
        torch.autograd.grad(got, leaves, towards), torch.autograd.grad(expected, leaves, towards), strict=True
    )
    for ours, theirs in pairs:
        torch.testing.assert_close(ours, theirs)


def test_a_convolution_is_in_pieces_if_its_output_is_large(monkeypatch):
    x, weight = torch.empty(2, 3, 4, 5), torch.empty(7, 3, 3, 3)
    for least, large in ((2 * 7 * 4 * 5 - 1, True), (2 * 7 * 4 * 5, False)):
        monkeypatch.setattr(_pooled_conv, "_LARGE", least)
        assert _pooled_conv.has_large_output(x, weight) == large


def block_results(block, x, lengths):
    block.zero_grad()
    x = x.detach().requires_grad_(x.requires_grad)
    out, steps = block(x, lengths)
    towards = torch.sin(torch.arange(out.numel(), dtype=out.dtype)).view(out.shape)
    (out * towards).sum().backward()
    results = {"out": out.detach(), "input": x.grad, **dict(block.named_buffers())}
    return results | {key: value.grad for key, value in block.named_parameters()}, steps


def fresh_block(in_depth, dtype=torch.float64):
    block = ConvBlock(in_depth, 4, dims=2).to(dtype).train()
    for parameter in block.parameters():
        nn.init.normal_(parameter, std=0.5)
    return block


@pytest.mark.parametrize("kind", ["whole", "padded", "packed"])
@pytest.mark.parametrize("with_gradient", [False, True])
@pytest.mark.parametrize("chunk", [200, 2**18])
def test_a_fused_block_equals_its_layers_one_by_one(monkeypatch, kind, with_gradient, chunk):
    monkeypatch.setattr(_pooled_conv, "_LARGE", 0)
    monkeypatch.setattr(_pooled_conv, "_PIECE_VALUES", 3000)
    monkeypatch.setattr(_norm_grid, "_CHUNK_VALUES", chunk)
    torch.manual_seed(0)
    x, lengths = channels_last(8, 2, 10, 40) * 3 - 4, None if kind == "whole" else LENGTHS
    if kind == "packed":
        x, lengths = pack_rows(x, lengths, 8)
        assert x.shape[0] < 8
    x = x.contiguous(memory_format=torch.channels_last).requires_grad_(with_gradient)
    fused = fresh_block(2)
    plain = copy.deepcopy(fused)
    monkeypatch.setattr(plain, "_may_fuse", lambda _: False)
    assert fused._may_fuse(x)
    (ours, _), (theirs, _) = block_results(fused, x, lengths), block_results(plain, x, lengths)
    assert (ours["input"] is not None) == with_gradient
    for key, expected in theirs.items():
        torch.testing.assert_close(ours[key], expected, msg=lambda m, k=key: f"{k}: {m}")


@pytest.mark.parametrize("in_depth", [1, 2])
@pytest.mark.parametrize("frozen", [False, True])
def test_gradients_have_the_strides_of_their_parameters(monkeypatch, in_depth, frozen):
    """DistributedDataParallel warns of others."""
    monkeypatch.setattr(_pooled_conv, "_LARGE", 0)
    block = fresh_block(in_depth)
    block.norm_in.train(not frozen)
    for with_gradient in (False, True):
        x = channels_last(4, in_depth, 10, 20).requires_grad_(with_gradient)
        assert block._may_fuse(x) == (not frozen)
        block_results(block, x, None)
        for name, parameter in block.named_parameters():
            assert parameter.grad.stride() == parameter.stride(), name


CONVOLUTIONS = ["conv", "residual.conv1", "residual.conv2", "residual.conv3"]
ACTIVATIONS = ["act", "residual.act1", "residual.act2", "residual.act3"]


@pytest.mark.parametrize("layer", ["norm_in", *CONVOLUTIONS, *ACTIVATIONS])
@pytest.mark.parametrize("kind", ["forward", "forward_pre", "full_backward", "full_backward_pre"])
def test_a_hook_of_a_layer_still_runs(layer, kind):
    block, seen = fresh_block(2), []
    register = getattr(block.get_submodule(layer), f"register_{kind}_hook")
    register(lambda *_: seen.append(layer))
    x = channels_last(4, 2, 16, 64)
    assert block._may_fuse(x) == (layer not in {"conv", "norm_in"})
    block_results(block, x.requires_grad_(), None)
    assert seen == [layer]


def test_evaluation_frozen_layers_and_autocast_are_not_fused():
    block, x = fresh_block(2), channels_last(4, 2, 10, 20)
    assert block._may_fuse(x)
    with torch.autocast("cpu", torch.bfloat16):
        assert not block._may_fuse(x)
    assert not block._may_fuse(x.float())
    assert not block._may_fuse(x.contiguous())
    assert not block._may_fuse(x[:0])
    assert not block._may_fuse(x[:1, :, :1, :1])  # one value has no variance
    assert block._may_fuse(x[:1, :, :1, :2].contiguous(memory_format=torch.channels_last))
    block.norm_in.eval()
    assert not block._may_fuse(x)
    assert not block.eval()._may_fuse(x)


def test_autocast_trains_and_gives_nearly_the_same():
    torch.manual_seed(0)
    network = CNN2d(3, base_depth=4, n_blocks=2).train()
    spectrogram = torch.randn(8, 10, 40)
    expected = network(spectrogram, LENGTHS)
    with torch.autocast("cpu", torch.bfloat16):
        scores = network(spectrogram, LENGTHS)
    scores.float().sum().backward()
    assert all(parameter.grad.isfinite().all() for parameter in network.parameters())
    torch.testing.assert_close(scores.float(), expected, rtol=0.1, atol=0.3)


def test_a_second_gradient_of_the_pooled_convolution_is_refused():
    x, weight, bias = channels_last(2, 3, 4, 6).requires_grad_(), torch.randn(4, 3, 3, 3), torch.zeros(4)
    pooled = PooledConv.apply(x, weight.double(), bias.double(), None)
    (grad,) = torch.autograd.grad(pooled.square().sum(), x, create_graph=True)
    with pytest.raises(RuntimeError, match="once_differentiable"):
        grad.sum().backward()


@pytest.mark.parametrize("layer", ["conv", "residual.conv1", "residual.conv3"])
def test_other_layers_in_place_of_a_convolution_are_used(layer):
    block = fresh_block(2)
    nn.utils.parametrizations.weight_norm(block.get_submodule(layer))
    x = channels_last(4, 2, 10, 20)
    assert block._may_fuse(x) == layer.startswith("residual")
    results, _ = block_results(block, x, None)
    assert results[f"{layer}.parametrizations.weight.original0"].count_nonzero() == 4


@pytest.mark.parametrize("rows", [4, 17])
@pytest.mark.parametrize("with_gradient", [False, True])
def test_a_convolution_without_bias_has_the_result_of_one_with_zeros(monkeypatch, rows, with_gradient):
    monkeypatch.setattr(_pooled_conv, "_LARGE", 0)
    zeros, none = fresh_block(2), fresh_block(2)
    none.load_state_dict(zeros.state_dict())
    for layer in ("conv", "residual.conv1", "residual.conv3"):
        nn.init.zeros_(zeros.get_submodule(layer).bias)
        none.get_submodule(layer).bias = None
    x = channels_last(rows, 2, 10, 20).requires_grad_(with_gradient)
    assert none._may_fuse(x)
    (ours, _), (theirs, _) = block_results(none, x, None), block_results(zeros, x, None)
    assert len(ours) == len(theirs) - 3
    for key, result in ours.items():
        torch.testing.assert_close(result, theirs[key], msg=lambda m, k=key: f"{k}: {m}")


def test_another_norm_is_called_as_it_is():
    class Doubled(torch.nn.Module):
        def forward(self, x, mask):
            return 2 * x if mask is None else 2 * x * mask

    block = ConvBlock(2, 3, dims=2)
    block.norm_in = Doubled()
    x = torch.randn(4, 2, 8, 8).contiguous(memory_format=torch.channels_last)
    y, _ = block(x, None)
    torch.testing.assert_close(y, block(x.clone().requires_grad_(), None)[0])


def test_the_bottleneck_takes_an_empty_batch():
    bottleneck = fresh_block(2).residual
    assert bottleneck(channels_last(0, 4, 3, 5), None).shape == (0, 4, 3, 5)
