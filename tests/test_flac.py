"""FLAC from miniaudio and from soundfile: the same samples, and the same errors."""

import io
import sys

import numpy as np
import pytest
import soundfile
import torch

from rankaudio.data import _flac, load_audio
from rankaudio.data._source import check_source


def flac(channels=1, coding="PCM_16", frames=9000, seed=0):
    samples = np.random.default_rng(seed).uniform(-1, 1, (frames, channels))
    file = io.BytesIO()
    soundfile.write(file, samples, 44100, format="FLAC", subtype=coding)
    return file.getvalue()


def without_miniaudio(patch, data):
    with patch.context() as inner:
        inner.setattr(_flac, "_import_miniaudio", lambda: None)
        return load_audio(data, sample_rate=None)


@pytest.fixture
def decoded(monkeypatch):
    """The sizes of what miniaudio decoded."""
    seen, whole = [], _flac._import_miniaudio().flac_read_f32

    def read(data):
        sound = whole(data)
        seen.append(sound.num_frames)
        return sound

    monkeypatch.setattr(_flac._import_miniaudio(), "flac_read_f32", read)
    return seen


@pytest.mark.parametrize("channels", [1, 2, 5])
@pytest.mark.parametrize("coding", ["PCM_S8", "PCM_16", "PCM_24"])
def test_samples_are_those_of_soundfile(channels, coding, decoded, monkeypatch):
    data = flac(channels, coding)
    ours = load_audio(data, sample_rate=None)
    assert decoded == [9000]
    expected = soundfile.read(io.BytesIO(data), dtype="float32", always_2d=True)[0].mean(1)
    torch.testing.assert_close(ours, torch.from_numpy(expected), rtol=0, atol=3e-7)
    assert torch.equal(ours, without_miniaudio(monkeypatch, data))
    whole = _flac.read_flac(check_source("path", data), 9000, channels)
    assert whole.shape == (9000, channels)


def test_a_file_on_disk_and_its_parts(tmp_path, decoded):
    path = tmp_path / "noise.flac"
    path.write_bytes(flac())
    whole = load_audio(path)
    assert decoded == [9000]
    part = load_audio(path, start=1000 / 44100, seconds=500 / 44100)
    assert torch.equal(part, whole[1000:1500])
    assert decoded == [9000]  # a part is read by soundfile, which can jump


def test_a_large_file_is_decoded_in_blocks(monkeypatch, decoded):
    data = flac(2)
    monkeypatch.setattr(_flac, "_MOST_VALUES", 17_999)
    blocks = load_audio(data, sample_rate=None)
    assert decoded == []
    monkeypatch.setattr(_flac, "_MOST_VALUES", 18_000)
    assert torch.equal(load_audio(data, sample_rate=None), blocks)
    assert decoded == [9000]


@pytest.mark.parametrize("damage", ["cut", "changed", "no frame"])
def test_a_damaged_file_is_refused_as_by_soundfile(damage, monkeypatch):
    data = flac()
    half = len(data) // 2
    damaged = {
        "cut": data[:half],
        "changed": data[:half] + bytes(99) + data[half + 99 :],
        "no frame": data[:42],
    }
    errors = []
    for read in (lambda d: load_audio(d, sample_rate=None), lambda d: without_miniaudio(monkeypatch, d)):
        with pytest.raises(ValueError, match="samples") as error:
            read(damaged[damage])
        errors.append(str(error.value))
    assert errors[0] == errors[1]


@pytest.mark.parametrize("failure", [ImportError, OSError])
def test_soundfile_alone_is_enough(monkeypatch, failure):
    class Missing:
        def find_spec(self, name, *_):
            if name == "miniaudio":
                raise failure("broken")

    expected = load_audio(flac())
    monkeypatch.delitem(sys.modules, "miniaudio")
    monkeypatch.setattr(sys, "meta_path", [Missing(), *sys.meta_path])
    _flac._import_miniaudio.cache_clear()
    try:
        assert _flac._import_miniaudio() is None
        assert torch.equal(load_audio(flac()), expected)
    finally:
        _flac._import_miniaudio.cache_clear()
