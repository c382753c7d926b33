"""Public data sets are trained on by the commands of the documentation, in folders of their layout."""

import csv
import re
import shlex
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.io import wavfile

import freesound2019
from freesound.corpus import class_remarks, read_corpus
from freesound.plans.base import Member, Table
from rankaudio.data import LabelTable, read_scores
from training import CPU

PAGE = Path(__file__).parents[2] / "docs" / "howto" / "data_sets.md"
SMALL = ["--base-depth", "4", "--n-blocks", "2", "--epochs", "1", *CPU]
LABELS = ("Bark", "Meow", "Chirp")


def commands(title):
    """The commands of one section of the page, as lists of words without the program."""
    section = PAGE.read_text().split(f"## {title}\n")[1].split("\n## ")[0]
    block = re.search(r"```console\n(.*?)```", section, flags=re.DOTALL)[1].replace("\\\n", " ")
    return [shlex.split(line)[2:] for line in block.splitlines()]


def write_clip(path, number):
    path.parent.mkdir(parents=True, exist_ok=True)
    wave = np.sin(np.arange(8_000) * (0.05 + 0.01 * number))
    wavfile.write(path, 22_050, (20_000 * wave).astype(np.int16))


def write_table(path, header, rows):
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="") as file:
        csv.writer(file).writerows([header.split(","), *rows])


def run_all(title, folder, monkeypatch, *options):
    monkeypatch.chdir(folder)
    for words in commands(title):
        extra = [*SMALL, *options] if words[0] == "train" else CPU[:2] if words[0] == "predict" else []
        freesound2019.main([*words, *extra])


def held_out(run, fold):
    return read_scores(run / f"fold_{fold}" / "valid.csv").names


def test_fsd50k(tmp_path, monkeypatch, capsys):
    data = tmp_path / "FSD50K"
    for part, count, columns in (("dev", 6, "fname,labels,mids,split"), ("eval", 3, "fname,labels,mids")):
        rows = []
        for k in range(count):
            write_clip(data / f"FSD50K.{part}_audio" / f"{k}.wav", k)
            row = [str(k), f"{LABELS[k % 3]},Animal", "/m/1,/m/2", "val" if k < 3 else "train"]
            rows.append(row[: columns.count(",") + 1])
        write_table(data / "FSD50K.ground_truth" / f"{part}.csv", columns, rows)
    run_all("FSD50K", tmp_path, monkeypatch)
    run = tmp_path / "runs" / "fsd50k"
    assert held_out(run, 0) == ("0.wav", "1.wav", "2.wav")
    assert [path.name for path in sorted(run.glob("fold_*"))] == ["fold_0"]
    printed = capsys.readouterr().out
    assert "4 classes: 'Animal', 'Bark', 'Chirp', 'Meow'\n" in printed
    assert "nothing about a class that is in every clip: 'Animal'" in printed
    assert "scores of 3 clips" in printed
    assert "all labels" in printed


def test_esc50(tmp_path, monkeypatch):
    data, rows = tmp_path / "ESC-50-master", []
    for k in range(10):
        name = f"{k % 5 + 1}-{k}-A-0.wav"
        write_clip(data / "audio" / name, k)
        rows.append([name, str(k % 5 + 1), "0", LABELS[k % 3], "True", str(k), "A"])
    write_table(data / "meta" / "esc50.csv", "filename,fold,target,category,esc10,src_file,take", rows)
    run_all("ESC-50", tmp_path, monkeypatch)
    for fold in range(5):
        assert {name[0] for name in held_out(tmp_path / "runs" / "esc50", fold)} == {str(fold + 1)}


def test_urbansound8k(tmp_path, monkeypatch, capsys):
    data, rows = tmp_path / "UrbanSound8K", []
    for k in range(20):
        name, fold = f"{k}-3-0-0.wav", k % 10 + 1
        write_clip(data / "audio" / f"fold{fold}" / name, k)
        rows.append([name, str(k), "0.0", "0.5", "1", str(fold), "3", LABELS[k % 3]])
    header = "slice_file_name,fsID,start,end,salience,fold,classID,class"
    write_table(data / "metadata" / "UrbanSound8K.csv", header, rows)
    run_all("UrbanSound8K", tmp_path, monkeypatch, "--fold", "9")
    assert held_out(tmp_path / "runs" / "urbansound", 9) == ("fold10/9-3-0-0.wav", "fold10/19-3-0-0.wav")
    # The scores of the folder join with the table of the data set.
    run = ["predict", "--run", "runs/urbansound", "--audio", "UrbanSound8K/audio", "--out", "s.csv", *CPU[:2]]
    freesound2019.main(run)
    words = ["evaluate", "--scores", "s.csv", "--labels", "UrbanSound8K/metadata/UrbanSound8K.csv"]
    words += ["--name-column", "slice_file_name", "--label-column", "class", "--fold-column", "fold"]
    capsys.readouterr()
    freesound2019.main(words)
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines[-10:]] == [str(fold) for fold in range(1, 11)]
    assert lines[-1].endswith("2 clips")


