"""Batch norm on a GPU, with PyTorch's kernels replaced by their formulas, so that it runs anywhere.

The kernels themselves run in tests/test_cuda.py.
"""

import pytest
import torch
from torch import nn

from rankaudio.backbones import _gpu_norm, _masked_norm
from rankaudio.backbones._masked_norm import MaskedBatchNorm


def stats(x, eps):
    values = x.double().movedim(1, 0).flatten(1)
    mean, variance = values.mean(1), values.var(1, correction=0)
    return mean.to(kernel_type(x)), (variance + eps).rsqrt().to(kernel_type(x))


def kernel_type(x):
    return torch.float64 if x.dtype == torch.float64 else torch.float32


def gather(x, means, scales, running_mean, running_var, momentum, eps, counts):
    """Merge groups from their sums and sums of squares."""
    assert counts.dtype == means.dtype  # the kernel wants both
    means, scales, counts = means.double(), scales.double(), counts.double()[:, None]
    n = counts.sum()
    mean = (counts * means).sum(0) / n
    squares = (counts * (scales**-2 - eps + means.square())).sum(0)
    variance = squares / n - mean.square()
    running_mean.lerp_(mean.to(running_mean.dtype), momentum)
    running_var.lerp_((variance * n / (n - 1)).to(running_var.dtype), momentum)
    return mean.to(kernel_type(x)), (variance + eps).rsqrt().to(kernel_type(x))


def elemt(x, weight, bias, mean, scale, eps):
    along = (1, -1, *(1,) * (x.ndim - 2))
    standard = (x.to(mean.dtype) - mean.view(along)) * scale.view(along)
    return (standard * weight.view(along) + bias.view(along)).to(x.dtype)


def backward_reduce(grad, x, mean, scale, weight, of_input, of_weight, of_bias):
    along, axes = (1, -1, *(1,) * (x.ndim - 2)), [0, *range(2, x.ndim)]
    distance = x.to(mean.dtype) - mean.view(along)
    sums, products = grad.to(mean.dtype).sum(axes), (grad * distance).sum(axes)
    return sums, products, products * scale, sums


def backward_elemt(grad, x, mean, scale, weight, sums, products, counts):
    assert counts.dtype == torch.int32  # the kernel wants it
    along, n = (1, -1, *(1,) * (x.ndim - 2)), counts.sum()
    distance = x.to(mean.dtype) - mean.view(along)
    centred = grad - (sums / n).view(along) - distance * (scale.square() * products / n).view(along)
    return (centred * (scale * weight).view(along)).to(x.dtype)


@pytest.fixture(autouse=True)
def _kernels(monkeypatch):
    monkeypatch.setattr(torch, "batch_norm_stats", stats)
    monkeypatch.setattr(torch, "batch_norm_gather_stats_with_counts", gather)
    monkeypatch.setattr(torch, "batch_norm_elemt", elemt)
    monkeypatch.setattr(torch, "batch_norm_backward_reduce", backward_reduce)
    monkeypatch.setattr(torch, "batch_norm_backward_elemt", backward_elemt)


def both(shape, dtype, lengths, *, padding=None, **options):
    """Return results, statistics and gradients on the GPU path and on the path of a CPU."""
    torch.manual_seed(0)
    x, towards = 3 * torch.randn(shape) + 20, torch.randn(shape)
    mask = torch.arange(shape[-1]) < torch.tensor(lengths)[:, None]
    mask = mask.reshape(shape[0], *(1,) * (len(shape) - 2), -1)
    x = x if padding is None else torch.where(mask, x, padding)
    results = []
    for on_gpu in (True, False):
        norm = MaskedBatchNorm(shape[1], **options)
        norm = norm.double() if dtype == torch.float64 else norm
        nn.init.normal_(norm.weight, generator=torch.Generator().manual_seed(1))
        leaf = x.to(dtype).requires_grad_()
        y = norm._normalise_on_gpu(leaf, mask) if on_gpu else norm(leaf, mask)
        y = _masked_norm._without_padding(y, mask)
        gradients = torch.autograd.grad(y, (leaf, norm.weight, norm.bias), towards.to(dtype))
        results.append([y, *gradients, *norm.buffers()])
    return results


