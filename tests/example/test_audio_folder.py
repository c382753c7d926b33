"""Every audio file of a folder is scored under its path, or it is named as left out."""

import os
import shutil

import numpy as np
import pytest
import soundfile
import torch

import freesound2019
from freesound.plans.base import Crops, Member, Sound
from freesound.settings import to_dict, to_toml
from rankaudio import CNN2d, LogMel, Tagger
from rankaudio._program.main import main
from rankaudio.data import read_scores
from rankaudio.data._audio_folder import find_audio
from rankaudio.data._file_names import NameIndex

SOUND = np.sin(np.arange(22_050) / 10).astype("float32") / 2


def write(path, form="WAV", subtype="PCM_16"):
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, SOUND, 44_100, format=form, subtype=subtype)


@pytest.fixture
def run(tmp_path):
    folder = tmp_path / "run" / "fold_0"
    folder.mkdir(parents=True)
    tagger = Tagger(LogMel(), CNN2d(2, base_depth=4, n_blocks=2), classes=["A", "B"])
    tagger.save(folder / "model.pt")
    return folder.parent


@pytest.fixture
def audio(tmp_path):
    folder = tmp_path / "audio"
    folder.mkdir()
    return folder


def predict(run, audio, out):
    command = ["predict", "--run", run, "--audio", audio, "--out", out, "--device", "cpu"]
    freesound2019.main([str(word) for word in command])


def test_files_of_every_format_and_folder_are_scored(run, audio, tmp_path, capsys):
    for name, form, subtype in [
        ("x.aif", "AIFF", "PCM_16"),
        ("y.aiff", "AIFF", "PCM_16"),
        ("z.AU", "AU", "PCM_16"),
        ("v.opus", "OGG", "VORBIS"),
        ("u.oga", "OGG", "VORBIS"),
        ("w.wav", "WAV", "PCM_16"),
        ("no suffix", "FLAC", "PCM_16"),
        ("fold1/w.wav", "WAV", "PCM_16"),
        ("fold1/deep/w.bin", "WAV", "PCM_16"),
    ]:
        write(audio / name, form, subtype)
    (audio / "fold1" / "readme.txt").write_text("These are sounds.")
    (audio / "._w.wav").write_bytes(b"\0\5\x16\7")
    predict(run, audio, tmp_path / "s.csv")
    assert read_scores(tmp_path / "s.csv").names == (
        *("fold1/deep/w.bin", "fold1/w.wav", "no suffix", "u.oga", "v.opus"),
        *("w.wav", "x.aif", "y.aiff", "z.AU"),
    )
    printed = capsys.readouterr().out
    assert "2 other files are no audio and are left out: '._w.wav', 'fold1/readme.txt'" in printed
    assert "scores of 9 clips" in printed


@pytest.mark.parametrize(
    "member",
    [
        Member(),
        Member(sound=Sound(trim=30.0)),
        Member(crops=Crops(crop_frames=20)),
        Member(crops=Crops(crop_frames=20, window_hop=5)),
        Member(crops=Crops(segment_seconds=0.3)),
    ],
)
def test_the_program_of_the_library_gives_the_same_table(run, audio, tmp_path, member):
    (run / "settings.toml").write_text(to_toml(to_dict(member)))
    write(audio / "a.wav")
    soundfile.write(audio / "b.wav", np.concatenate([np.zeros(30_000), SOUND, np.zeros(9000)]), 44_100)
    shutil.copytree(run / "fold_0", run / "fold_1")
    tagger = Tagger.load(run / "fold_1" / "model.pt")
    torch.nn.init.constant_(tagger.backbone.classifier[-1].bias, 1.0)
    tagger.save(run / "fold_1" / "model.pt")
    predict(run, audio, tmp_path / "s.csv")
    words = ["predict", run, audio, "--out", tmp_path / "t.csv", "--device", "cpu"]
    assert main([str(word) for word in words]) == 0
    ours, theirs = read_scores(tmp_path / "t.csv"), read_scores(tmp_path / "s.csv")
    assert ours.names == theirs.names
    torch.testing.assert_close(ours.scores, theirs.scores, rtol=1e-6, atol=1e-6)


def test_links_to_folders_are_followed_once(audio, tmp_path):
    write(tmp_path / "elsewhere" / "a.wav")
    (audio / "link").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "elsewhere" / "up").symlink_to(audio)
    found = find_audio(audio)
    assert [found.name(path) for path in found.paths] == ["link/a.wav"]


