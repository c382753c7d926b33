"""Masking and cutting against plain loops over clips, and the range of their draws."""

import itertools
import math

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st

from random_clips import random_clips, seed
from rankaudio.masking import (
    PadOrCrop,
    RandomCrop,
    RandomResizedCrop,
    ShuffleChunks,
    SpecAugment,
    pad_or_crop,
    random_crop,
    random_resized_crop,
    shuffle_chunks,
    spec_augment,
)

SEEDS = st.integers(0, 2**32 - 1)


def padded(rows, like):
    """Put clips of different lengths into one tensor, with zeros as padding."""
    result = torch.zeros_like(like)
    for row, clip in enumerate(rows):
        result[row, ..., : clip.shape[-1]] = clip
    return result


def draws(module, clips, lengths=None, *, count=400):
    return [module.draw(clips, lengths, generator=seed(number)) for number in range(count)]


# -- chunks


@given(st.integers(1, 5), st.integers(1, 30), st.integers(1, 12), SEEDS, st.sampled_from([None, 3]))
def test_chunks_are_those_of_a_plain_loop(clips, longest, chunk_length, number, bins):
    values, lengths = random_clips(clips, longest, number, bins=bins)
    shuffle = ShuffleChunks(chunk_length=chunk_length, p=0.7)
    order = shuffle.draw(values, lengths, generator=seed(number))["order"]
    rows = []
    for clip, length, numbers in zip(values, lengths.tolist(), order.tolist(), strict=True):
        chunks = clip[..., :length].split(chunk_length, dim=-1)
        rows.append(torch.cat([chunks[k] for k in numbers[: len(chunks)]], dim=-1))
    result, new_lengths = shuffle(values, lengths, generator=seed(number))
    assert torch.equal(result, padded(rows, values))
    assert torch.equal(new_lengths, lengths)


@given(st.integers(1, 5), st.integers(1, 30), st.integers(1, 12), SEEDS)
def test_shuffling_keeps_every_sample(clips, longest, chunk_length, number):
    values, lengths = random_clips(clips, longest, number)
    result, _ = shuffle_chunks(values, lengths, chunk_length=chunk_length, p=1.0, generator=seed(number))
    for before, after, length in zip(values, result, lengths, strict=True):
        assert torch.equal(before[:length].sort().values, after[:length].sort().values)
        assert not after[length:].any()


def test_all_orders_of_the_chunks_of_a_clip_are_equally_likely():
    lengths = torch.tensor([9, 7, 3]).repeat(6000)
    order = ShuffleChunks(chunk_length=3, p=1.0).draw(torch.zeros(18_000, 9), lengths, generator=seed(0))[
        "order"
    ]
    for first in (0, 1):
        seen = [tuple(row) for row in order[first::3].tolist()]
        shares = [seen.count(wanted) / 6000 for wanted in itertools.permutations(range(3))]
        assert sum(shares) == pytest.approx(1)
        assert max(abs(share - 1 / 6) for share in shares) < 4 * math.sqrt(5 / 36 / 6000)
    assert (order[2::3] == torch.arange(3)).all()


def test_all_rows_at_once_are_shuffled_alike():
    """As on an accelerator, with gradients, and in a compiled graph."""
    shuffle, lengths = ShuffleChunks(chunk_length=7, p=0.8), torch.tensor([40, 1, 39, 7, 22])
    for clips in (torch.randn(5, 40), torch.randn(5, 3, 40)):
        draw = shuffle.draw(clips, lengths, generator=seed(1))
        tracked, _ = shuffle.replay(clips.clone().requires_grad_(), draw, lengths)
        assert torch.equal(tracked.detach(), shuffle.replay(clips, draw, lengths)[0])


def test_p_is_the_share_of_shuffled_clips():
    order = ShuffleChunks(chunk_length=1, p=0.3).draw(torch.zeros(20_000, 12), generator=seed(1))["order"]
    shuffled = (order != torch.arange(12)).any(1)
    assert abs(shuffled.float().mean() - 0.3) < 4 * math.sqrt(0.21 / 20_000)


