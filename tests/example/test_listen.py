"""``listen.py`` writes clips as training gets them, and its record reproduces them."""

import json
import re

import numpy as np
import pytest
import torch
from scipy.io import wavfile

from freesound.build import waveform_chain
from freesound.plans.base import Augment
from freesound.synthetic import make_corpus
from rankaudio import pad_collate
from rankaudio.data import read_labels
from tools import _versions_picture as picture
from tools import listen as program
from tools._augmented_clip import describe, draw_parameters, replay

RATE = 44_100
ALL = waveform_chain(Augment(mixup=1.0, effects=1.0, shuffle=1.0), sample_rate=RATE)


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    folder = tmp_path_factory.mktemp("corpus")
    make_corpus(folder, per_class=1, test_per_class=1)
    table = folder / "train_curated.csv"
    table.write_text("\n".join(table.read_text().splitlines()[:5]))  # four clips are quick
    return folder


@pytest.fixture(scope="module")
def heard(corpus, tmp_path_factory):
    """Return the output of all parts for two clips, with two versions of each."""
    out = tmp_path_factory.mktemp("heard") / "new" / "folder"
    listen(corpus, out, "--clips", "2")
    return out


def listen(data, out, *options):
    program.main(["--data", str(data), "--out", str(out), *options])
    return record(out)


def record(out):
    return json.loads((out / "parameters.json").read_text())["files"]


def clip(corpus, name):
    rate, samples = wavfile.read(corpus / "train_curated" / name)
    assert rate == RATE
    return torch.from_numpy(samples.astype(np.float32) / 32768)


def sound(path):
    rate, samples = wavfile.read(path)
    assert rate == RATE
    assert samples.dtype == np.float32
    return torch.from_numpy(samples.copy())


def test_every_file_is_in_the_record_and_named_after_its_parts(heard):
    entries = record(heard)
    on_disk = {path.name for path in heard.iterdir()}
    assert on_disk == {entry["file"] for entry in entries} | {"parameters.json", "listen.png"}
    stems = {entry["clip"].removesuffix(".wav") for entry in entries}
    assert len(stems) == 2
    for stem in stems:
        assert f"{stem}__0_original.wav" in on_disk
        for version in (1, 2):
            assert f"{stem}__{version}_mixup.wav" in on_disk
            assert f"{stem}__{version}_mixup_effects.wav" in on_disk
    for entry in entries:
        done = entry["file"].removesuffix(".wav").split("__")[1].split("_")[1:]
        assert list(entry["parameters"]) == ([] if done == ["original"] else done)


def test_the_record_reproduces_the_sounds(heard, corpus):
    lengths = set()
    for entry in record(heard):
        waveform, new = clip(corpus, entry["clip"])[None], None
        drawn = {
            part: {name: torch.from_numpy(np.array([value])) for name, value in fields.items()}
            for part, fields in entry["parameters"].items()
            if part != "mixup"
        }
        if "mixup" in entry["parameters"]:
            mixed = entry["parameters"]["mixup"]
            batch = pad_collate([waveform[0], clip(corpus, mixed["partner"])])
            pair = {
                "partner": torch.tensor([1, 1]),
                "gain": torch.tensor([mixed["gain"], 1.0]),
                "offset": torch.tensor([mixed["offset"], 0]),
            }
            target = torch.zeros(2, 1)
            waveform, _, new = ALL.replay(batch.waveform, target, {"mixup": pair}, batch.lengths)
            waveform = waveform[:1, : int(new[0])]
        waveform, _, new = ALL.replay(waveform, torch.zeros(1, 1), drawn, None if new is None else new[:1])
        written = sound(heard / entry["file"])
        assert len(written) == (waveform.shape[1] if new is None else int(new[0]))
        torch.testing.assert_close(written, waveform[0, : len(written)], rtol=0, atol=1e-6)
        lengths.add(len(written))
    assert len(lengths) > 3  # the speeds differ


