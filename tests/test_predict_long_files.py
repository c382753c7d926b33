"""predict_long of a path: the scores of the loaded waveform, the file decoded once, and flat memory."""

import tracemalloc
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch

from rankaudio import LogMel, predict_long
from rankaudio.data import _audio_stream, load_audio

RATE = 16_000
NOISE = np.random.default_rng(0).uniform(-0.9, 0.9, (20_000, 2))
FORMATS = {"wav": None, "flac": None, "mp3": None, "ogg": "VORBIS", "opus": "OPUS"}


class Statistics(torch.nn.Module):
    """Some numbers that depend on each sample of a clip."""

    sample_rate = RATE

    def forward(self, waveform, lengths=None):
        weights = torch.linspace(1, 2, waveform.shape[1])
        return torch.stack([waveform.sum(1), (waveform * weights).sum(1), waveform.abs().amax(1)], dim=1)


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    folder = tmp_path_factory.mktemp("long")
    for name, subtype in FORMATS.items():
        form = "OGG" if subtype else name.upper()
        soundfile.write(folder / f"noise.{name}", NOISE, RATE, format=form, subtype=subtype)
    return folder


@pytest.mark.parametrize("name", FORMATS)
@pytest.mark.parametrize("rate", [RATE, 22_050])
@pytest.mark.parametrize(("window", "hop"), [(0.1, 0.05), (0.11, 0.3), (9.0, 1.0)])
def test_scores_equal_those_of_the_loaded_waveform(files, monkeypatch, name, rate, window, hop):
    path, opened, plain = files / f"noise.{name}", [], _audio_stream.read_blocks
    monkeypatch.setattr(_audio_stream, "read_blocks", lambda *args: opened.append(1) or plain(*args))
    settings = {"window": window, "hop": hop, "sample_rate": rate, "max_samples": 5000}
    scores, starts, ends = predict_long(Statistics(), path, **settings)
    whole = predict_long(Statistics(), load_audio(path, sample_rate=rate), **settings)
    rounding = 1e-3 if name == "mp3" else 0  # a decoder of MP3 may differ in the last bit
    torch.testing.assert_close(scores, whole.scores, rtol=0, atol=rounding)
    assert torch.equal(starts, whole.starts)
    assert torch.equal(ends, whole.ends)
    assert opened == [1], "the file was decoded several times"


def test_the_rate_is_that_of_the_tagger_and_a_path_may_be_a_string(files):
    path = files / "noise.wav"
    scores, starts, ends = predict_long(Statistics(), str(path), window=0.5, hop=0.5)
    assert starts.tolist() == [0, 0.5, 1.0]
    assert ends.tolist() == [0.5, 1.0, 1.25]
    assert torch.equal(
        scores, predict_long(Statistics(), load_audio(path, sample_rate=RATE), window=0.5, hop=0.5)[0]
    )


def test_parts_that_go_back_are_read_again(files):
    whole = load_audio(files / "noise.flac", sample_rate=22_050)
    stream = _audio_stream.AudioStream(files / "noise.flac", 22_050)
    for first in (9000, 20_000, 100, 27_000, 0):
        assert torch.equal(stream.read(first, 500), whole[first : first + 500])
    assert stream.length == len(whole)


@pytest.mark.parametrize("name", ["wav", "flac"])
def test_memory_does_not_grow_with_the_file(tmp_path, name):
    """Torch's own memory is not traced, but what was decoded is. A decoded block has 4 MB."""
    peaks, settings = [], {"window": 10.0, "hop": 60.0, "max_samples": 10 * RATE}
    for seconds in (300, 1200):
        path = tmp_path / f"{seconds}.{name}"
        soundfile.write(path, np.zeros(seconds * RATE, np.int16), RATE)
        predict_long(Statistics(), path, **settings)
        tracemalloc.start()
        predict_long(Statistics(), path, **settings)
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] < 1.1 * peaks[0] < 20e6


def test_errors_of_files_are_those_of_load_audio(tmp_path):
    settings = {"window": 1.0, "hop": 1.0}
    with pytest.raises(FileNotFoundError, match=r"none\.wav"):
        predict_long(Statistics(), tmp_path / "none.wav", **settings)
    (tmp_path / "text.wav").write_text("not a sound")
    with pytest.raises(ValueError, match=r"text\.wav: wanted an audio file"):
        predict_long(Statistics(), tmp_path / "text.wav", **settings)
    samples = np.zeros(40_000, np.float32)
    samples[30_000] = np.nan
    soundfile.write(tmp_path / "nan.wav", samples, RATE, subtype="FLOAT")
    with pytest.raises(ValueError, match=r"nan\.wav: wanted finite float32 samples, got nan at sample 30000"):
        predict_long(Statistics(), tmp_path / "nan.wav", **settings)
    with pytest.raises(ValueError, match="window: wanted at least one sample"):
        predict_long(Statistics(), Path("none.wav"), window=0.0, hop=1.0)


@pytest.mark.parametrize("tagger", [None, "model.pt", print, LogMel])
def test_a_tagger_that_is_none_is_named_before_its_sample_rate(tagger):
    with pytest.raises(TypeError, match="tagger: wanted"):
        predict_long(tagger, torch.ones(100), window=0.1, hop=0.1)