# -- crops


@given(st.integers(1, 5), st.integers(1, 30), st.integers(1, 20), st.integers(0, 9), SEEDS)
def test_crop_is_a_slice(clips, longest, low, more, number):
    values, lengths = random_clips(clips, longest, number)
    crop = RandomCrop(size=(low, low + more), p=0.7)
    drawn = crop.draw(values, lengths, generator=seed(number))
    result, kept = crop(values, lengths, generator=seed(number))
    rows = [
        clip[start : start + length]
        for clip, start, length in zip(values, drawn["start"], drawn["length"], strict=True)
    ]
    assert torch.equal(kept, drawn["length"])
    assert torch.equal(result, padded(rows, result))
    assert ((kept <= lengths) & (kept >= torch.minimum(lengths, torch.tensor(low)))).all()


def test_crop_reaches_every_length_and_start_and_no_other():
    drawn = draws(RandomCrop(size=(2, 4)), torch.zeros(2, 5), torch.tensor([5, 3]), count=900)
    pairs = [{(d["start"][row].item(), d["length"][row].item()) for d in drawn} for row in (0, 1)]
    assert pairs[0] == {(start, length) for length in (2, 3, 4) for start in range(6 - length)}
    assert pairs[1] == {(0, 2), (1, 2), (0, 3)}


@pytest.mark.parametrize(
    ("size", "p", "columns", "lengths"),
    [
        (4, 1.0, 4, None),
        (30, 1.0, 10, None),
        ((2, 4), 1.0, 4, "new"),
        (4, 0.5, 10, "new"),
        (10, 0.5, 10, None),
    ],
)
def test_crop_without_lengths_returns_lengths_only_if_clips_differ(size, p, columns, lengths):
    result, new_lengths = random_crop(torch.ones(64, 10), size=size, p=p, generator=seed(0))
    assert result.shape == (64, columns)
    assert (new_lengths is None) == (lengths is None)
    if lengths is not None:
        assert torch.equal(result.sum(1).long(), new_lengths)
        assert new_lengths.unique().numel() > 1


# -- padding


def fit_by_definition(clip, start, wrapped, size, fill):
    if len(clip) >= size:
        return clip[start : start + size]
    before = (size - len(clip)) // 2
    numbers = {"minimum": clip.min().item(), "mean": clip.mean().item()}
    return torch.tensor(
        [
            clip[(t - before) % len(clip)].item()
            if wrapped or before <= t < before + len(clip)
            else numbers.get(fill, fill)
            for t in range(size)
        ],
        dtype=clip.dtype,
    )


@given(
    st.integers(1, 5),
    st.integers(1, 20),
    st.integers(1, 30),
    SEEDS,
    st.sampled_from([-2.5, "minimum", "mean"]),
)
def test_padding_equals_the_plain_loop(clips, longest, size, number, fill):
    values, lengths = random_clips(clips, longest, number)
    module = PadOrCrop(size=size, fill=fill, wrap=0.5)
    drawn = module.draw(values, lengths, generator=seed(number))
    result, new_lengths = module(values, lengths, generator=seed(number))
    rows = [
        fit_by_definition(clip[:length], start, wrapped, size, fill)
        for clip, length, start, wrapped in zip(values, lengths, *drawn.values(), strict=True)
    ]
    torch.testing.assert_close(result, torch.stack(rows), rtol=1e-14, atol=1e-14)
    assert new_lengths.tolist() == [size] * clips


def test_window_reaches_every_start_and_both_kinds_of_padding():
    drawn = draws(PadOrCrop(size=4, wrap=0.5), torch.zeros(2, 7), torch.tensor([7, 3]))
    assert {d["start"][0].item() for d in drawn} == {0, 1, 2, 3}
    assert {d["start"][1].item() for d in drawn} == {0}
    assert {d["wrapped"][1].item() for d in drawn} == {False, True}


