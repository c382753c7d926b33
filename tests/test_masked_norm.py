"""Batch norm without padding: its values, gradients and statistics are those of the real frames."""

import copy
import math

import pytest
import torch
from torch import nn

from rankaudio.backbones import _norm_grid
from rankaudio.backbones._masked_norm import MaskedBatchNorm


@pytest.mark.parametrize("shape", [(3, 5, 17), (3, 5, 8, 17)])
def test_masked_batch_norm_equals_batch_norm_of_the_real_frames(shape):
    torch.manual_seed(0)
    x = torch.randn(shape).double() * 3 + 100
    mask = torch.zeros(3, *(1,) * (len(shape) - 2), 17, dtype=torch.bool)
    for row, length in enumerate([17, 4, 1]):
        mask[row, ..., :length] = True
    ours, theirs = MaskedBatchNorm(5).double(), nn.BatchNorm1d(5).double()
    real = x.movedim(1, -1)[mask.movedim(1, -1).squeeze(-1).expand(x.movedim(1, -1).shape[:-1])]
    expected = theirs(real)
    got = ours(x, mask).movedim(1, -1)[mask.movedim(1, -1).squeeze(-1).expand(x.movedim(1, -1).shape[:-1])]
    torch.testing.assert_close(got, expected)
    for a, b in zip(ours.buffers(), theirs.buffers(), strict=True):
        torch.testing.assert_close(a, b)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
@pytest.mark.parametrize("masked", [False, True])
def test_a_network_in_low_precision_is_trained_and_rounded_once(dtype, masked):
    x = torch.randn(3, 5, 40, generator=torch.Generator().manual_seed(0)).to(dtype)
    mask = torch.arange(40) < torch.tensor([40, 20, 7])[:, None, None] if masked else None
    norm, act = MaskedBatchNorm(5), nn.PReLU(5, init=0.3)
    expected = normalise_by_formula(x.double(), norm.to(dtype), act.to(dtype), mask)
    torch.testing.assert_close(
        norm(x, mask, act=act).double(), expected, rtol=torch.finfo(dtype).eps, atol=1e-3
    )


def normalise_by_formula(x, norm, act, mask):
    """Normalise one channel after the other, with the values that are not padding."""
    channels = []
    for c in range(x.shape[1]):
        real = torch.ones_like(x[:, :1], dtype=torch.bool) if mask is None else mask.expand_as(x[:, :1])
        values = x[:, c : c + 1][real]
        standard = (x[:, c : c + 1] - values.mean()) / (values.var(correction=0) + norm.eps).sqrt()
        y = norm.weight[c] * standard + norm.bias[c]
        y = y if act is None else torch.where(y > 0, y, act.weight[c] * y)
        channels.append(torch.where(real, y, 0))
    return torch.cat(channels, 1)


@pytest.mark.parametrize("shape", [(6, 3), (6, 3, 7), (6, 3, 4, 7)])
@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize("with_act", [False, True])
@pytest.mark.parametrize("clips_at_a_time", [1, 4, 6])
def test_normalising_in_chunks_has_the_values_and_gradients_of_the_formula(
    monkeypatch, shape, masked, with_act, clips_at_a_time
):
    monkeypatch.setattr(_norm_grid, "_CHUNK_VALUES", clips_at_a_time * math.prod(shape[1:]))
    torch.manual_seed(0)
    norm, act = MaskedBatchNorm(3).double(), nn.PReLU(3, init=0.3).double() if with_act else None
    nn.init.normal_(norm.weight)
    nn.init.normal_(norm.bias)
    mask = None
    if masked and len(shape) > 2:
        frames = torch.tensor([7, 1, 3, 7, 2, 5])
        mask = (torch.arange(7) < frames[:, None]).reshape(6, *(1,) * (len(shape) - 2), 7)
    x = (torch.randn(shape).double() * 3 + 5).requires_grad_()
    leaves = [x, norm.weight, norm.bias, *(() if act is None else (act.weight,))]
    towards = torch.randn(shape).double()

    got, expected = norm(x, mask, act=act), normalise_by_formula(x, norm, act, mask)
    assert "ChunkedBatchNorm" in type(got.grad_fn).__name__
    torch.testing.assert_close(got, expected)
    for ours, theirs in zip(
        torch.autograd.grad(got, leaves, towards), torch.autograd.grad(expected, leaves, towards), strict=True
    ):
        torch.testing.assert_close(ours, theirs)
    if mask is not None:  # the plain operations of compiled graphs and accelerators
        plain = MaskedBatchNorm(3).double()
        plain.load_state_dict({"weight": norm.weight, "bias": norm.bias}, strict=False)
        torch.testing.assert_close(torch.where(mask, plain._normalise(x, mask), 0), norm(x, mask))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize("training", [False, True])
