"""OR-mixup against a plain loop over clips, and the range of its draws."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from random_clips import seed
from rankaudio.mixing import ORMixup, or_mixup


def mix_by_definition(waveform, target, draw, lengths):
    """Mix one clip after the other, in plain slices."""
    mixed, labels, new_lengths = torch.zeros_like(waveform), target.clone(), lengths.clone()
    fields = (draw[name].tolist() for name in ("partner", "gain", "offset"))
    for row, (partner, gain, offset) in enumerate(zip(*fields, strict=True)):
        parts = [(row, gain), (partner, 1 - gain)]
        parts.sort(key=lambda part: -lengths[part[0]].item())
        for start, (clip, factor) in zip([0, offset], parts, strict=True):
            length = lengths[clip].item()
            mixed[row, start : start + length] += factor * waveform[clip, :length]
        labels[row] = ((target[row] > 0) | (target[partner] > 0)).to(target.dtype)
        new_lengths[row] = max(lengths[row], lengths[partner])
    return mixed, labels, new_lengths


@given(st.integers(1, 6), st.integers(1, 40), st.integers(0, 2**32 - 1), st.sampled_from([0.3, 1.0]))
def test_equals_the_plain_loop(batch, samples, number, p):
    generator = seed(number)
    lengths = torch.randint(1, samples + 1, (batch,), generator=generator)
    waveform = torch.randn(batch, samples, dtype=torch.float64, generator=generator)
    target = torch.randint(0, 2, (batch, 3), generator=generator)
    mixup = ORMixup(p=p)
    draw = mixup.draw(waveform, lengths, generator=generator)
    draw["gain"] = draw["gain"].double()
    for ours, expected in zip(
        mixup.replay(waveform, target, draw, lengths),
        mix_by_definition(waveform, target, draw, lengths),
        strict=True,
    ):
        torch.testing.assert_close(ours, expected, rtol=1e-14, atol=1e-15)


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16])
def test_all_rows_at_once_give_the_same_bits(dtype):
    """As on an accelerator, with gradients, and in a compiled graph."""
    mixup, generator = ORMixup(p=0.7), torch.Generator().manual_seed(0)
    waveform, target = torch.randn(9, 50, generator=generator).to(dtype), torch.eye(9)
    lengths = torch.tensor([50, 1, 30, 50, 49, 2, 17, 50, 33])
    draw = mixup.draw(waveform, lengths, generator=generator)
    expected = mixup.replay(waveform, target, draw, lengths)[0]
    tracked = mixup.replay(waveform.clone().requires_grad_(), target, draw, lengths)[0]
    assert torch.equal(tracked.detach(), expected)
    assert not torch.equal(expected, waveform)


def test_draws_reach_every_partner_offset_and_gain():
    """The shorter clip fits at 4 places inside the longer one, the last of them included."""
    waveform, lengths, mixup = torch.zeros(3, 8), torch.tensor([8, 5, 8]), ORMixup(p=1.0)
    draws = [mixup.draw(waveform, lengths, generator=seed(number)) for number in range(400)]
    assert {draw["partner"][0].item() for draw in draws} == {1, 2}
    assert {draw["offset"][0].item() for draw in draws if draw["partner"][0] == 1} == {0, 1, 2, 3}
    assert {draw["offset"][0].item() for draw in draws if draw["partner"][0] == 2} == {0}
    gains = torch.stack([draw["gain"] for draw in draws])
    assert 0.4 <= gains.min() < 0.405
    assert 0.595 < gains.max() <= 0.6


def test_no_clip_is_mixed_with_itself_and_p_is_the_share_of_mixed_clips():
    draw = ORMixup(p=0.3).draw(torch.zeros(20_000, 3), generator=seed(1))
    mixed = draw["gain"] < 1
    assert abs(mixed.float().mean() - 0.3) < 4 * math.sqrt(0.21 / 20_000)
    assert torch.equal(draw["partner"] != torch.arange(20_000), mixed)


def test_clips_that_are_not_mixed_are_untouched():
    waveform, target, mixup = torch.randn(64, 50), torch.eye(64), ORMixup()
    draw = mixup.draw(waveform, generator=seed(3))
    mixed, labels, lengths = mixup.replay(waveform, target, draw)
    alone = draw["gain"] == 1
    assert 0 < alone.sum() < 64
    assert torch.equal(mixed[alone], waveform[alone])
    assert torch.equal(labels[alone], target[alone])
    assert lengths is None


def test_audio_is_added_in_both_orders_of_length():
    """The original code has ``=+`` and replaces samples of the longer clip."""
    waveform = torch.tensor([[1.0, 1.0, 1.0, 1.0], [3.0, 3.0, 0.0, 0.0]])
    draw = {"partner": torch.tensor([1, 0]), "gain": torch.tensor([0.6, 0.4]), "offset": torch.tensor([2, 1])}
    mixed, _, lengths = ORMixup().replay(waveform, torch.eye(2), draw, torch.tensor([4, 2]))
    expected = torch.tensor([[0.6, 0.6, 1.8, 1.8], [0.6, 1.8, 1.8, 0.6]])
    torch.testing.assert_close(mixed, expected)
    assert lengths.tolist() == [4, 4]


def test_padding_has_no_influence():
    lengths = torch.tensor([30, 50, 10, 41])
    waveform, target = torch.randn(4, 50), torch.eye(4)
    spoiled = waveform.clone()
    for row, length in enumerate(lengths):
        spoiled[row, length:] = math.nan
        waveform[row, length:] = 0
    mixup = ORMixup(p=1.0)
    draw = mixup.draw(waveform, lengths)
    ours = mixup.replay(spoiled, target, draw, lengths)
    for got, wanted in zip(ours, mixup.replay(waveform, target, draw, lengths), strict=True):
        assert torch.equal(got, wanted)


def test_inputs_are_not_written():
    waveform, target, lengths = torch.randn(4, 20), torch.eye(4), torch.tensor([20, 4, 5, 6])
    before = waveform.clone(), target.clone(), lengths.clone()
    or_mixup(waveform, target, lengths=lengths, p=1.0)
    for now, then in zip((waveform, target, lengths), before, strict=True):
        assert torch.equal(now, then)


def test_p_zero_returns_the_input_itself():
    waveform, target, lengths = torch.randn(4, 20), torch.eye(4), torch.tensor([20, 4, 5, 6])
    result = or_mixup(waveform, target, lengths=lengths, p=0.0)
    assert all(a is b for a, b in zip(result, (waveform, target, lengths), strict=True))


@pytest.mark.parametrize("batch", [0, 1])
def test_too_few_clips_to_mix(batch):
    waveform, target = torch.randn(batch, 20), torch.ones(batch, 2)
    mixed, labels, _ = or_mixup(waveform, target, p=1.0)
    assert torch.equal(mixed, waveform)
    assert torch.equal(labels, target)


@pytest.mark.parametrize("dtype", [torch.bool, torch.int64, torch.float32])
def test_labels_keep_their_dtype(dtype):
    _, labels, _ = or_mixup(torch.randn(2, 9), torch.eye(2).to(dtype), p=1.0)
    assert labels.dtype == dtype
    assert labels.bool().all()


def test_module_draws_again_in_training_and_does_nothing_in_eval_mode():
    mixup, waveform, target = ORMixup(p=1.0), torch.randn(8, 30), torch.eye(8)
    generator = seed(0)
    first, second = (mixup(waveform, target, generator=generator)[0] for _ in range(2))
    again = mixup(waveform, target, generator=seed(0))[0]
    assert torch.equal(first, again)
    assert not torch.equal(first, second)
    assert mixup.eval()(waveform, target)[0] is waveform


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"waveform": torch.zeros(2, 1, 9)}, ValueError, "waveform: wanted 2 axes"),
        ({"waveform": torch.zeros(2, 0)}, ValueError, "waveform: wanted at least one step on each axis"),
        ({"waveform": torch.zeros(2, 9).int()}, TypeError, "waveform: wanted a floating-point tensor"),
        ({"target": torch.zeros(3, 2)}, ValueError, r"target: wanted shape \(2, C\)"),
        ({"target": torch.zeros(2, 2, device="meta")}, ValueError, "target: wanted the device of waveform"),
        ({"lengths": torch.tensor([9.0, 3.0])}, TypeError, "lengths: wanted integers"),
        ({"lengths": torch.tensor([9])}, ValueError, r"lengths: wanted shape \(2,\)"),
        ({"lengths": torch.tensor([9, 10])}, ValueError, "lengths: wanted values from 1 to 9, got 10"),
        ({"lengths": torch.tensor([9, 0])}, ValueError, "lengths: wanted values from 1 to 9, got 0"),
        ({"p": 1.5}, ValueError, "p: wanted a finite number from 0 to 1, got 1.5"),
        ({"p": "often"}, TypeError, "p: wanted a number, got 'often'"),
        ({"gain": (0.6, 0.4)}, ValueError, "gain: wanted .* ascending"),
        ({"gain": 0.5}, TypeError, "gain: wanted two numbers"),
    ],
)
def test_bad_input_is_named(change, error, message):
    arguments = {"waveform": torch.zeros(2, 9), "target": torch.zeros(2, 2)} | change
    with pytest.raises(error, match=message):
        or_mixup(arguments.pop("waveform"), arguments.pop("target"), **arguments)


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        (
            {"offset": torch.tensor([10**6, 0])},
            ValueError,
            "draw: wanted offsets inside the longer clip, got 1000000",
        ),
        (
            {"offset": torch.tensor([11, 0])},
            ValueError,
            "draw: wanted offsets inside the longer clip, got 11",
        ),
        (
            {"offset": torch.tensor([-1, 0])},
            ValueError,
            "draw: wanted offsets inside the longer clip, got -1",
        ),
        ({"offset": torch.tensor([-(2**63), 0])}, ValueError, "draw: wanted offsets inside the longer clip"),
        ({"offset": torch.tensor([1.5, 0])}, TypeError, "draw: wanted integers for offset, got a float32"),
        ({"partner": torch.tensor([-1, 0])}, ValueError, "draw: wanted partners from 0 to 1, got -1"),
        ({"partner": torch.tensor([1.0, 0])}, TypeError, "draw: wanted integers for partner, got a float32"),
        ({"gain": torch.tensor([7.0, 0.5])}, ValueError, "draw: wanted gains from 0 to 1, got 7.0"),
        ({"gain": torch.tensor([0.5, -3.0])}, ValueError, "draw: wanted gains from 0 to 1, got -3.0"),
        ({"gain": torch.tensor([0.5, math.nan])}, ValueError, "draw: wanted gains from 0 to 1, got nan"),
        ({"gain": 0.5}, TypeError, "draw: wanted a tensor for gain, got 0.5"),
        ({"gain": torch.tensor([0.5])}, ValueError, "draw: wanted 2 rows, got gain, a float32 tensor"),
    ],
)
def test_impossible_draws_are_refused(change, error, message):
    """The partner would not be in the sound, and its labels would be in the target."""
    draw = {
        "partner": torch.tensor([1, 0]),
        "gain": torch.tensor([0.5, 0.5]),
        "offset": torch.tensor([10, 0]),
    }
    clips, target, lengths = torch.ones(2, 50), torch.eye(2), torch.tensor([50, 40])
    ORMixup().replay(clips, target, draw, lengths)
    with pytest.raises(error, match=message):
        ORMixup().replay(clips, target, draw | change, lengths)


@pytest.mark.parametrize("gain", [0.0, 0.25, 1.0])
def test_a_gain_of_nothing_or_all_leaves_one_of_the_clips(gain):
    waveform = torch.randn(2, 9, generator=torch.Generator().manual_seed(0)).double()
    lengths, target = torch.tensor([9, 4]), torch.eye(2)
    draw = {"partner": torch.tensor([1, 0]), "gain": torch.full((2,), gain), "offset": torch.tensor([3, 5])}
    waveform[1, 4:] = 0
    expected, *_ = mix_by_definition(waveform, target, draw, lengths)
    mixed, *_ = ORMixup(p=1.0, gain=(gain, gain)).replay(waveform, target, draw, lengths)
    torch.testing.assert_close(mixed, expected)
