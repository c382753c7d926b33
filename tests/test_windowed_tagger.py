"""Windows of spectrograms: where they are, what pads them, and the scores of clips made of them."""

import math
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from rankaudio import AuxSkipAttention, LogMel, Tagger, predict
from rankaudio.inference import WindowedTagger
from rankaudio.inference._mean import mean_of_scores
from rankaudio.masking import centre_crop, frame_windows
from small_networks import used_tagger

GOLDEN = np.load(Path(__file__).parent / "golden" / "argus_tiles.npz")
STARTS = [key for key in GOLDEN.files if key.startswith("start")]
SCORES = [key for key in GOLDEN.files if key.startswith("scores")]
MEANS = ["arithmetic", "geometric", "scores"]


def width_and_step(key):
    _, width, step = key.split("_")
    return int(width.removeprefix("w")), int(step.removeprefix("step"))


def original_network():
    weights = np.load(Path(__file__).parent / "golden" / "argus_aux_skip_attention_base4.npz")
    network = AuxSkipAttention(10, base_depth=4).eval()
    state = {key[3:]: torch.from_numpy(weights[key]) for key in weights.files if key.startswith("sd/")}
    network.load_reference_state_dict(state)
    return network


class Picture(nn.Module):
    """A frontend for tests: the waveform is a spectrogram of one bin, repeated."""

    def __init__(self, bins=1):
        super().__init__()
        self.bins = bins

    def forward(self, waveform, lengths=None):
        return waveform[:, None].expand(-1, self.bins, -1)

    def frame_lengths(self, lengths):
        return lengths


class Stored(nn.Module):
    """A frontend for tests that returns one stored spectrogram."""

    def __init__(self, spectrogram):
        super().__init__()
        self.spectrogram = spectrogram

    def forward(self, waveform):
        return self.spectrogram.expand(len(waveform), -1, -1)


class Rows(nn.Module):
    """A backbone for tests whose scores are the frames of a window."""

    def forward(self, windows):
        return windows[:, 0]


@pytest.mark.parametrize("key", STARTS)
def test_windows_start_where_the_original_starts_them(key):
    width, step = width_and_step(key)
    cut = frame_windows(torch.zeros(1, 1, width), window=256, hop=step)
    assert cut.start.tolist() == GOLDEN[key].tolist()
    assert cut.windows.shape == (len(cut.start), 1, 256)


@pytest.mark.parametrize("key", SCORES)
def test_scores_of_windows_equal_those_of_the_original(key):
    width, step = width_and_step(key)
    image = torch.from_numpy(GOLDEN["image"].astype(np.float32))[None, :, :width] / 100
    network, theirs = original_network(), torch.from_numpy(GOLDEN[key])
    with torch.no_grad():
        scores = network(frame_windows(image, window=256, hop=step).windows).sigmoid()
        tagger = WindowedTagger(Tagger(Stored(image), network), hop=step)
        mean = tagger(torch.zeros(1, 1)).sigmoid()
    torch.testing.assert_close(scores, theirs, rtol=0, atol=1e-5)
    torch.testing.assert_close(mean, theirs.mean(0, keepdim=True), rtol=0, atol=1e-5)


