"""Decoding against soundfile and scipy, resampling against a tone and soxr, and bad files."""

import io
import math
import struct
import sys
import warnings
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import soundfile
import soxr
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.io import wavfile

from rankaudio.data import AudioInfo, ClipDataset, audio_info, load_audio
from wav_bytes import STEPS, STEPS_AS_FLOAT, fmt, riff

NOISE = np.random.default_rng(0).uniform(-1, 1, (1000, 8))


@pytest.mark.parametrize("channels", [1, 2, 3, 8])
@pytest.mark.parametrize("container", ["WAV", "WAVEX"])
@pytest.mark.parametrize("subtype", ["PCM_U8", "PCM_16", "PCM_24", "PCM_32", "FLOAT", "DOUBLE"])
def test_every_sample_type_equals_soundfile(tmp_path, subtype, container, channels):
    path = tmp_path / "noise.wav"
    soundfile.write(path, NOISE[:, :channels], 96000, subtype=subtype, format=container)
    expected = soundfile.read(path, always_2d=True)[0].mean(1)
    waveform = load_audio(path, sample_rate=None)
    assert waveform.dtype == torch.float32
    np.testing.assert_allclose(waveform.numpy(), expected, rtol=0, atol=1.2e-7)
    assert audio_info(path) == AudioInfo(1000, 96000, channels)
    if channels == 1 and subtype != "PCM_32":
        assert np.array_equal(waveform.numpy(), expected.astype(np.float32))


@pytest.mark.parametrize("subtype", ["PCM_U8", "PCM_16", "PCM_24", "PCM_32"])
def test_full_scale_is_one(tmp_path, subtype):
    path = tmp_path / "ends.wav"
    soundfile.write(path, np.array([-1.0, 0.0, 0.5]), 8000, subtype=subtype)
    assert load_audio(path, sample_rate=None).tolist() == [-1.0, 0.0, 0.5]


@given(
    st.sampled_from(["u1", "<i2", "<i4", "<f4", "<f8"]),
    st.integers(1, 5),
    st.integers(1, 40),
    st.integers(0, 2**32 - 1),
)
def test_equals_scipy(tmp_path_factory, dtype, channels, frames, seed):
    path = tmp_path_factory.mktemp("wav") / "x.wav"
    rng, kind = np.random.default_rng(seed), np.dtype(dtype)
    low, high = (-1, 1) if kind.kind == "f" else (np.iinfo(kind).min, np.iinfo(kind).max)
    wavfile.write(path, 16000, rng.uniform(low, high, (frames, channels)).astype(kind))
    rate, raw = wavfile.read(path)
    middle, scale = {"u1": (128, 128), "<i2": (0, 2**15), "<i4": (0, 2**31)}.get(dtype, (0, 1))
    expected = (raw.reshape(frames, channels).astype(np.float64) - middle) / scale
    np.testing.assert_allclose(load_audio(path, sample_rate=None), expected.mean(1), rtol=0, atol=2e-7)
    assert audio_info(path) == (frames, rate, channels)


def test_chunks_before_and_after_the_samples_are_skipped(tmp_path):
    """A chunk of odd length is followed by a byte of padding. scipy warns about each unknown chunk."""
    path = tmp_path / "chunks.wav"
    path.write_bytes(
        riff((b"LIST", b"odd"), fmt(), (b"bext", b"\0" * 602), (b"data", STEPS), (b"id3 ", b"x" * 9))
    )
    assert load_audio(path, sample_rate=None).tolist() == STEPS_AS_FLOAT
    with pytest.raises(wavfile.WavFileWarning):
        wavfile.read(path)


def test_samples_with_fewer_bits_than_their_bytes_use_the_upper_bits(tmp_path):
    path = tmp_path / "twelve.wav"
    header = b"fmt ", struct.pack("<HHIIHH", 1, 1, 8000, 16000, 2, 12)
    path.write_bytes(riff(header, (b"data", struct.pack("<3h", -32768, 16384, 0))))
    assert load_audio(path, sample_rate=None).tolist() == [-1.0, 0.5, 0.0]


def test_the_size_of_a_file_from_a_pipe_is_the_size_on_disk(tmp_path):
    path = tmp_path / "piped.wav"
    whole = riff(fmt(), (b"data", STEPS))
    path.write_bytes(whole[:-12] + b"\xff\xff\xff\xff" + STEPS)
    assert load_audio(path, sample_rate=None).tolist() == STEPS_AS_FLOAT
    assert audio_info(path).frames == 4


def test_an_incomplete_frame_at_the_end_is_dropped(tmp_path):
    path = tmp_path / "odd.wav"
    path.write_bytes(riff(fmt(channels=2), (b"data", STEPS + b"\1\2")))
    assert load_audio(path, sample_rate=None).tolist() == [0.25, (32767 / 32768 - 1) / 2]


