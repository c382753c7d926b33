"""Contracts of every network: padding changes nothing, any size works, the classifier can be replaced."""

import copy
import math

import pytest
import torch

from rankaudio.backbones import NETWORKS
from small_networks import N_BINS, SMALL_NETWORKS, every_network, sum_of_heads

pytestmark = pytest.mark.slow


def test_the_table_of_small_networks_has_them_all():
    assert {type(build(2)).__name__ for build in SMALL_NETWORKS.values()} == set(NETWORKS)


@every_network
def test_a_clip_scores_the_same_alone_and_in_any_batch(name):
    torch.manual_seed(0)
    model = SMALL_NETWORKS[name](4).double()
    model(torch.randn(4, N_BINS, 64).double())  # changes the running statistics
    model.eval()
    lengths = torch.tensor([70, 1, 2, 3, 16, 31, 33, 64])
    batch = torch.randn(8, N_BINS, 70).double()
    for row, length in enumerate(lengths):
        batch[row, :, length:] = math.nan
    together = model(batch, lengths)
    for row, length in enumerate(lengths.tolist()):
        alone = model(batch[row : row + 1, :, :length])
        torch.testing.assert_close(together[row : row + 1], alone, rtol=0, atol=1e-12)
    assert together.isfinite().all()


@every_network
def test_padding_has_no_influence_in_training_either(name):
    """Padding changes neither the statistics of batch norm nor any gradient."""
    torch.manual_seed(0)
    model = SMALL_NETWORKS[name](4).double().train()
    wider = copy.deepcopy(model)
    lengths = torch.tensor([37, 1, 12, 30])
    batch = torch.randn(4, N_BINS, 37).double()
    spoiled = torch.cat([batch, torch.full((4, N_BINS, 10), 1e6).double()], dim=-1)
    for row, length in enumerate(lengths):
        spoiled[row, :, length:] = 1e6 * torch.randn(N_BINS, 47 - length).double()
    for network, x in ((model, batch), (wider, spoiled)):
        sum_of_heads(network(x, lengths)).square().sum().backward()
    for (name, ours), theirs in zip(model.named_parameters(), wider.parameters(), strict=True):
        torch.testing.assert_close(
            ours.grad, theirs.grad, rtol=1e-7, atol=1e-9, msg=lambda m, n=name: f"{n}: {m}"
        )
    for (name, ours), theirs in zip(model.named_buffers(), wider.buffers(), strict=True):
        torch.testing.assert_close(ours, theirs, msg=lambda m, n=name: f"{n}: {m}")


@every_network
def test_full_lengths_are_no_lengths(name):
    torch.manual_seed(0)
    model, x = SMALL_NETWORKS[name](4).double(), torch.randn(3, N_BINS, 50).double()
    other = copy.deepcopy(model)
    torch.testing.assert_close(
        sum_of_heads(model(x)), sum_of_heads(other(x, torch.full((3,), 50))), rtol=1e-9, atol=1e-10
    )
    for ours, theirs in zip(model.buffers(), other.buffers(), strict=True):
        torch.testing.assert_close(ours, theirs)


@every_network
@pytest.mark.parametrize("frames", [1, 2, 7, 8, 9, 33])
def test_short_clips_have_finite_scores_and_gradients(name, frames):
    model, x = SMALL_NETWORKS[name](4), torch.randn(2, N_BINS, frames, requires_grad=True)
    scores = sum_of_heads(model(x))
    scores.sum().backward()
    assert scores.shape == (2, 4)
    assert scores.isfinite().all()
    assert x.grad.isfinite().all()


@every_network
def test_a_training_batch_of_one_clip_works(name):
    model = SMALL_NETWORKS[name](4).train()
    scores = sum_of_heads(model(torch.randn(1, N_BINS, 20)))
    scores.sum().backward()
    assert scores.shape == (1, 4)
    assert all(parameter.grad is None or parameter.grad.isfinite().all() for parameter in model.parameters())


@every_network
@pytest.mark.parametrize("lengths", [None, torch.zeros(0, dtype=torch.long)], ids=["", "with lengths"])
def test_an_empty_batch_has_no_scores_and_changes_nothing(name, lengths):
    network, x = SMALL_NETWORKS[name](4), torch.zeros(0, N_BINS, 20)
    assert network.eval()(x, lengths).shape == (0, 4)
    before = {key: value.clone() for key, value in network.state_dict().items()}
    scores = sum_of_heads(network.train()(x, lengths))
    assert scores.shape == (0, 4)
    scores.sum().backward()
    assert not any(parameter.grad.any() for parameter in network.parameters())
    assert all(torch.equal(value, before[key]) for key, value in network.state_dict().items())


@every_network
def test_settings_rebuild_the_network(name):
    model = SMALL_NETWORKS[name](4)
    again = type(model)(**model.settings())
    again.load_state_dict(model.state_dict())
    x = torch.randn(2, N_BINS, 33)
    assert torch.equal(again.eval()(x), model.eval()(x))
    assert repr(again) == repr(model)


@every_network
def test_the_classifier_turns_features_into_scores(name):
    torch.manual_seed(0)
    network, x, lengths = SMALL_NETWORKS[name](4).eval(), torch.randn(3, N_BINS, 50), torch.tensor([50, 7, 1])
    features = network.features(x, lengths)
    assert features.shape == (3, network.n_features)
    assert torch.equal(network.classifier(features), network(x, lengths))
    assert torch.equal(network.classifier(network.features(x)), network(x))


@every_network
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_reset_classifier_makes_a_new_last_layer_only(name, dtype):
    torch.manual_seed(0)
    network, x = SMALL_NETWORKS[name](4).to(dtype).eval(), torch.randn(3, N_BINS, 50, dtype=dtype)
    network.requires_grad_(False)
    before, features = copy.deepcopy(network.state_dict()), network.features(x)
    network.reset_classifier(7)
    assert network(x).shape == (3, 7)
    assert network(x).dtype == dtype
    assert torch.equal(network.features(x), features)
    after = network.state_dict()
    assert after.keys() == before.keys()
    changed = [key for key, value in after.items() if not torch.equal(value, before[key])]
    assert changed == [key for key, value in network.named_parameters() if value.requires_grad]
    assert {after[key].shape[0] for key in changed} == {7}
    assert network.settings()["n_classes"] == 7
    again = type(network)(**network.settings()).to(dtype)
    again.load_state_dict(after)
    torch.testing.assert_close(again.eval()(x), network(x))


@every_network
def test_a_bad_number_of_classes_changes_nothing(name):
    network = SMALL_NETWORKS[name](4)
    last = network.classifier[-1]
    with pytest.raises(ValueError, match="n_classes: wanted an integer >= 1, got 0"):
        network.reset_classifier(0)
    with pytest.raises(TypeError, match="n_classes: wanted an integer, got 2.0"):
        network.reset_classifier(2.0)
    assert network.classifier[-1] is last
    assert network.n_classes == 4


@every_network
@pytest.mark.parametrize("batch", [3, 17])
def test_gradients_have_the_strides_of_their_parameters(name, batch):
    """DistributedDataParallel copies a gradient of other strides, and warns."""
    network = SMALL_NETWORKS[name](4).train()
    for lengths in (None, torch.arange(40, 40 - batch, -1)):
        network.zero_grad()
        sum_of_heads(network(torch.randn(batch, N_BINS, 40), lengths)).square().sum().backward()
        for key, parameter in network.named_parameters():
            assert parameter.grad.stride() == parameter.stride(), key
