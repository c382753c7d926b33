"""Audio from bytes and open files: the same samples as from a path, and errors with a name."""

import io
import pickle

import numpy as np
import pytest
import soundfile
import torch
from torch.utils.data import DataLoader

from rankaudio.data import ClipDataset, audio_info, load_audio, pad_collate

TONE = 0.5 * np.sin(np.arange(4000) / 20)
PART = {"sample_rate": 11025, "start": 0.1, "seconds": 0.2}


class OnlyReads:
    """A file that has only what an open file needs, such as one in an archive."""

    def __init__(self, data):
        file = io.BytesIO(data)
        self.read, self.seek, self.tell = file.read, file.seek, file.tell


@pytest.fixture(params=["WAV", "FLAC", "OGG", "MP3"])
def path(request, tmp_path):
    soundfile.write(tmp_path / "tone", TONE, 8000, format=request.param)
    return tmp_path / "tone"


@pytest.mark.parametrize("kind", [bytes, bytearray, memoryview, io.BytesIO, OnlyReads])
def test_samples_are_those_of_the_file(path, kind):
    source = kind(path.read_bytes())
    assert audio_info(source) == audio_info(path)
    assert torch.equal(load_audio(source, sample_rate=None), load_audio(path, sample_rate=None))
    assert torch.equal(load_audio(source, **PART), load_audio(path, **PART))


def test_an_open_file_stays_open_at_its_position(path):
    with path.open("rb") as file:
        file.seek(7)
        for _ in range(2):
            assert torch.equal(load_audio(file, **PART), load_audio(path, **PART))
            assert file.tell() == 7


@pytest.mark.parametrize("cache", [False, True])
def test_a_data_set_mixes_paths_bytes_and_open_files(path, cache):
    with path.open("rb") as file:
        dataset = ClipDataset([path, path.read_bytes(), file], sample_rate=8000, max_seconds=0.1, cache=cache)
    assert dataset.paths == (path, path.read_bytes(), path.read_bytes())
    assert dataset.lengths.tolist() == [800] * 3
    dataset = pickle.loads(pickle.dumps(dataset))
    for index in range(3):
        torch.manual_seed(index)
        first = dataset[index]
        torch.manual_seed(index)
        assert torch.equal(first, ClipDataset([path], sample_rate=8000, max_seconds=0.1)[0])


@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_workers_read_open_files(tmp_path):
    soundfile.write(tmp_path / "a.wav", TONE, 8000)
    with (tmp_path / "a.wav").open("rb") as file:
        dataset = ClipDataset([file] * 4, sample_rate=8000)
        loader = DataLoader(dataset, batch_size=2, num_workers=2, collate_fn=pad_collate)
        for batch in loader:
            assert torch.equal(batch.waveform, load_audio(tmp_path / "a.wav", sample_rate=8000).expand(2, -1))


def test_errors_name_the_clip(tmp_path):
    (tmp_path / "text.wav").write_text("not audio")
    with pytest.raises(ValueError, match="^path: wanted an audio file, got one that begins with"):
        load_audio(b"not audio")
    with (tmp_path / "text.wav").open("rb") as file, pytest.raises(ValueError, match=r"text\.wav: wanted"):
        load_audio(file)
    soundfile.write(tmp_path / "a.wav", TONE, 8000)
    whole = (tmp_path / "a.wav").read_bytes()
    with pytest.raises(ValueError, match=r"start: wanted a time before the end of path, 0\.5 s, got 0\.6"):
        load_audio(whole, start=0.6)
    broken = [whole, b"", whole[:2000]]
    with pytest.raises(ValueError, match="paths: 2 of 3 files cannot be used") as caught:
        ClipDataset(broken)
    lines = str(caught.value).splitlines()[1:]
    assert [line.strip().split(":")[0] for line in lines] == ["paths[1]", "paths[2]"]
    with pytest.raises(ValueError, match=r"\n  second: .*\n  third: truncated"):
        ClipDataset(broken, names=["first", "second", "third"])


class NoSeek(io.BytesIO):
    def seekable(self):
        return False


@pytest.mark.parametrize(
    ("source", "error", "message"),
    [
        (io.StringIO("text"), TypeError, 'path: wanted a file that was opened with "rb", got <_io.StringIO'),
        (NoSeek(b"RIFF"), ValueError, r"path: wanted a file that can seek, .* Try: file.read\(\)"),
        (7, TypeError, r"path: wanted a path .*, bytes or an open binary file, got 7 \(int\)"),
        (torch.zeros(3), TypeError, "path: wanted a path .*, got a float32 tensor"),
    ],
)
def test_what_is_no_audio_is_refused(source, error, message):
    with pytest.raises(error, match=message):
        load_audio(source)


@pytest.mark.parametrize(
    ("names", "error", "message"),
    [
        (["a", "b"], ValueError, "names: wanted one for each of the 1 clips, got 2"),
        ("a", TypeError, "names: wanted a list of strings"),
        ([""], ValueError, "names: wanted different names, got an empty name"),
    ],
)
def test_bad_names_are_refused(names, error, message):
    with pytest.raises(error, match=message):
        ClipDataset([b"RIFF"], names=names)
