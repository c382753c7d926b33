"""A random choice of augmentations: shares, what each clip gets, lengths, and replay."""

import math
from itertools import permutations

import pytest
import torch

from rankaudio.augmentation import Augmentation
from rankaudio.chain import Chain, OneOf, SomeOf
from rankaudio.effects import Gain, Reverb, Speed
from rankaudio.masking import PadOrCrop, RandomCrop, ShuffleChunks


class Add(Augmentation):
    """Adds a number, so that a result tells which parts were applied, and in which order."""

    def __init__(self, number, factor=1.0, p=1.0):
        super().__init__(p=p)
        self.number, self.factor = number, factor

    def draw(self, clips, lengths=None, *, generator=None):
        return {"row": torch.arange(clips.shape[0])}

    def replay(self, clips, draw, lengths=None):
        return clips * self.factor + self.number, lengths


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def share_by_definition(weights, k):
    """Return the probability that each part is among k draws without replacement."""
    share = [0.0] * len(weights)
    for order in permutations(range(len(weights)), k):
        probability, left = 1.0, sum(weights)
        for part in order:
            probability *= weights[part] / left
            left -= weights[part]
        for part in order:
            share[part] += probability
    return share


@pytest.mark.parametrize(
    ("weights", "k"), [([1, 1, 1], 1), ([3, 1, 0], 1), ([5, 1, 2, 0.5], 2), ([1, 2, 3], 3)]
)
def test_parts_are_chosen_by_their_weights(weights, k):
    parts = SomeOf([Add(i) for i in range(len(weights))], k=k, weights=weights)
    chosen = parts.draw(torch.zeros(20_000, 1), generator=seeded())["chosen"]
    assert (chosen.sum(1) == k).all()
    expected = torch.tensor(share_by_definition(weights, k))
    torch.testing.assert_close(chosen.float().mean(0), expected, rtol=0, atol=4 * 0.5 / 20_000**0.5)


def test_the_number_of_parts_is_drawn_and_p_counts():
    chosen = SomeOf([Add(i) for i in range(4)], k=(1, 3), p=0.5).draw(
        torch.zeros(8000, 1), generator=seeded()
    )["chosen"]
    shares = chosen.sum(1).bincount(minlength=5) / 8000
    torch.testing.assert_close(shares, torch.tensor([1 / 2, 1 / 6, 1 / 6, 1 / 6, 0]), rtol=0, atol=0.025)


def test_chosen_are_applied_in_the_order_of_the_list():
    parts = SomeOf([Add(1.0, factor=2), Add(10.0, factor=3), Add(100.0)], k=2)
    result, _ = parts(torch.ones(200, 1), generator=seeded())
    assert set(result.flatten().tolist()) == {3 * 3 + 10, 3 + 100, 13 + 100}
    result, _ = OneOf([Add(1.0, factor=2), Add(10.0, factor=3)], p=0.9)(
        torch.ones(200, 1), generator=seeded()
    )
    assert set(result.flatten().tolist()) == {1, 3, 13}


def long_parts(k):
    shuffle = ShuffleChunks(chunk_length=7, p=1.0)
    return SomeOf([Speed(p=1.0, factor=(0.5, 2.0)), shuffle, RandomCrop(size=(20, 30)), Gain(p=1.0)], k=k)


@pytest.mark.parametrize("k", [1, 2, (1, 4)])
@pytest.mark.parametrize("with_lengths", [False, True])
def test_lengths_are_those_of_what_each_clip_got(k, with_lengths):
    parts, clips = long_parts(k), torch.rand(12, 60, generator=seeded()) + 1
    lengths = torch.tensor([60, 50, 41, 60, 33, 2, 60, 7, 60, 25, 60, 30]) if with_lengths else None
    result, after = parts(clips, lengths, generator=seeded(3))
    again, after_again, draw = parts._record(clips, lengths, generator=seeded(3))
    assert torch.equal(result, again)
    assert torch.equal(after, after_again)
    replayed, after_replayed = parts.eval().replay(clips, draw, lengths)
    assert torch.equal(result, replayed)
    assert torch.equal(after, after_replayed)
    before = torch.full((12,), 60) if lengths is None else lengths
    for row in range(12):
        speed, _, crop, _ = draw["chosen"][row].tolist()
        assert not result[row, after[row] :].any()
        if not speed and not crop:
            assert after[row] == before[row]
        if speed and not crop:
            assert int(after[row]) == max(1, math.floor(float(before[row] / draw["0.factor"][row]) + 0.5))


def test_each_clip_gets_what_its_parts_make_of_it_alone():
    parts, clips = long_parts((1, 3)), torch.rand(8, 60, generator=seeded())
    lengths = torch.tensor([60, 50, 41, 60, 33, 12, 60, 27])
    result, after, draw = parts._record(clips, lengths, generator=seeded(1))
    for row in range(8):
        alone, length = clips[[row]], lengths[[row]]
        for index, part in enumerate(parts.parts):
            if draw["chosen"][row, index]:
                own = {n.partition(".")[2]: v[[row]] for n, v in draw.items() if n.startswith(f"{index}.")}
                alone, length = part.replay(alone, own, length)
        assert length == after[row]
        torch.testing.assert_close(result[row, : after[row]], alone[0, : after[row]], rtol=0, atol=1e-5)


