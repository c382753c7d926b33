"""Tables of the command line after an interruption, and the results of events and embed."""

import csv
import io

import numpy as np
import pytest
import torch

from program_files import CLASSES, NAMES, write_models, write_sounds
from rankaudio import load_audio, predict, predict_long
from rankaudio._program import audio_files
from rankaudio._program import predict as predict_command
from rankaudio._program.main import main
from rankaudio._program.row_table import RowTable, _whole_lines
from rankaudio.data import read_scores
from rankaudio.events import events
from rankaudio.inference import FramewiseTagger


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    path = tmp_path_factory.mktemp("program")
    write_sounds(path / "sounds")
    return path, write_models(path)


@pytest.fixture
def run(folder, monkeypatch):
    monkeypatch.chdir(folder[0])
    return lambda *words: main([*map(str, words), "--device", "cpu", "--quiet"])


def clips(folder):
    return [load_audio(folder[0] / "sounds" / name, sample_rate=8000) for name in NAMES]


def rows_of(path):
    return list(csv.reader(io.StringIO(path.read_bytes().decode(), newline="")))


@pytest.fixture
def opened(monkeypatch):
    """The names of the files that are decoded."""
    names = []
    monkeypatch.setattr(
        audio_files, "load_audio", lambda path, **kw: names.append(path.name) or load_audio(path, **kw)
    )
    return names


class TestAppend:
    @pytest.mark.parametrize("lost", [1, 5, 20, 45, 80, 10_000])
    def test_an_interrupted_table_is_completed(self, run, tmp_path, opened, lost):
        run("predict", "model.pt", "sounds", "--out", tmp_path / "whole.csv")
        whole = (tmp_path / "whole.csv").read_bytes()
        cut = whole[: max(0, len(whole) - lost)]
        (tmp_path / "s.csv").write_bytes(cut)
        opened.clear()
        assert run("predict", "model.pt", "sounds", "--out", tmp_path / "s.csv", "--append") == 0
        again = read_scores(tmp_path / "s.csv")
        assert again.names == NAMES
        assert torch.allclose(again.scores, read_scores(tmp_path / "whole.csv").scores, atol=1e-5)
        kept = max(0, cut.count(b"\n") - 1)
        assert sorted(opened) == [name.rpartition("/")[2] for name in NAMES[kept:]]

    def test_rows_that_are_there_stay_as_they_are(self, run, tmp_path, opened):
        text = "fname,Bark,Meow,Purr\ne.wav,1,2,3\n"
        (tmp_path / "s.csv").write_text(text)
        assert run("predict", "model.pt", "sounds", "--out", tmp_path / "s.csv", "--append") == 0
        assert (tmp_path / "s.csv").read_text().startswith(text)
        assert sorted(read_scores(tmp_path / "s.csv").names) == sorted(NAMES)
        assert "e.wav" not in opened

    def test_a_new_table_may_be_appended_to(self, run, tmp_path):
        assert run("predict", "model.pt", "sounds", "--out", tmp_path / "s.csv", "--append") == 0
        assert len(read_scores(tmp_path / "s.csv")) == 4

    def test_a_table_of_another_model_is_refused(self, run, tmp_path, capsys):
        (tmp_path / "s.csv").write_text("fname,Cat\na.wav,1\n")
        assert run("predict", "model.pt", "sounds", "--out", tmp_path / "s.csv", "--append") == 1
        assert "s.csv: wanted the columns fname, Bark, Meow, Purr to continue" in capsys.readouterr().err
        assert (tmp_path / "s.csv").read_text() == "fname,Cat\na.wav,1\n"

    @pytest.mark.parametrize("command", [["predict"], ["events", "--threshold=-100"]])
    def test_the_last_file_of_a_table_of_windows_is_done_again(self, run, tmp_path, command):
        out, options = tmp_path / "w.csv", [*command[1:], "--window", "0.2"]
        assert run(command[0], "model.pt", "sounds", *options, "--out", out) == 0
        whole = out.read_text()
        out.write_text(whole[: whole.index("deep/d.wav") + 20])
        assert run(command[0], "model.pt", "sounds", *options, "--out", out, "--append") == 0
        assert [row[:3] for row in rows_of(out)] == [row[:3] for row in csv.reader(io.StringIO(whole))]

    def test_an_interruption_keeps_the_groups_before(self, run, tmp_path, monkeypatch, capsys):
        monkeypatch.setattr(audio_files, "_MOST_IN_A_GROUP", 2)
        groups, plain = [], predict_command.Model.scores

        def interrupted(model, files, **settings):
            groups.append(files)
            if len(groups) == 2:
                raise KeyboardInterrupt
            return plain(model, files, **settings)

        monkeypatch.setattr(predict_command.Model, "scores", interrupted)
        assert run("predict", "model.pt", "sounds", "--out", tmp_path / "s.csv") == 130
        assert "interrupted; " in capsys.readouterr().err
        assert read_scores(tmp_path / "s.csv").names == NAMES[:2]
        assert run("embed", "model.pt", "sounds", "--out", tmp_path / "e.npz") == 0
        groups.clear()
        (tmp_path / "e.npz").unlink()
        assert run("embed", "model.pt", "sounds", "--out", tmp_path / "e.npz") == 130
        assert np.load(tmp_path / "e.npz")["names"].tolist() == list(NAMES[:2])