def test_a_clip_replayed_alone_equals_the_clip_in_its_batch(corpus):
    table = read_labels(corpus / "train_curated.csv")
    names = list(table.names[:4])
    # In float64, where rounding cannot hide an error.
    of_name = {name: clip(corpus, name).double() for name in names}
    batch = pad_collate(
        [(of_name[name], row) for name, row in zip(names, table.target.float(), strict=False)]
    )
    chain = waveform_chain(Augment(mixup=0.6, effects=0.6, shuffle=0.6), sample_rate=RATE)
    waveform, _, lengths, _ = chain.record(*batch, generator=torch.Generator().manual_seed(1))
    drawn = draw_parameters(chain, batch, names, generator=torch.Generator().manual_seed(1))
    counts = set()
    for index, (name, parameters) in enumerate(zip(names, drawn, strict=True)):
        steps = list(replay(chain, name, parameters, read=of_name.__getitem__, sample_rate=RATE))
        counts.add(len(steps))
        alone = steps[-1].waveform if steps else of_name[name]
        assert len(alone) == int(lengths[index])
        torch.testing.assert_close(alone, waveform[index, : len(alone)], rtol=0, atol=1e-9)
    assert len(counts) > 1  # not every part touched every clip


def test_the_original_is_unchanged_and_there_is_a_picture(heard, corpus):
    originals = [entry for entry in record(heard) if "original" in entry["file"]]
    for entry in originals:
        assert torch.equal(sound(heard / entry["file"]), clip(corpus, entry["clip"]))
    assert (heard / "listen.png").read_bytes().startswith(b"\x89PNG\r\n\x1a\n")


def test_one_part_for_two_named_clips(corpus, tmp_path):
    names = read_labels(corpus / "train_curated.csv").names[:2]
    entries = listen(corpus, tmp_path / "a", "--effects", "--versions", "1", "--names", names[1], names[0])
    stems = [name.removesuffix(".wav") for name in (names[1], names[0])]
    kinds = ("0_original", "1_effects")
    assert [entry["file"] for entry in entries] == [f"{s}__{kind}.wav" for s in stems for kind in kinds]
    assert set(entries[1]["parameters"]) == {"effects"}
    assert "pitch" in entries[1]["description"]


def test_a_probability_of_zero_changes_nothing(corpus, tmp_path):
    entries = listen(corpus, tmp_path, "--shuffle", "0", "--clips", "3")
    assert [entry["description"] for entry in entries] == ["unchanged"] * 3


def test_the_same_seed_gives_the_same_result(corpus, tmp_path):
    options = ["--mixup", "--clips", "2", "--versions", "1"]
    first = listen(corpus, tmp_path / "a", *options)
    assert listen(corpus, tmp_path / "b", *options) == first
    assert listen(corpus, tmp_path / "c", *options, "--seed", "5") != first


def test_an_earlier_folder_is_reused_and_other_files_are_kept(corpus, tmp_path):
    listen(corpus, tmp_path / "out", "--shuffle", "0", "--clips", "3")
    (tmp_path / "out" / "notes.txt").write_text("mine")
    entries = listen(corpus, tmp_path / "out", "--shuffle", "0", "--clips", "1", "--seed", "8")
    on_disk = {path.name for path in (tmp_path / "out").iterdir()}
    assert on_disk == {entries[0]["file"], "notes.txt", "listen.png", "parameters.json"}


def test_long_clips_are_cut_and_file_names_are_unique(tmp_path):
    (tmp_path / "train_curated").mkdir()
    rng = np.random.default_rng(0)
    for name, seconds in [("a.wav", 16), ("a.b", 1)]:
        noise = rng.integers(-9000, 9000, seconds * RATE).astype(np.int16)
        wavfile.write(tmp_path / "train_curated" / name, RATE, noise)
    (tmp_path / "train_curated.csv").write_text("fname,labels\na.wav,Dog\na.b,Cat\n")
    entries = listen(tmp_path, tmp_path / "out", "--shuffle", "--versions", "1", "--names", "a.wav", "a.b")
    assert {entry["file"][:5] for entry in entries} == {"a.wav", "a.b__"}
    original = sound(tmp_path / "out" / "a.wav__0_original.wav")
    assert torch.equal(original, clip(tmp_path, "a.wav")[: 15 * RATE])
    shuffled = sound(tmp_path / "out" / "a.wav__1_shuffle.wav")
    assert torch.equal(shuffled.sort().values, original.sort().values)


