"""Log-mel and log-STFT spectrograms: golden numbers, librosa, the definition, lengths and precision."""

import copy
import math
from pathlib import Path

import librosa
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from rankaudio.lengths import frame_lengths
from rankaudio.spectral import LogMel, LogSTFT, log_mel, log_stft, mel_filterbank

GOLDEN = Path(__file__).parent / "golden"
MEL, STFT = np.load(GOLDEN / "features_mel.npz"), np.load(GOLDEN / "features_stft.npz")
SIGNAL = torch.from_numpy(MEL["signal"])[None]
SMALL_MEL = {"sample_rate": 8000, "n_fft": 64, "hop_length": 24, "n_mels": 10}
SMALL_STFT = {"n_fft": 32, "hop_length": 12}
FRONTENDS = [
    LogMel(**SMALL_MEL),
    LogSTFT(**SMALL_STFT),
    LogMel(**SMALL_MEL, transform="matmul"),
    LogSTFT(**SMALL_STFT, transform="matmul"),
]
both = pytest.mark.parametrize("frontend", FRONTENDS, ids=["mel", "stft", "mel, matmul", "stft, matmul"])
transforms = pytest.mark.parametrize("transform", ["fft", "matmul"])


def noise(*shape, dtype=torch.float64, seed=0):
    return torch.randn(*shape, dtype=dtype, generator=torch.Generator().manual_seed(seed))


def largest_difference(ours, expected):
    return (ours.double() - torch.as_tensor(expected).double()).abs().max().item()