def windows_by_hand(clip, window, hop):
    """Append padding in the middle, then cut from the first frame on."""
    missing = (window + max(0, math.ceil((len(clip) - window) / hop)) * hop) - len(clip)
    low = min(clip)
    padded = [low] * (missing // 2) + clip + [low] * (missing - missing // 2)
    return [padded[start : start + window] for start in range(0, len(padded) - window + 1, hop)]


@given(st.lists(st.integers(1, 60), min_size=1, max_size=4), st.integers(1, 20), st.data())
def test_windows_of_a_padded_batch_are_those_cut_by_hand(lengths, window, data):
    hop = data.draw(st.integers(1, window))
    clips = [torch.randn(length).tolist() for length in lengths]
    batch = torch.full((len(lengths), 2, max(lengths)), torch.nan)
    for row, clip in enumerate(clips):
        batch[row, :, : len(clip)] = torch.tensor([clip, clip])
    cut = frame_windows(batch, torch.tensor(lengths), window=window, hop=hop)
    expected = [(row, each) for row, clip in enumerate(clips) for each in windows_by_hand(clip, window, hop)]
    assert cut.clip.tolist() == [row for row, _ in expected]
    for bin_ in range(2):
        torch.testing.assert_close(cut.windows[:, bin_], torch.tensor([each for _, each in expected]))


def test_every_frame_is_in_a_window_and_padding_is_even():
    for length in range(1, 200):
        start = frame_windows(torch.zeros(1, 1, length), window=32, hop=16).start
        before, behind = -int(start[0]), int(start[-1]) + 32 - length
        assert 0 <= before <= behind <= before + 1


@pytest.mark.parametrize("frames", [1, 40, 256])
def test_one_window_is_the_centre_crop(frames):
    spectrogram = torch.randn(3, 2, 5, frames)
    cut = frame_windows(spectrogram, window=256, hop=64)
    assert torch.equal(cut.windows, centre_crop(spectrogram, size=256, fill="minimum")[0])
    assert cut.clip.tolist() == [0, 1, 2]


def test_an_empty_batch_has_no_windows():
    cut = frame_windows(torch.zeros(0, 5, 40), window=16, hop=8)
    assert cut.windows.shape == (0, 5, 16)
    assert cut.clip.shape == cut.start.shape == (0,)


@pytest.mark.parametrize("fill", [0.5, "mean", "minimum"])
def test_padding_has_the_chosen_value(fill):
    cut = frame_windows(torch.tensor([[[1.0, 3.0, 8.0]]]), window=5, hop=1, fill=fill)
    value = {"mean": 4.0, "minimum": 1.0}.get(fill, fill)
    assert cut.windows.tolist() == [[[value, 1.0, 3.0, 8.0, value]]]


def probabilities_by_hand(scores, mean):
    if mean == "scores":
        return scores.mean(0).sigmoid()
    probabilities = scores.sigmoid()
    return probabilities.mean(0) if mean == "arithmetic" else probabilities.log().mean(0).exp()


@pytest.mark.parametrize("mean", MEANS)
@pytest.mark.parametrize("batch_size", [1, 3, 100])
def test_a_clip_has_the_mean_of_its_windows(mean, batch_size):
    """Backbone scores are the frames themselves, so all numbers can be computed by hand."""
    lengths = torch.tensor([30, 4, 11, 1])
    clips = 5 * torch.randn(4, 30, dtype=torch.float64)
    windowed = WindowedTagger(Tagger(Picture(), Rows()), window=4, hop=3, mean=mean, batch_size=batch_size)
    ours = windowed(clips, lengths).sigmoid()
    for row, length in enumerate(lengths.tolist()):
        windows = torch.tensor(windows_by_hand(clips[row, :length].tolist(), 4, 3), dtype=torch.float64)
        expected = probabilities_by_hand(windows, mean)
        torch.testing.assert_close(ours[row], expected, rtol=1e-9, atol=0)


@pytest.mark.parametrize("mean", MEANS)
def test_the_score_of_one_window_is_the_score_of_the_backbone(mean):
    """Scores of any size keep their order, where probabilities in float32 tie from 17 on."""
    scores = torch.tensor([[-1e4, -800.0, -40.0, -1.0, 0.0, 1e-3, 5.0, 36.9, 37.1, 100.0, 800.0, 1e4]])
    windowed = WindowedTagger(Tagger(Picture(), Rows()), window=12, hop=12, mean=mean)
    torch.testing.assert_close(windowed(scores), scores, rtol=1e-6, atol=1e-9)
    twice = windowed(torch.cat([scores, scores], dim=1))
    torch.testing.assert_close(twice, scores, rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize("mean", MEANS)
def test_infinite_scores_stay_infinite(mean):
    windowed = WindowedTagger(Tagger(Picture(), Rows()), window=2, hop=2, mean=mean)
    assert windowed(torch.tensor([[math.inf, -math.inf] * 2])).tolist() == [[math.inf, -math.inf]]


@pytest.mark.parametrize("name", ["CNN2d, max", "AuxSkipAttention", "RnnAuxSkipAttention"])
def test_a_clip_of_one_window_scores_as_the_tagger_does(name):
    tagger = used_tagger(name)
    waveform = torch.randn(3, 32 * 40 - 1)
    frames = tagger.spectrogram(waveform)[0].shape[-1]
    with torch.no_grad():
        windowed = WindowedTagger(tagger, window=frames, hop=frames).eval()
        torch.testing.assert_close(windowed(waveform), tagger(waveform), rtol=0, atol=1e-6)


def test_predict_gives_each_clip_its_score_alone_in_order():
    windowed = WindowedTagger(used_tagger("AuxSkipAttention"), window=16, hop=8, batch_size=5)
    clips = [torch.randn(length) for length in (3000, 7, 900, 512, 3001)]
    scores = predict(windowed, clips, max_samples=4000)
    with torch.no_grad():
        alone = torch.cat([windowed.eval()(clip[None]) for clip in clips])
    torch.testing.assert_close(scores, alone, rtol=0, atol=1e-5)
    assert predict(windowed, []).shape == (0, 3)


def test_what_comes_after_a_clip_has_no_influence():
    windowed = WindowedTagger(used_tagger("CNN2d, max"), window=16, hop=8).eval()
    waveform, lengths = torch.randn(2, 3000), torch.tensor([3000, 1000])
    expected = windowed(waveform, lengths)
    waveform[1, 1000:] = torch.nan
    assert torch.equal(windowed(waveform, lengths), expected)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_predicts(dtype):
    whole = WindowedTagger(used_tagger("CNN2d, max"), window=16, hop=8).eval()
    half = WindowedTagger(used_tagger("CNN2d, max").to(dtype), window=16, hop=8).eval()
    waveform = torch.randn(2, 3000)
    assert half(waveform).dtype == dtype
    expected = whole(waveform).detach()
    allowed = 0.05 if dtype == torch.float16 else 0.3
    torch.testing.assert_close(half(waveform).float(), expected, rtol=0, atol=allowed * float(expected.std()))


def test_repr_shows_the_settings():
    windowed = WindowedTagger(Tagger(LogMel(), Rows()), window=64, hop=32, mean="geometric")
    assert "window=64, hop=32, mean='geometric', batch_size=64" in repr(windowed)


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"window": 0}, ValueError, "window: wanted an integer >= 1, got 0"),
        ({"hop": 0}, ValueError, "hop: wanted an integer from 1 to 8, got 0"),
        ({"hop": 9}, ValueError, "hop: wanted an integer from 1 to 8, got 9"),
        ({"hop": 2.0}, TypeError, "hop: wanted an integer, got 2.0"),
        ({"mean": "median"}, ValueError, "mean: wanted one of 'arithmetic', 'geometric', 'scores'"),
        ({"batch_size": 0}, ValueError, "batch_size: wanted an integer >= 1, got 0"),
        ({"tagger": nn.Identity()}, TypeError, "tagger: wanted a Tagger, got"),
    ],
)
def test_bad_settings_are_named(change, error, message):
    settings = {"tagger": Tagger(Picture(), Rows()), "window": 8, "hop": 8} | change
    with pytest.raises(error, match=message):
        WindowedTagger(settings.pop("tagger"), **settings)


