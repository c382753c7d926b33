"""The command line, in this process and once in its own: scores, odd files, exit statuses and messages."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

import rankaudio
from program_files import CLASSES, NAMES, write_labels_of_sounds, write_models, write_sounds
from rankaudio import Tagger, load_audio, lwlrap, predict, predict_long
from rankaudio._program import audio_files
from rankaudio._program import predict as predict_command
from rankaudio._program.main import main
from rankaudio.data import read_labels, read_scores
from rankaudio.decisions import Calibration
from rankaudio.inference import SegmentedTagger, WindowedTagger
from rankaudio.metrics import average_precision, bootstrap


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Models and sounds, which tests do not change."""
    path = tmp_path_factory.mktemp("program")
    write_sounds(path / "sounds")
    write_labels_of_sounds(path / "labels.csv")
    return path, write_models(path)


@pytest.fixture
def run(folder, monkeypatch, tmp_path):
    """Run a command in a folder with the models and the sounds; the results go elsewhere."""
    monkeypatch.chdir(folder[0])

    def command(*words, out=None, device="cpu"):
        given = [str(word) for word in words] + ([] if out is None else ["--out", str(tmp_path / out)])
        return main([*given, *(["--device", device] if device else [])])

    return command


def clips(folder):
    return [load_audio(folder[0] / "sounds" / name, sample_rate=8000) for name in NAMES]


def usage(run, capsys, *words):
    """Run a wrong command line, and return what it says."""
    with pytest.raises(SystemExit) as error:
        run(*words)
    assert error.value.code == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    return captured.err.splitlines()[-1]


