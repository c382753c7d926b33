"""Clips packed into rows: the plan, and a training pass that equals the one of the padded batch."""

import copy
import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from rankaudio import CNN1d, CNN2d
from rankaudio.backbones import hierarchical_cnn
from rankaudio.backbones._layers import max_pool_by_two, pack_rows
from rankaudio.backbones._packing import Packed, pack, plan_rows

LENGTHS = [70, 1, 2, 3, 16, 31, 33, 64, 32, 63, 65, 8, 7, 15, 90, 40]
NETWORKS = {
    "CNN2d, max": lambda: CNN2d(3, base_depth=4, n_blocks=3),
    "CNN2d, rnn": lambda: CNN2d(3, base_depth=4, n_blocks=2, pooling="rnn", rnn_units=3),
    "CNN1d, max": lambda: CNN1d(3, n_bins=10, base_depth=4, n_blocks=4, start_deep_supervision_on=0),
    "CNN1d, rnn": lambda: CNN1d(3, n_bins=10, base_depth=4, n_blocks=3, pooling="rnn", rnn_units=3),
}


def batch(dtype=torch.float64, lengths=LENGTHS):
    torch.manual_seed(0)
    x = torch.randn(len(lengths), 10, max(lengths), dtype=dtype)
    for row, length in enumerate(lengths):
        x[row, :, length:] = math.nan
    return x, torch.tensor(lengths)


@given(st.lists(st.integers(1, 600), min_size=1, max_size=30), st.sampled_from([1, 2, 8, 32]))
def test_rows_hold_every_clip_once_with_an_empty_step_after_it(lengths, grid):
    plan = plan_rows(lengths, grid)
    taken = torch.zeros(plan.n_rows, plan.steps, dtype=torch.int)
    for row, start, length in zip(plan.row, plan.start, lengths, strict=True):
        assert start % grid == 0
        end = start + grid * max(length // grid, 1)  # where the pooled clip ends
        assert max(end, start + length) <= end + grid <= plan.steps
        taken[row, start : end + grid] += 1
    assert taken.max() == 1
    assert taken.any(1).all()


def test_the_plan_of_known_lengths():
    plan = plan_rows([31, 7, 8, 1], 8)  # 32, 16, 16 and 16 steps
    assert (plan.n_rows, plan.steps) == (3, 32)
    assert (plan.row, plan.start) == ([0, 1, 1, 2], [0, 0, 16, 0])
    assert plan_rows([], 8) is None
    assert plan_rows([16], 8).steps == 24


def test_clips_come_back_from_their_rows():
    x, lengths = batch()
    rows, packed = pack(x, lengths, 8)
    assert rows.shape[0] * rows.shape[-1] < 0.6 * x.shape[0] * x.shape[-1]
    assert rows.isfinite().all()
    mask = packed.mask(rows)
    assert mask.shape == (rows.shape[0], 1, rows.shape[-1])
    assert mask.sum() == sum(LENGTHS)
    assert (rows.masked_fill(mask, 0) == 0).all()
    again = packed.unpack(rows)
    for row, length in enumerate(LENGTHS):
        assert torch.equal(again[row, :, :length], x[row, :, :length])


def test_a_batch_of_equal_lengths_is_not_packed():
    x = torch.zeros(4, 10, 64)
    assert pack(x, torch.full((4,), 64), 8) is None
    assert pack(x[:0], torch.zeros(0, dtype=torch.long), 8) is None


@pytest.mark.parametrize("bins", [None, 6])
def test_pooling_a_packed_batch_pools_each_clip(bins):
    torch.manual_seed(0)
    shape = (3,) if bins is None else (3, bins)
    lengths = torch.tensor([9, 1, 4, 3])
    packed = Packed(torch.tensor([0, 0, 1, 1]), torch.tensor([0, 12, 0, 8]), lengths, 2)
    x = torch.randn(2, *shape, 16)
    pooled, places = max_pool_by_two(x, packed)
    assert places.lengths.tolist() == [4, 1, 2, 1]
    for row, start, length, new in zip(packed.row, packed.start, lengths, places.lengths, strict=True):
        alone, _ = max_pool_by_two(x[row, ..., start : start + max(length, 2)][None], length[None])
        here = pooled[row, ..., start // 2 : start // 2 + new]
        assert torch.equal(here, alone[0, ..., :new])


@pytest.mark.parametrize("name", NETWORKS)
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
def test_a_packed_training_pass_equals_the_padded_one(name, dtype, monkeypatch):
    """Scores, all gradients and running statistics; the padding holds NaN."""
    torch.manual_seed(1)
    packing = NETWORKS[name]().to(dtype).train()
    padded = copy.deepcopy(packing)
    x, lengths = batch(dtype)
    weights = torch.randn(len(LENGTHS), 3, dtype=dtype)
    results, rows = {}, []
    for network, as_rows in ((packing, hierarchical_cnn.pack_rows), (padded, lambda *given: given[:2])):

        def count_rows(*given, as_rows=as_rows):
            result = as_rows(*given)
            rows.append(result[0].shape[0])
            return result

        monkeypatch.setattr(hierarchical_cnn, "pack_rows", count_rows)
        given = x.clone().requires_grad_()
        scores = network(given, lengths)
        (scores * weights).sum().backward()
        results[network] = {"scores": scores, "spectrogram": given.grad}
        results[network] |= {key: value.grad for key, value in network.named_parameters()}
        results[network] |= dict(network.named_buffers())
    assert rows[0] < rows[1] == len(LENGTHS)
    exact = 1e-10 if dtype == torch.float64 else 1e-5
    sizes = {key: value.detach().double().norm() for key, value in results[padded].items()}
    for key, expected in results[padded].items():
        # The gradient of a bias before a batch norm is rounding of numbers as large as those of the weight.
        size = sizes[key].clamp(min=float(sizes[key.replace("bias", "weight")]))
        error = (results[packing][key] - expected).detach().double().norm()
        assert error <= exact * size, f"{key}: {error / size}"


def test_evaluation_and_steps_keep_the_padded_batch(monkeypatch):
    monkeypatch.setattr(hierarchical_cnn, "pack_rows", lambda *_: pytest.fail("packed in evaluation"))
    network = NETWORKS["CNN2d, max"]().eval()
    assert network(*batch(torch.float32)).isfinite().all()
    assert network.step_features(*batch(torch.float32))[0].isfinite().all()


def test_a_graph_gets_the_padded_batch(monkeypatch):
    """The rows depend on the values of the lengths, so a graph would hold for one batch alone."""
    x, lengths = torch.zeros(16, 1, 10, 90), torch.tensor(LENGTHS)
    assert pack_rows(x, lengths, 8)[0].shape[0] < 16
    monkeypatch.setattr(torch.compiler, "is_compiling", lambda: True)
    same, still = pack_rows(x, lengths, 8)
    assert same is x
    assert still is lengths


def test_half_precision_is_packed_too():
    network = NETWORKS["CNN2d, max"]().bfloat16().train()
    x, lengths = batch(torch.bfloat16)
    scores = network(x, lengths)
    scores.float().sum().backward()
    assert scores.dtype == torch.bfloat16
    assert all(parameter.grad.isfinite().all() for parameter in network.parameters())


def test_a_hook_of_a_convolution_still_runs():
    network, seen = NETWORKS["CNN2d, max"]().train(), []
    network.blocks[0].residual.conv1.register_forward_hook(lambda *given: seen.append(given[2].ndim))
    network(*batch(torch.float32))
    assert seen == [4]
    assert isinstance(network.blocks[0].residual.conv1, nn.Conv2d)