def test_bad_spectrograms_are_named():
    with pytest.raises(ValueError, match="spectrogram: wanted 3 or 4 axes"):
        frame_windows(torch.zeros(5, 40))
    with pytest.raises(TypeError, match="spectrogram: wanted a floating-point tensor"):
        frame_windows(torch.zeros(1, 5, 40).long())
    with pytest.raises(ValueError, match="hop: wanted an integer from 1 to 16"):
        frame_windows(torch.zeros(1, 5, 40), window=16, hop=17)
    with pytest.raises(ValueError, match="fill: wanted one of"):
        frame_windows(torch.zeros(1, 5, 40), fill="maximum")


def test_a_network_with_auxiliary_heads_in_training_is_refused():
    windowed = WindowedTagger(used_tagger("AuxSkipAttention"), window=16, hop=8).train()
    with pytest.raises(TypeError, match="the backbone's scores: wanted a torch.Tensor"):
        windowed(torch.randn(4, 3000))


@pytest.mark.parametrize("mean", MEANS)
def test_gradients_of_far_scores_are_finite_and_add_up(mean):
    """The mean of equal scores is the score, so each window has its share of the gradient."""
    values = torch.tensor([0.0, 36.9, 37.1, 400.0, 1e5, -36.9, -400.0], dtype=torch.float64)
    scores = values.repeat(2, 1).requires_grad_()
    result = mean_of_scores(scores, torch.tensor([0, 0]), 1, mean)
    torch.testing.assert_close(result[0], values)
    (gradient,) = torch.autograd.grad(result.sum(), scores)
    torch.testing.assert_close(gradient, torch.full_like(gradient, 0.5))
