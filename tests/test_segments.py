"""Segments of a fixed length: where they are, what zeros mean, and the scores of clips made of them."""

from collections import Counter

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from rankaudio import Chain, LogMel, Tagger, predict
from rankaudio.inference import SegmentedTagger
from rankaudio.masking import CutSegment, cut_segment
from small_networks import used_tagger

MEANS = ["arithmetic", "geometric", "scores"]
PLACES = ["start", "middle", "end"]


class Samples(nn.Module):
    """A frontend for tests: each sample is a frame of one bin. It keeps the lengths that it got."""

    sample_rate = 10

    def forward(self, waveform, lengths=None):
        self.lengths = lengths
        return waveform[:, None]

    def frame_lengths(self, lengths):
        return lengths


class Rows(nn.Module):
    """A backbone for tests whose scores are the frames."""

    def forward(self, spectrogram, lengths=None):
        return spectrogram[:, 0]


def by_hand(clip, size, place):
    """Cut or pad a list of numbers, with the offsets of the original."""
    surplus = len(clip) - size
    offset = {"start": 0, "middle": abs(surplus) // 2, "end": abs(surplus)}[place]
    if surplus >= 0:
        return clip[offset : offset + size]
    return [0.0] * offset + clip + [0.0] * (size - len(clip) - offset)


@given(st.lists(st.integers(1, 20), min_size=1, max_size=4), st.integers(1, 25), st.sampled_from(PLACES))
def test_segments_of_a_padded_batch_are_those_cut_by_hand(lengths, size, place):
    clips = [torch.randn(length).tolist() for length in lengths]
    batch = torch.full((len(lengths), 2, max(lengths)), torch.nan)
    for row, clip in enumerate(clips):
        batch[row, :, : len(clip)] = torch.tensor([clip, clip])
    ends = torch.tensor(lengths)
    segments, new_lengths = cut_segment(batch, ends, size=size, place=place)
    expected = torch.tensor([by_hand(clip, size, place) for clip in clips])
    assert torch.equal(segments, expected[:, None].expand(-1, 2, -1))
    assert new_lengths.tolist() == [size] * len(lengths)

    segments, new_lengths = cut_segment(batch[:, 0], ends, size=size, place=place, zeros="padding")
    for row, clip in enumerate(clips):
        kept = by_hand(clip, size, place if len(clip) > size else "start")
        assert segments[row].tolist() == torch.tensor(kept).tolist()
        assert new_lengths[row] == min(size, len(clip))


@pytest.mark.parametrize("length", [3, 5, 8])
def test_random_places_are_uniform_and_include_the_last(length):
    clips = torch.arange(1.0, length + 1).repeat(4000, 1)
    module, generator = CutSegment(size=5), torch.Generator().manual_seed(0)
    draw = module.draw(clips, generator=generator)
    counts = Counter(draw["start"].tolist())
    places = abs(length - 5) + 1
    assert sorted(counts) == ([*range(places)] if length >= 5 else [*range(1 - places, 1)])
    assert max(counts.values()) - min(counts.values()) < 400
    segments, lengths = module.replay(clips, draw)
    assert lengths is None
    for row in range(20):
        start = int(draw["start"][row])
        numbers = [start + step + 1 if 0 <= start + step < length else 0 for step in range(5)]
        assert segments[row].tolist() == numbers


def test_lengths_are_given_where_clips_may_be_shorter():
    clips = torch.randn(2, 7)
    assert cut_segment(clips, size=9)[1] is None
    assert cut_segment(clips, size=9, zeros="padding")[1].tolist() == [7, 7]
    assert cut_segment(clips, size=7, zeros="padding")[1] is None
    lengths = torch.tensor([7, 2], dtype=torch.int32)
    assert cut_segment(clips, lengths, size=5)[1].dtype == torch.int32


def test_it_is_a_part_of_a_chain_that_rests_in_eval_mode():
    chain = Chain({"segment": CutSegment(size=5)})
    clips, target, lengths = torch.randn(3, 9), torch.eye(3), torch.tensor([9, 5, 2])
    segments, _, ends, record = chain.record(clips, target, lengths)
    assert segments.shape == (3, 5)
    assert ends.tolist() == [5, 5, 5]
    again, *_ = chain.replay(clips, target, record, lengths)
    assert torch.equal(again, segments)
    assert chain.eval()(clips, target, lengths)[0] is clips


def mean_by_hand(scores, mean):
    if mean == "scores":
        return scores.mean(0)
    p = scores.sigmoid()
    return (p.mean(0) if mean == "arithmetic" else p.log().mean(0).exp()).logit()


@pytest.mark.parametrize("mean", MEANS)
@pytest.mark.parametrize("batch_size", [1, 4, 100])
def test_a_clip_has_the_mean_of_its_segments(mean, batch_size):
    lengths = torch.tensor([12, 5, 2, 1])
    clips = 5 * torch.randn(4, 12, dtype=torch.float64)
    tagger = SegmentedTagger(Tagger(Samples(), Rows()), seconds=0.5, mean=mean, batch_size=batch_size)
    ours = tagger(clips, lengths)
    assert tagger.tagger.frontend.lengths is None
    for row, length in enumerate(lengths.tolist()):
        segments = [by_hand(clips[row, :length].tolist(), 5, place) for place in PLACES]
        expected = mean_by_hand(torch.tensor(segments, dtype=torch.float64), mean)
        torch.testing.assert_close(ours[row], expected, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("mean", MEANS)
def test_scores_of_any_size_keep_their_order(mean):
    scores = torch.tensor([[-1e4, -40.0, -17.5, 0.0, 17.5, 36.9, 37.1, 40.0, 1e4]])
    tagger = SegmentedTagger(Tagger(Samples(), Rows()), seconds=0.9, mean=mean)
    torch.testing.assert_close(tagger(scores), scores, rtol=1e-6, atol=1e-9)


def test_places_can_be_chosen():
    clip = torch.arange(9.0)[None]
    for places in (("end",), ["start", "end"]):
        tagger = SegmentedTagger(Tagger(Samples(), Rows()), seconds=0.4, places=places, mean="scores")
        expected = torch.tensor([by_hand(clip[0].tolist(), 4, place) for place in places]).mean(0)
        torch.testing.assert_close(tagger(clip)[0], expected)


@pytest.mark.parametrize("name", ["CNN2d, max", "CNN2d, rnn"])
def test_zeros_as_padding_leave_the_score_of_a_short_clip(name):
    tagger = used_tagger(name)
    waveform, lengths = torch.randn(3, 1000), torch.tensor([1000, 700, 40])
    with torch.no_grad():
        segmented = SegmentedTagger(tagger, seconds=2000 / tagger.sample_rate, zeros="padding").eval()
        torch.testing.assert_close(segmented(waveform, lengths), tagger(waveform, lengths), rtol=0, atol=1e-5)
        as_signal = SegmentedTagger(tagger, seconds=2000 / tagger.sample_rate).eval()(waveform, lengths)
    assert (as_signal - tagger(waveform, lengths)).abs().max() > 1e-3


@pytest.mark.parametrize("zeros", ["signal", "padding"])
def test_predict_gives_each_clip_its_score_alone_in_order(zeros):
    tagger = used_tagger("CNN2d, max")
    segmented = SegmentedTagger(tagger, seconds=900 / tagger.sample_rate, zeros=zeros, batch_size=5)
    clips = [torch.randn(length) for length in (3000, 7, 900, 512, 3001)]
    scores = predict(segmented, clips, max_samples=4000)
    with torch.no_grad():
        alone = torch.cat([segmented.eval()(clip[None]) for clip in clips])
    torch.testing.assert_close(scores, alone, rtol=0, atol=1e-5)
    assert predict(segmented, []).shape == (0, 3)


def test_what_comes_after_a_clip_has_no_influence():
    tagger = used_tagger("CNN2d, max")
    segmented = SegmentedTagger(tagger, seconds=900 / tagger.sample_rate).eval()
    waveform, lengths = torch.randn(2, 3000), torch.tensor([3000, 500])
    expected = segmented(waveform, lengths)
    waveform[1, 500:] = torch.nan
    assert torch.equal(segmented(waveform, lengths), expected)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_predicts(dtype):
    tagger = used_tagger("CNN2d, max").to(dtype)
    segmented = SegmentedTagger(tagger, seconds=900 / tagger.sample_rate).eval()
    scores = segmented(torch.randn(2, 3000).to(dtype))
    assert scores.dtype == dtype
    assert scores.isfinite().all()


@pytest.mark.slow
@pytest.mark.skipif(
    torch.__version__.startswith("2.7."), reason="torch 2.7 cannot export this with dynamic sizes"
)
def test_an_exported_program_takes_other_clips():
    segmented = SegmentedTagger(Tagger(Samples(), Rows()), seconds=0.5, batch_size=2).eval()
    batch, time = torch.export.Dim("batch"), torch.export.Dim("time", min=3)
    example = torch.randn(3, 12), torch.tensor([12, 9, 2])
    shapes = ({0: batch, 1: time}, {0: batch})
    program = torch.export.export(segmented, example, dynamic_shapes=shapes)
    other = torch.randn(2, 20), torch.tensor([20, 1])
    torch.testing.assert_close(program.module()(*other), segmented(*other))


def test_repr_shows_the_settings():
    segmented = SegmentedTagger(Tagger(LogMel(), Rows()), seconds=1.0, places=("middle",), mean="geometric")
    expected = "size=44100, places=('middle',), mean='geometric', zeros='signal', batch_size=64"
    assert expected in repr(segmented)
    assert repr(CutSegment(size=5)) == "CutSegment(size=5, place='random', zeros='signal')"


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"seconds": 0.0}, ValueError, "seconds: wanted at least one sample of 1/10 s, got 0.0"),
        ({"seconds": "5"}, TypeError, "seconds: wanted a number"),
        ({"places": ("random",)}, ValueError, "places: wanted one of 'start', 'middle', 'end', got 'random'"),
        ({"places": ()}, ValueError, "places: wanted at least one, got none"),
        ({"places": "start"}, TypeError, "places: wanted a list of places"),
        ({"mean": "median"}, ValueError, "mean: wanted one of 'arithmetic', 'geometric', 'scores'"),
        ({"zeros": "mask"}, ValueError, "zeros: wanted one of 'signal', 'padding'"),
        ({"batch_size": 0}, ValueError, "batch_size: wanted an integer >= 1, got 0"),
        ({"sample_rate": 1.5}, TypeError, "sample_rate: wanted an integer"),
        ({"tagger": nn.Identity()}, TypeError, "tagger: wanted a Tagger, got"),
        ({"tagger": Tagger(Rows(), Rows())}, ValueError, "sample_rate: wanted a number, as Tagger has none"),
    ],
)
def test_bad_settings_are_named(change, error, message):
    settings = {"tagger": Tagger(Samples(), Rows())} | change
    with pytest.raises(error, match=message):
        SegmentedTagger(settings.pop("tagger"), **settings)


def test_bad_clips_are_named():
    with pytest.raises(ValueError, match="place: wanted one of 'random', 'start', 'middle', 'end'"):
        CutSegment(size=5, place="centre")
    with pytest.raises(TypeError, match="size: wanted an integer"):
        CutSegment(size=5.0)
    with pytest.raises(ValueError, match="waveform: wanted 2 axes"):
        SegmentedTagger(Tagger(Samples(), Rows()))(torch.zeros(1, 2, 9))
    with pytest.raises(ValueError, match="draw: wanted the fields start"):
        CutSegment(size=5).replay(torch.zeros(1, 9), {})
