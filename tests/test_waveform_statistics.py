"""Statistics of the waveform: the original's numbers, numpy's percentiles, ragged lengths and odd values."""

import math
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from rankaudio.spectral import WaveformStatistics, waveform_statistics

FOLDER = Path(__file__).parent / "golden"
PERCENTILES = [0, 1, 25, 30, 50, 60, 75, 99, 100]
DTYPES = [torch.float32, torch.float64]


def oracle(clip, windows=128):
    """The definition, window by window. With 128 windows, the original's floating point is exact too."""
    stride, rows = Fraction(len(clip), windows), []
    for k in range(windows):
        start, stop = max(0, int(k * stride - stride / 2)), int(k * stride + 3 * stride / 2)
        window = clip[start : max(stop, start + 1)]
        moments = [window.mean(), window.std(), window.max() - window.min()]
        rows.append([*moments, *np.percentile(window, PERCENTILES)])
    return np.array(rows)


def padded(clips):
    """Pad the clips with NaN, which no result may depend on."""
    lengths = torch.tensor([len(clip) for clip in clips])
    return torch.nn.utils.rnn.pad_sequence(clips, batch_first=True, padding_value=math.nan), lengths


def by_sorting(waveform, lengths=None, **settings):
    """The same with a gradient, which takes the other way through the code."""
    return waveform_statistics(waveform.clone().requires_grad_(), lengths, **settings).detach()


both_ways = pytest.mark.parametrize("compute", [waveform_statistics, by_sorting], ids=["pieces", "sorting"])


def golden_clips():
    waves = np.load(FOLDER / "model_waveforms.npz")
    first, second, third = waves["waveforms"].astype(np.float32) * waves["scale"]
    clips = [np.load(FOLDER / "features_mel.npz")["signal"], first, second[:52920], third[:13231]]
    return [torch.from_numpy(clip) for clip in clips]


@both_ways
@pytest.mark.parametrize("dtype", DTYPES)
def test_one_batch_equals_the_original(compute, dtype):
    golden = np.load(FOLDER / "second_globals.npz")
    waveform, lengths = padded([clip.to(dtype) for clip in golden_clips()])
    assert lengths.tolist() == golden["lengths"].tolist()
    statistics = compute(waveform, lengths)
    assert statistics.dtype == dtype
    for row, ours in enumerate(statistics):
        torch.testing.assert_close(ours.double(), torch.from_numpy(golden[f"clip{row}"]), rtol=0, atol=1e-6)


@both_ways
@given(
    length=st.integers(1, 3000),
    windows=st.sampled_from([1, 2, 7, 128]),
    levels=st.sampled_from([1, 2, 5, 10**6]),
    seed=st.integers(0, 2**31),
)
def test_any_length_equals_numpy(compute, length, windows, levels, seed):
    """With few levels, most samples are ties."""
    rng = np.random.default_rng(seed)
    clip = rng.integers(-levels, levels + 1, length) / levels + rng.choice([0, 0.5])
    ours = compute(torch.from_numpy(clip)[None], windows=windows)[0]
    torch.testing.assert_close(ours, torch.from_numpy(oracle(clip, windows)), rtol=0, atol=1e-9)


@both_ways
@pytest.mark.parametrize(
    "shape", ["rising", "falling", "steps", "spike", "silent start", "quiet half", "offsets"]
)
def test_orders_and_shapes_of_all_kinds_equal_numpy(compute, shape):
    noise = np.random.default_rng(0).standard_normal(5001)
    clip = {
        "rising": np.sort(noise),
        "falling": np.sort(noise)[::-1].copy(),
        "steps": np.arange(5001) // 100 % 7 / 7.0,
        "spike": np.where(np.arange(5001) == 2500, 1.0, 0.0),
        "silent start": np.where(np.arange(5001) < 3000, 0, noise),
        "quiet half": np.where(np.arange(5001) < 2500, 1e-6, 1) * noise,
        "offsets": np.where(np.arange(5001) < 2500, 3, -5) + 1e-3 * noise,
    }[shape]
    for dtype, atol in ((np.float64, 1e-12), (np.float32, 1e-6)):
        ours = compute(torch.from_numpy(clip.astype(dtype))[None])[0]
        expected = torch.from_numpy(oracle(clip.astype(dtype).astype(np.float64)))
        torch.testing.assert_close(ours.double(), expected, rtol=0, atol=atol)


@both_ways
def test_a_clip_has_the_same_statistics_alone_and_in_a_padded_batch(compute):
    generator = torch.Generator().manual_seed(0)
    clips = [torch.randn(n, generator=generator) for n in (3000, 1, 2, 85, 86, 255, 256, 257, 2999)]
    waveform, lengths = padded(clips)
    together = compute(waveform, lengths)
    assert together.isfinite().all()
    for row, clip in zip(together, clips, strict=True):
        torch.testing.assert_close(row, compute(clip[None])[0], rtol=0, atol=1e-6)