class TestRowTable:
    def test_names_with_commas_quotes_and_line_ends_are_found_again(self, tmp_path):
        names = ["a,b", 'c "d"', "e\nf", "g\rh", "i\r\nj", " k ", "ünicode"]
        with RowTable(tmp_path / "t.csv", ["x"]) as table:
            table.add([name, "1"] for name in names)
        with RowTable(tmp_path / "t.csv", ["x"], append=True) as table:
            assert table.names == set(names)
        assert [row[0] for row in rows_of(tmp_path / "t.csv")] == ["fname", *names]

    def test_any_cut_leaves_whole_rows(self, tmp_path):
        names = ["a,b", "e\nf", 'c "d"', "ü"]
        with RowTable(tmp_path / "t.csv", ["x"]) as table:
            table.add([name, "1"] for name in names)
        whole = (tmp_path / "t.csv").read_bytes()
        for size in range(len(whole) + 1):
            (tmp_path / "t.csv").write_bytes(whole[:size])
            with RowTable(tmp_path / "t.csv", ["x"], append=True) as table:
                kept = len(table.names)
                assert table.names == set(names[:kept])
                table.add([name, "1"] for name in names[kept:])
            assert (tmp_path / "t.csv").read_bytes() == whole

    @pytest.mark.parametrize(
        ("content", "message"),
        [
            (b"fname,x\na,1\nb\nc,3\n", "row 3: wanted 2 cells, got 1"),
            (b'fname,x\n"a"b,1\nc,2\n', "row 2: not CSV"),
            (b"fname,x\n\xff,1\n", "row 2: wanted text in UTF-8"),
            (b"name,x\n", "wanted the columns fname, x to continue, got name, x"),
        ],
    )
    def test_other_tables_are_refused_and_stay(self, tmp_path, content, message):
        (tmp_path / "t.csv").write_bytes(content)
        with pytest.raises(ValueError, match=message):
            RowTable(tmp_path / "t.csv", ["x"], append=True)
        assert (tmp_path / "t.csv").read_bytes() == content