@pytest.mark.parametrize("rate", [8000, 22050, 44100, 48000, 96000, 44056])
def test_resampling_keeps_pitch_and_level(tmp_path, rate):
    path = tmp_path / "tone.wav"
    wavfile.write(path, rate, (0.5 * np.sin(2 * np.pi * 1000 * np.arange(rate) / rate)).astype(np.float32))
    waveform = load_audio(path)
    assert waveform.shape == (44100,)
    expected = 0.5 * torch.sin(2 * math.pi * 1000 * torch.arange(44100, dtype=torch.float64) / 44100)
    inside = slice(1000, -1000)
    torch.testing.assert_close(waveform[inside].double(), expected[inside], rtol=0, atol=1e-6)


@pytest.mark.parametrize("rate", [22050, 48000, 96000])
def test_resampling_equals_soxr_below_its_cutoff(tmp_path, rate):
    """Both filters are flat for noise up to 8 kHz."""
    path = tmp_path / "noise.wav"
    spectrum = np.fft.rfft(np.random.default_rng(1).standard_normal(rate))
    spectrum[8000:] = 0
    noise = np.fft.irfft(spectrum, rate)
    noise *= 0.9 / np.abs(noise).max()
    wavfile.write(path, rate, noise.astype(np.float32))
    peer = torch.from_numpy(soxr.resample(noise, rate, 44100, quality="VHQ"))
    inside = slice(1000, -1000)
    error = (load_audio(path).double() - peer)[inside].square().mean().sqrt()
    assert error < 3e-5 * peer[inside].square().mean().sqrt()


def test_resampling_does_not_fold_high_tones_back(tmp_path):
    path = tmp_path / "ultrasound.wav"
    wavfile.write(path, 96000, np.sin(2 * np.pi * 30000 * np.arange(96000) / 96000).astype(np.float32))
    assert load_audio(path)[1000:-1000].abs().max() < 1e-6


@given(
    st.integers(1, 50), st.sampled_from([8000, 11025, 44100, 48000, 96000]), st.sampled_from([8000, 44100])
)
def test_resampled_length(tmp_path_factory, frames, old, new):
    path = tmp_path_factory.mktemp("wav") / "x.wav"
    wavfile.write(path, old, np.zeros(frames, np.int16))
    assert len(load_audio(path, sample_rate=new)) == math.ceil(frames * new / old)


@pytest.mark.parametrize("rate", [1, 99, 1_000_001, 2**32 - 1])
def test_a_header_cannot_ask_for_any_memory(tmp_path, rate):
    """At 1 Hz a file of 8 kB would become 176 million samples, at 4 GHz the filter alone 640 GiB."""
    path = tmp_path / "a.wav"
    path.write_bytes(riff(fmt(sample_rate=rate, byte_rate=0), (b"data", STEPS)))
    message = f"a.wav: wanted a sample rate from 100 to 1,000,000 Hz, got {rate:,} Hz in its header"
    for read in (load_audio, audio_info, lambda each: ClipDataset([each])):
        with pytest.raises(ValueError, match=message):
            read(path)


@pytest.mark.parametrize("name", ["a.flac", "a.ogg", "a.mp3", "a.aiff", "a.w64", "flac named.wav"])
def test_compressed_files_are_read_by_soundfile(tmp_path, name):
    path = tmp_path / name
    form = "FLAC" if "flac" in name else name[2:].upper()
    tone = 0.5 * np.sin(np.arange(44100) / 20)
    soundfile.write(path, np.stack([tone, tone], 1), 44100, format=form)
    assert audio_info(path) == AudioInfo(44100, 44100, 2)
    expected = soundfile.read(path)[0].mean(1)
    np.testing.assert_allclose(load_audio(str(path)).numpy(), expected, rtol=0, atol=1e-6)


def test_other_codings_in_wav_files_are_read_by_soundfile(tmp_path):
    path = tmp_path / "telephone.wav"
    soundfile.write(path, NOISE[:, 0], 8000, subtype="ULAW")
    np.testing.assert_allclose(load_audio(path, sample_rate=None), soundfile.read(path)[0], rtol=0, atol=1e-7)


def _flac() -> bytes:
    buffer = io.BytesIO()
    soundfile.write(buffer, NOISE[:, 0], 8000, format="FLAC")
    return buffer.getvalue()