class TestPredict:
    def test_scores_are_those_of_the_library(self, run, folder, tmp_path):
        assert run("predict", "model.pt", "sounds", out="s.csv") == 0
        table = read_scores(tmp_path / "s.csv")
        assert (table.names, table.classes) == (NAMES, CLASSES)
        torch.testing.assert_close(table.scores, predict(folder[1][0], clips(folder)), rtol=1e-5, atol=1e-5)

    @pytest.mark.parametrize("form", ["folders", "files of minimal.py"])
    def test_scores_of_a_run_are_the_mean_over_its_folds(self, run, folder, tmp_path, form):
        model = "run"
        if form != "folders":
            model = tmp_path / "minimal"
            model.mkdir()
            for fold, tagger in enumerate(folder[1]):
                tagger.save(model / f"fold_{fold}.pt")
        assert run("predict", model, "sounds", out="s.csv") == 0
        each = [predict(tagger, clips(folder)) for tagger in folder[1]]
        wanted = torch.stack(each).mean(0)
        torch.testing.assert_close(read_scores(tmp_path / "s.csv").scores, wanted, rtol=1e-5, atol=1e-5)
        assert not torch.allclose(each[0], each[1], atol=0.1)

    @pytest.mark.parametrize(
        ("settings", "scorer"),
        [
            ("crop_frames = 32\nwindow_hop = 16", lambda tagger: WindowedTagger(tagger, window=32, hop=16)),
            ("crop_frames = 33", lambda tagger: WindowedTagger(tagger, window=33, hop=16)),
            ("segment_seconds = 0.2", lambda tagger: SegmentedTagger(tagger, seconds=0.2)),
        ],
    )
    def test_the_settings_of_a_run_say_how_clips_are_scored(self, run, folder, tmp_path, settings, scorer):
        (tmp_path / "run" / "fold_0").mkdir(parents=True)
        folder[1][0].save(tmp_path / "run" / "fold_0" / "model.pt")
        (tmp_path / "run" / "settings.toml").write_text(f"[crops]\n{settings}\n")
        assert run("predict", tmp_path / "run", "sounds", out="s.csv") == 0
        wanted = predict(scorer(folder[1][0]), clips(folder))
        torch.testing.assert_close(read_scores(tmp_path / "s.csv").scores, wanted, rtol=1e-5, atol=1e-5)

    def test_single_files_have_their_own_names(self, run, tmp_path):
        assert run("predict", "model.pt", "sounds/deep/d.wav", "sounds/a.wav", out="s.csv") == 0
        assert read_scores(tmp_path / "s.csv").names == ("d.wav", "a.wav")

    def test_top_prints_the_highest_classes_of_each_file(self, run, folder, capsys):
        assert run("predict", "model.pt", "sounds", "--top", "2", "--quiet") == 0
        lines = capsys.readouterr().out.splitlines()
        scores = predict(folder[1][0], clips(folder))
        for line, name, row in zip(lines, NAMES, scores.tolist(), strict=True):
            best = sorted(zip(row, CLASSES, strict=True), reverse=True)[:2]
            assert line == f"{name}: {', '.join(f'{label} {value:.2f}' for value, label in best)}"

    def test_top_may_be_more_than_there_are_and_goes_with_a_table(self, run, tmp_path, capsys):
        assert run("predict", "model.pt", "sounds", "--top", "99", out="s.csv") == 0
        assert len(capsys.readouterr().out.splitlines()[0].split(",")) == 3
        assert len(read_scores(tmp_path / "s.csv")) == 4

    def test_a_threshold_gives_a_table_of_labels(self, run, folder, tmp_path):
        scores = predict(folder[1][0], clips(folder))
        limit = float(scores.flatten().sort().values[5:7].mean())
        assert run("predict", "model.pt", "sounds", f"--threshold={limit}", out="l.csv") == 0
        table = read_labels(tmp_path / "l.csv", classes=CLASSES, strict=False)
        assert table.names == NAMES
        assert torch.equal(table.target, scores >= limit)

    def test_saved_thresholds_and_calibration_are_those_of_the_model(self, run, folder, tmp_path, capsys):
        tagger = Tagger.load(folder[0] / "model.pt")
        scores = predict(tagger, clips(folder))
        tagger.set_decisions(
            thresholds=scores.sort(0).values[1:3].mean(0),  # between two scores, because of rounding
            calibration=Calibration(torch.tensor([1.0, 2.0, 0.5]), torch.tensor([0.0, -1.0, 1.0])),
        )
        tagger.save(tmp_path / "decided.pt")
        assert run("predict", tmp_path / "decided.pt", "sounds", "--threshold=saved", out="l.csv") == 0
        table = read_labels(tmp_path / "l.csv", classes=CLASSES, strict=False)
        assert torch.equal(table.target, tagger.decide(scores))
        assert run("predict", tmp_path / "decided.pt", "sounds", "--probabilities", out="p.csv") == 0
        wanted = tagger.probabilities(scores)
        torch.testing.assert_close(read_scores(tmp_path / "p.csv").scores, wanted, rtol=1e-5, atol=1e-5)
        capsys.readouterr()
        words = ["events", tmp_path / "decided.pt", "sounds", "--window=9", "--threshold=saved", "--quiet"]
        assert run(*words) == 0
        rows = [line.rsplit(",", 5) for line in capsys.readouterr().out.splitlines()[1:]]
        found = {(row[0].strip('"'), row[3]) for row in rows}
        places = tagger.decide(scores).nonzero().tolist()
        assert found == {(NAMES[clip], CLASSES[column]) for clip, column in places}

    def test_windows_have_a_row_each(self, run, folder, capsys):
        assert run("predict", "model.pt", "sounds", "--window", "0.3", "--hop", "0.1", "--quiet") == 0
        lines = capsys.readouterr().out.splitlines()
        assert lines[0] == "fname,start,end,Bark,Meow,Purr"
        windows = predict_long(folder[1][0], clips(folder)[0], window=0.3, hop=0.1)
        own = [line.split(",") for line in lines if line.startswith("a.wav")]
        assert [row[1:3] for row in own] == [
            [f"{start:.6f}", f"{end:.6f}"] for start, end in zip(windows.starts, windows.ends, strict=True)
        ]
        np.testing.assert_allclose(
            np.array([row[3:] for row in own], float), windows.scores.numpy(), rtol=1e-5, atol=1e-5
        )

    def test_small_groups_and_batches_change_nothing(self, run, tmp_path, monkeypatch):
        run("predict", "model.pt", "sounds", out="one.csv")
        monkeypatch.setattr(audio_files, "_MOST_IN_A_GROUP", 1)
        run("predict", "model.pt", "sounds", "--batch", "0.01", out="many.csv")
        one, many = (read_scores(tmp_path / name) for name in ("one.csv", "many.csv"))
        assert one.names == many.names
        torch.testing.assert_close(one.scores, many.scores, rtol=1e-5, atol=1e-5)