def test_birdclef(tmp_path, monkeypatch):
    soundfile = pytest.importorskip("soundfile")
    data, rows = tmp_path / "birdclef", []
    for k in range(10):
        bird = LABELS[k % 3].lower()
        path = data / "train_audio" / bird / f"XC{k}.ogg"
        path.parent.mkdir(parents=True, exist_ok=True)
        soundfile.write(path, np.sin(np.arange(16_000) / (9 + k)) / 2, 32_000)
        rows.append([bird, "['owl', 'meow']" if k == 0 else "[]", "['song']", f"{bird}/XC{k}.ogg"])
    write_table(data / "train_metadata.csv", "primary_label,secondary_labels,type,filename", rows)
    (data / "sample_submission.csv").write_text("row_id,bark,meow\n1,0,0\n")
    run_all("BirdCLEF", tmp_path, monkeypatch, "--folds", "2", "--fold", "0")
    assert read_scores(tmp_path / "runs" / "birdclef" / "fold_0" / "valid.csv").classes == (
        *("bark", "chirp", "meow", "owl"),
    )


class TestTables:
    def corpus(self, folder, text, **columns):
        for number in range(3):
            write_clip(folder / "train_curated" / "in" / f"{number}.wav", number)
        (folder / "train_curated.csv").write_text(text)
        return read_corpus(folder, table=Table(**columns))

    def test_files_are_found(self, tmp_path):
        corpus = self.corpus(tmp_path, "fname,labels\n0,A\n1.wav,B\nin/2,A\ngone,B\n")
        assert corpus.curated.names == ("in/0.wav", "in/1.wav", "in/2.wav", "gone")

    @pytest.mark.parametrize("name", ["../a.wav", "/etc/a.wav", "in/../../a.wav"])
    def test_names_stay_in_the_folder(self, tmp_path, name):
        with pytest.raises(ValueError, match=f"wanted names of files in this folder, got '{name}'"):
            self.corpus(tmp_path, f"fname,labels\n{name},A\n")

    def test_clips_without_labels_are_counted(self, tmp_path):
        text = "fname,labels\n0,A\n1,\n2,B\n"
        with pytest.raises(ValueError, match="left out with --skip-unlabelled of train and evaluate"):
            self.corpus(tmp_path, text)
        corpus = self.corpus(tmp_path, text, skip_unlabelled=True)
        assert corpus.curated.names == ("in/0.wav", "in/2.wav")
        assert "1 clips without a label are left out: '1'" in corpus.remarks[0]

    def test_messages_name_options(self, tmp_path):
        with pytest.raises(ValueError, match="read the table with --separator ';'"):
            self.corpus(tmp_path, "fname,labels\n0,A;B\n")
        assert self.corpus(tmp_path, "fname,labels\n0,A;B\n", separator=";").classes == ("A", "B")

    @pytest.mark.parametrize(
        ("text", "columns", "message"),
        [
            ("0,A,1\n1,B,1\n", {"fold_column": "x"}, "wanted at least 2 folds in 'x', got '1' only"),
            ("0,A,train\n1,B,later\n", {"split_column": "x"}, "wanted train and val in 'x', got 'later'"),
            ("0,A,train\n1,B,train\n", {"split_column": "x"}, "got only train"),
            ("0,A,train\n1,B,\n", {"split_column": "x"}, "line 3: wanted fname, x, got"),
            ("0,A,1\n", {"fold_column": "y"}, "wanted a column 'y', got the columns fname, labels, x"),
        ],
    )
    def test_folds_that_cannot_be_used(self, tmp_path, text, columns, message):
        with pytest.raises(ValueError, match=message):
            self.corpus(tmp_path, "fname,labels,x\n" + text, **columns)

    def test_clips_for_tests_are_not_used(self, tmp_path):
        text = "fname,labels,x\n0,A,val\n1,B,test\n2,B,train\n"
        corpus = self.corpus(tmp_path, text, split_column="x")
        assert corpus.curated.names == ("in/0.wav", "in/2.wav")
        assert corpus.fold_of.tolist() == [0, 1]
        assert (corpus.count_folds(5), corpus.count_folds(1)) == (1, 1)

    def test_settings_that_exclude_each_other(self):
        with pytest.raises(ValueError, match="fold_column, split_column: wanted one of them, got both"):
            Table(fold_column="a", split_column="b")
        with pytest.raises(ValueError, match="separator: wanted the text between two labels"):
            Member(table=Table(separator=""))


def test_what_ranking_cannot_learn_is_said():
    def remarks(classes, target):
        names = [str(row) for row in range(len(target))]
        return class_remarks(LabelTable(names, classes, torch.tensor(target, dtype=torch.bool)))

    assert remarks(["a", "b"], [[1, 0], [0, 1]]) == ["2 classes: 'a', 'b'"]
    assert "only one class, so ranking can learn nothing" in remarks(["a"], [[1], [1]])[1]
    assert remarks(["a", "b"], [[1, 0], [1, 1]])[1].endswith("in every clip: 'a'")
    many = [f"c{k}" for k in range(20)]
    assert remarks(many, torch.eye(20).tolist()) == ["20 classes: 'c0', 'c1', 'c2', 'c3', 'c4', ..."]
