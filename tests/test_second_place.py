"""Parts of the second-place system that need no code here: its mixup, and its optimiser in PyTorch."""

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn
from torch.optim.lr_scheduler import MultiStepLR

from rankaudio import WeightedMixup

GOLDEN = np.load(Path(__file__).parent / "golden" / "second_training.npz")


def golden(name):
    return torch.from_numpy(np.asarray(GOLDEN[name]))


def test_mixup_of_a_fixed_weight_equals_the_originals():
    mixer = WeightedMixup(p=1.0, alpha=0.3)
    clips, partner = golden("mixup_audio"), golden("mixup_permutation")
    draw = mixer.draw(clips) | {"partner": partner}
    # A clip that meets itself stays as it is, whatever its weight.
    mixed, labels, _ = mixer.replay(clips, golden("mixup_target"), draw)
    torch.testing.assert_close(mixed, golden("mixup_audio_out"), rtol=0, atol=1e-6)
    torch.testing.assert_close(labels, golden("mixup_target_out"), rtol=0, atol=1e-6)
    assert mixer.alpha == pytest.approx((1 - float(golden("mixup_rate")),) * 2)


def test_mixup_of_a_fixed_weight_is_as_long_as_the_longer_clip():
    mixer = WeightedMixup(p=1.0, alpha=0.3)
    clips, target, lengths = torch.ones(2, 6), torch.eye(2), torch.tensor([6, 2])
    mixed, labels, longer = mixer(clips, target, lengths)
    expected = torch.tensor([[1.0, 1.0, 0.7, 0.7, 0.7, 0.7], [1.0, 1.0, 0.3, 0.3, 0.3, 0.3]])
    torch.testing.assert_close(mixed, expected)
    torch.testing.assert_close(labels, torch.tensor([[0.7, 0.3], [0.3, 0.7]]))
    assert longer.tolist() == [6, 6]


@pytest.mark.parametrize(("dtype", "atol"), [(torch.float64, 1e-8), (torch.float32, 1e-5)])
def test_nadam_with_milestones_gives_the_trace_of_the_original(dtype, atol):
    layer = nn.Linear(3, 2).to(dtype)
    weights, biases = golden("nadam_weight").mT, golden("nadam_bias")
    with torch.no_grad():
        layer.weight.copy_(weights[0])
        layer.bias.copy_(biases[0])
    optimizer = torch.optim.NAdam(layer.parameters(), lr=0.01, eps=1e-7, momentum_decay=0.004)
    schedule = MultiStepLR(optimizer, milestones=[5, 9], gamma=0.5)
    for step in range(12):
        assert optimizer.param_groups[0]["lr"] == pytest.approx(float(golden("nadam_lr")[step]))
        optimizer.zero_grad()
        loss = (layer(golden("nadam_inputs").to(dtype)) - golden("nadam_targets").to(dtype)).square().mean()
        loss.backward()
        gradient = golden("nadam_grad_weight")[step].T
        torch.testing.assert_close(layer.weight.grad.double(), gradient, rtol=0, atol=10 * atol)
        optimizer.step()
        schedule.step()
        torch.testing.assert_close(layer.weight.double(), weights[step + 1], rtol=0, atol=atol)
        torch.testing.assert_close(layer.bias.double(), biases[step + 1], rtol=0, atol=atol)
