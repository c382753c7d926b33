"""Clips as items and batches: lengths, random crops, and reports of bad files."""

import re

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.io import wavfile
from torch.utils.data import DataLoader

from rankaudio.data import Batch, ClipDataset, LabelTable, LengthBucketSampler, load_audio, pad_collate

RATES = {"a.wav": 44100, "b.wav": 22050, "c.wav": 48000}
TARGET = torch.tensor([[1, 0], [0, 1], [1, 1]])


@pytest.fixture
def folder(tmp_path):
    """Make three clips of three rates, and one in which each sample is its own index."""
    rng = np.random.default_rng(0)
    for i, (name, rate) in enumerate(RATES.items()):
        wavfile.write(tmp_path / name, rate, rng.uniform(-0.5, 0.5, 300 * (i + 1)).astype(np.float32))
    wavfile.write(tmp_path / "places.wav", 44100, np.arange(30000, dtype=np.int16))
    return tmp_path


@pytest.mark.parametrize("cache", [False, True])
def test_items_are_waveforms_and_their_targets(folder, cache):
    paths = [folder / name for name in RATES]
    dataset = ClipDataset(paths, TARGET, cache=cache)
    assert len(dataset) == 3
    assert dataset.lengths.tolist() == [300, 1200, 827]
    for i, path in enumerate(paths):
        waveform, target = dataset[i]
        assert torch.equal(waveform, load_audio(path))
        assert len(waveform) == dataset.lengths[i]
        assert torch.equal(target, TARGET[i].float())
    assert torch.equal(ClipDataset(map(str, paths), cache=cache)[1], load_audio(paths[1]))


def test_a_table_and_a_folder(folder):
    table = LabelTable(("b.wav", "a.wav"), ("Bark", "Meow"), torch.tensor([[True, False], [False, True]]))
    dataset = ClipDataset.from_table(str(folder), table, sample_rate=22050, max_seconds=0.01, crop="start")
    assert dataset.paths == (folder / "b.wav", folder / "a.wav")
    assert dataset.lengths.tolist() == [220, 150]
    waveform, target = dataset[0]
    assert torch.equal(waveform, load_audio(folder / "b.wav", sample_rate=22050)[:220])
    assert target.tolist() == [1.0, 0.0]
    parts = ClipDataset.from_table(folder, table, start=[0.001, 0.0], seconds=0.002, crop="start")
    expected = [load_audio(folder / "b.wav", start=0.001, seconds=0.002)]
    expected.append(load_audio(folder / "a.wav", seconds=0.002))
    assert all(torch.equal(parts[k][0], clip) for k, clip in enumerate(expected))


@pytest.mark.parametrize("cache", [False, True])
def test_crops(folder, cache):
    path = folder / "places.wav"
    start = ClipDataset([path], max_seconds=0.5, crop="start", cache=cache)
    assert torch.equal(start[0], load_audio(path)[:22050])
    random = ClipDataset([path], max_seconds=0.5, cache=cache)
    assert random.lengths.tolist() == [22050]
    whole, starts = load_audio(path), set()
    for _ in range(30):
        crop = random[0]
        first = round(crop[0].item() * 32768)
        starts.add(first)
        assert torch.equal(crop, whole[first : first + 22050])
        assert crop.untyped_storage().nbytes() == 4 * 22050
    assert len(starts) > 25
    assert torch.equal(ClipDataset([path], max_seconds=1.0)[0], whole)


@pytest.mark.parametrize("cache", [False, True])
def test_clips_are_parts_of_one_file(folder, cache):
    path, rate = folder / "places.wav", 22050
    dataset = ClipDataset(
        [path] * 3, sample_rate=rate, start=[0, 0.1, 0.6], seconds=[0.25, 0.5, 9.0], cache=cache
    )
    for index, (start, seconds) in enumerate([(0, 0.25), (0.1, 0.5), (0.6, None)]):
        expected = load_audio(path, sample_rate=rate, start=start, seconds=seconds)
        assert torch.equal(dataset[index], expected)
        assert dataset.lengths[index] == len(expected)
    cropped = ClipDataset([path], start=0.2, seconds=0.3, max_seconds=0.1, cache=cache)
    whole, starts = load_audio(path), {round(cropped[0][0].item() * 32768) for _ in range(40)}
    assert 8820 <= min(starts) < max(starts) <= 8820 + 8820
    assert all(torch.equal(whole[first], torch.tensor(first / 32768)) for first in starts)