@pytest.mark.parametrize("wrap", [0.0, 1.0])
def test_spectrograms_are_padded_as_numpy_does(wrap):
    import numpy as np

    spectrogram = torch.randn(1, 4, 3, dtype=torch.float64)
    wanted = (
        np.pad(spectrogram[0].numpy(), ((0, 0), (2, 3)), "wrap")
        if wrap
        else np.pad(spectrogram[0].numpy(), ((0, 0), (2, 3)), constant_values=spectrogram.min().item())
    )
    result, lengths = pad_or_crop(spectrogram, size=8, fill="minimum", wrap=wrap)
    assert torch.equal(result[0], torch.from_numpy(wanted))
    assert lengths is None


def test_padding_does_nothing_in_eval_mode():
    clips = torch.randn(2, 5)
    assert PadOrCrop(size=9).eval()(clips)[0] is clips


# -- SpecAugment


@given(
    st.integers(1, 4),
    st.integers(1, 12),
    st.integers(1, 20),
    SEEDS,
    st.sampled_from([0.5, "minimum", "mean"]),
)
def test_masks_equal_the_plain_loop(clips, bins, longest, number, fill):
    values, lengths = random_clips(clips, longest, number, bins=bins)
    module = SpecAugment(masks=3, frequency=0.8, time=0.8, fill=fill, p=0.8)
    drawn = module.draw(values, lengths, generator=seed(number))
    result, _ = module(values, lengths, generator=seed(number))
    rows = []
    for row, (whole, length) in enumerate(zip(values, lengths, strict=True)):
        clip = whole[:, :length].clone()
        value = {"minimum": clip.min(), "mean": clip.mean()}.get(fill, fill)
        for mask in range(3):
            for axis, name in enumerate(("frequency", "time")):
                start, width = (drawn[f"{name}_{field}"][row, mask].item() for field in ("start", "width"))
                assert 0 <= start <= start + width <= clip.shape[axis]
                clip.narrow(axis, start, width).fill_(value)
        rows.append(clip)
    torch.testing.assert_close(result, padded(rows, values), rtol=1e-13, atol=1e-14)