def test_draw_gives_what_a_call_draws():
    clips, lengths = torch.randn(6, 90), torch.tensor([90, 80, 70, 60, 50, 9])
    for parts in (long_parts(2), OneOf([Reverb(p=0.5), ShuffleChunks(chunk_length=9)], weights=[1, 2])):
        drawn = parts.draw(clips, lengths, generator=seeded(2))
        result, after = parts(clips, lengths, generator=seeded(2))
        again, after_again = parts.replay(clips, drawn, lengths)
        assert torch.equal(result, again)
        assert torch.equal(after, after_again)


def test_a_chain_records_and_replays_nested_choices():
    nested = OneOf([SomeOf([Gain(p=1.0), ShuffleChunks(chunk_length=9)], k=(1, 2)), Speed(p=1.0)])
    chain = Chain({"choice": nested, "fit": PadOrCrop(size=64)})
    clips, target = torch.randn(10, 90), torch.eye(10)
    *result, record = chain.record(clips, target, generator=seeded(1))
    assert {"chosen", "0.chosen", "0.0.decibels", "0.1.order", "1.factor"} <= set(record["choice"])
    again = chain.eval().replay(clips, target, record)
    assert all(torch.equal(a, b) for a, b in zip(result, again, strict=True))


def test_spectrograms_and_parts_that_are_off():
    parts = SomeOf([PadOrCrop(size=20), ShuffleChunks(p=0.0), Add(1.0, p=0.0)], k=3)
    clips = torch.randn(3, 2, 5, 30)
    result, lengths = parts(clips, generator=seeded())
    assert result.shape == (3, 2, 5, 30)
    assert lengths.tolist() == [20, 20, 20]
    assert not result[..., 20:].any()
    assert "1.order" not in parts.draw(clips)


def test_padding_has_no_influence_on_clips_that_get_nothing():
    clips = torch.tensor([[1.0, torch.nan], [1.0, 2.0]])
    result, _ = OneOf([Gain(p=1.0)], p=0.5).replay(
        clips, {"chosen": torch.tensor([[False], [False]])}, torch.tensor([1, 2])
    )
    assert result.tolist() == [[1.0, 0.0], [1.0, 2.0]]


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: OneOf([]), ValueError, "parts: wanted at least one augmentation, got none"),
        (lambda: OneOf([torch.nn.ReLU()]), TypeError, "parts: wanted a list of augmentations, got ReLU"),
        (lambda: OneOf(Gain()), TypeError, "parts: wanted a list of augmentations"),
        (lambda: SomeOf([Gain()], k=2), ValueError, "k: wanted an integer from 1 to 1, got 2"),
        (
            lambda: SomeOf([Gain(), Gain()], k=2, weights=[1, 0]),
            ValueError,
            "k: wanted an integer from 1 to 1",
        ),
        (lambda: SomeOf([Gain(), Gain()], k=(2, 1)), ValueError, "k: wanted an integer from 2 to 2, got 1"),
        (lambda: SomeOf([Gain(), Gain()], k=1.0), TypeError, "k: wanted an integer, got 1.0"),
        (
            lambda: OneOf([Gain()], weights=[1, 2]),
            ValueError,
            "weights: wanted one for each of the 1 parts, got 2",
        ),
        (lambda: OneOf([Gain()], weights=[0]), ValueError, "weights: wanted at least one above 0"),
        (lambda: OneOf([Gain()], weights=[-1]), ValueError, "weights: wanted a finite number >= 0"),
        (lambda: OneOf([Gain()]).replay(torch.ones(1, 4), {}), ValueError, "draw: wanted the fields chosen"),
    ],
)
def test_bad_input_is_named(call, error, message):
    with pytest.raises(error, match=message):
        call()


def test_a_part_may_not_change_the_number_of_bins():
    class FirstBin(Add):
        def replay(self, clips, draw, lengths=None):
            return clips[:, :1], lengths

    with pytest.raises(ValueError, match="parts: wanted augmentations that keep all axes but the last"):
        OneOf([FirstBin(1)])(torch.ones(2, 3, 4))


@pytest.mark.parametrize("shape", [(3, 3), (3, 40), (40, 3), (3, 3, 40), (3, 40, 40)])
def test_without_lengths_there_are_none_if_no_part_changes_the_length(shape):
    clips = torch.randn(shape, generator=seeded())
    changed, lengths = SomeOf([Add(1), Add(2)], k=1)(clips, generator=seeded())
    assert changed.shape == shape
    assert lengths is None
    cut = OneOf([Add(1), RandomCrop(size=2)], weights=[0, 1])
    assert cut(clips, generator=seeded())[1].tolist() == [2] * shape[0]


def test_a_part_without_weight_is_not_chosen_by_the_smallest_draw(monkeypatch):
    def smallest(count, low, high, *, device, generator):
        return torch.full((count,), float(low), device=device)

    monkeypatch.setattr("rankaudio._random.uniform", smallest)
    drawn = SomeOf([Add(0), Add(1), Add(2)], k=(1, 2), weights=[0, 1, 0.001], p=1.0).draw(torch.zeros(5, 1))
    assert drawn["chosen"].tolist() == [[False, True, False]] * 5