@pytest.mark.parametrize("shape", [(3, 4, 9), (3, 4, 5, 9)])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("lengths", [[9, 4, 1], [1, 1, 1], [9, 9, 9]])
def test_results_statistics_and_gradients_are_those_of_a_cpu(shape, dtype, lengths):
    ours, theirs = both(shape, dtype, lengths)
    for one, other in zip(ours, theirs, strict=True):
        tolerance = 1e-9 if dtype == torch.float64 else 2e-4
        torch.testing.assert_close(one, other, rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize(
    ("shape", "lengths"), [((1, 4, 5, 9), [4]), ((3, 4, 1, 9), [9, 4, 1]), ((2, 1, 5, 9), [1, 7])]
)
def test_a_single_clip_bin_or_channel_is_normalised_too(shape, lengths):
    for one, other in zip(*both(shape, torch.float64, lengths), strict=True):
        torch.testing.assert_close(one, other, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("shape", [(3, 4, 9), (3, 4, 5, 9)])
def test_padding_far_from_the_clips_costs_no_digits(shape):
    ours, theirs = both(shape, torch.float32, [1, 9, 4], padding=1e7)
    for one, other in zip(ours, theirs, strict=True):
        torch.testing.assert_close(one, other, rtol=2e-4, atol=2e-4)


def test_low_precision_is_normalised_by_weights_of_full_precision():
    ours, theirs = both((3, 4, 9), torch.bfloat16, [9, 4, 2])
    for one, other in zip(ours, theirs, strict=True):
        torch.testing.assert_close(one, other, rtol=2e-2, atol=2e-2)


def test_the_momentum_is_that_of_the_layer():
    ours, theirs = both((3, 4, 9), torch.float64, [9, 4, 2], momentum=0.5, eps=1e-2)
    for one, other in zip(ours, theirs, strict=True):
        torch.testing.assert_close(one, other)


def test_a_silent_batch_has_no_variance():
    mask = torch.arange(40) < torch.tensor([40, 3])[:, None, None]
    silence = torch.full((2, 3, 40), -9.21)
    y = MaskedBatchNorm(3)._normalise_on_gpu(silence, mask)
    torch.testing.assert_close(y[mask.expand_as(y)], torch.zeros(3 * 43), rtol=0, atol=1e-2)


def test_gradients_keep_the_format_of_the_batch():
    x = torch.randn(2, 3, 4, 5).contiguous(memory_format=torch.channels_last).requires_grad_()
    mask = torch.arange(5) < torch.tensor([5, 2])[:, None, None, None]
    y = MaskedBatchNorm(3)._normalise_on_gpu(x, mask)
    (gradient,) = torch.autograd.grad(y, x, torch.randn(2, 3, 4, 5))
    assert y.is_contiguous(memory_format=torch.channels_last)
    assert gradient.is_contiguous(memory_format=torch.channels_last)


class OnGPU:
    """What the choice of a path reads of a tensor on a GPU."""

    device = torch.device("cuda")

    def __init__(self, *shape):
        self.values = torch.empty(shape)

    def __getitem__(self, key):
        return self.values[key]


def test_only_float_weights_on_a_gpu_with_several_values_take_this_path(monkeypatch):
    weight = torch.ones(3)
    for shape in ((2, 3, 1), (1, 3, 2, 1), (2, 3, 4, 9)):
        assert _gpu_norm.runs_on_gpu(OnGPU(*shape), weight)
        assert _gpu_norm.runs_on_gpu(OnGPU(*shape), weight.double())
        assert not _gpu_norm.runs_on_gpu(OnGPU(*shape), weight.half())
        assert not _gpu_norm.runs_on_gpu(torch.empty(shape), weight)
    assert _gpu_norm.runs_on_gpu(OnGPU(2, 1, 9), torch.ones(1))
    for shape in ((1, 3, 9), (1, 3, 1, 9)):  # all frames but one may be padding
        assert not _gpu_norm.runs_on_gpu(OnGPU(*shape), weight)
    monkeypatch.setattr(torch.compiler, "is_compiling", lambda: True)
    assert not _gpu_norm.runs_on_gpu(OnGPU(2, 3, 9), weight)