class TestOddFiles:
    @pytest.fixture
    def odd(self, tmp_path):
        """A folder with a good file, and others of which none can be read."""
        path = tmp_path / "odd"
        write_sounds(path)
        (path / "broken.wav").write_bytes(b"RIFF")
        (path / "cut.wav").write_bytes((path / "a.wav").read_bytes()[:1000])
        (path / "text.wav").write_text("no sound")
        (path / "readme.txt").write_text("no sound")
        os.mkfifo(path / "pipe.wav")
        (path / "dangling.wav").symlink_to(path / "gone.wav")
        return path

    BAD = ("broken.wav", "cut.wav", "text.wav", "pipe.wav", "dangling.wav")

    @pytest.mark.parametrize("command", [["predict"], ["embed"], ["events", "--window=1", "--threshold=0"]])
    def test_they_are_named_and_the_others_are_done(self, run, odd, tmp_path, capsys, command):
        assert run(command[0], "model.pt", odd, *command[1:], out="t.csv") == 1
        said = capsys.readouterr().err
        assert all(sum(name in line for line in said.splitlines()) == 1 for name in self.BAD), said
        assert "1 other files are no audio and are left out: 'readme.txt'" in said
        assert "5 files could not be used" in said
        text = (tmp_path / "t.csv").read_text()
        assert not any(name in text for name in self.BAD)
        assert "Traceback" not in said

    def test_a_file_that_breaks_after_its_header_was_read_is_named(self, run, odd, tmp_path, capsys):
        import soundfile

        samples = np.zeros(3000, "float32")
        samples[2000] = np.nan
        soundfile.write(odd / "nan.wav", samples, 8000, subtype="FLOAT")
        soundfile.write(odd / "huge.wav", np.full(3000, 3e38, "float32"), 8000, subtype="FLOAT")
        assert run("predict", "run", odd, out="t.csv") == 1
        said = capsys.readouterr().err
        for name in ("nan.wav: wanted finite float32 samples, got nan at sample 2000", "huge.wav"):
            assert said.count(name) == 1, said
        assert read_scores(tmp_path / "t.csv").names == NAMES

    def test_a_missing_path_does_not_stop_the_others(self, run, tmp_path, capsys):
        assert run("predict", "model.pt", "none", "sounds", out="t.csv") == 1
        assert "PATH: wanted a folder of audio files, got none, which is none" in capsys.readouterr().err
        assert read_scores(tmp_path / "t.csv").names == NAMES

    def test_equal_names_of_two_folders_are_refused(self, run, capsys):
        assert run("predict", "model.pt", "sounds", "sounds/a.wav") == 1
        assert "PATH: wanted files with different names" in capsys.readouterr().err