def test_descriptions_have_the_parameters():
    mixed = {"partner": "x.wav", "gain": 0.42, "offset": 66_150}
    ends = {"before": 88_200, "sample_rate": RATE}
    assert describe("mixup", mixed, after=88_200, **ends) == "42 % of the clip, 58 % of x.wav from 1.50 s on"
    assert describe("mixup", mixed, after=99_000, **ends) == "42 % of the clip from 1.50 s on, 58 % of x.wav"
    assert describe("shuffle", {"order": [2, 0, 1, 3, 4, 5]}, after=1, before=66_151, sample_rate=RATE) == (
        "half seconds in the order 3 1 2 4"
    )
    many = describe("shuffle", {"order": list(range(30))}, after=1, before=15 * RATE, sample_rate=RATE)
    assert many == "half seconds in the order 1 2 3 4 5 6 7 8 9 10 ..."
    drawn = {"reverberance": 32.0, "room_scale": 12.0, "stereo_depth": 4.0, "cents": -120.0}
    assert describe("effects", {**drawn, "decibels": 6.0, "factor": 1.04}, after=1, **ends) == (
        "reverb 32 %, room 12 %, stereo depth 4 %, pitch -120 cents, overdrive 6 dB, speed 1.040"
    )


def test_a_picture_of_many_clips_shows_some(tmp_path, monkeypatch):
    monkeypatch.setattr(picture, "MAX_ROWS", 1)
    monkeypatch.setattr(picture, "MAX_COLUMNS", 2)
    rows = [[picture.Panel("t", torch.randn(2000), "w")] * 3] * 2
    shown = picture.save_picture(tmp_path / "p.png", rows, sample_rate=RATE)
    assert shown == "1 clips and 1 versions of each"


def test_help_is_grouped(capsys):
    with pytest.raises(SystemExit, match="0"):
        program.main(["--help"])
    printed = capsys.readouterr().out
    assert "usage: listen.py" in printed
    assert "audio effects, with probability P" in printed
    assert "augmentation:" in printed
    assert "None" not in printed


class TestMistakes:
    """Each mistake ends with one line, and nothing is written."""

    @pytest.mark.parametrize(
        ("options", "match"),
        [
            (["--names", "no.wav", "neither.wav"], "--names: wanted clips of .*, got no.wav, neither.wav"),
            (["--clips", "0"], "--clips: wanted an integer from 1, got 0"),
            (["--versions", "x"], "--versions"),
            (["--effects", "1.5"], "--effects: wanted a number from 0 to 1, got 1.5"),
            (["--mixup", "nan"], "--mixup: wanted a number from 0 to 1, got nan"),
            (["--names", "a.wav", "--clips", "2"], "not allowed with"),
        ],
        ids=lambda value: " ".join(value) if isinstance(value, list) else "",
    )
    def test_options(self, corpus, tmp_path, capsys, options, match):
        refused(capsys, corpus, tmp_path / "out", *options, match=match)
        assert not (tmp_path / "out").exists()

    def test_a_folder_with_other_files(self, corpus, tmp_path, capsys):
        (tmp_path / "things").write_text("mine")
        match = "--out: wanted a new folder or that of an earlier listen.py"
        refused(capsys, corpus, tmp_path, match=match)
        refused(capsys, corpus, tmp_path / "things", match=match)
        assert [path.name for path in tmp_path.iterdir()] == ["things"]

    @pytest.mark.parametrize(
        "content", ["", "[]", "null", "{}", '{"files": [1]}', '{"files": [{"file": ""}]}']
    )
    def test_a_damaged_record(self, corpus, tmp_path, capsys, content):
        (tmp_path / "parameters.json").write_text(content)
        refused(
            capsys, corpus, tmp_path, "--clips", "1", match="parameters.json: wanted .* or a damaged file"
        )

    def test_no_clips(self, tmp_path, capsys):
        refused(capsys, tmp_path / "no", tmp_path / "out", match="wanted a folder in the Kaggle layout")
        (tmp_path / "train_curated.csv").write_text("fname,labels\n")
        refused(capsys, tmp_path, tmp_path / "out", match="train_curated.csv")
        (tmp_path / "train_curated.csv").write_text("fname,labels\nb.wav,Dog\n")
        refused(capsys, tmp_path, tmp_path / "out", match="b.wav")
        assert not (tmp_path / "out").exists()


def refused(capsys, data, out, *options, match):
    with pytest.raises(SystemExit) as caught:
        listen(data, out, *options)
    message = caught.value.code if isinstance(caught.value.code, str) else capsys.readouterr().err
    assert "Traceback" not in message
    assert re.search(match, message)
