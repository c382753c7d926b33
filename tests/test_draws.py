"""Draws that no call of ``draw`` returns: each field of each augmentation with other values is refused."""

import math

import pytest
import torch

from rankaudio import (
    Gain,
    ORMixup,
    Overdrive,
    PadOrCrop,
    PitchShift,
    RandomCrop,
    RandomMixer,
    RandomResizedCrop,
    Reverb,
    ShuffleChunks,
    SigmoidConcatMixup,
    SpecAugment,
    Speed,
    Tempo,
    ThirdPlaceEffects,
    WeightedMixup,
)
from rankaudio.augmentation import Mixer
from rankaudio.chain import Chain, SomeOf
from rankaudio.effects import AddNoise
from rankaudio.ensemble import WindowMean
from rankaudio.masking import CutSegment
from rankaudio.spectral import DeltaChannels

PARTS = [
    ORMixup(p=1.0), WeightedMixup(p=1.0), SigmoidConcatMixup(p=1.0),
    RandomMixer([(ORMixup(p=1.0), 0.5), (WeightedMixup(p=1.0), 0.5)]),
    RandomCrop(size=(5, 7)), RandomCrop(size=6, p=0.5), PadOrCrop(size=15), PadOrCrop(size=50),
    CutSegment(size=15), CutSegment(size=50, zeros="padding"), ShuffleChunks(chunk_length=9, p=1.0),
    SpecAugment(p=1.0), RandomResizedCrop(p=1.0), Gain(), Overdrive(), PitchShift(n_fft=48), Reverb(),
    SomeOf([ShuffleChunks(chunk_length=9, p=1.0), Gain(p=1.0)], k=2), AddNoise(p=1.0),
    Speed(factor=(0.9, 1.1)), Tempo(n_fft=48), ThirdPlaceEffects(n_fft=48),
]  # fmt: skip
LENGTHS = torch.tensor([40, 30, 20])
# Any of these is out of range for every parameter.
NUMBERS = [math.nan, math.inf, -math.inf, -1e9, 1e9]
INTEGERS = [-(2**63), 2**63 - 1, 10**6, -60]
IDS = [f"{type(part).__name__} {number}" for number, part in enumerate(PARTS)]


def clips_for(part):
    """Spectrograms for what takes only those, and else waveforms."""
    clips = torch.randn(3, 40, generator=torch.Generator().manual_seed(0))
    return clips[:, None].repeat(1, 12, 1) if isinstance(part, (SpecAugment, RandomResizedCrop)) else clips


def replay(part, clips, draw):
    if isinstance(part, Mixer):
        return part.replay(clips, torch.eye(3), draw, LENGTHS)
    return part.replay(clips, draw, LENGTHS)


def wrong_values(field):
    """Yield the field with one impossible value, and with other kinds, axes and rows."""
    yield from (None, 0.5, "x", [0, 0, 0], field.to(torch.complex64))
    yield from (field[:2], field[0], field[..., None], field.new_zeros(0))
    if field.dtype != torch.bool:
        yield field.bool()
        for value in NUMBERS if field.is_floating_point() else INTEGERS:
            changed = field.clone()
            changed[(0,) * field.ndim] = value
            yield changed
    if not field.is_floating_point():
        yield field.double()


@pytest.mark.parametrize("part", PARTS, ids=IDS)
def test_impossible_fields_are_refused_by_name(part):
    clips = clips_for(part)
    draw = part.draw(clips, LENGTHS, generator=torch.Generator().manual_seed(0))
    replay(part, clips, draw)
    for name, field in draw.items():
        own = name.rpartition(".")[2]
        for value in wrong_values(field):
            with pytest.raises((TypeError, ValueError), match=rf"^(draw|{own}): wanted"):
                replay(part, clips, draw | {name: value})
    for wrong in (None, 5, [], "draw", {}, {1: 2}):
        with pytest.raises(ValueError, match="^draw: wanted the fields"):
            replay(part, clips, wrong)


def test_the_draw_of_a_part_without_parameters_is_checked_too():
    with pytest.raises(ValueError, match="^draw: wanted the fields"):
        DeltaChannels().replay(torch.zeros(1, 4, 9), None)