@both_ways
def test_a_window_without_samples_has_the_sample_at_its_start(compute):
    clip = torch.arange(1.0, 86.0)  # the original fails here; one sample more gives every window a sample
    statistics = compute(clip[None])[0]
    assert statistics[0, 0] == 1
    assert (statistics[:, 3] >= 1).all()
    one = compute(torch.tensor([[0.25]]))[0]
    assert torch.equal(one[:, [0, 3, 7, 11]], torch.full((128, 4), 0.25))
    assert (one[:, 1:3] == 0).all()


@both_ways
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("size", [0.0, 1e-40, 1.0, 0.9])
def test_finite_samples_never_give_nan(compute, dtype, size):
    largest = torch.finfo(dtype).max if size == 0.9 else 1.0
    clip = (
        torch.randn(2, 700, generator=torch.Generator().manual_seed(0), dtype=dtype).sign() * size * largest
    )
    assert not compute(clip).isnan().any()


@both_ways
def test_values_that_are_not_finite_stay_in_their_windows(compute):
    clip = torch.randn(1, 5000, generator=torch.Generator().manual_seed(0))
    expected = compute(clip, windows=10)
    clip[0, 2300:2400] = torch.tensor([math.nan, math.inf]).repeat(50)
    ours = compute(clip, windows=10)
    far = [0, 1, 2, 6, 7, 8, 9]
    torch.testing.assert_close(ours[:, far], expected[:, far])


def test_percentiles_have_the_gradient_of_their_samples():
    clip = torch.tensor([[3.0, 1.0, 2.0, 5.0, 4.0]], requires_grad=True)
    waveform_statistics(clip, windows=1)[0, 0, 5].backward()  # 25 %
    assert clip.grad.tolist() == [[0, 0, 1, 0, 0]]
    clip.grad = None
    waveform_statistics(clip, windows=1)[0, 0, 6].backward()  # 30 %, a fifth of the way from 2 to 3
    torch.testing.assert_close(clip.grad, torch.tensor([[0.2, 0, 0.8, 0, 0]]))


def test_silence_has_a_finite_gradient():
    clip = torch.zeros(2, 500, requires_grad=True)
    waveform_statistics(clip, torch.tensor([500, 30])).sum().backward()
    assert clip.grad.isfinite().all()


def test_large_batches_are_sorted_in_chunks(monkeypatch):
    clips = torch.randn(5, 900, dtype=torch.float64)
    expected = by_sorting(clips)
    monkeypatch.setattr("rankaudio.spectral._statistics._CHUNK_SAMPLES", 3600)
    assert torch.equal(by_sorting(clips), expected)


@pytest.mark.parametrize("fewest", [2, 10**9])
def test_long_clips_are_worked_on_in_blocks_and_levels(monkeypatch, fewest):
    """Blocks and levels, which long clips have, with a clip that is short enough for a test."""
    monkeypatch.setattr("rankaudio.spectral._sorted_pieces._BLOCK_SAMPLES", 2000)
    monkeypatch.setattr("rankaudio.spectral._sorted_pieces._FEWEST_TO_COUNT", fewest)
    clip = np.random.default_rng(0).standard_normal(10_007) ** 3
    for samples in (clip, np.round(clip), clip * np.geomspace(1, 1e-5, 10_007), -np.sort(clip)):
        for windows in (5, 128):
            ours = waveform_statistics(torch.from_numpy(samples)[None], windows=windows)[0]
            expected = torch.from_numpy(oracle(samples, windows))
            torch.testing.assert_close(ours, expected, rtol=1e-12, atol=1e-12)


def test_vmap_takes_the_way_that_reads_no_values():
    clips = torch.randn(3, 2, 400)
    ours = torch.vmap(lambda pair: waveform_statistics(pair, windows=4))(clips)
    torch.testing.assert_close(ours, torch.stack([waveform_statistics(pair, windows=4) for pair in clips]))


def test_inputs_stay_as_they_are():
    clips = torch.randn(3, 1000)
    before = clips.clone()
    waveform_statistics(clips, torch.tensor([1000, 900, 30]))
    assert torch.equal(clips, before)


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"windows": 0}, ValueError, "windows: wanted an integer >= 1, got 0"),
        ({"windows": 2.0}, TypeError, "windows: wanted an integer"),
        ({"lengths": torch.tensor([9, 0])}, ValueError, "lengths: wanted values from 1 to 9, got 0"),
        ({"waveform": torch.ones(9)}, ValueError, r"waveform: wanted shape \(B, T\)"),
        ({"waveform": torch.ones(2, 9).long()}, TypeError, "waveform: wanted a floating-point tensor"),
    ],
)
def test_bad_input_is_named(arguments, error, message):
    with pytest.raises(error, match=message):
        waveform_statistics(**{"waveform": torch.ones(2, 9), **arguments})


def test_settings_of_the_module_are_checked():
    assert WaveformStatistics(windows=3).settings() == {"windows": 3}
    with pytest.raises(ValueError, match="windows: wanted an integer >= 1, got 0"):
        WaveformStatistics(windows=0)