@pytest.mark.parametrize("state", ["missing", "broken"])
def test_without_soundfile_only_compressed_files_fail(tmp_path, monkeypatch, state):
    if state == "missing":
        monkeypatch.setitem(sys.modules, "soundfile", None)
    else:
        (tmp_path / "soundfile.py").write_text("raise OSError('sndfile library not found')")
        monkeypatch.syspath_prepend(tmp_path)
        monkeypatch.delitem(sys.modules, "soundfile")
    (tmp_path / "a.flac").write_bytes(_flac())
    for read in (load_audio, audio_info):
        with pytest.raises(ImportError, match=r"a\.flac: wanted the package soundfile.*'rankaudio\[audio\]'"):
            read(tmp_path / "a.flac")
    (tmp_path / "a.wav").write_bytes(riff(fmt(), (b"data", STEPS)))
    assert load_audio(tmp_path / "a.wav", sample_rate=None).tolist() == STEPS_AS_FLOAT


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "wanted an audio file, got an empty file"),
        (b"fname,labels\na.wav,Bark\n", "wanted an audio file, got one that begins with b'fname,labels'"),
        (b"\xff", "wanted an audio file, got one that begins with"),
        (b"fLaC but no more", "wanted an audio file, got one that soundfile refuses"),
        (riff(fmt(), (b"data", STEPS * 4))[:-25], r"truncated: wanted 16 samples .* header says, got 3"),
        (riff(fmt(7, width=1), (b"data", STEPS))[:-3], r"truncated: wanted 8 samples .* header says, got 5"),
        (riff(fmt(), (b"data", STEPS))[:40], r"ends before any samples \(no data chunk\)"),
        (riff(fmt(), (b"data", STEPS))[:30], r"wanted a fmt chunk of 16 bytes or more, got 10"),
        (riff(fmt()), r"ends before any samples \(no data chunk\)"),
        (riff((b"data", STEPS)), r"how its samples are coded \(no fmt chunk\)"),
        (riff(fmt(), (b"data", b"")), "wanted at least 1 sample, got 0"),
        (riff(fmt(channels=0), (b"data", STEPS)), "its header says 0 channels, 8000 Hz, 0 bytes per frame"),
        (riff(fmt(sample_rate=0), (b"data", STEPS)), "its header says 1 channels, 0 Hz"),
        (riff(fmt(width=8), (b"data", STEPS)), "one that soundfile refuses"),
    ],
    ids=lambda value: value[-20:] if isinstance(value, str) else "",
)
def test_bad_files_are_named(tmp_path, content, message):
    path = tmp_path / "clip.wav"
    path.write_bytes(content)
    for read in (load_audio, audio_info):
        with pytest.raises(ValueError, match=rf"clip\.wav: .*{message}"):
            read(path)


def test_truncated_flac(tmp_path):
    path = tmp_path / "cut.flac"
    path.write_bytes(_flac()[:-500])
    with pytest.raises(ValueError, match=r"cut\.flac: .*wanted 1000 samples.*, as its header says, got"):
        load_audio(path)


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf, 1e300])
def test_samples_that_are_not_float32_numbers(tmp_path, bad):
    path = tmp_path / "nan.wav"
    wavfile.write(path, 8000, np.array([[0.0, 0.5, bad, 0.0], [0.0, 0.0, -bad, 0.0]]).T)
    with pytest.raises(ValueError, match=r"nan\.wav: wanted finite float32 samples, got .* at sample 2"):
        load_audio(path)


@pytest.mark.parametrize("bad", [math.nan, -math.inf])
def test_floats_that_soundfile_reads_are_checked_too(tmp_path, bad):
    path, samples = tmp_path / "nan.aiff", np.zeros(100, np.float32)
    samples[70] = bad
    soundfile.write(path, samples, 8000, subtype="FLOAT")
    with pytest.raises(
        ValueError, match=rf"nan\.aiff: wanted finite float32 samples, got {bad} at sample 70"
    ):
        load_audio(path)
    assert load_audio(path, seconds=0.008, sample_rate=None).shape == (64,)


def test_large_floats_are_kept(tmp_path):
    samples = np.array([0.5, -3.0, 2.0, -np.finfo(np.float32).max], np.float32)
    wavfile.write(tmp_path / "large.wav", 44100, samples)
    assert np.array_equal(load_audio(tmp_path / "large.wav").numpy(), samples)


def test_missing_files_and_directories(tmp_path):
    for read in (load_audio, audio_info):
        with pytest.raises(FileNotFoundError, match=r"gone\.wav"):
            read(tmp_path / "gone.wav")
        with pytest.raises(OSError, match=tmp_path.name):
            read(tmp_path)


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        (
            {"path": 3},
            TypeError,
            r"path: wanted a path \(str or pathlib.Path\), bytes or an open binary file, got 3",
        ),
        ({"sample_rate": 0}, ValueError, "sample_rate: wanted an integer >= 1, got 0"),
        ({"sample_rate": 44100.0}, TypeError, "sample_rate: wanted an integer, got 44100.0"),
    ],
)
def test_bad_arguments_are_named(change, error, message):
    arguments = {"path": "a.wav"} | change
    with pytest.raises(error, match=message):
        load_audio(arguments.pop("path"), **arguments)


def test_threads_decode_in_parallel_and_keep_the_warning_filters(tmp_path):
    paths = [tmp_path / f"{i}.wav" for i in range(8)]
    for i, path in enumerate(paths):
        wavfile.write(path, 48000, np.full(4800, 1000 * i, np.int16))
    before = list(warnings.filters)
    with ThreadPoolExecutor(4) as pool:
        waveforms = list(pool.map(load_audio, paths * 5))
    assert warnings.filters == before
    for path, waveform in zip(paths * 5, waveforms, strict=True):
        assert torch.equal(waveform, load_audio(path))