def test_masks_reach_every_place_and_stay_within_their_fractions():
    drawn = draws(
        SpecAugment(masks=2, frequency=0.5, time=0.5, p=1.0),
        torch.zeros(1, 4, 9),
        torch.tensor([6]),
        count=1500,
    )
    for name, steps in (("frequency", 4), ("time", 6)):
        pairs = {(d[f"{name}_start"][0, 0].item(), d[f"{name}_width"][0, 0].item()) for d in drawn}
        assert pairs == {(s, w) for w in range(steps // 2) for s in range(steps - w + 1)}


def test_both_axes_have_equally_many_masks_and_p_is_the_share_of_masked_clips():
    module = SpecAugment(masks=3, frequency=1.0, time=1.0, p=0.4)
    drawn = module.draw(torch.zeros(1).expand(6000, 1000, 1000), generator=seed(0))
    # On an axis of 1000 steps, one mask in a thousand has width 0.
    counts = [(drawn[f"{name}_width"] > 0).sum(1) for name in ("frequency", "time")]
    assert (counts[0] != counts[1]).float().mean() < 0.01
    shares = torch.bincount(counts[0], minlength=4) / 6000
    torch.testing.assert_close(shares, torch.tensor([0.6, 0.4 / 3, 0.4 / 3, 0.4 / 3]), rtol=0, atol=0.03)


# -- resized crops


@given(st.integers(1, 4), st.integers(1, 12), st.integers(1, 30), SEEDS)
def test_resizing_is_interpolate_of_a_slice(clips, bins, longest, number):
    values, lengths = random_clips(clips, longest, number, bins=bins)
    module = RandomResizedCrop(scale=(0.3, 1.0), ratio=(0.5, 3.0), p=0.8)
    drawn = module.draw(values, lengths, generator=seed(number))
    result, _ = module(values, lengths, generator=seed(number))
    rows = []
    for clip, length, *rectangle in zip(values, lengths.tolist(), *drawn.values(), strict=True):
        bottom, height, start, width = (edge.item() for edge in rectangle)
        assert min(bottom, start) >= 0
        assert bottom + height <= bins
        assert start + width <= length
        part = clip[None, None, bottom : bottom + height, start : start + width]
        rows.append(F.interpolate(part, size=(bins, length), mode="bilinear", align_corners=False)[0, 0])
    torch.testing.assert_close(result, padded(rows, values), rtol=1e-12, atol=1e-12)


def test_rectangles_have_the_areas_and_ratios_of_the_settings():
    drawn = RandomResizedCrop(p=1.0).draw(torch.zeros(1).expand(4000, 128, 256), generator=seed(0))
    width, height = drawn["width"].double(), drawn["height"].double()
    cut = (width < 256) | (height < 128)
    assert cut.float().mean() > 0.99
    area, ratio = (width * height / (128 * 256))[cut], (width / height)[cut]
    assert 0.79 < area.min() < 0.81
    assert 0.98 < area.max() <= 1
    assert 1.67 < ratio.min() < 1.75
    assert 2.25 < ratio.max() < 2.33


def test_rectangles_reach_every_corner():
    drawn = draws(
        RandomResizedCrop(scale=(0.5, 0.5), ratio=(2.0, 2.0), p=1.0), torch.zeros(1, 4, 10), torch.tensor([8])
    )
    # An area of 16 with a ratio of 2 gives 6 frames and 3 bins.
    assert {(d["width"].item(), d["height"].item()) for d in drawn} == {(6, 3)}
    assert {(d["bottom"].item(), d["start"].item()) for d in drawn} == {
        (b, s) for b in (0, 1) for s in (0, 1, 2)
    }


def test_clip_without_a_rectangle_that_fits_stays_unchanged():
    spectrogram = torch.randn(8, 128, 20)
    assert torch.equal(random_resized_crop(spectrogram, p=1.0)[0], spectrogram)


# -- all of them

WAVES, SPECTROGRAMS = (64, 40), (64, 12, 24)
PARTS = {
    "shuffle": (ShuffleChunks, shuffle_chunks, WAVES, {"chunk_length": 7}),
    "crop": (RandomCrop, random_crop, WAVES, {"size": 11}),
    "SpecAugment": (SpecAugment, spec_augment, SPECTROGRAMS, {"frequency": 0.9, "time": 0.9}),
    "resized crop": (RandomResizedCrop, random_resized_crop, SPECTROGRAMS, {"scale": (0.2, 0.5)}),
}
every_part = pytest.mark.parametrize(("module", "function", "shape", "settings"), PARTS.values(), ids=PARTS)


@every_part
def test_clips_that_are_not_chosen_are_untouched(module, function, shape, settings):
    clips = torch.randn(shape, generator=seed(2))
    result, _ = function(clips, **settings, p=0.4, generator=seed(3))
    same = torch.tensor([torch.equal(a, b) for a, b in zip(clips, result, strict=True)])
    assert 0.3 < same.float().mean() < 0.9


@every_part
def test_a_clip_alone_and_in_a_padded_batch_is_the_same(module, function, shape, settings):
    clips = torch.randn(shape, generator=seed(2))
    lengths = torch.arange(shape[0]) % shape[-1] + 1
    part = module(**settings, p=1.0)
    drawn = part.draw(clips, lengths, generator=seed(3))
    together, new_lengths = part.replay(clips, drawn, lengths)
    for row in (0, 9, 22):
        alone, length = part.replay(
            clips[row : row + 1, ..., : lengths[row]],
            {name: field[row : row + 1] for name, field in drawn.items()},
            lengths[row : row + 1],
        )
        assert length == new_lengths[row]
        torch.testing.assert_close(alone[0, ..., :length], together[row, ..., :length], rtol=1e-6, atol=1e-6)


@every_part
def test_inputs_are_not_written(module, function, shape, settings):
    clips, lengths = torch.randn(shape), torch.full(shape[:1], shape[-1] - 2)
    before = clips.clone(), lengths.clone()
    function(clips, lengths, **settings, p=1.0)
    assert torch.equal(clips, before[0])
    assert torch.equal(lengths, before[1])


COMMON = [
    ({"clips": torch.zeros(9)}, ValueError, ": wanted .* axes.*, got"),
    ({"clips": torch.zeros(2, 4, 9).int()}, TypeError, ": wanted a floating-point tensor"),
    ({"clips": torch.zeros(2, 4, 0)}, ValueError, ": wanted at least one step on each axis"),
    ({"lengths": torch.tensor([9.0, 3.0])}, TypeError, "lengths: wanted integers"),
    ({"lengths": torch.tensor([9])}, ValueError, r"lengths: wanted shape \(2,\)"),
    ({"lengths": torch.tensor([9, 10])}, ValueError, "lengths: wanted values from 1 to 9, got 10"),
]
OWN = [
    (shuffle_chunks, {"chunk_length": 0}, ValueError, "chunk_length: wanted an integer >= 1, got 0"),
    (shuffle_chunks, {"p": 1.5}, ValueError, "p: wanted a finite number from 0 to 1, got 1.5"),
    (random_crop, {"size": 2.5}, TypeError, "size: wanted an integer, got 2.5"),
    (random_crop, {"size": (4, 2)}, ValueError, "size: wanted an integer >= 4, got 2"),
    (random_crop, {"size": (4,)}, TypeError, r"size: wanted an integer or two \(low, high\)"),
    (pad_or_crop, {"size": 0}, ValueError, "size: wanted an integer >= 1, got 0"),
    (pad_or_crop, {"size": 3, "wrap": -1}, ValueError, "wrap: wanted a finite number from 0 to 1"),
    (pad_or_crop, {"size": 3, "fill": "max"}, ValueError, "fill: wanted one of 'minimum', 'mean', got 'max'"),
    (spec_augment, {"masks": 0}, ValueError, "masks: wanted an integer >= 1, got 0"),
    (spec_augment, {"time": 1.1}, ValueError, "time: wanted a finite number from 0 to 1, got 1.1"),
    (spec_augment, {"fill": None}, TypeError, "fill: wanted a number, got None"),
    (random_resized_crop, {"ratio": (0.0, 1.0)}, ValueError, "ratio: wanted numbers above 0"),
    (random_resized_crop, {"scale": (0.9, 0.1)}, ValueError, "scale: wanted .* ascending"),
]
SIZES = {random_crop: {"size": 3}, pad_or_crop: {"size": 3}}
BAD = [
    (function, SIZES.get(function, {}) | change, error, message)
    for function in (shuffle_chunks, random_crop, pad_or_crop, spec_augment, random_resized_crop)
    for change, error, message in COMMON
]


@pytest.mark.parametrize(("function", "change", "error", "message"), BAD + OWN)
def test_bad_input_is_named(function, change, error, message):
    arguments = {"clips": torch.zeros(2, 4, 9)} | change
    with pytest.raises(error, match=message):
        function(arguments.pop("clips"), **arguments)


def test_draw_of_another_batch_or_part_is_refused():
    shuffle, clips = ShuffleChunks(chunk_length=3), torch.zeros(2, 9)
    with pytest.raises(ValueError, match=r"draw: wanted the fields order, got \['start'\]"):
        shuffle.replay(clips, {"start": torch.zeros(2)})
    with pytest.raises(ValueError, match="draw: wanted 2 rows, got order, a int64 tensor of shape"):
        shuffle.replay(clips, {"order": torch.zeros(3, 3, dtype=torch.long)})
    with pytest.raises(ValueError, match="draw: wanted each chunk once, got 0"):
        shuffle.replay(clips, {"order": torch.tensor([[0, 1, 2], [1, 0, 0]])})