@pytest.mark.parametrize("kind", ["pipe", "dangling link", "folder", "broken", "of no reader"])
def test_what_cannot_be_read_is_named_and_the_others_are_scored(run, audio, tmp_path, kind):
    write(audio / "good.wav")
    bad = audio / "bad.wav"
    if kind == "pipe":
        os.mkfifo(bad)
    elif kind == "dangling link":
        bad.symlink_to(tmp_path / "gone")
    elif kind == "folder":
        bad.mkdir()
    elif kind == "broken":
        bad.write_bytes(b"RIFF")
    else:
        bad = audio / "bad.m4a"
        bad.write_bytes(b"\0\0\0\x20ftypM4A ")
    if kind == "folder":
        predict(run, audio, tmp_path / "s.csv")
    else:
        with pytest.raises(SystemExit, match="1 files could not be scored(.|\n)*bad"):
            predict(run, audio, tmp_path / "s.csv")
    assert read_scores(tmp_path / "s.csv").names == ("good.wav",)


def test_names_that_no_table_can_hold_are_named_before_scoring(run, audio, tmp_path):
    write(audio / "good.wav")
    try:
        shutil.copy(os.fsencode(audio / "good.wav"), os.fsencode(audio) + b"/x\xff.wav")
    except OSError:
        pytest.skip("this file system has no such names")
    with pytest.raises(SystemExit, match=r"'x\\udcff.wav': wanted a file name in UTF-8"):
        predict(run, audio, tmp_path / "s.csv")
    assert read_scores(tmp_path / "s.csv").names == ("good.wav",)


def test_a_clip_without_finite_scores_is_named_and_the_others_are_kept(run, audio, tmp_path):
    write(audio / "good.wav")
    soundfile.write(audio / "huge.wav", np.full(22_050, 3e38, "float32"), 44_100, subtype="FLOAT")
    with pytest.raises(SystemExit, match=r"huge.wav: wanted finite"):
        predict(run, audio, tmp_path / "s.csv")
    assert read_scores(tmp_path / "s.csv").names == ("good.wav",)


def test_a_model_with_nan_is_named_before_scoring(run, audio, tmp_path):
    write(audio / "good.wav")
    path = run / "fold_0" / "model.pt"
    tagger = Tagger.load(path)
    torch.nn.init.constant_(tagger.backbone.classifier[-1].bias, torch.nan)
    tagger.save(path)
    with pytest.raises(SystemExit, match=r"model.pt: wanted finite weights, got others in backbone"):
        predict(run, audio, tmp_path / "s.csv")


def test_a_class_without_labels_has_no_finite_threshold_and_scores_as_before(run, audio, tmp_path):
    write(audio / "good.wav")
    predict(run, audio, tmp_path / "s.csv")
    path = run / "fold_0" / "model.pt"
    tagger = Tagger.load(path)
    tagger.set_decisions(thresholds=torch.tensor([0.0, torch.inf]))
    tagger.save(path)
    predict(run, audio, tmp_path / "t.csv")
    assert (tmp_path / "t.csv").read_bytes() == (tmp_path / "s.csv").read_bytes()


def test_the_target_is_checked_first(audio, tmp_path):
    for out in (audio, tmp_path / "none" / "s.csv"):
        with pytest.raises(SystemExit, match="--out: "):
            predict(tmp_path / "no run", audio, out)


class TestNames:
    KNOWN = ("64760.wav", "fold1/a.wav", "fold2/b.wav", "fold1/b.flac", "caf\u00e9.wav")

    @pytest.mark.parametrize(
        ("name", "meant"),
        [
            ("64760.wav", "64760.wav"),
            ("64760", "64760.wav"),
            ("fold1/a", "fold1/a.wav"),
            ("a.wav", "fold1/a.wav"),
            ("a", "fold1/a.wav"),
            ("b.wav", "fold2/b.wav"),
            ("cafe\u0301", "caf\u00e9.wav"),
            ("fold2/a.wav", None),
            ("", None),
        ],
    )
    def test_one_name_is_found(self, name, meant):
        assert NameIndex(self.KNOWN).find(name) == meant

    def test_several_are_refused(self):
        with pytest.raises(ValueError, match="wanted one file named 'b', got 'fold2/b.wav', 'fold1/b.flac'"):
            NameIndex(self.KNOWN).find("b")
        with pytest.raises(ValueError, match="got '64760.wav' for '64760' and '64760.wav'"):
            NameIndex(self.KNOWN).find_all(["64760", "64760.wav"])

    def test_evaluate_joins_names_of_sub_folders_without_suffix(self, tmp_path, capsys):
        (tmp_path / "s.csv").write_text("fname,A,B\nfold1/x.wav,1,0\nfold2/y.wav,0,1\n")
        (tmp_path / "l.csv").write_text("fname,labels\nx,A\ny.wav,B\n")
        command = ["evaluate", "--scores", tmp_path / "s.csv", "--labels", tmp_path / "l.csv"]
        freesound2019.main([str(word) for word in command])
        assert capsys.readouterr().out.splitlines()[-1].split() == [
            "all",
            "labels",
            "2",
            "1.0000",
            "[1.0000,",
            "1.0000]",
        ]