class TestErrors:
    @pytest.mark.parametrize(
        ("words", "message"),
        [
            (["predict", "none.pt", "sounds"], "none.pt"),
            (["predict", "labels.csv", "sounds"], "labels.csv: wanted a file written by Tagger.save"),
            (["predict", "sounds", "sounds"], "MODEL: wanted a folder with fold_*/model.pt, got sounds"),
            (["predict", "model.pt", "sounds", "--out", "sounds"], "--out: wanted a file to write, got the"),
            (["predict", "model.pt", "sounds", "--out", "no/s.csv"], "--out: wanted a file in a folder that"),
            (
                ["predict", "model.pt", "sounds", "--out", "labels.csv"],
                "labels.csv is there already; continue",
            ),
            (["predict", "model.pt", "sounds", "--threshold", "saved"], "wanted a model that was saved with"),
            (["predict", "run", "sounds", "--probabilities"], "--probabilities: wanted one model, got run"),
            (["embed", "run", "sounds"], "embed: wanted one model, got run with 2 folds"),
            (["evaluate", "none.csv", "labels.csv"], "none.csv"),
            (["evaluate", "labels.csv", "labels.csv"], "labels.csv, line 2: wanted a finite float32 number"),
            (["evaluate", "model.pt", "labels.csv", "--audio", "none"], "--audio: wanted a folder of audio"),
            (["evaluate", "model.pt", "labels.csv", "--audio", "run"], "got none for 4 of 4 in run: 'a'"),
        ],
    )
    def test_one_line_and_status_1(self, run, capsys, words, message):
        assert run(*words) == 1
        captured = capsys.readouterr()
        assert captured.out == ""
        (line,) = captured.err.splitlines()
        assert line.startswith("rankaudio: ")
        assert message in line

    @pytest.mark.parametrize(
        ("words", "message"),
        [
            (["guess"], "invalid choice: 'guess'"),
            (["predict", "model.pt"], "required: PATH"),
            (["predict", "model.pt", "sounds", "--hop", "1"], "argument --hop: wanted --window too"),
            (
                ["predict", "model.pt", "sounds", "--window", "0"],
                "--window: wanted a number above 0, got '0'",
            ),
            (["predict", "model.pt", "sounds", "--window", "inf"], "wanted a number above 0, got 'inf'"),
            (
                ["predict", "model.pt", "sounds", "--top", "0"],
                "argument --top: wanted an integer >= 1, got '0'",
            ),
            (["predict", "model.pt", "sounds", "--threshold", "x"], "--threshold: wanted a number, got 'x'"),
            (["predict", "model.pt", "sounds", "--workers", "9999"], "--workers: wanted an integer"),
            (["predict", "model.pt", "sounds", "--append"], "argument --append: wanted --out too"),
            (["predict", "model.pt", "sounds", "--probabilities", "--threshold=0"], "wanted no --threshold"),
            (["events", "model.pt", "sounds", "--threshold", "0"], "wanted either --window or --steps"),
            (["events", "model.pt", "sounds", "--window", "1"], "required: --threshold"),
            (["events", "model.pt", "sounds", "--threshold=0", "--steps", "--window=1"], "wanted either"),
            (
                ["events", "model.pt", "sounds", "--threshold=0", "--window=1", "--context=1"],
                "wanted --steps",
            ),
            (["events", "model.pt", "sounds", "--threshold=0", "--min-gap=-1"], "wanted a number >= 0"),
            (["events", "model.pt", "sounds", "--threshold=0", "--window=1", "--format=raven"], "the folder"),
            (
                ["evaluate", "model.pt", "labels.csv"],
                "argument --audio: wanted a folder, because model.pt is",
            ),
        ],
    )
    def test_bad_usage_is_status_2(self, run, capsys, words, message):
        assert message in usage(run, capsys, *words)

    def test_a_device_that_is_not_there_is_bad_usage(self, run, capsys):
        with pytest.raises(SystemExit) as error:
            run("predict", "model.pt", "sounds", device="nonsense")
        assert error.value.code == 2
        assert "--device: wanted a device of this machine, got 'nonsense'" in capsys.readouterr().err

    def test_a_model_with_nan_is_refused(self, run, folder, tmp_path, capsys):
        (tmp_path / "run" / "fold_0").mkdir(parents=True)
        tagger = folder[1][0].load(folder[0] / "model.pt")
        torch.nn.init.constant_(tagger.backbone.classifier[-1].bias, torch.nan)
        tagger.save(tmp_path / "run" / "fold_0" / "model.pt")
        assert run("predict", tmp_path / "run", "sounds") == 1
        assert "model.pt: wanted finite weights, got others in backbone" in capsys.readouterr().err

    def test_folds_with_other_classes_are_refused(self, run, folder, tmp_path, capsys):
        for fold, classes in enumerate([CLASSES, CLASSES[::-1]]):
            (tmp_path / "run" / f"fold_{fold}").mkdir(parents=True)
            tagger = folder[1][0].load(folder[0] / "model.pt")
            tagger.classes = classes
            tagger.save(tmp_path / "run" / f"fold_{fold}" / "model.pt")
        assert run("predict", tmp_path / "run", "sounds") == 1
        assert "wanted the classes and the sample rate of the other folds" in capsys.readouterr().err

    def test_a_mistake_of_the_program_keeps_its_traceback(self, run, monkeypatch):
        def fail(args):
            raise KeyError("mistake")

        monkeypatch.setattr(predict_command, "run", fail)
        with pytest.raises(KeyError, match="mistake"):
            run("predict", "model.pt", "sounds")