@pytest.mark.parametrize(
    ("part", "change", "message"),
    [
        (RandomCrop(size=(5, 7)), {"length": [4, 5, 5]}, r"draw: wanted lengths of \(5, 7\), or of clips"),
        (RandomCrop(size=(5, 7)), {"start": [35, 30, 0]}, "draw: wanted a start at which the length fits"),
        (RandomCrop(size=(5, 7)), {"length": [5, 8, 5]}, "draw: wanted lengths"),
        (PadOrCrop(size=25), {"start": [16, 0, 0]}, "draw: wanted a start at which the crop fits"),
        (PadOrCrop(size=25), {"start": [0, 0, 1]}, "draw: wanted a start at which the crop fits"),
        (CutSegment(size=25), {"start": [0, 0, 1]}, "draw: wanted a start at which the segment and"),
        (CutSegment(size=25), {"start": [0, 0, -6]}, "draw: wanted a start at which the segment and"),
        (ShuffleChunks(chunk_length=20), {"order": [[0, 1], [0, 0], [0, 1]]}, "draw: wanted each chunk once"),
        (ShuffleChunks(chunk_length=20), {"order": [[0], [0], [0]]}, "draw: wanted clips that have no more"),
        (RandomMixer([(ORMixup(), 1.0)]), {"choice": [0, 1, 0]}, "draw: wanted choices from -1 to 0, got 1"),
        (Speed(factor=(0.9, 1.1)), {"factor": [0.8, 1.0, 1.0]}, "factor: wanted finite values from 0.9"),
        (Speed(factor=(0.9, 1.1)), {"factor": [1.0, 1.2, 1.0]}, "factor: wanted finite values from 0.9"),
        (
            PitchShift(cents=(-9.0, 9.0)),
            {"cents": [0.0, 0.0, 10.0]},
            "cents: wanted finite values from -9 to 9",
        ),
        (Speed(factor=(1.1, 1.2), p=1.0), {"chosen": [True, True, False]}, "draw: wanted every clip chosen"),
    ],
)
def test_values_just_out_of_range_are_refused(part, change, message):
    clips = clips_for(part)
    draw = part.draw(clips, LENGTHS, generator=torch.Generator().manual_seed(0))
    changed = {name: torch.tensor(value) for name, value in change.items()}
    with pytest.raises(ValueError, match=message):
        replay(part, clips, draw | changed)


@pytest.mark.parametrize("field", ["frequency", "time"])
def test_masks_that_leave_the_spectrogram_are_refused(field):
    mask, clips = SpecAugment(masks=1, p=1.0), torch.zeros(1, 12, 12)
    draw = {
        f"{axis}_{what}": torch.tensor([[3]]) for axis in ("frequency", "time") for what in ("start", "width")
    }
    mask.replay(clips, draw | {f"{field}_start": torch.tensor([[9]])})
    for change in ({f"{field}_start": torch.tensor([[10]])}, {f"{field}_width": torch.tensor([[-1]])}):
        with pytest.raises(ValueError, match="draw: wanted a"):
            mask.replay(clips, draw | change)


def test_an_order_of_a_longer_clip_leaves_out_the_chunks_that_a_clip_lacks():
    """The chain says that parts of a record can be replayed alone, so on other lengths."""
    clip = torch.arange(1.0, 9.0)[None]
    order = torch.tensor([[3, 0, 2, 1]])
    shuffled, _ = ShuffleChunks(chunk_length=2).replay(clip, {"order": order}, torch.tensor([5]))
    assert shuffled.tolist() == [[1, 2, 5, 3, 4, 0, 0, 0]]


def test_a_mean_over_no_window_is_refused():
    kept = torch.tensor([[True, False], [False, False]])
    with pytest.raises(ValueError, match="kept: wanted at least one window of each clip"):
        WindowMean().replay(torch.rand(2, 2, 3), kept)


@pytest.mark.parametrize("record", [None, 5, [], {"crop": None}, {"crop": {"start": 3}}])
def test_a_record_of_another_kind_is_named(record):
    chain = Chain({"crop": RandomCrop(size=5)})
    for call in (
        lambda: chain.replay(torch.zeros(1, 9), torch.eye(1), record),
        lambda: chain.example(record, 0),
    ):
        with pytest.raises(TypeError, match="record: wanted"):
            call()


@pytest.mark.parametrize("index", [-1, 2, 1.0, None, True])
def test_the_example_of_a_clip_that_the_batch_lacks_is_refused(index):
    record = {"crop": {"start": torch.tensor([7, 9]), "length": torch.tensor([5, 5])}}
    with pytest.raises((TypeError, ValueError), match="index: wanted an integer"):
        Chain.example(record, index)


def test_the_largest_radius_gives_a_finite_step():
    clips, draw = torch.tensor([[1.0] * 6, [3.0] * 6]), {"partner": torch.tensor([1, 0])}
    draw |= {"radius": torch.full((2,), 1e6), "position": torch.full((2,), 0.5)}
    mixed, *_ = SigmoidConcatMixup().replay(clips.half(), torch.eye(2), draw)
    assert mixed[0].tolist() == [3, 3, 3, 2, 1, 1]
    with pytest.raises(ValueError, match="radius: wanted a finite number from 0 to 1e.06, got"):
        SigmoidConcatMixup(radius=(1.0, 1e6 + 1))
