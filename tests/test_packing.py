"""Clips packed into rows: the plan, and a training pass that equals the one of the padded batch."""

import copy
import math

import pytest
import torch
from hypothesis import given, settings
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


@settings(max_examples=50)
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


def results_of(network, x, lengths, as_rows, monkeypatch):
    """Run a training pass, and return scores, gradients, running statistics, and the number of rows."""
    rows = []

    def counted(*given):
        result = as_rows(*given)
        rows.append(result[0].shape[0])
        return result

    monkeypatch.setattr(hierarchical_cnn, "pack_rows", counted)
    x = x.clone().requires_grad_()
    scores = network(x, lengths)
    (scores * torch.linspace(-1, 1, scores.numel()).view_as(scores).to(scores.dtype)).sum().backward()
    gradients = {key: value.grad for key, value in network.named_parameters()}
    values = {"scores": scores.detach(), **dict(network.named_buffers())}
    return values, {"spectrogram": x.grad, **gradients}, rows[0]


def both_results(name, dtype, monkeypatch):
    torch.manual_seed(1)
    packing = NETWORKS[name]().to(dtype).train()
    padded, given = copy.deepcopy(packing), batch(dtype)
    ours = results_of(packing, *given, pack_rows, monkeypatch)
    theirs = results_of(padded, *given, lambda *given: given[:2], monkeypatch)
    assert ours[2] < theirs[2] == len(LENGTHS)
    return ours, theirs


@pytest.mark.parametrize("name", NETWORKS)
def test_a_packed_training_pass_equals_the_padded_one(name, monkeypatch):
    """The padding holds NaN."""
    ours, theirs = both_results(name, torch.float64, monkeypatch)
    for k in (0, 1):
        for key, expected in theirs[k].items():
            torch.testing.assert_close(
                ours[k][key], expected, rtol=1e-10, atol=1e-11, msg=lambda m, n=key: f"{n}: {m}"
            )


@pytest.mark.parametrize("name", NETWORKS)
def test_in_single_precision_the_difference_is_rounding(name, monkeypatch):
    ours, theirs = both_results(name, torch.float32, monkeypatch)
    for key, expected in theirs[0].items():
        torch.testing.assert_close(ours[0][key], expected, rtol=2e-5, atol=2e-5)
    one, two = (torch.cat([grad.flatten() for grad in each[1].values()]) for each in (ours, theirs))
    assert (one - two).norm() < 1e-5 * two.norm()


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