class TestEvaluate:
    def test_the_figure_is_lwlrap(self, run, folder, capsys, tmp_path):
        run("predict", "run", "sounds", out="s.csv")
        capsys.readouterr()
        assert run("evaluate", tmp_path / "s.csv", "labels.csv") == 0
        target = torch.tensor([[1, 0, 0], [0, 1, 1], [0, 0, 1], [1, 0, 0]])
        scores = read_scores(tmp_path / "s.csv").scores
        lines = capsys.readouterr().out.splitlines()
        assert lines[0] == "5 labels of 4 clips, with intervals of 95 %:"
        found = bootstrap(scores, target)
        assert lines[1].split()[:2] == ["mAP", f"{average_precision(scores, target):.4f}"]
        assert lines[2].split() == [
            *("lwlrap", f"{lwlrap(scores, target):.4f}", f"[{found.low:.4f},", f"{found.high:.4f}]")
        ]
        assert run("evaluate", "run", "labels.csv", "--audio", "sounds", "--quiet") == 0
        assert capsys.readouterr().out.splitlines() == lines

    def test_by_class_has_a_line_for_each(self, run, tmp_path, capsys):
        (tmp_path / "s.csv").write_text("fname,Bark,Meow,Purr\na,2,1,0\nb,1,2,0\n")
        (tmp_path / "l.csv").write_text("file;x,label\na,Bark\nb,Bark;Meow\n".replace("file;x", "file"))
        options = ["--name-column", "file", "--label-column", "label", "--separator", ";", "--by-class"]
        assert run("evaluate", tmp_path / "s.csv", tmp_path / "l.csv", *options) == 0
        lines = [line.split() for line in capsys.readouterr().out.splitlines()]
        assert lines[0] == ["class", "clips", "lwlrap", "[95", "%]"]
        assert lines[1:4] == [["Bark", "2", "1.0000"], ["Meow", "1", "1.0000"], ["Purr", "0", "-"]]
        assert lines[4][:3] == ["mAP", "3", "1.0000"]
        assert lines[5] == ["all", "labels", "3", "1.0000", "[1.0000,", "1.0000]"]

    def test_a_broken_file_gives_no_figure(self, run, folder, tmp_path, capsys):
        write_sounds(tmp_path / "sounds")
        (tmp_path / "sounds" / "e.wav").write_bytes(b"RIFF")
        assert run("evaluate", "model.pt", "labels.csv", "--audio", tmp_path / "sounds") == 1
        captured = capsys.readouterr()
        assert captured.out == ""
        assert "e.wav" in captured.err
        assert "--audio: wanted scores for every clip, got none for 1 of 4" in captured.err


def test_help_names_all_commands_and_version_is_that_of_the_library(capsys):
    for words, text in ([["--help"], "predict"], [["--version"], f"rankaudio {rankaudio.__version__}"]):
        with pytest.raises(SystemExit) as error:
            main(words)
        assert error.value.code == 0
        assert text in capsys.readouterr().out
    with pytest.raises(SystemExit):
        main([])
    assert "required: COMMAND" in capsys.readouterr().err
    for command in ("predict", "events", "evaluate", "embed"):
        with pytest.raises(SystemExit):
            main([command, "--help"])
        assert "Exit status" in capsys.readouterr().out


@pytest.mark.slow
def test_a_process_of_its_own(folder, tmp_path):
    """The module runs, and a closed pipe is no error with a traceback."""
    source = str(Path(rankaudio.__file__).parents[1])
    environment = {**os.environ, "PYTHONPATH": source, "OMP_NUM_THREADS": "1"}
    words = [sys.executable, "-m", "rankaudio", "predict", "model.pt", "sounds", "--device", "cpu"]
    done = subprocess.run(
        [*words, "--top", "1"], cwd=folder[0], env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert [line.partition(":")[0] for line in done.stdout.splitlines()] == list(NAMES)
    with subprocess.Popen(
        words, cwd=folder[0], env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        process.stdout.close()
        said = process.stderr.read()
    assert process.returncode == 1
    assert "Traceback" not in said