def test_every_crop_is_reachable(folder):
    wavfile.write(folder / "short.wav", 44100, np.arange(7, dtype=np.int16))
    dataset = ClipDataset([folder / "short.wav"], max_seconds=4 / 44100)
    starts = {round(dataset[0][0].item() * 32768) for _ in range(200)}
    assert dataset.lengths.tolist() == [4]
    assert starts == {0, 1, 2, 3}


@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_crops_differ_between_workers_and_epochs_and_are_repeatable(folder):
    dataset = ClipDataset([folder / "places.wav"] * 8, max_seconds=0.01)
    loader = DataLoader(dataset, batch_size=2, num_workers=2, collate_fn=pad_collate)

    def run():
        torch.manual_seed(5)
        return [
            [round(first * 32768) for batch in loader for first in batch.waveform[:, 0].tolist()]
            for _ in range(2)
        ]

    one = run()
    assert len(set(one[0] + one[1])) == 16
    assert one == run()


def test_a_whole_loader(folder):
    dataset = ClipDataset([folder / name for name in RATES], TARGET)
    sampler = LengthBucketSampler(dataset.lengths, max_samples=2000, shuffle=False)
    batches = list(DataLoader(dataset, batch_sampler=sampler, collate_fn=pad_collate))
    assert [batch.lengths.tolist() for batch in batches] == [[1200], [827, 300]]
    assert batches[1].target.tolist() == [[1.0, 1.0], [1.0, 0.0]]
    assert torch.equal(batches[1].waveform[1, :300], load_audio(folder / "a.wav"))


def test_bad_files_are_reported_together(folder):
    (folder / "empty.wav").write_bytes(b"")
    (folder / "text.wav").write_text("not audio")
    wavfile.write(folder / "none.wav", 8000, np.zeros(0, np.int16))
    whole = (folder / "a.wav").read_bytes()
    (folder / "cut.wav").write_bytes(whole[: len(whole) // 2])
    names = ["a.wav", "gone.wav", "empty.wav", "b.wav", "text.wav", "none.wav", "cut.wav"]
    with pytest.raises(ValueError, match="paths: 5 of 7 files cannot be used:") as caught:
        ClipDataset([folder / name for name in names])
    lines = str(caught.value).splitlines()[1:]
    reasons = ["no such file", "empty file", "begins with b'not audio'", "at least 1 sample", "truncated"]
    for line, name, reason in zip(lines, ["gone", "empty", "text", "none", "cut"], reasons, strict=True):
        assert re.search(rf"{name}\.wav: .*{reason}", line)


def test_at_most_ten_bad_files_are_listed(tmp_path):
    with pytest.raises(ValueError, match="12 of 12 files") as caught:
        ClipDataset([tmp_path / f"{i}.wav" for i in range(12)])
    lines = str(caught.value).splitlines()
    assert len(lines) == 12
    assert lines[-1].strip() == "... and 2 more"


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"paths": []}, ValueError, "paths: wanted at least one path, got none"),
        ({"paths": "a.wav"}, TypeError, "paths: wanted a list of paths, bytes or open files, got 'a.wav'"),
        ({"paths": 7}, TypeError, "paths: wanted a list of paths, bytes or open files, got 7"),
        ({"paths": [7]}, TypeError, r"paths\[0\]: wanted a path"),
        (
            {"target": torch.ones(2, 3)},
            ValueError,
            r"target: wanted \(1, C\) .*got a float32 tensor of shape \(2, 3\)",
        ),
        ({"target": torch.ones(1)}, ValueError, r"target: wanted \(1, C\)"),
        ({"target": [[1.0]]}, TypeError, "target: wanted a torch.Tensor"),
        ({"target": torch.tensor([[torch.nan]])}, ValueError, "target: wanted finite numbers, got nan"),
        ({"sample_rate": 0}, ValueError, "sample_rate: wanted an integer >= 1"),
        ({"sample_rate": None}, TypeError, "sample_rate: wanted an integer, got None"),
        ({"max_seconds": 0}, ValueError, "max_seconds: wanted at least one sample, got 0"),
        ({"max_seconds": -1.0}, ValueError, "max_seconds: wanted a finite number >= 0, got -1.0"),
        ({"max_seconds": "15"}, TypeError, "max_seconds: wanted a number, got '15'"),
        ({"start": -1}, ValueError, "start: wanted a finite number >= 0, got -1"),
        ({"start": [0.0, 1]}, ValueError, "start: wanted a number, or one for each of the 1 paths, got 2"),
        (
            {"start": [9.0]},
            ValueError,
            r"1 of 1 files cannot be used:\n  start: .*the end of .*a\.wav, .* got 9",
        ),
        ({"seconds": ["1"]}, TypeError, r"seconds\[0\]: wanted a number, got '1'"),
        ({"seconds": 0}, ValueError, "seconds: wanted at least one sample, got 0"),
        ({"crop": "middle"}, ValueError, "crop: wanted one of 'random', 'start', got 'middle'"),
    ],
)
def test_bad_arguments_are_named(folder, change, error, message):
    arguments = {"paths": [folder / "a.wav"]} | change
    with pytest.raises(error, match=message):
        ClipDataset(arguments.pop("paths"), **arguments)