class TestEvents:
    def test_events_are_those_of_the_library(self, run, folder, tmp_path):
        options = ["--window", "0.1", "--threshold=0.1", "--min-gap", "0.1", "--min-duration", "0.11"]
        assert run("events", "model.pt", "sounds", *options, "--out", tmp_path / "e.csv") == 0
        rows, wanted = rows_of(tmp_path / "e.csv"), []
        assert rows[0] == ["fname", "start", "end", "label", "peak", "mean"]
        for name, clip in zip(NAMES, clips(folder), strict=True):
            windows = predict_long(folder[1][0], clip, window=0.1, hop=0.05)
            found = events(windows, 0.1, min_gap=0.1, min_duration=0.11, classes=CLASSES)
            wanted += [[name, f"{each.start:.6f}", f"{each.end:.6f}", each.label] for each in found]
        assert [row[:4] for row in rows[1:]] == wanted
        assert wanted

    def test_steps_are_those_of_the_framewise_tagger(self, run, folder, capsys):
        options = ["--steps", "--context", "0.05", "--threshold=0"]
        assert run("events", "model.pt", "sounds/a.wav", *options) == 0
        windows = FramewiseTagger(folder[1][0], context=0.05).score(clips(folder)[0])
        found = events(windows, 0.0, classes=CLASSES)
        rows = list(csv.reader(io.StringIO(capsys.readouterr().out)))[1:]
        assert [row[1:4] for row in rows] == [[f"{e.start:.6f}", f"{e.end:.6f}", e.label] for e in found]

    @pytest.mark.parametrize(("form", "suffix"), [("audacity", ".txt"), ("raven", ".selections.txt")])
    def test_other_formats_have_a_file_for_each_recording(self, run, tmp_path, form, suffix, capsys):
        options = ["--window", "9", "--threshold=-100", "--format", form, "--out", tmp_path / "out"]
        assert run("events", "run", "sounds", *options) == 0
        found = {path.relative_to(tmp_path / "out").as_posix() for path in (tmp_path / "out").rglob("*.txt")}
        assert found == {name + suffix for name in NAMES}
        lines = (tmp_path / "out" / f"a.wav{suffix}").read_text().splitlines()
        assert len(lines) == 3 + (form == "raven")
        assert "Bark" in lines[-3]
        assert run("events", "run", "sounds", *options) == 1
        assert "is there already; leave such files as they are with --append" in capsys.readouterr().err
        (tmp_path / "out" / f"a.wav{suffix}").write_text("mine")
        (tmp_path / "out" / f"e.wav{suffix}").unlink()
        assert run("events", "run", "sounds", *options, "--append") == 0
        assert (tmp_path / "out" / f"a.wav{suffix}").read_text() == "mine"
        assert (tmp_path / "out" / f"e.wav{suffix}").exists()


class TestEmbed:
    def test_embeddings_are_those_of_the_library(self, run, folder, tmp_path):
        for name in ("e.npz", "e.csv"):
            assert run("embed", "model.pt", "sounds", "--out", tmp_path / name) == 0
        wanted = predict(folder[1][0], clips(folder), embed=True).numpy()
        with np.load(tmp_path / "e.npz") as archive:
            assert archive["names"].tolist() == list(NAMES)
            np.testing.assert_allclose(archive["embeddings"], wanted, rtol=1e-5, atol=1e-5)
        rows = rows_of(tmp_path / "e.csv")
        assert rows[0] == ["fname", *(f"e{k}" for k in range(wanted.shape[1]))]
        np.testing.assert_allclose(
            np.array([row[1:] for row in rows[1:]], float), wanted, rtol=1e-5, atol=1e-5
        )

    def test_an_archive_is_continued(self, run, folder, tmp_path, opened):
        out = tmp_path / "e.npz"
        assert run("embed", "model.pt", "sounds/deep", "sounds/a.wav", "--out", out) == 0
        opened.clear()
        assert (
            run("embed", "model.pt", "sounds/deep", "sounds/a.wav", "sounds/e.wav", "--out", out, "--append")
            == 0
        )
        assert opened == ["e.wav"]
        with np.load(out) as archive:
            assert archive["names"].tolist() == ["d.wav", "a.wav", "e.wav"]
            assert archive["embeddings"].shape == (3, folder[1][0].backbone.n_features)

    def test_another_archive_is_refused_and_stays(self, run, tmp_path, capsys):
        np.savez(tmp_path / "e.npz", names=np.array(["a"]), embeddings=np.zeros((1, 2)))
        for content in ((tmp_path / "e.npz").read_bytes(), b"no archive"):
            (tmp_path / "e.npz").write_bytes(content)
            assert run("embed", "model.pt", "sounds", "--out", tmp_path / "e.npz", "--append") == 1
            assert "e.npz: wanted an archive of embed with embeddings" in capsys.readouterr().err
            assert (tmp_path / "e.npz").read_bytes() == content


@pytest.mark.parametrize(
    ("rows", "done", "kept"),
    [
        ([], [], 0),
        (["a"], [], 0),
        (["a", "a"], [], 0),
        (["a", "b"], ["a"], 1),
        (["a", "a", "b", "b"], ["a", "a"], 2),
    ],
)
def test_the_last_file_of_a_table_with_several_rows_for_each_is_done_again(tmp_path, rows, done, kept):
    """Its rows may be incomplete, even if it is the only one."""
    path, header = tmp_path / "t.csv", "fname,x\n"
    path.write_text(header + "".join(f"{name},1\n" for name in rows))
    assert _whole_lines(path, ["fname", "x"], several=True) == (done, len(header) + 4 * kept)
    every = ([row[0] for row in rows], len(header) + 4 * len(rows))
    assert _whole_lines(path, ["fname", "x"], several=False) == every