def test_relu_in_the_same_pass_changes_no_bit(dtype, masked, training):
    torch.manual_seed(0)
    norm = MaskedBatchNorm(3).train(training)
    nn.init.normal_(norm.weight)
    x, towards = torch.randn(4, 3, 5, 7), torch.randn(4, 3, 5, 7).to(dtype)
    x = x.contiguous(memory_format=torch.channels_last).to(dtype).requires_grad_()
    norm = norm if dtype == torch.bfloat16 else norm.to(dtype)
    mask = (torch.arange(7) < torch.tensor([7, 3, 1, 5])[:, None])[:, None, None] if masked else None
    leaves = [x, norm.weight, norm.bias]
    one, two = norm(x, mask, relu=True), torch.relu(norm(x, mask))
    assert torch.equal(one, two)
    for ours, theirs in zip(
        torch.autograd.grad(one, leaves, towards), torch.autograd.grad(two, leaves, towards), strict=True
    ):
        assert torch.equal(ours, theirs)


@pytest.mark.parametrize("shape", [(1, 3), (1, 3, 1), (1, 3, 1, 1)])
def test_one_value_of_each_channel_is_normalised_by_the_running_statistics(shape):
    torch.manual_seed(0)
    norm, x = MaskedBatchNorm(3), torch.randn(shape)
    for values in (norm.running_mean, norm.running_var, norm.weight.data, norm.bias.data):
        values.uniform_(0.5, 2)
    before = {key: value.clone() for key, value in norm.state_dict().items()}
    y = norm(x)
    torch.testing.assert_close(y, norm.eval()(x))
    assert y.std() > 0.1
    assert all(torch.equal(value, before[key]) for key, value in norm.state_dict().items())


@pytest.mark.parametrize("shape", [(1, 3, 9), (1, 3, 4, 9)])
def test_a_single_clip_has_the_same_result_with_padding(shape):
    torch.manual_seed(0)
    x, mask = torch.randn(shape), (torch.arange(9) < 5).view(1, *(1,) * (len(shape) - 2), 9)
    padded, alone = MaskedBatchNorm(3), MaskedBatchNorm(3)
    torch.testing.assert_close(padded(x, mask)[..., :5], alone(x[..., :5]))
    for ours, theirs in zip(padded.buffers(), alone.buffers(), strict=True):
        torch.testing.assert_close(ours, theirs)


@pytest.mark.parametrize("channels_last", [False, True])
@pytest.mark.parametrize("masked", [False, True])
def test_result_and_gradient_keep_the_format_of_the_batch(channels_last, masked):
    wanted = torch.channels_last if channels_last else torch.contiguous_format
    x = torch.randn(2, 3, 4, 5).contiguous(memory_format=wanted).requires_grad_()
    mask = (torch.arange(5) < torch.tensor([5, 2])[:, None])[:, None, None] if masked else None
    y = MaskedBatchNorm(3)(x, mask)
    (gradient,) = torch.autograd.grad(y, x, torch.randn(2, 3, 4, 5))
    assert y.is_contiguous(memory_format=wanted)
    assert gradient.is_contiguous(memory_format=wanted)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_the_sum_with_a_residual_is_rounded_once(dtype):
    torch.manual_seed(0)
    norm, x, residual = MaskedBatchNorm(5).to(dtype), torch.randn(3, 5, 40).to(dtype), torch.randn(3, 5, 40)
    residual = residual.to(dtype)
    exact = normalise_by_formula(x.double(), norm, None, None) + residual.double()
    error = (norm(x, residual=residual).double() - exact).abs()
    # Half the distance of two numbers, and what float32 rounds on the way.
    assert (error <= 0.5 * torch.finfo(dtype).eps * exact.abs() + 1e-5).all()


def test_statistics_of_a_channels_last_batch_are_exact():
    # A million values per channel. The variance of PyTorch's batch norm is off by 1e-4 here.
    torch.manual_seed(0)
    x = (torch.randn(8, 4, 64, 512) * 2 + 1).contiguous(memory_format=torch.channels_last)
    norm = MaskedBatchNorm(4, momentum=1.0)
    norm(x)
    values = x.double().movedim(1, 0).flatten(1)
    torch.testing.assert_close(norm.running_mean.double(), values.mean(1), rtol=1e-6, atol=0)
    torch.testing.assert_close(norm.running_var.double(), values.var(1), rtol=1e-6, atol=0)


def test_a_second_gradient_is_refused():
    x = torch.randn(4, 3, 9, requires_grad=True)
    (grad,) = torch.autograd.grad(MaskedBatchNorm(3)(x).square().sum(), x, create_graph=True)
    with pytest.raises(RuntimeError, match="once_differentiable"):
        grad.sum().backward()


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("with_residual", [True, False])
@pytest.mark.parametrize("act", [nn.Sigmoid(), nn.ReLU(), None])
def test_another_activation_may_take_the_place_of_prelu(act, with_residual, training):
    """A sigmoid is one half in the padding, where features stay zero."""
    torch.manual_seed(0)
    x, mask = torch.randn(3, 2, 5, 6), torch.arange(6) < torch.tensor([[6], [4], [1]])
    mask = mask[:, None, None]
    residual = torch.randn(3, 2, 5, 6) * mask if with_residual else None
    norm = MaskedBatchNorm(2).train(training)
    plain = copy.deepcopy(norm)(x * mask, mask)
    wanted = plain if residual is None else plain + residual
    wanted = wanted if act is None else act(wanted) * mask
    torch.testing.assert_close(norm(x * mask, mask, residual=residual, act=act), wanted)