def test_other_types_of_tables_are_refused(folder):
    with pytest.raises(TypeError, match="table: wanted a LabelTable, got 'train.csv'"):
        ClipDataset.from_table(folder, "train.csv")


@given(st.lists(st.integers(1, 20), min_size=1, max_size=6), st.booleans())
def test_batches_hold_the_clips_and_zeros(lengths, labelled):
    clips = [torch.randn(n) + 5 for n in lengths]
    targets = list(torch.rand(len(clips), 3))
    batch = pad_collate(list(zip(clips, targets, strict=True)) if labelled else clips)
    assert isinstance(batch, Batch)
    assert batch.lengths.dtype == torch.int64
    assert batch.lengths.tolist() == lengths
    assert batch.waveform.shape == (len(lengths), max(lengths))
    for row, clip in zip(batch.waveform, clips, strict=True):
        assert torch.equal(row[: len(clip)], clip)
        assert not row[len(clip) :].any()
    assert torch.equal(batch.target, torch.stack(targets)) if labelled else batch.target is None


@pytest.mark.parametrize(
    ("items", "error", "message"),
    [
        ([], ValueError, "items: wanted at least one clip, got none"),
        ([torch.ones(2), torch.ones(0)], ValueError, r"items\[1\]: wanted at least one sample"),
        ([torch.ones(1, 2)], ValueError, r"items\[0\]: wanted 1 axes, got a float32 tensor"),
        ([torch.ones(2).long()], TypeError, r"items\[0\]: wanted a floating-point tensor"),
        (["a.wav"], TypeError, r"items\[0\]: wanted a torch.Tensor, got 'a.wav'"),
        ([(torch.ones(2), 3)], TypeError, r"items\[0\]: wanted a torch.Tensor, got 3"),
        (
            [torch.ones(2), (torch.ones(2), torch.ones(1))],
            TypeError,
            "a target with every clip or with none, got 1 of 2",
        ),
        (
            [(torch.ones(2), torch.ones(1)), (torch.ones(2), torch.ones(2))],
            ValueError,
            r"items\[1\]: wanted the shape of the first target, \(1,\), got a float32",
        ),
    ],
)
def test_bad_items_are_named(items, error, message):
    with pytest.raises(error, match=message):
        pad_collate(items)
