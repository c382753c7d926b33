"""Parts of long files: the same samples as in the whole file, and only this part is read."""

import tracemalloc

import numpy as np
import pytest
import soundfile
import torch
from hypothesis import given
from hypothesis import strategies as st

from rankaudio.data import ClipDataset, load_audio

NOISE = np.random.default_rng(0).uniform(-0.9, 0.9, (60_000, 2))
FORMATS = {"wav": None, "flac": None, "aiff": None, "mp3": None, "ogg": "VORBIS", "opus": "OPUS"}


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    folder = tmp_path_factory.mktemp("parts")
    paths = {}
    for name, subtype in FORMATS.items():
        paths[name] = folder / f"noise.{name}"
        form = "OGG" if subtype else name.upper()
        soundfile.write(paths[name], NOISE, 48000, format=form, subtype=subtype)
    return paths


@pytest.mark.parametrize("name", FORMATS)
@pytest.mark.parametrize("rate", [None, 44100, 16000])
@pytest.mark.parametrize(
    ("start", "seconds"), [(0, 0.1), (0.3, 0.25), (0.7, None), (1.1, 9), (1.2499, None), (0.5, 1e-4)]
)
def test_a_part_equals_the_same_part_of_the_whole(files, name, rate, start, seconds):
    whole = load_audio(files[name], sample_rate=rate)
    first = round(start * (rate or 48000))
    stop = None if seconds is None else first + round(seconds * (rate or 48000))
    part = load_audio(files[name], sample_rate=rate, start=start, seconds=seconds)
    rounding = 5e-7 if name == "mp3" else 0  # a decoder of MP3 may differ in the last bit
    torch.testing.assert_close(part, whole[first:stop], rtol=0, atol=rounding)
    assert part.untyped_storage().nbytes() == 4 * len(part)


@pytest.mark.slow
@given(st.data())
def test_parts_of_resampled_files_are_the_same_bits(files, data):
    rate = data.draw(st.sampled_from([8000, 22050, 44100, 48000, 96000, 44056]))
    whole = load_audio(files["wav"], sample_rate=rate)
    first = data.draw(st.integers(0, len(whole) - 1))
    count = data.draw(st.integers(1, len(whole) - first))
    part = load_audio(files["wav"], sample_rate=rate, start=first / rate, seconds=count / rate)
    assert torch.equal(part, whole[first : first + count])


@pytest.mark.parametrize("name", ["wav", "flac", "ogg"])
@pytest.mark.parametrize("rate", [48000, 44100])
@pytest.mark.parametrize("crop", ["random", "start"])
def test_crops_of_a_data_set_are_those_of_the_whole_file(files, name, rate, crop):
    """The seed decides the same crops as with all files in memory."""
    items = []
    for cache in (False, True):
        dataset = ClipDataset([files[name]] * 2, sample_rate=rate, max_seconds=0.2, crop=crop, cache=cache)
        torch.manual_seed(3)
        items.append(torch.stack([dataset[i] for i in (0, 1, 0, 1)]))
    assert torch.equal(*items)
    starts = {tuple(item[:3].tolist()) for item in items[0]}
    assert len(starts) == (1 if crop == "start" else 4)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["long.wav", "long.flac"])
def test_a_crop_of_a_long_file_takes_memory_for_the_crop_only(tmp_path, name):
    """Ten minutes are 106 MB as float32. Torch's own memory is not traced, but the decoded block is."""
    path = tmp_path / name
    soundfile.write(path, np.full(44100 * 600, 0.25, np.float32), 44100, subtype="PCM_16")
    dataset = ClipDataset([path], max_seconds=5.0)
    dataset[0]
    tracemalloc.start()
    try:
        assert dataset[0].tolist() == [0.25] * 220_500
        assert load_audio(path, start=599, seconds=1).tolist() == [0.25] * 44100
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 20e6


def test_a_file_that_became_shorter_is_named(tmp_path):
    path = tmp_path / "a.wav"
    soundfile.write(path, np.zeros(1000), 44100)
    dataset = ClipDataset([path])
    soundfile.write(path, np.zeros(900), 44100)
    with pytest.raises(ValueError, match=r"a\.wav: wanted 1000 samples, got 900: the file has changed"):
        dataset[0]


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"start": -0.1}, ValueError, "start: wanted a finite number >= 0, got -0.1"),
        ({"start": float("nan")}, ValueError, "start: wanted a finite number"),
        ({"start": None}, TypeError, "start: wanted a number, got None"),
        (
            {"start": 1.25},
            ValueError,
            r"start: wanted a time before the end of .*noise\.wav, 1.25 s",
        ),
        ({"seconds": 0}, ValueError, "seconds: wanted at least one sample, got 0"),
        ({"seconds": -1}, ValueError, "seconds: wanted a finite number >= 0, got -1"),
        ({"seconds": "5"}, TypeError, "seconds: wanted a number, got '5'"),
    ],
)
def test_bad_parts_are_named(files, change, error, message):
    with pytest.raises(error, match=message):
        load_audio(files["wav"], **change)
