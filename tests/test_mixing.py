"""Weighted mixup, sigmoid mixup and the random mixer against plain loops; and the choice of partners."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from random_clips import random_clips, seed
from rankaudio.mixing import (
    ORMixup,
    RandomMixer,
    SigmoidConcatMixup,
    WeightedMixup,
    or_mixup,
    sigmoid_concat_mixup,
    weighted_mixup,
)

SEEDS = st.integers(0, 2**32 - 1)


def batch_of(clips, longest, number, *, bins=None):
    """Return random clips with bad padding, random labels, and lengths."""
    values, lengths = random_clips(clips, longest, number, bins=bins)
    return values, torch.randint(0, 2, (clips, 3), generator=seed(number)).double(), lengths


def weigh_by_definition(values, target, lengths, draw):
    """Mix one clip after the other, in plain slices."""
    mixed, labels, longer = torch.zeros_like(values), torch.zeros_like(target), lengths.clone()
    for row, (partner, alpha) in enumerate(zip(*(field.tolist() for field in draw.values()), strict=True)):
        for clip, weight in ((row, 1 - alpha), (partner, alpha)):
            mixed[row, ..., : lengths[clip]] += weight * values[clip, ..., : lengths[clip]]
            labels[row] += weight * target[clip]
        longer[row] = max(lengths[row], lengths[partner])
    return mixed, labels, longer


def fade_by_definition(values, target, lengths, draw):
    """Mix one clip and one step after the other."""
    mixed, labels = torch.zeros_like(values), target.clone()
    for row, fields in enumerate(zip(*(field.tolist() for field in draw.values()), strict=True)):
        partner, radius, position = fields
        shared = min(lengths[row], lengths[partner]).item()
        for t in range(lengths[row]):
            own = 1 / (1 + math.exp(-2 * radius * (t / shared - position))) if partner != row else 1
            mixed[row, ..., t] = own * values[row, ..., t]
            if t < lengths[partner] and partner != row:
                mixed[row, ..., t] += (1 - own) * values[partner, ..., t]
        if partner != row:
            labels[row] = (target[row] + target[partner]).clamp(max=1)
    return mixed, labels, lengths


@pytest.mark.parametrize("bins", [None, 3], ids=["waveforms", "spectrograms"])
@given(clips=st.integers(1, 6), longest=st.integers(1, 20), number=SEEDS)
def test_mixers_equal_the_plain_loop(bins, clips, longest, number):
    batch = batch_of(clips, longest, number, bins=bins)
    cases = [
        (WeightedMixup(p=0.7), weigh_by_definition),
        (WeightedMixup(p=0.7, beta=0.3), weigh_by_definition),
        (SigmoidConcatMixup(p=0.7, position=(0.1, 0.9)), fade_by_definition),
    ]
    for mixer, definition in cases:
        draw = mixer.draw(batch[0], batch[2], generator=seed(number))
        result = mixer(*batch, generator=seed(number))
        for ours, wanted in zip(result, definition(*batch, draw), strict=True):
            torch.testing.assert_close(ours, wanted, rtol=1e-12, atol=1e-13)


# -- weights


def weights(count=20_000, **settings):
    mixer = WeightedMixup(p=1.0, **settings)
    return mixer.draw(torch.zeros(count, 1), generator=seed(0))["alpha"]


def test_weight_is_fixed_or_uniform():
    assert (weights(alpha=0.3) == 0.3).all()
    assert stats.kstest(weights().numpy(), stats.uniform(0, 0.5).cdf).pvalue > 1e-3
    assert stats.kstest(weights(alpha=(0.2, 0.9)).numpy(), stats.uniform(0.2, 0.7).cdf).pvalue > 1e-3


# Below 0.2 a visible share of the weights rounds to 1 in float64. The next test covers this.
@pytest.mark.parametrize(
    ("settings", "low", "high"),
    [({}, 0, 0.5), ({"alpha": 0.3}, 0.3, 0.3), ({"alpha": (0.1, 0.2)}, 0.1, 0.2), ({"beta": 0.4}, 0, 1)],
)
def test_a_weighted_mixup_tells_the_range_of_its_weight(settings, low, high):
    mixup = WeightedMixup(p=1.0, **settings)
    assert mixup.alpha == (low, high)
    drawn = mixup.draw(torch.zeros(500, 1), generator=torch.Generator().manual_seed(0))["alpha"]
    assert ((drawn >= low) & (drawn <= high)).all()
    assert drawn.aminmax() == pytest.approx((low, high), abs=0.02)


@pytest.mark.parametrize("beta", [0.2, 0.4, 0.5, 1, 2.5, 40.0])
def test_weight_has_the_beta_distribution(beta):
    drawn = weights(beta=beta)
    assert 0 <= drawn.min() < drawn.max() <= 1
    assert stats.kstest(drawn.numpy(), stats.beta(beta, beta).cdf).pvalue > 1e-3


def test_tiny_beta_gives_whole_clips():
    assert set(weights(beta=1e-6).tolist()) == {0.0, 1.0}


@pytest.mark.parametrize("dtype", [torch.bool, torch.int64, torch.float32])
def test_weighted_labels_are_floating_point(dtype):
    _, labels, _ = weighted_mixup(torch.randn(2, 9), torch.eye(2).to(dtype), p=1.0, alpha=0.25)
    torch.testing.assert_close(labels, torch.tensor([[0.75, 0.25], [0.25, 0.75]]), rtol=0, atol=0)


# -- cross-fades


def test_fade_of_clips_of_one_length_is_the_original_formula():
    """The original code takes the sigmoid of steps from -radius to radius."""
    clips = torch.stack([torch.ones(50), torch.zeros(50)]).double()
    mixed, _, _ = sigmoid_concat_mixup(clips, torch.eye(2), p=1.0, radius=(7.0, 7.0))
    wanted = torch.sigmoid(torch.arange(-7, 7, 14 / 50, dtype=torch.float64))
    torch.testing.assert_close(mixed, torch.stack([wanted, 1 - wanted]), rtol=1e-12, atol=1e-12)


def test_fade_settings_are_uniform_in_their_ranges():
    mixer = SigmoidConcatMixup(p=1.0, radius=(3.0, 12.0), position=(0.2, 0.6))
    draw = mixer.draw(torch.zeros(20_000, 1), generator=seed(0))
    assert stats.kstest(draw["radius"].numpy(), stats.uniform(3, 9).cdf).pvalue > 1e-3
    assert stats.kstest(draw["position"].numpy(), stats.uniform(0.2, 0.4).cdf).pvalue > 1e-3


@pytest.mark.parametrize("dtype", [torch.bool, torch.int64, torch.float32])
def test_added_labels_keep_their_dtype(dtype):
    target = torch.tensor([[1, 1, 0], [0, 1, 0]]).to(dtype)
    _, labels, _ = sigmoid_concat_mixup(torch.randn(2, 9), target, p=1.0)
    assert torch.equal(labels, torch.tensor([[1, 1, 0], [1, 1, 0]]).to(dtype))


# -- choice


def test_each_clip_is_mixed_by_its_chosen_mixer():
    values, target, lengths = batch_of(40, 12, 5)
    mixers = [ORMixup(p=1.0), SigmoidConcatMixup(p=1.0), WeightedMixup(p=1.0)]
    mixer = RandomMixer(list(zip(mixers, [0.3, 0.3, 0.4], strict=True)), p=0.8)
    draw = mixer.draw(values, lengths, generator=seed(0))
    result = mixer(values, target, lengths, generator=seed(0))
    separate = [(values.nan_to_num(0), target, lengths)]
    for index, one in enumerate(mixers):
        own = {name.split(".")[1]: field for name, field in draw.items() if name.startswith(f"{index}.")}
        separate.append(one.replay(values, target, own, lengths))
    assert set(draw["choice"].tolist()) == {-1, 0, 1, 2}
    for row, choice in enumerate(draw["choice"].tolist()):
        for ours, wanted in zip(result, separate[choice + 1], strict=True):
            assert torch.equal(ours[row], wanted[row])


def test_choices_have_their_probabilities():
    mixers = [(WeightedMixup(), 0.5), (ORMixup(), 0.0), (SigmoidConcatMixup(), 0.1), (WeightedMixup(), 0.4)]
    choice = RandomMixer(mixers, p=0.8).draw(torch.zeros(20_000, 1), generator=seed(0))["choice"]
    shares = torch.bincount(choice + 1, minlength=5) / 20_000
    torch.testing.assert_close(shares, torch.tensor([0.2, 0.4, 0.0, 0.08, 0.32]), rtol=0, atol=0.015)
    assert not (choice == 1).any()


# -- partners

MIXERS = {
    "or": (ORMixup(p=1.0), or_mixup),
    "weighted": (WeightedMixup(p=1.0), weighted_mixup),
    "sigmoid": (SigmoidConcatMixup(p=1.0), sigmoid_concat_mixup),
}
every_mixer = pytest.mark.parametrize(("mixer", "function"), MIXERS.values(), ids=MIXERS)


@every_mixer
def test_partners_are_uniform_over_the_allowed_clips_and_never_the_clip_itself(mixer, function):
    allowed = torch.tensor([False, True, True, False, True])
    clips = torch.zeros(5, 3)
    drawn = [mixer.draw(clips, partners=allowed, generator=seed(s))["partner"] for s in range(1500)]
    drawn = torch.stack(drawn)
    for row in range(5):
        wanted = sorted({1, 2, 4} - {row})
        assert sorted(set(drawn[:, row].tolist())) == wanted
        shares = torch.bincount(drawn[:, row], minlength=5)[wanted] / 1500
        assert (shares - 1 / len(wanted)).abs().max() < 4 * math.sqrt(0.25 / 1500)


@every_mixer
def test_clip_whose_only_partner_is_itself_stays_unmixed(mixer, function):
    clips, target = torch.randn(3, 9), torch.eye(3)
    allowed = torch.tensor([False, True, False])
    mixed, labels, _ = function(clips, target, p=1.0, partners=allowed, generator=seed(0))
    assert torch.equal(mixed[1], clips[1])
    assert torch.equal(labels[1], target[1])
    assert (labels[[0, 2], 1] > 0).all()
    unmixed = function(clips, target, p=1.0, partners=torch.zeros(3, dtype=torch.bool))
    assert torch.equal(unmixed[0], clips)
    assert torch.equal(unmixed[1], target)


@every_mixer
def test_partners_none_means_all_clips(mixer, function):
    clips, lengths = torch.zeros(29, 29), torch.arange(1, 30)
    without = mixer.draw(clips, lengths, generator=seed(4))
    with_all = mixer.draw(clips, lengths, partners=torch.ones(29, dtype=torch.bool), generator=seed(4))
    assert list(without) == list(with_all)
    assert all(torch.equal(without[name], with_all[name]) for name in without)


@every_mixer
def test_too_few_clips_to_mix(mixer, function):
    for batch in (0, 1):
        clips, target = torch.randn(batch, 20), torch.ones(batch, 2)
        mixed, labels, _ = mixer(clips, target)
        assert torch.equal(mixed, clips)
        assert torch.equal(labels, target)


@every_mixer
def test_inputs_are_not_written(mixer, function):
    batch = torch.randn(4, 20), torch.eye(4), torch.tensor([20, 4, 5, 6])
    before = [part.clone() for part in batch]
    function(*batch, p=1.0)
    assert all(torch.equal(now, then) for now, then in zip(batch, before, strict=True))


# -- bad input


@pytest.mark.parametrize("function", [weighted_mixup, sigmoid_concat_mixup, or_mixup])
@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"clips": torch.zeros(9)}, ValueError, ": wanted 2 .*axes.*, got"),
        ({"clips": torch.zeros(2, 9).int()}, TypeError, ": wanted a floating-point tensor"),
        ({"target": torch.zeros(3, 2)}, ValueError, r"target: wanted shape \(2, C\)"),
        ({"target": [1, 2]}, TypeError, "target: wanted a torch.Tensor"),
        ({"lengths": torch.tensor([9, 10])}, ValueError, "lengths: wanted values from 1 to 9, got 10"),
        ({"p": -0.5}, ValueError, "p: wanted a finite number from 0 to 1, got -0.5"),
        ({"partners": torch.ones(2)}, TypeError, "partners: wanted a bool tensor, got a float32 tensor"),
        ({"partners": torch.ones(3).bool()}, ValueError, r"partners: wanted shape \(2,\)"),
        ({"partners": [True, True]}, TypeError, "partners: wanted a torch.Tensor"),
    ],
)
def test_bad_batch_is_named(function, change, error, message):
    arguments = {"clips": torch.zeros(2, 9), "target": torch.zeros(2, 2)} | change
    with pytest.raises(error, match=message):
        function(arguments.pop("clips"), arguments.pop("target"), **arguments)


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: WeightedMixup(alpha=1.5), ValueError, "alpha: wanted a finite number from 0 to 1"),
        (lambda: WeightedMixup(alpha=(0.5, 0.2)), ValueError, "alpha: wanted .* ascending"),
        (lambda: WeightedMixup(alpha="much"), TypeError, "alpha: wanted a number, got 'much'"),
        (lambda: WeightedMixup(alpha=0.3, beta=1.0), ValueError, "alpha: wanted None where beta is given"),
        (lambda: WeightedMixup(beta=0), ValueError, "beta: wanted a number above 0"),
        (lambda: SigmoidConcatMixup(radius=5), TypeError, "radius: wanted two numbers"),
        (
            lambda: SigmoidConcatMixup(position=(0, 2)),
            ValueError,
            "position: wanted a finite number from 0 to 1",
        ),
        (lambda: RandomMixer([]), ValueError, "mixers: wanted probabilities that add up to 1"),
        (
            lambda: RandomMixer([(ORMixup(), 0.5)]),
            ValueError,
            "mixers: wanted probabilities that add up to 1",
        ),
        (
            lambda: RandomMixer([(torch.nn.ReLU(), 1)]),
            TypeError,
            "mixers: wanted pairs of a Mixer and a number",
        ),
        (lambda: RandomMixer([(ORMixup(), "1")]), TypeError, "probability: wanted a number, got '1'"),
    ],
)
def test_bad_setting_is_named(make, error, message):
    with pytest.raises(error, match=message):
        make()


@every_mixer
def test_draw_of_a_larger_batch_is_refused(mixer, function):
    draw = mixer.draw(torch.zeros(9, 5), generator=seed(0))
    cut = {name: field[:2] for name, field in draw.items()} | {"partner": torch.tensor([1, 8])}
    with pytest.raises(ValueError, match="draw: wanted partners from 0 to 1, got 8"):
        mixer.replay(torch.zeros(2, 5), torch.eye(2), cut)