def log_stft_by_definition(clip, n_fft, hop_length, pad_mode):
    """Transform each frame of a clip by a matrix of sines and cosines."""
    t = np.arange(n_fft)
    window = 0.5 - 0.5 * np.cos(2 * np.pi * t / n_fft)
    waves = np.exp(-2j * np.pi * np.outer(np.arange(n_fft // 2 + 1), t) / n_fft)
    padded = np.pad(clip, n_fft // 2, mode=pad_mode)
    starts = range(0, len(clip) + 1, hop_length)
    return np.stack(
        [np.log(1e-4 + np.abs(waves @ (window * padded[s : s + n_fft]))) for s in starts], axis=-1
    )


# Golden numbers


@transforms
def test_log_mel_equals_the_original(transform):
    assert largest_difference(log_mel(SIGNAL, transform=transform)[0], MEL["logmel"]) < 2e-5


@transforms
def test_log_stft_equals_the_original(transform):
    assert largest_difference(log_stft(SIGNAL, transform=transform)[0, :, ::8], STFT["logstft"]) < 1e-3


@transforms
def test_both_equal_the_originals_in_double_precision_on_their_window(transform):
    """In double precision the originals used a window and a filterbank that were rounded to float32."""
    mel, stft = LogMel(transform=transform).double(), LogSTFT(transform=transform).double()
    for frontend in (mel, stft):
        frontend.window.copy_(torch.hann_window(frontend.n_fft))
    mel.filterbank.copy_(torch.from_numpy(MEL["filterbank"]))
    assert largest_difference(mel(SIGNAL.double())[0, :, ::8], MEL["logmel_f64"]) < 1e-12
    assert largest_difference(stft(SIGNAL.double())[0, :, ::32], STFT["logstft_f64"]) < 1e-12


def test_filterbank_equals_the_original():
    assert largest_difference(mel_filterbank(), MEL["filterbank"]) < 1e-8


# Other libraries and definitions


@pytest.mark.parametrize("norm", ["slaney", "none"])
@pytest.mark.parametrize("mel_scale", ["slaney", "htk"])
@pytest.mark.parametrize(
    ("sample_rate", "n_fft", "n_mels", "f_min", "f_max"),
    [
        (44100, 2048, 128, 5, None),
        (44100, 2560, 128, 20.0, 22050.0),
        (16000, 400, 40, 0.0, 8000.0),
        (22050, 1024, 64, 1500.0, 9000.0),
        (8000, 64, 1, 0, None),
    ],
)
def test_filterbank_equals_librosa(sample_rate, n_fft, n_mels, f_min, f_max, mel_scale, norm):
    ours = mel_filterbank(
        sample_rate=sample_rate,
        n_fft=n_fft,
        n_mels=n_mels,
        f_min=f_min,
        f_max=f_max,
        mel_scale=mel_scale,
        norm=norm,
        dtype=torch.float64,
    )
    theirs = librosa.filters.mel(
        sr=sample_rate,
        n_fft=n_fft,
        n_mels=n_mels,
        fmin=f_min,
        fmax=f_max,
        htk=mel_scale == "htk",
        norm=None if norm == "none" else norm,
        dtype=np.float64,
    )
    assert ours.shape == theirs.shape
    assert largest_difference(ours, theirs) < 1e-12


def test_a_band_between_two_bins_is_zero_without_a_warning():
    weights = mel_filterbank(n_fft=64, n_mels=40)
    assert weights.sum(1).eq(0).any()
    assert torch.isfinite(weights).all()


@pytest.mark.parametrize("power", [1, 2])
@pytest.mark.parametrize("pad_mode", ["reflect", "constant"])
def test_log_mel_equals_librosa_in_double_precision(pad_mode, power):
    x = noise(2, 3001)
    theirs = librosa.feature.melspectrogram(
        y=x.numpy(),
        sr=16000,
        n_fft=512,
        hop_length=200,
        n_mels=20,
        fmin=30,
        fmax=7000,
        power=power,
        pad_mode=pad_mode,
        htk=True,
        dtype=np.float64,
    )
    ours = log_mel(
        x,
        sample_rate=16000,
        n_fft=512,
        hop_length=200,
        n_mels=20,
        f_min=30,
        f_max=7000,
        mel_scale="htk",
        power=power,
        pad_mode=pad_mode,
    )
    assert largest_difference(ours, np.log(theirs + 1e-4)) < 1e-10


@pytest.mark.parametrize("pad_mode", ["reflect", "constant"])
@given(samples=st.integers(1, 200), n_fft=st.integers(1, 32), hop_length=st.integers(1, 70))
@settings(max_examples=60)
def test_any_length_equals_the_definition(pad_mode, samples, n_fft, hop_length):
    """Clips shorter than half a window too, which are reflected several times as in ``numpy.pad``."""
    x = noise(1, samples, seed=samples)
    ours = log_stft(x, n_fft=2 * n_fft, hop_length=hop_length, pad_mode=pad_mode)
    expected = log_stft_by_definition(x[0].numpy(), 2 * n_fft, hop_length, pad_mode)
    assert ours.shape[1:] == expected.shape == (n_fft + 1, samples // hop_length + 1)
    # For a magnitude near zero, the slope 1 / 1e-4 of the logarithm magnifies its rounding.
    assert largest_difference(ours[0], expected) < 1e-9


@pytest.mark.parametrize("n_fft", [2, 4, 22, 34, 64, 400, 1102, 2048, 2560])
def test_matrices_equal_the_fft(n_fft):
    """Powers of 2, products of small primes, and larger primes, which need a stage with many terms."""
    x = noise(2, 3 * n_fft + 1)
    settings = {"n_fft": n_fft, "hop_length": n_fft, "eps": None, "power": 2}
    ours, expected = log_stft(x, transform="matmul", **settings), log_stft(x, **settings)
    assert largest_difference(ours, expected) < 1e-12 * expected.max()
    # In float32 the error is about that of the FFT.
    rounded = log_stft(x.float(), transform="matmul", **settings)
    assert largest_difference(rounded, expected) < 2e-6 * expected.max()


# Lengths


def check_alone_and_in_a_batch(frontend, x, lengths, tolerance):
    for clip, length in zip(x, lengths, strict=True):
        clip[length:] = math.nan
    lengths = torch.tensor(lengths)
    batch = frontend(x, lengths)
    for row, length, frames in zip(range(len(x)), lengths, frontend.frame_lengths(lengths), strict=True):
        alone = frontend(x[row : row + 1, :length])
        assert alone.shape == (1, frontend.n_bins, frames)
        assert largest_difference(batch[row, :, :frames], alone[0]) < tolerance
        silence = torch.tensor(frontend.eps, dtype=x.dtype).log().expand_as(batch[row, :, frames:])
        assert torch.equal(batch[row, :, frames:], silence)


@pytest.mark.parametrize("frontend", [LogMel(), LogSTFT()], ids=["mel", "stft"])
def test_a_clip_is_the_same_alone_and_in_a_batch(frontend):
    lengths = [9000, 1, 1023, 1024, 1025, 2049, 5000]
    check_alone_and_in_a_batch(frontend, noise(7, 10_000, dtype=torch.float32), lengths, 1e-6)


@both
@pytest.mark.parametrize("pad_mode", ["reflect", "constant"])
@given(lengths=st.lists(st.integers(1, 300), min_size=1, max_size=4), extra=st.integers(0, 100))
@settings(max_examples=20)
def test_any_clip_is_the_same_alone_and_in_a_batch(frontend, pad_mode, lengths, extra):
    """In float64, because FFT libraries round a single short transform differently."""
    frontend = type(frontend)(**{**frontend.settings(), "pad_mode": pad_mode})
    check_alone_and_in_a_batch(frontend, noise(len(lengths), max(lengths) + extra), lengths, 1e-9)


@both
def test_silence_and_padding_are_log_eps_exactly(frontend):
    silent = frontend(torch.zeros(1, 100))
    assert torch.equal(silent, torch.tensor(1e-4).log().expand_as(silent))
    linear = type(frontend)(**{**frontend.settings(), "eps": None})
    lengths = torch.tensor([500, 20])
    beyond = linear(noise(2, 500), lengths)[1, :, linear.frame_lengths(lengths)[1] :]
    assert torch.equal(beyond, torch.zeros_like(beyond))


@both
def test_full_lengths_change_nothing(frontend):
    x = noise(3, 333)
    assert torch.equal(frontend(x, torch.tensor([333] * 3)), frontend(x))


@both
def test_padding_gets_no_gradient_and_no_nan(frontend):
    x = noise(2, 400)
    x[1, 50:] = math.nan
    x.requires_grad_()
    (gradient,) = torch.autograd.grad(frontend(x, torch.tensor([400, 50])).sum(), x)
    assert torch.equal(gradient[1, 50:], torch.zeros(350, dtype=torch.float64))
    assert torch.isfinite(gradient).all()
    assert gradient[1, :50].abs().min() > 0


@both
def test_frame_lengths_are_the_shared_ones(frontend):
    lengths = torch.tensor([1, 11, 12, 24, 1000])
    expected = frame_lengths(lengths, hop_length=frontend.hop_length)
    assert torch.equal(frontend.frame_lengths(lengths), expected)


@pytest.mark.parametrize("frontend", [LogMel(), LogSTFT()], ids=["mel", "stft"])
def test_a_batch_computed_in_chunks_is_the_same(frontend):
    x, lengths = noise(3, 400_000, dtype=torch.float32), torch.tensor([400_000, 3, 200_000])
    for some in ((x,), (x, lengths)):
        whole = frontend(*some)
        rows = torch.cat([frontend(*(part[i : i + 1] for part in some)) for i in range(3)])
        assert largest_difference(whole, rows) < 1e-6


@both
def test_an_empty_batch_gives_an_empty_result_in_the_graph(frontend):
    x = torch.zeros(0, 100, requires_grad=True)
    out = frontend(x, torch.zeros(0, dtype=torch.long))
    assert out.shape == (0, frontend.n_bins, 100 // frontend.hop_length + 1)
    out.sum().backward()
    assert x.grad.shape == (0, 100)


# Precision


@both
def test_double_precision_does_not_depend_on_the_modules_dtype(frontend):
    x = noise(2, 300)
    expected = torch.from_numpy(frontend(x).numpy())
    assert expected.dtype == torch.float64
    for cast in (copy.deepcopy(frontend).double(), copy.deepcopy(frontend).half().double()):
        assert largest_difference(cast(x), expected) == 0


@both
def test_half_precision_is_computed_in_float32(frontend):
    for dtype in (torch.float16, torch.bfloat16):
        x = noise(2, 300).to(dtype)
        out = copy.deepcopy(frontend).to(dtype)(x)
        assert out.dtype == torch.float32
        assert torch.equal(out, frontend(x.float()))


@both
def test_autocast_changes_nothing(frontend):
    x = noise(2, 300, dtype=torch.float32)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        out = frontend(x)
    assert torch.equal(out, frontend(x))


@pytest.mark.parametrize("power", [1, 2])
@pytest.mark.parametrize("make", [LogMel.from_descriptor, LogSTFT.from_descriptor])
def test_gradients(make, power):
    frontend = make("mel_16_6_4" if make == LogMel.from_descriptor else "stft_16_6")
    frontend = type(frontend)(**{**frontend.settings(), "power": power})
    x, lengths = noise(2, 30).requires_grad_(), torch.tensor([30, 5])
    assert torch.autograd.gradcheck(lambda clips: frontend(clips, lengths), x)
    assert torch.autograd.gradgradcheck(lambda clips: frontend(clips, lengths), x, fast_mode=True)


@both
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_silence_has_a_finite_gradient_of_first_and_second_order(frontend, dtype):
    x = noise(1, 400, dtype=dtype)
    x[:, 100:300] = 0
    x.requires_grad_()
    (first,) = torch.autograd.grad(frontend(x).sum(), x, create_graph=True)
    (second,) = torch.autograd.grad(first.square().sum(), x)
    assert torch.isfinite(first).all()
    assert torch.isfinite(second).all()
    assert torch.equal(first[:, 199:202], torch.zeros(1, 3, dtype=dtype))


def test_the_magnitude_has_no_nan_gradient_however_quiet():
    for level in (0.0, 1e-45, 1e-30, 1e-20, 1e-15, 1e-10):
        x = (noise(1, 100) * level).float().requires_grad_()
        (gradient,) = torch.autograd.grad(log_stft(x, **SMALL_STFT).sum(), x)
        assert torch.isfinite(gradient).all()


@both
@pytest.mark.parametrize("power", [1, 2])
@pytest.mark.parametrize("peak", [1e12, 1e18, 1e30])
def test_a_very_loud_clip_has_no_nan(frontend, power, peak):
    loud = copy.deepcopy(frontend)
    loud.power = power
    clip = (noise(1, 200, dtype=torch.float32).clamp(-1, 1) * peak).requires_grad_()
    bins = loud(clip)
    assert bins.isfinite().all()
    (slope,) = torch.autograd.grad(bins.sum(), clip)
    assert slope.isfinite().all()
    quieter = loud(clip.detach() / 1e4)
    assert (bins >= quieter).all()


@pytest.mark.parametrize("pad_mode", ["reflect", "same"])
@pytest.mark.parametrize("function", [log_mel, log_stft])
def test_pieces_of_long_clips_and_groups_of_bands_change_nothing(function, pad_mode, monkeypatch):
    waveform = torch.randn(3, 3000, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    settings, lengths = {"n_fft": 256, "hop_length": 64, "pad_mode": pad_mode}, torch.tensor([3000, 1, 1700])
    results = []
    for chunk, groups in [(1 << 19, 1), (500, 8)]:
        monkeypatch.setattr("rankaudio.spectral._pieces._PIECE_SAMPLES", chunk)
        monkeypatch.setattr("rankaudio.spectral._bands._GROUPS", groups)
        clips = waveform.clone().requires_grad_()
        values = function(clips, lengths, **settings)
        results.append((values, *torch.autograd.grad(values.sin().sum(), clips)))
    for whole, pieces in zip(*results, strict=True):
        torch.testing.assert_close(pieces, whole, rtol=0, atol=1e-9)


@pytest.mark.parametrize("pad_mode", ["reflect", "same"])
@pytest.mark.parametrize("frontend", [LogMel, LogSTFT])
def test_clips_of_very_different_lengths_have_the_frames_that_each_has_alone(frontend, pad_mode, monkeypatch):
    """Chunks end with their longest clip. What comes after is silence, to the last bit."""
    module = frontend(n_fft=64, hop_length=24, pad_mode=pad_mode)
    waveform = noise(7, 900, dtype=torch.float32)
    lengths = torch.tensor([60, 1, 300, 900, 20, 30, 40])
    whole = module(waveform, lengths)
    monkeypatch.setattr("rankaudio.spectral._pieces._PIECE_SAMPLES", 700)
    pieces = module(waveform, lengths)
    torch.testing.assert_close(pieces, whole, rtol=0, atol=2e-6)
    silence = module(torch.zeros(1, 900), torch.tensor([1]))[0, :, -1:]
    for clip, length, frames in zip(pieces, lengths, module.frame_lengths(lengths), strict=True):
        alone = module(waveform[lengths == length, :length])[0]
        torch.testing.assert_close(clip[:, :frames], alone, rtol=0, atol=2e-6)
        assert torch.equal(clip[:, frames:], silence.expand(-1, clip.shape[1] - frames))
